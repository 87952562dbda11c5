//! A value as a console prints it: the layout of `terraform console`. A resource is an object of its attributes; a resource
//! that it refers to is an address, so that one node does not print the whole fleet.

use super::types::Type;
use super::value::{Data, Entries, MapKind, SeqKind, Value};

const SENSITIVE: &str = "(sensitive value)";

/// Where a value stands: how far to the right, and whether a resource is around it.
#[derive(Clone, Copy)]
struct Place {
    indent: usize,
    resources: Resources,
}

#[derive(Clone, Copy)]
enum Resources {
    AsObjects,
    AsAddresses,
}

/// The value, without a newline at its end.
pub fn show(value: &Value) -> String {
    let mut out = String::new();
    let place = Place {
        indent: 0,
        resources: Resources::AsObjects,
    };
    write(value, place, "null", &mut out);
    out
}

/// The same for an output: a resource is its address, as everywhere else where outputs are read.
pub fn show_output(value: &Value) -> String {
    let mut out = String::new();
    let place = Place {
        indent: 0,
        resources: Resources::AsAddresses,
    };
    write(&value.unmarked_deep(), place, "null", &mut out);
    out
}

/// A type as Terraform writes it in JSON: `"string"`, `["list", "string"]`, `["object", {"a": "number"}]`.
pub fn type_json(of: &Type) -> serde_json::Value {
    use serde_json::json;
    match of {
        Type::Any => "dynamic".into(),
        Type::Bool => "bool".into(),
        Type::Number => "number".into(),
        Type::String | Type::Resource(_) => "string".into(),
        Type::List(of) => json!(["list", type_json(of)]),
        Type::Set(of) => json!(["set", type_json(of)]),
        Type::Map(of) => json!(["map", type_json(of)]),
        Type::Tuple(types) => json!(["tuple", types.iter().map(type_json).collect::<Vec<_>>()]),
        Type::Object(fields) => {
            let types = fields
                .iter()
                .map(|(name, f)| (name.to_string(), type_json(&f.of)));
            json!(["object", types.collect::<serde_json::Map<_, _>>()])
        }
    }
}

/// `null` is how a null is written here.
fn write(value: &Value, place: Place, null: &str, out: &mut String) {
    if value.sensitive {
        out.push_str(SENSITIVE);
        return;
    }
    match &value.data {
        Data::Null => out.push_str(null),
        Data::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Data::Number(n) => out.push_str(&n.to_string()),
        Data::String(s) => text(s, place.indent, out),
        Data::Seq(seq) => {
            let (open, close) = match seq.kind {
                SeqKind::Tuple => ("[", "]"),
                SeqKind::List => ("tolist([", "])"),
                SeqKind::Set => ("toset([", "])"),
            };
            list(&seq.items, (open, close), typed_null(value), place, out);
        }
        Data::Map(map) => {
            let (open, close) = match map.kind {
                MapKind::Object => ("{", "}"),
                MapKind::Map => ("tomap({", "})"),
            };
            object(&map.entries, (open, close), typed_null(value), place, out);
        }
        Data::Resource(r) => match (place.resources, &r.attributes) {
            (Resources::AsObjects, Some(attributes)) => {
                let inside = Place {
                    resources: Resources::AsAddresses,
                    ..place
                };
                object(attributes, ("{", "}"), "null", inside, out);
            }
            (Resources::AsAddresses, _) | (_, None) => out.push_str(&r.addr.to_string()),
        },
    }
}

fn list(items: &[Value], (open, close): (&str, &str), null: &str, place: Place, out: &mut String) {
    out.push_str(open);
    if !items.is_empty() {
        let inner = deeper(place);
        for item in items {
            line(inner.indent, out);
            write(item, inner, null, out);
            out.push(',');
        }
        line(place.indent, out);
    }
    out.push_str(close);
}

fn object(
    entries: &Entries,
    (open, close): (&str, &str),
    null: &str,
    place: Place,
    out: &mut String,
) {
    out.push_str(open);
    if !entries.is_empty() {
        let inner = deeper(place);
        for (key, value) in entries {
            line(inner.indent, out);
            text(key, inner.indent, out);
            out.push_str(" = ");
            write(value, inner, null, out);
        }
        line(place.indent, out);
    }
    out.push_str(close);
}

fn deeper(place: Place) -> Place {
    Place {
        indent: place.indent + 2,
        ..place
    }
}

fn line(indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A null in a collection of one type says which; elsewhere a value does not know its type.
fn typed_null(value: &Value) -> &'static str {
    let has_null = match &value.data {
        Data::Seq(seq) => seq.kind != SeqKind::Tuple && seq.items.iter().any(Value::is_null),
        Data::Map(map) => map.kind == MapKind::Map && map.entries.values().any(Value::is_null),
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) | Data::Resource(_) => false,
    };
    if !has_null {
        return "null";
    }
    let (Type::List(of) | Type::Set(of) | Type::Map(of)) = Type::of(value) else {
        return "null";
    };
    match *of {
        Type::String => "tostring(null)",
        Type::Number => "tonumber(null)",
        Type::Bool => "tobool(null)",
        Type::Any
        | Type::List(_)
        | Type::Set(_)
        | Type::Map(_)
        | Type::Tuple(_)
        | Type::Object(_)
        | Type::Resource(_) => "null",
    }
}

