//! Outputs.

use super::codes;
use super::conditions::Condition;
use super::decode::Reader;
use super::eval::{Scope, eval};
use super::involved::with_values;
use super::report::Report;
use super::syntax::ast::Block;
use super::value::{Data, Value};
use crate::diag::{Diagnostic, Severity};
use crate::model::fleet::Output;

/// The value for whoever calls the module, and the output as it is shown. Only the root module's are shown, and must say so
/// when they are sensitive.
pub fn read(
    name: &str,
    block: &Block,
    is_root: bool,
    scope: &Scope<'_>,
    report: &Report,
) -> Option<(Value, Output)> {
    let subject = format!("output.{name}");
    let mut reader = Reader::new(block, scope, report, &subject);
    reader.known(&["value", "depends_on"], &["precondition"]);
    let description = reader.optional("description");
    let sensitive = reader.or("sensitive", false);
    let ephemeral = reader.or("ephemeral", false);
    if ephemeral {
        reader.wrong_value(
            "ephemeral",
            "there are no ephemeral values: a plan holds no secret anyway",
        );
    }
    preconditions(&subject, block, scope, report);
    let Some(attribute) = block.body.attribute("value") else {
        if !block.body.incomplete {
            let d = Diagnostic::error(codes::MISSING, "`value` is required");
            reader.fail(d.at(block.header, "not in this block"));
        }
        reader.finish();
        return None;
    };
    let value = eval(&attribute.value, scope);
    if let Ok(value) = &value
        && value.contains_sensitive()
        && !sensitive
        && is_root
    {
        let text = format!("{subject} would show a sensitive value");
        let d = Diagnostic::error(codes::SENSITIVE, text).at(attribute.value.span, "sensitive");
        reader.fail(d.help("add sensitive = true, or wrap the value in nonsensitive()"));
    }
    let (whole, _) = reader.finish();
    match value {
        Ok(value) => {
            whole?;
            let shown = if is_root {
                to_json(&value)
            } else {
                serde_json::Value::Null
            };
            let output = Output {
                value: shown,
                sensitive,
                description,
            };
            Some((value.marked(sensitive), output))
        }
        Err(stop) => {
            let stop = with_values(stop, &attribute.value, scope);
            report.stop(stop, Some(format!("in {subject}")));
            None
        }
    }
}

fn preconditions(subject: &str, block: &Block, scope: &Scope<'_>, report: &Report) {
    let blocks = block.body.blocks.iter();
    for nested in blocks.filter(|b| b.kind.as_ref() == "precondition") {
        let condition = Condition {
            subject,
            code: codes::CONDITION,
            severity: Severity::Error,
            declared: None,
        };
        condition.check(nested, scope, report);
    }
}

/// A resource is shown by its address; a number that JSON readers would round is a text.
fn to_json(value: &Value) -> serde_json::Value {
    match &value.data {
        Data::Null => serde_json::Value::Null,
        Data::Bool(b) => (*b).into(),
        Data::Number(n) => {
            // As readers print it: `0.1` is the same text there and here.
            let exact = n.to_f64().filter(|f| f.to_string() == n.to_string());
            match (
                n.to_i64(),
                n.to_u64(),
                exact.and_then(serde_json::Number::from_f64),
            ) {
                (Some(i), _, _) => i.into(),
                (None, Some(u), _) => u.into(),
                (None, None, Some(f)) => f.into(),
                (None, None, None) => n.to_string().into(),
            }
        }
        Data::String(s) => s.as_ref().into(),
        Data::Seq(seq) => seq.items.iter().map(to_json).collect(),
        Data::Map(map) => {
            let entries = map.entries.iter().map(|(k, v)| (k.to_string(), to_json(v)));
            serde_json::Value::Object(entries.collect())
        }
        Data::Resource(r) => r.addr.to_string().into(),
    }
}
