//! YAML.

use std::sync::Arc;

use serde_yaml_ng::Value as Yaml;

use super::args::{Args, Fail, Param};
use super::{Function, row};
use crate::config::number::Number;
use crate::config::value::{Data, Entries, Value};

use Param::{Nullable, String as Str};

pub const TABLE: &[Function] = &[
    row(
        "yamldecode",
        "yamldecode(text)",
        "The value of a YAML text.",
        [
            "yamldecode(\"a: 1\\nb: [x, ~]\")",
            "{ a = 1, b = [\"x\", null] }",
        ],
        &[Str],
        |a| {
            let parsed = serde_yaml_ng::from_str::<Yaml>(a.text(0));
            let parsed = parsed.map_err(|e| Fail::Arg(0, e.to_string()))?;
            value(&parsed, a)
        },
    ),
    row(
        "yamlencode",
        "yamlencode(value)",
        "The value as YAML.",
        [
            "yamlencode({ a = [1, \"x\"] })",
            "\"\\\"a\\\":\\n- 1\\n- \\\"x\\\"\\n\"",
        ],
        &[Nullable],
        |a| {
            let mut out = String::new();
            encode(a.value(0), 0, &mut out)?;
            Ok(Value::string(out))
        },
    ),
];

fn value(yaml: &Yaml, a: &Args<'_>) -> Result<Value, Fail> {
    // An alias can stand for a large part again and again; each element is paid for.
    a.spend(1)?;
    Ok(match yaml {
        Yaml::Null => Value::null(),
        Yaml::Bool(b) => Value::bool(*b),
        Yaml::Number(n) => match Number::parse(&n.to_string()) {
            Ok(Some(n)) => Value::number(n),
            _ => return Err(Fail::Arg(0, format!("{n} is not a finite number"))),
        },
        Yaml::String(s) => Value::string(s),
        Yaml::Sequence(items) => {
            let items = items.iter().map(|v| value(v, a));
            Value::tuple(items.collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(map) => {
            let mut entries = Entries::new();
            for (k, v) in map {
                let key: Arc<str> = match k {
                    Yaml::String(s) => s.as_str().into(),
                    Yaml::Number(n) => n.to_string().into(),
                    Yaml::Bool(b) => b.to_string().into(),
                    Yaml::Null | Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => {
                        return Err(Fail::Arg(0, "a key is not a text".to_owned()));
                    }
                };
                entries.insert(key, value(v, a)?);
            }
            Value::object(entries)
        }
        Yaml::Tagged(tagged) => {
            return Err(Fail::Arg(0, format!("the tag {} is not known", tagged.tag)));
        }
    })
}

/// As Terraform writes it: keys and texts in quotes, lists not indented under their key.
fn encode(value: &Value, indent: usize, out: &mut String) -> Result<(), Fail> {
    let pad = " ".repeat(indent);
    match &value.data {
        Data::Map(map) if !map.entries.is_empty() => {
            for (i, (key, item)) in map.entries.iter().enumerate() {
                if i > 0 {
                    out.push_str(&pad);
                }
                out.push_str(&format!("{}:", serde_json::Value::from(key.as_ref())));
                match &item.data {
                    Data::Map(inner) if !inner.entries.is_empty() => {
                        out.push_str(&format!("\n{pad}  "));
                        encode(item, indent + 2, out)?;
                    }
                    Data::Seq(inner) if !inner.items.is_empty() => {
                        out.push_str(&format!("\n{pad}"));
                        encode(item, indent, out)?;
                    }
                    _ => {
                        out.push(' ');
                        scalar(item, indent, out)?;
                    }
                }
            }
        }
        Data::Seq(seq) if !seq.items.is_empty() => {
            for (i, item) in seq.items.iter().enumerate() {
                if i > 0 {
                    out.push_str(&pad);
                }
                out.push_str("- ");
                encode(item, indent + 2, out)?;
            }
        }
        _ => scalar(value, indent, out)?,
    }
    Ok(())
}

fn scalar(value: &Value, indent: usize, out: &mut String) -> Result<(), Fail> {
    match &value.data {
        Data::String(s) if s.contains('\n') && !s.starts_with([' ', '\n']) && !s.contains('\r') => {
            let kept = s.strip_suffix('\n');
            let (mark, body) = match kept {
                Some(body) if body.ends_with('\n') => ("|+", body),
                Some(body) => ("|", body),
                None => ("|-", s.as_ref()),
            };
            out.push_str(mark);
            for line in body.split('\n') {
                out.push('\n');
                if !line.is_empty() {
                    out.push_str(&" ".repeat(indent + 2));
                    out.push_str(line);
                }
            }
        }
        Data::String(s) => out.push_str(&serde_json::Value::from(s.as_ref()).to_string()),
        Data::Seq(_) => out.push_str("[]"),
        Data::Map(_) => out.push_str("{}"),
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::Resource(_) => {
            super::json::encode(value, out)?
        }
    }
    out.push('\n');
    Ok(())
}