/// In quotes when it is one line, otherwise as a heredoc whose end mark is none of the lines.
fn text(text: &str, indent: usize, out: &mut String) {
    if !text.contains('\n') {
        quoted(text, out);
        return;
    }
    let mut mark = "EOT".to_owned();
    while text.split('\n').any(|l| l == mark) {
        mark.push('_');
    }
    out.push_str(if indent > 0 { "<<-" } else { "<<" });
    out.push_str(&mark);
    for part in text.split('\n') {
        line(indent, out);
        out.push_str(part);
    }
    line(indent, out);
    out.push_str(&mark);
}

/// The escapes of Go's `%q`, which a Terraform user knows: `\x01`, `\u200b`.
fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if is_printable(c) => out.push(c),
            c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
}

/// The standard library knows, and tells by how it would escape a text; a mark that joins the letter before it is printable.
fn is_printable(c: char) -> bool {
    c.is_ascii() || matches!(c, '\'') || {
        let joined: String = ['a', c].iter().collect();
        !joined.escape_debug().to_string().contains("\\u{")
    }
}

/// A type as Terraform's console prints it; the type of nothing is `dynamic`.
pub fn show_type(of: &Type) -> String {
    let mut out = String::new();
    write_type(of, 0, &mut out);
    out
}

fn write_type(of: &Type, depth: usize, out: &mut String) {
    let element = |name: &str, inner: &Type, out: &mut String| {
        let is_plain = matches!(
            inner,
            Type::Any | Type::Bool | Type::Number | Type::String | Type::Resource(_)
        );
        if is_plain {
            out.push_str(name);
            out.push('(');
            write_type(inner, depth, out);
            out.push(')');
        } else {
            out.push_str(name);
            out.push_str("(\n");
            type_line("", inner, depth, out);
            indent(depth, out);
            out.push(')');
        }
    };
    match of {
        Type::Any => out.push_str("dynamic"),
        Type::Bool => out.push_str("bool"),
        Type::Number => out.push_str("number"),
        Type::String => out.push_str("string"),
        Type::List(inner) => element("list", inner, out),
        Type::Set(inner) => element("set", inner, out),
        Type::Map(inner) => element("map", inner, out),
        Type::Tuple(types) if types.is_empty() => out.push_str("tuple([])"),
        Type::Object(fields) if fields.is_empty() => out.push_str("object({})"),
        Type::Tuple(types) => {
            out.push_str("tuple([\n");
            types.iter().for_each(|t| type_line("", t, depth, out));
            indent(depth, out);
            out.push_str("])");
        }
        Type::Object(fields) => {
            out.push_str("object({\n");
            for (name, field) in fields {
                type_line(&format!("{name}: "), &field.of, depth, out);
            }
            indent(depth, out);
            out.push_str("})");
        }
        Type::Resource(kind) => out.push_str(kind.as_str()),
    }
}

fn type_line(before: &str, of: &Type, depth: usize, out: &mut String) {
    indent(depth + 1, out);
    out.push_str(before);
    write_type(of, depth + 1, out);
    out.push_str(",\n");
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("    ", depth));
}

#[cfg(test)]
mod tests {
    use super::show;
    use crate::config::console::Console;
    use crate::config::sources::MemorySources;
    use crate::config::testing::value_of;

    /// Expressions and what `terraform console` 1.11 prints for them, each after a line `=== expression`.
    const TABLE: &str = include_str!("testdata/console.txt");

    #[test]
    fn values_print_as_a_terraform_user_knows_them() {
        let mut wrong = Vec::new();
        let mut count = 0;
        for case in TABLE.split("=== ").skip(1) {
            let (expression, expected) = case.split_once('\n').unwrap();
            let found = value_of(expression).map_or_else(|e| e, |v| show(&v));
            if found != expected.strip_suffix('\n').unwrap() {
                wrong.push(format!(
                    "{expression}\nexpected:\n{expected}\nfound:\n{found}"
                ));
            }
            count += 1;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        assert!(count > 110, "only {count} cases");
    }

    #[test]
    fn a_resource_is_its_attributes_and_what_it_refers_to_an_address() {
        let text = "network \"n\" {\n  for_each = toset([\"a\"])\n  cidr = \"10.0.0.0/24\"\n}\n\
            site \"s\" {\n  network = network.n[\"a\"]\n  address = \"10.0.0.1\"\n  limits {\n    boot_timeout_s = 5\n  }\n}\n";
        let sources = MemorySources::default().file("main.hcl", text);
        let (console, mistakes) = Console::open(".", &[], &sources);
        assert!(!mistakes.has_errors());
        let shown = console.evaluate("[site.s.network, network.n]").unwrap();
        insta::assert_snapshot!(shown, @r#"
        [
          {
            "cidr" = "10.0.0.0/24"
            "dhcp" = null
            "dns" = tolist([])
            "gateway" = null
            "vlan" = null
          },
          {
            "a" = {
              "cidr" = "10.0.0.0/24"
              "dhcp" = null
              "dns" = tolist([])
              "gateway" = null
              "vlan" = null
            }
          },
        ]
        "#);
        let site = console.evaluate("site.s").unwrap();
        assert!(
            site.contains("\n  \"network\" = network.n[\"a\"]\n"),
            "{site}"
        );
        assert!(site.contains("\n    \"boot_timeout_s\" = 5\n"), "{site}");
    }
}
