//! The table as JSON, and JSON Schemas (draft 2020-12) made from it for configuration in JSON syntax. A template may stand
//! wherever a value may: `"${local.size}"`.

use serde_json::{Map, Value, json};

use super::{
    AttributeSchema, BlockSchema, COUNT_MAX, Form, Need, Others, Sensitive, Takes, Times, blocks,
};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// A comment in JSON syntax.
const COMMENT: &str = "//";
const NAME: &str = "^[A-Za-z_][A-Za-z0-9_-]*$";

/// The table itself, for programs.
pub fn table() -> Value {
    blocks()
        .map(|b| (b.name.to_owned(), block_row(b)))
        .collect::<Map<_, _>>()
        .into()
}

fn block_row(block: &BlockSchema) -> Value {
    let labels = block
        .labels
        .iter()
        .map(|l| json!({ "name": l.name, "words": l.words }));
    let nested = block.all_blocks().map(|n| {
        let mut row = block_row(n.block);
        let times = match n.times {
            Times::Once => "once",
            Times::AtMostOnce => "at_most_once",
            Times::Any => "any",
        };
        if let Value::Object(fields) = &mut row {
            fields.insert("times".to_owned(), times.into());
        }
        (n.block.name.to_owned(), row)
    });
    json!({
        "doc": block.doc,
        "labels": labels.collect::<Vec<_>>(),
        "attributes": block.all_attributes().map(|a| (a.name.to_owned(), attribute_row(a))).collect::<Map<_, _>>(),
        "blocks": nested.collect::<Map<_, _>>(),
        "other_attributes": block.others == Others::Allowed,
    })
}

fn attribute_row(attribute: &AttributeSchema) -> Value {
    let AttributeSchema {
        name: _,
        takes,
        need,
        sensitive,
        doc,
        example,
    } = attribute;
    let mut row = json!({
        "type": takes.to_string(),
        "required": *need == Need::Required,
        "sensitive": *sensitive == Sensitive::Allowed,
        "doc": doc,
    });
    let mut add = |name: &str, value: Value| {
        if let Value::Object(fields) = &mut row {
            fields.insert(name.to_owned(), value);
        }
    };
    if let Need::Default(value) = need {
        add("default", (*value).into());
    }
    if !example.is_empty() {
        add("example", (*example).into());
    }
    match takes {
        Takes::Words(words) | Takes::ListOf(Takes::Words(words)) => add("words", json!(words)),
        Takes::Reference(kind) => add("kind", kind.as_str().into()),
        Takes::Any
        | Takes::Bool
        | Takes::Number(..)
        | Takes::String
        | Takes::Text(_)
        | Takes::ListOf(_)
        | Takes::MapOf(_)
        | Takes::Resources
        | Takes::Attributes
        | Takes::Address
        | Takes::Type
        | Takes::Collection => {}
    }
    row
}

