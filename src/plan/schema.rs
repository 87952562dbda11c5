//! JSON Schemas of what bmctl promises to other programs: plan files and the stream of events. Made from the types.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Plan;
use crate::model::event::Event;

/// Names of files and their contents.
pub fn files() -> Vec<(&'static str, String)> {
    vec![("plan.json", text(plan())), ("events.json", text(events()))]
}

fn text(schema: Value) -> String {
    format!("{schema:#}\n")
}

fn of<T: schemars::JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

/// The file, seal included.
fn plan() -> Value {
    let mut schema = of::<Plan>();
    schema["title"] = json!("A bmctl plan file, format 1");
    schema["properties"]["seal"] = json!({
        "type": "object",
        "description": "A chain of SHA-256 over all bytes before it, each over the one before and the next 16 KiB; key and signature when it was signed. `plan --json` prints a plan without it.",
        "properties": {
            "bytes": { "type": "integer", "minimum": 0 },
            "chain": { "type": "array", "items": { "type": "string", "pattern": "^[0-9a-f]{64}$" } },
            "key": { "type": "string", "pattern": "^ed25519:[0-9a-f]{64}$" },
            "signature": { "type": "string", "pattern": "^[0-9a-f]{128}$" },
            "sum": { "type": "string", "pattern": "^[0-9a-f]{64}$" }
        },
        "required": ["bytes", "chain", "sum"],
        "additionalProperties": false
    });
    schema
}

/// One line of the stream.
fn events() -> Value {
    let mut schema = of::<Event>();
    schema["title"] =
        json!("One event of bmctl, format 1: --json of apply, --json-into of plan and apply");
    schema
}
