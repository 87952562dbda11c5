//! Resource blocks to instances: `for_each`, `count`, and the attributes every kind has.

use std::sync::Arc;

use super::codes;
use super::convert::convert;
use super::declare::Resource;
use super::decode::{self, Reader};
use super::eval::{Scope, Slot, World, eval, truth};
use super::number::Number;
use super::report::Report;
use super::syntax::ast::{Attribute, Block};
use super::types::Type;
use super::value::{Data, Entries, ResourceValue, SeqKind, Value};
use crate::diag::{Diagnostic, Span};
use crate::ids::{Addr, Key};
use crate::model::Fleet;

/// Instances of one block; a larger fleet is several configurations.
const INSTANCES_MAX: usize = 1_000_000;

/// Which instances a block has.
enum Instances {
    One,
    Count(u32),
    /// `each.key` and `each.value`, sorted.
    Each(Vec<(Arc<str>, Value)>),
}

/// Evaluates a block for all of its instances. Gives what a reference to the block sees; `None` after a mistake in
/// `for_each` or `count`.
pub fn expand(resource: &Resource, world: &World<'_>, report: &Report, fleet: &mut Fleet) -> Slot {
    let base = Scope::new(world);
    let shown = |addr: Addr, attributes: Option<Entries>| {
        Value::new(Data::Resource(Arc::new(ResourceValue { addr, attributes })))
    };
    match instances(&resource.block, world, report)? {
        Instances::One => {
            let addr = Addr::new(resource.kind, resource.name.clone(), None);
            let attributes = one(resource, &addr, &base, report, fleet);
            Some(shown(addr, attributes))
        }
        Instances::Count(count) => {
            let mut all = Vec::new();
            for index in 0..count {
                let scope = Scope {
                    count: Some(index),
                    ..base
                };
                let addr = Addr::new(
                    resource.kind,
                    resource.name.clone(),
                    Some(Key::Index(index)),
                );
                let attributes = one(resource, &addr, &scope, report, fleet);
                all.push(shown(addr, attributes));
            }
            Some(Value::tuple(all))
        }
        Instances::Each(each) => {
            let mut all = Entries::new();
            for (key, value) in each {
                let key_value = Value::new(Data::String(key.clone()));
                let scope = Scope {
                    each: Some((&key_value, &value)),
                    ..base
                };
                let addr = Addr::new(
                    resource.kind,
                    resource.name.clone(),
                    Some(Key::Text(key.clone())),
                );
                let attributes = one(resource, &addr, &scope, report, fleet);
                all.insert(key, shown(addr, attributes));
            }
            Some(Value::object(all))
        }
    }
}

fn one(
    resource: &Resource,
    addr: &Addr,
    scope: &Scope<'_>,
    report: &Report,
    fleet: &mut Fleet,
) -> Option<Entries> {
    let block = &resource.block;
    if prevent_destroy(block, scope, report) {
        fleet.prevent_destroy.insert(addr.clone());
    }
    if let Some(attribute) = block.body.attribute("depends_on") {
        depends_on(attribute, addr, scope, report, fleet);
    }
    let subject = addr.to_string();
    let mut reader = Reader::new(block, scope, report, &subject);
    reader.known(&["for_each", "count", "depends_on"], &["lifecycle"]);
    decode::resource(reader, addr, fleet)
}

fn instances(block: &Block, world: &World<'_>, report: &Report) -> Option<Instances> {
    let scope = Scope::new(world);
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
    let value = eval(&attribute.value, &scope)
        .map_err(|stop| report.stop(stop, None))
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

fn prevent_destroy(block: &Block, scope: &Scope<'_>, report: &Report) -> bool {
    let mut result = false;
    for lifecycle in block
        .body
        .blocks
        .iter()
        .filter(|b| b.kind.as_ref() == "lifecycle")
    {
        for attribute in &lifecycle.body.attributes {
            match attribute.name.as_ref() {
                "prevent_destroy" => {
                    let evaluated = eval(&attribute.value, scope)
                        .and_then(|v| truth(&v, attribute.value.span, "prevent_destroy"));
                    match evaluated {
                        Ok(yes) => result |= yes,
                        Err(stop) => report.stop(stop, None),
                    }
                }
                name => report.push(not_in_lifecycle(name, attribute.name_span)),
            }
        }
        for inner in &lifecycle.body.blocks {
            report.push(not_in_lifecycle(&inner.kind, inner.header));
        }
    }
    result
}

fn not_in_lifecycle(name: &str, span: Span) -> Diagnostic {
    const TO_COME: [&str; 5] = [
        "ignore_changes",
        "replace_triggered_by",
        "precondition",
        "postcondition",
        "create_before_destroy",
    ];
    if TO_COME.contains(&name) {
        let text = format!("`lifecycle.{name}` is not built yet");
        return Diagnostic::error(codes::NOT_BUILT, text).at(span, "prevent_destroy is");
    }
    Diagnostic::error(
        codes::UNKNOWN_ATTRIBUTE,
        format!("there is no `lifecycle.{name}`"),
    )
    .at(span, "not known")
    .help("did you mean `prevent_destroy`?")
}

fn depends_on(
    attribute: &Attribute,
    addr: &Addr,
    scope: &Scope<'_>,
    report: &Report,
    fleet: &mut Fleet,
) {
    let value = match eval(&attribute.value, scope) {
        Ok(value) => value,
        Err(stop) => return report.stop(stop, None),
    };
    let mut needed = Vec::new();
    if !decode::addresses(&value, &mut needed) {
        report.push(
            Diagnostic::error(codes::WRONG_KIND, "depends_on is a list of resources")
                .at(attribute.value.span, format!("found {}", value.shown()))
                .help("write depends_on = [network.pxe, node.rack]"),
        );
        return;
    }
    needed.sort();
    needed.dedup();
    if !needed.is_empty() {
        fleet.depends_on.insert(addr.clone(), needed);
    }
}