/// The JSON Schemas by path: a whole file, and the body of each block.
pub fn files() -> Vec<(String, String)> {
    let mut out = vec![("bmctl.json".to_owned(), pretty(&whole()))];
    out.extend(blocks().map(|block| {
        let mut definitions = Definitions::new();
        let mut schema = body(block, block.name, &mut definitions);
        if let Value::Object(fields) = &mut schema {
            let title = format!("the body of a block `{}`", block.name);
            fields.insert("$schema".to_owned(), DRAFT.into());
            fields.insert("title".to_owned(), title.into());
            fields.insert("$defs".to_owned(), with_template(definitions));
        }
        (format!("blocks/{}.json", block.name), pretty(&schema))
    }));
    out
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Bodies of nested blocks by path, such as `node.power`.
type Definitions = Map<String, Value>;

fn with_template(mut definitions: Definitions) -> Value {
    let template =
        json!({ "type": "string", "pattern": "[$%]\\{", "description": "an expression: ${...}" });
    definitions.insert("template".to_owned(), template);
    definitions.into()
}

fn whole() -> Value {
    let mut definitions = Definitions::new();
    let mut properties = Map::new();
    properties.insert(COMMENT.to_owned(), true.into());
    for block in blocks() {
        let definition = body(block, block.name, &mut definitions);
        definitions.insert(block.name.to_owned(), definition);
        let one = labelled(block, repeated(&reference(block.name), Times::Any));
        properties.insert(block.name.to_owned(), one);
    }
    json!({
        "$schema": DRAFT,
        "title": "a file *.bmctl.json",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "$defs": with_template(definitions),
    })
}

fn reference(definition: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{definition}") })
}

/// `path` is where the block stands; what every resource has is defined once.
fn body(block: &BlockSchema, path: &str, definitions: &mut Definitions) -> Value {
    let mut properties = Map::new();
    properties.insert(COMMENT.to_owned(), true.into());
    for attribute in block.all_attributes() {
        properties.insert(attribute.name.to_owned(), attribute_schema(attribute));
    }
    for nested in block.all_blocks() {
        let own = block
            .blocks
            .iter()
            .any(|n| n.block.name == nested.block.name);
        let around = if own { path } else { "resource" };
        let name = format!("{around}.{}", nested.block.name);
        if !definitions.contains_key(&name) {
            let definition = body(nested.block, &name, definitions);
            definitions.insert(name.clone(), definition);
        }
        let one = labelled(nested.block, repeated(&reference(&name), nested.times));
        properties.insert(nested.block.name.to_owned(), one);
    }
    let needed = block.all_attributes().filter(|a| a.need == Need::Required);
    let mut schema = json!({
        "type": "object",
        "description": block.doc,
        "properties": properties,
        "required": needed.map(|a| a.name).collect::<Vec<_>>(),
        "additionalProperties": block.others == Others::Allowed,
    });
    let once = required_blocks(block);
    if let (Value::Object(fields), false) = (&mut schema, once.is_empty()) {
        fields.insert("allOf".to_owned(), once.into());
    }
    schema
}

/// A required block may be made by `dynamic`, where there is such a thing.
fn required_blocks(block: &BlockSchema) -> Vec<Value> {
    let dynamic = block.nested("dynamic").is_some();
    let once = block.all_blocks().filter(|n| n.times == Times::Once);
    let required = once.map(|n| {
        let itself = json!({ "required": [n.block.name] });
        match dynamic {
            true => json!({ "anyOf": [itself, { "required": ["dynamic"] }] }),
            false => itself,
        }
    });
    required.collect()
}

/// A block, or a list of blocks.
fn repeated(one: &Value, times: Times) -> Value {
    let mut list = json!({ "type": "array", "items": one });
    if let (Value::Object(fields), Times::Once | Times::AtMostOnce) = (&mut list, times) {
        fields.insert("maxItems".to_owned(), 1.into());
    }
    json!({ "anyOf": [one, list] })
}

/// Labels are keys of objects around the block, one within the other.
fn labelled(block: &BlockSchema, inner: Value) -> Value {
    let mut schema = inner;
    for label in block.labels.iter().rev() {
        schema = match label.words {
            [] => json!({
                "type": "object",
                "propertyNames": { "anyOf": [{ "pattern": NAME }, { "const": COMMENT }] },
                "properties": { COMMENT: true },
                "additionalProperties": schema,
            }),
            words => {
                let each = words.iter().map(|w| ((*w).to_owned(), schema.clone()));
                json!({
                    "type": "object",
                    "properties": each.collect::<Map<_, _>>(),
                    "additionalProperties": false,
                    "minProperties": 1,
                    "maxProperties": 1,
                })
            }
        };
    }
    if let Value::Object(fields) = &mut schema {
        fields.insert("description".to_owned(), block.doc.into());
    }
    schema
}

fn attribute_schema(attribute: &AttributeSchema) -> Value {
    let mut ways = ways(&attribute.takes);
    if attribute.need != Need::Required {
        ways.push(json!({ "type": "null" }));
    }
    let mut schema = json!({ "description": attribute.doc, "anyOf": ways });
    if let (Value::Object(fields), Need::Default(value)) = (&mut schema, attribute.need) {
        fields.insert("default".to_owned(), default(&attribute.takes, value));
    }
    schema
}

/// Defaults are written as HCL; numbers, bools and empty collections are the same in JSON, and so is a list of words.
fn default(takes: &Takes, written: &str) -> Value {
    match takes {
        Takes::Bool | Takes::Number(..) | Takes::ListOf(_) | Takes::MapOf(_) => {
            serde_json::from_str(written).unwrap_or_else(|_| written.into())
        }
        Takes::Any
        | Takes::String
        | Takes::Text(_)
        | Takes::Words(_)
        | Takes::Reference(_)
        | Takes::Resources
        | Takes::Attributes
        | Takes::Address
        | Takes::Type
        | Takes::Collection => written.into(),
    }
}

/// The forms a value may have; each converts to what the attribute takes.
fn ways(takes: &Takes) -> Vec<Value> {
    let expression = json!({ "$ref": "#/$defs/template" });
    match takes {
        Takes::Any => vec![true.into()],
        Takes::Bool => vec![
            json!({ "type": "boolean" }),
            json!({ "enum": ["true", "false"] }),
            expression,
        ],
        Takes::Number(least, most) => {
            let mut number = json!({ "type": "integer", "minimum": least });
            if let (Value::Object(fields), true) = (&mut number, *most <= COUNT_MAX) {
                fields.insert("maximum".to_owned(), (*most).into());
            }
            vec![
                number,
                json!({ "type": "string", "pattern": "^[0-9]+$" }),
                expression,
            ]
        }
        Takes::String => vec![json!({ "type": ["string", "number", "boolean"] })],
        Takes::Text(form) => match pattern(*form) {
            Some(pattern) => vec![json!({ "type": "string", "pattern": pattern }), expression],
            None => vec![json!({ "type": "string" })],
        },
        Takes::Words(words) => vec![json!({ "enum": words }), expression],
        Takes::ListOf(of) => {
            vec![
                json!({ "type": "array", "items": { "anyOf": ways(of) } }),
                expression,
            ]
        }
        Takes::MapOf(of) => {
            let object = json!({ "type": "object", "additionalProperties": { "anyOf": ways(of) } });
            vec![object, expression]
        }
        Takes::Reference(_) => vec![expression],
        Takes::Resources | Takes::Attributes => vec![
            json!({ "type": "array", "items": { "type": "string" } }),
            json!({ "type": "string" }),
        ],
        Takes::Address | Takes::Type => vec![json!({ "type": "string" })],
        Takes::Collection => vec![json!({ "type": "object" }), expression],
    }
}

fn pattern(form: Form) -> Option<&'static str> {
    match form {
        Form::Ipv4 => Some("^[0-9]{1,3}(\\.[0-9]{1,3}){3}$"),
        Form::Subnet => Some("^[0-9]{1,3}(\\.[0-9]{1,3}){3}/[0-9]{1,2}$"),
        Form::Mac => Some("^[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}$"),
        Form::Sha256 => Some("^[0-9A-Fa-f]{64}$"),
        Form::HostName => Some("^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"),
        Form::Path | Form::Versions => None,
    }
}
