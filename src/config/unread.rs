//! Blocks that no instance reads, because their `for_each` or `count`, or that of their module, is empty: what can be seen wrong
//! with them without evaluating is still told.

use super::codes;
use super::declare::Declarations;
use super::report::Report;
use super::schema::{self, BlockSchema, Need, Others};
use super::suggest::did_you_mean;
use super::syntax::ast::{Block, Body, Expr, Step, StepKind};
use crate::diag::{Diagnostic, Span};
use crate::ids::Kind;

/// Checks the names of a resource's attributes and blocks, and of what its expressions refer to.
pub fn check(block: &Block, declared: &Declarations, report: &Report) {
    let Some(shape) = schema::blocks().find(|b| b.name == block.kind.as_ref()) else {
        return;
    };
    names(&block.body, block.header, shape, "", report);
    expressions(&block.body, declared, report);
}

fn names(body: &Body, header: Span, shape: &BlockSchema, prefix: &str, report: &Report) {
    for attribute in &body.attributes {
        let name = attribute.name.as_ref();
        let known: Vec<&str> = shape.all_attributes().map(|a| a.name).collect();
        if shape.others == Others::Refused && !known.contains(&name) {
            let text = format!("there is no attribute `{prefix}{name}`");
            let d = Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, text)
                .at(attribute.name_span, "not known");
            report.push(with_help(d, did_you_mean(name, known)));
        }
    }
    for required in shape.attributes.iter().filter(|a| a.need == Need::Required) {
        if body.attribute(required.name).is_none() && !body.incomplete {
            let text = format!("`{prefix}{}` is required", required.name);
            report.push(Diagnostic::error(codes::MISSING, text).at(header, "not in this block"));
        }
    }
    for block in &body.blocks {
        let is_dynamic = block.kind.as_ref() == "dynamic";
        let name = match block.labels.first() {
            Some(label) if is_dynamic => label.text.as_ref(),
            _ => block.kind.as_ref(),
        };
        let Some(inner) = shape.nested(name).map(|n| n.block) else {
            let text = format!("there is no block `{prefix}{name}`");
            let d = Diagnostic::error(codes::UNKNOWN_BLOCK, text).at(block.header, "not known");
            report.push(with_help(
                d,
                did_you_mean(name, shape.all_blocks().map(|n| n.block.name)),
            ));
            continue;
        };
        let prefix = format!("{prefix}{name}.");
        if !is_dynamic {
            names(&block.body, block.header, inner, &prefix, report);
        } else if let [content] = block.body.blocks.as_slice() {
            names(&content.body, content.header, inner, &prefix, report);
        }
    }
}

fn expressions(body: &Body, declared: &Declarations, report: &Report) {
    for attribute in &body.attributes {
        // Names of attributes, not of anything declared.
        if attribute.name.as_ref() != "ignore_changes" {
            references(&attribute.value, declared, report);
        }
    }
    for block in &body.blocks {
        expressions(&block.body, declared, report);
    }
}

fn references(expr: &Expr, declared: &Declarations, report: &Report) {
    expr.roots(&mut |root, _, steps| {
        let Some(Step {
            kind: StepKind::Attribute(name),
            span,
        }) = steps.first()
        else {
            return;
        };
        let known: Vec<&str> = match root {
            "var" => declared.variables.keys().map(AsRef::as_ref).collect(),
            "local" => declared.locals.keys().map(AsRef::as_ref).collect(),
            "module" => declared.modules.keys().map(AsRef::as_ref).collect(),
            _ => match root.parse::<Kind>() {
                Ok(kind) => {
                    let of_kind = declared.resources.keys().filter(|(k, _)| *k == kind);
                    of_kind.map(|(_, name)| name.as_ref()).collect()
                }
                Err(_) => return,
            },
        };
        if !known.contains(&name.as_ref()) {
            let text = format!("there is no {root}.{name}");
            let d = Diagnostic::error(codes::UNDECLARED, text).at(*span, "not declared");
            report.push(with_help(d, did_you_mean(name, known)));
        }
    });
}

fn with_help(d: Diagnostic, help: Option<String>) -> Diagnostic {
    match help {
        Some(help) => d.help(help),
        None => d,
    }
}
