//! Conversion of a value to a type, by Terraform's rules.

use std::sync::Arc;

use super::number::Number;
use super::types::{Field, Type, unify_all};
use super::value::{Data, Entries, MapKind, SeqKind, Value};

/// Why a value does not convert: where in it, what was wanted, what was there. Never shows a sensitive value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Such as `[0].name`; empty for the value itself.
    pub path: String,
    pub expected: String,
    pub found: String,
}

impl Mismatch {
    pub fn new(expected: impl Into<String>, found: impl Into<String>) -> Mismatch {
        Mismatch {
            path: String::new(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn under(mut self, step: &str) -> Mismatch {
        self.path.insert_str(0, step);
        self
    }

    /// `expected a number, found "x"`, with the place when it is inside.
    pub fn sentence(&self) -> String {
        let Mismatch {
            path,
            expected,
            found,
        } = self;
        if path.is_empty() {
            format!("expected {expected}, found {found}")
        } else {
            format!("at {path}: expected {expected}, found {found}")
        }
    }

    /// What is inside of a sensitive value bears no mark of its own, and keys are values, too.
    fn inside_sensitive(self) -> Mismatch {
        let path = if self.path.contains('"') {
            String::new()
        } else {
            self.path
        };
        Mismatch {
            path,
            expected: self.expected,
            found: "a sensitive value".to_owned(),
        }
    }
}

/// With its article: `a number`, `an object`.
pub fn expected(of: &Type) -> String {
    let article = match of {
        Type::Any
        | Type::Object(_)
        | Type::Resource(crate::ids::Kind::Instance | crate::ids::Kind::Image) => "an",
        _ => "a",
    };
    format!("{article} {of}")
}

pub fn convert(value: &Value, to: &Type) -> Result<Value, Mismatch> {
    converted(value, to).map_err(|m| match value.sensitive && !m.path.is_empty() {
        true => m.inside_sensitive(),
        false => m,
    })
}

fn converted(value: &Value, to: &Type) -> Result<Value, Mismatch> {
    let out = match (to, &value.data) {
        (Type::Any, _) => return Ok(value.clone()),
        (_, Data::Null) => return Ok(value.clone()),
        (Type::Bool, Data::Bool(_))
        | (Type::Number, Data::Number(_))
        | (Type::String, Data::String(_)) => return Ok(value.clone()),
        (Type::String, Data::Bool(b)) => Value::string(b.to_string()),
        (Type::String, Data::Number(n)) => Value::string(n.to_string()),
        (Type::Bool, Data::String(s)) => match s.as_ref() {
            "true" | "1" => Value::bool(true),
            "false" | "0" => Value::bool(false),
            _ => return Err(mismatch(value, to)),
        },
        (Type::Number, Data::String(s)) => match Number::parse(s) {
            Ok(Some(n)) => Value::number(n),
            _ => return Err(mismatch(value, to)),
        },
        (Type::List(element), Data::Seq(seq)) => Value::list(convert_items(&seq.items, element)?),
        (Type::Set(element), Data::Seq(seq)) => Value::set(convert_items(&seq.items, element)?),
        (Type::Tuple(types), Data::Seq(seq)) => {
            if seq.kind != SeqKind::Tuple || seq.items.len() != types.len() {
                return Err(mismatch(value, to));
            }
            let both = seq.items.iter().zip(types).enumerate();
            let items =
                both.map(|(i, (v, t))| convert(v, t).map_err(|e| e.under(&format!("[{i}]"))));
            Value::tuple(items.collect::<Result<_, _>>()?)
        }
        (Type::Map(element), Data::Map(map)) => convert_map(&map.entries, element)?,
        (Type::Object(fields), Data::Map(map)) => convert_object(value, &map.entries, fields)?,
        (Type::Resource(kind), Data::Resource(r)) if r.addr.kind == *kind => {
            return Ok(value.clone());
        }
        _ => return Err(mismatch(value, to)),
    };
    Ok(out.marked(value.sensitive))
}

fn mismatch(value: &Value, to: &Type) -> Mismatch {
    Mismatch::new(expected(to), value.shown())
}

/// With `any` as element type, the elements get the type they have in common.
fn convert_items(items: &[Value], element: &Type) -> Result<Vec<Value>, Mismatch> {
    let common;
    let element = if *element == Type::Any {
        common = unify_all(items.iter().map(Type::of))
            .ok_or_else(|| Mismatch::new("elements of one type", "elements of several"))?;
        &common
    } else {
        element
    };
    let items = items.iter().enumerate();
    items
        .map(|(i, v)| convert(v, element).map_err(|e| e.under(&format!("[{i}]"))))
        .collect()
}

fn convert_map(entries: &Entries, element: &Type) -> Result<Value, Mismatch> {
    let common;
    let element = if *element == Type::Any {
        common = unify_all(entries.values().map(Type::of))
            .ok_or_else(|| Mismatch::new("elements of one type", "elements of several"))?;
        &common
    } else {
        element
    };
    let converted = entries.iter().map(|(k, v)| {
        let v = convert(v, element).map_err(|e| e.under(&format!("[{k:?}]")))?;
        Ok((k.clone(), v))
    });
    Ok(Value::map(converted.collect::<Result<_, Mismatch>>()?))
}

fn convert_object(
    value: &Value,
    entries: &Entries,
    fields: &std::collections::BTreeMap<Arc<str>, Field>,
) -> Result<Value, Mismatch> {
    let mut out = Entries::new();
    for (name, field) in fields {
        let given = entries.get(name);
        let chosen = match (given, &field.default) {
            (Some(v), Some(default)) if v.is_null() => default,
            (Some(v), _) => v,
            (None, Some(default)) => default,
            (None, None) => {
                let found = format!("{} without it", value.type_name());
                return Err(Mismatch::new(format!("attribute `{name}`"), found));
            }
        };
        let converted = convert(chosen, &field.of).map_err(|e| e.under(&format!(".{name}")))?;
        out.insert(name.clone(), converted);
    }
    Ok(Value::mapping(MapKind::Object, out))
}
