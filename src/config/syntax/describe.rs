//! A syntax tree as text without places: two texts mean the same when their descriptions are equal. What makes no difference is
//! left out: parentheses, and the quotes of `"${x}"`.

use std::fmt::Write as _;

use super::ast::{Body, Expr, ExprKind, Part, StepKind};
use crate::config::value::Data;

pub fn body(body: &Body) -> String {
    let mut out = String::new();
    write_body(body, 0, Holder::Other, &mut out);
    out
}

/// What a body belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Variable,
    Other,
}

fn write_body(body: &Body, depth: usize, holder: Holder, out: &mut String) {
    let indent = "  ".repeat(depth);
    for attribute in &body.attributes {
        let _ = write!(out, "{indent}{} = ", attribute.name);
        match old_type(&attribute.value) {
            Some(text) if holder == Holder::Variable && attribute.name.as_ref() == "type" => {
                out.push_str(text);
            }
            _ => expr(&attribute.value, out),
        }
        out.push('\n');
    }
    for block in &body.blocks {
        let _ = write!(out, "{indent}{}", block.kind);
        for label in &block.labels {
            let _ = write!(out, " {:?}", label.text);
        }
        out.push('\n');
        let holder = match block.kind.as_ref() {
            "variable" if depth == 0 => Holder::Variable,
            _ => Holder::Other,
        };
        write_body(&block.body, depth + 1, holder, out);
    }
}

/// What types in the form of old versions stand for.
fn old_type(value: &Expr) -> Option<&'static str> {
    match &value.kind {
        ExprKind::Literal(text) => match text.as_str()? {
            "string" => Some("string"),
            "list" => Some("(call list string)"),
            "map" => Some("(call map string)"),
            _ => None,
        },
        ExprKind::Name(name) => match name.as_ref() {
            "list" => Some("(call list any)"),
            "map" => Some("(call map any)"),
            "set" => Some("(call set any)"),
            _ => None,
        },
        _ => None,
    }
}

fn list<'e>(name: &str, exprs: impl IntoIterator<Item = &'e Expr>, out: &mut String) {
    out.push('(');
    out.push_str(name);
    for e in exprs {
        out.push(' ');
        expr(e, out);
    }
    out.push(')');
}

fn expr(e: &Expr, out: &mut String) {
    match &e.kind {
        ExprKind::Invalid => out.push_str("(invalid)"),
        ExprKind::Literal(value) => literal(&value.data, out),
        ExprKind::Template(parts) => match parts.as_slice() {
            [Part::Value(only)] => expr(only, out),
            parts => list_parts("template", parts, out),
        },
        ExprKind::Tuple(items) => list("tuple", items, out),
        ExprKind::Object(items) => list("object", items.iter().flat_map(|(k, v)| [k, v]), out),
        ExprKind::Paren(inner) => expr(inner, out),
        ExprKind::Name(name) => out.push_str(name),
        ExprKind::Conditional(three) => list("if", three.iter(), out),
        ExprKind::Call(call) => {
            let dots = if call.expand { "..." } else { "" };
            list(&format!("call {}{dots}", call.name), &call.args, out);
        }
        ExprKind::Traversal(base, steps) => {
            out.push_str("(get ");
            expr(base, out);
            for step in steps {
                match &step.kind {
                    StepKind::Attribute(name) => {
                        let _ = write!(out, " .{name}");
                    }
                    StepKind::Index(index) => list(" index", [index], out),
                    StepKind::LegacyIndex(n) => {
                        let _ = write!(out, " .{n}");
                    }
                    StepKind::Splat => out.push_str(" [*]"),
                    StepKind::AttributeSplat => out.push_str(" .*"),
                }
            }
            out.push(')');
        }
        ExprKind::Not(inner) => list("not", [&**inner], out),
        ExprKind::Negate(inner) => list("negate", [&**inner], out),
        ExprKind::Binary(op, two) => list(&format!("{op:?}"), two.iter(), out),
        ExprKind::For(f) => {
            let dots = if f.grouping { "..." } else { "" };
            let key_name = f.key_name.as_deref().unwrap_or("_");
            let head = format!("for{dots} {key_name} {}", f.value_name);
            let optional = [f.key.as_ref(), Some(&f.value), f.condition.as_ref()];
            // Which of the two is absent matters.
            let kind = match (&f.key, &f.condition) {
                (None, None) => "list",
                (None, Some(_)) => "list if",
                (Some(_), None) => "map",
                (Some(_), Some(_)) => "map if",
            };
            let exprs = std::iter::once(&f.over).chain(optional.into_iter().flatten());
            list(&format!("{head} {kind}"), exprs, out);
        }
    }
}

fn literal(data: &Data, out: &mut String) {
    let _ = match data {
        Data::Null => write!(out, "null"),
        Data::Bool(b) => write!(out, "{b}"),
        Data::Number(n) => write!(out, "{n}"),
        Data::String(s) => write!(out, "{s:?}"),
        // The text of a file has no such literals.
        Data::Seq(_) | Data::Map(_) | Data::Resource(_) => write!(out, "(value)"),
    };
}

fn list_parts(name: &str, parts: &[Part], out: &mut String) {
    out.push('(');
    out.push_str(name);
    for part in parts {
        out.push(' ');
        match part {
            Part::Text(text) => {
                let _ = write!(out, "{text:?}");
            }
            Part::Value(value) => expr(value, out),
            Part::If {
                condition,
                then,
                otherwise,
            } => {
                list("if", [condition], out);
                list_parts("then", then, out);
                list_parts("else", otherwise, out);
            }
            Part::For {
                key_name,
                value_name,
                over,
                body,
            } => {
                let key_name = key_name.as_deref().unwrap_or("_");
                list(&format!("for {key_name} {value_name}"), [over], out);
                list_parts("do", body, out);
            }
        }
    }
    out.push(')');
}
