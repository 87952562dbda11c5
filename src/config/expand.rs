//! `for_each` and `count`: which instances a block has.

use std::sync::Arc;

use super::codes;
use super::convert::convert;
use super::eval::{Scope, eval};
use super::involved::with_values;
use super::number::Number;
use super::report::Report;
use super::syntax::ast::Block;
use super::types::Type;
use super::value::{Data, SeqKind, Value};
use crate::diag::{Diagnostic, Span};

/// Instances of one block; a larger fleet is several configurations.
const INSTANCES_MAX: usize = 1_000_000;

/// Which instances a block has.
pub enum Instances {
    One,
    Count(u32),
    /// `each.key` and `each.value`, sorted.
    Each(Vec<(Arc<str>, Value)>),
}

/// Evaluates `for_each` or `count`; `None` after a mistake, which is reported.
pub fn instances(block: &Block, scope: &Scope<'_>, report: &Report) -> Option<Instances> {
    let (each, count) = (
        block.body.attribute("for_each"),
        block.body.attribute("count"),
    );
    let (attribute, is_each) = match (each, count) {
        (None, None) => return Some(Instances::One),
        (Some(each), Some(count)) => {
            report.push(
                Diagnostic::error(codes::EXPANSION, "a block has for_each or count, not both")
                    .at(count.name_span, "one of these is too many")
                    .also(each.name_span, "the other"),
            );
            return None;
        }
        (Some(each), None) => (each, true),
        (None, Some(count)) => (count, false),
    };
    let span = attribute.value.span;
    let value = eval(&attribute.value, scope)
        .map_err(|stop| report.stop(with_values(stop, &attribute.value, scope), None))
        .ok()?;
    if value.sensitive {
        report.push(
            Diagnostic::error(
                codes::SENSITIVE,
                "the addresses of instances would show a sensitive value",
            )
            .at(span, "sensitive")
            .help("wrap what may be shown in nonsensitive()"),
        );
        return None;
    }
    let result = if is_each {
        for_each(&value, span)
    } else {
        counted(&value, span)
    };
    result.map_err(|d| report.push(*d)).ok()
}

fn counted(value: &Value, span: Span) -> Result<Instances, Box<Diagnostic>> {
    let wrong = |found: String| {
        let text = format!("count is a whole number from 0 to {INSTANCES_MAX}");
        Box::new(Diagnostic::error(codes::EXPANSION, text).at(span, found))
    };
    let number: Option<Number> = match convert(value, &Type::Number).map(|v| v.data) {
        Ok(Data::Number(n)) => Some(n),
        _ => None,
    };
    number
        .and_then(|n| n.to_usize())
        .filter(|n| *n <= INSTANCES_MAX)
        .and_then(|n| u32::try_from(n).ok())
        .map(Instances::Count)
        .ok_or_else(|| wrong(format!("found {}", value.shown())))
}

fn for_each(value: &Value, span: Span) -> Result<Instances, Box<Diagnostic>> {
    let wrong = |help: &str| {
        Box::new(
            Diagnostic::error(
                codes::EXPANSION,
                "for_each takes a map, an object, or a set of strings",
            )
            .at(span, format!("found {}", value.shown()))
            .help(help.to_owned()),
        )
    };
    let each: Vec<(Arc<str>, Value)> = match &value.data {
        Data::Map(map) => map
            .entries
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        Data::Seq(seq) if seq.kind == SeqKind::Set => {
            let texts = seq.items.iter().map(|v| match &v.data {
                Data::String(s) => Ok((s.clone(), v.clone())),
                _ => Err(wrong("its elements must be strings")),
            });
            texts.collect::<Result<_, _>>()?
        }
        Data::Seq(_) => {
            return Err(wrong(
                "write toset(...), or { for x in list : x.name => x }",
            ));
        }
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) | Data::Resource(_) => {
            return Err(wrong("a map gives each instance its key"));
        }
    };
    if each.len() > INSTANCES_MAX {
        let text = format!("a block has at most {INSTANCES_MAX} instances");
        return Err(Box::new(
            Diagnostic::error(codes::EXPANSION, text).at(span, format!("found {}", each.len())),
        ));
    }
    Ok(Instances::Each(each))
}
