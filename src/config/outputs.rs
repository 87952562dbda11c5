//! Outputs.

use super::codes;
use super::decode::Reader;
use super::eval::{Scope, World, eval};
use super::report::Report;
use super::syntax::ast::Block;
use super::value::{Data, Value};
use crate::diag::Diagnostic;
use crate::model::fleet::Output;

pub fn read(name: &str, block: &Block, world: &World<'_>, report: &Report) -> Option<Output> {
    let scope = Scope::new(world);
    let subject = format!("output.{name}");
    let mut reader = Reader::new(block, &scope, report, &subject);
    reader.known(&["value", "depends_on"], &[]);
    let description = reader.optional("description");
    let sensitive = reader.or("sensitive", false);
    let Some(attribute) = block.body.attribute("value") else {
        reader.fail(
            Diagnostic::error(codes::MISSING, "`value` is required")
                .at(block.header, "not in this block"),
        );
        reader.finish();
        return None;
    };
    let value = eval(&attribute.value, &scope);
    if let Ok(value) = &value
        && value.contains_sensitive()
        && !sensitive
    {
        reader.fail(
            Diagnostic::error(
                codes::SENSITIVE,
                format!("output.{name} would show a sensitive value"),
            )
            .at(attribute.value.span, "sensitive")
            .help("add sensitive = true, or wrap the value in nonsensitive()"),
        );
    }
    let (whole, _) = reader.finish();
    match value {
        Ok(value) => whole.map(|_| Output {
            value: to_json(&value),
            sensitive,
            description,
        }),
        Err(stop) => {
            report.stop(stop, Some(format!("in {subject}")));
            None
        }
    }
}

/// A resource is shown by its address; a number that JSON readers would round is a text.
fn to_json(value: &Value) -> serde_json::Value {
    match &value.data {
        Data::Null => serde_json::Value::Null,
        Data::Bool(b) => (*b).into(),
        Data::Number(n) => {
            let exact = n
                .to_f64()
                .filter(|f| super::number::Number::from_f64(*f).as_ref() == Some(n));
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
