//! JSON, with exact numbers.

use std::sync::Arc;

use super::args::{Args, Fail, Param};
use super::{Function, row};
use crate::config::eval::STRING_BYTES_MAX;
use crate::config::number::Number;
use crate::config::value::{Data, Entries, Value};

use Param::{Nullable, String as Str};

/// Arrays and objects within each other.
const DEPTH_MAX: usize = 64;

pub const TABLE: &[Function] = &[
    row(
        "jsonencode",
        "jsonencode(value)",
        "The value as JSON.",
        [
            "jsonencode({ b = [1, true], a = null })",
            "\"{\\\"a\\\":null,\\\"b\\\":[1,true]}\"",
        ],
        &[Nullable],
        |a| {
            let mut out = String::new();
            encode(a.value(0), &mut out)?;
            Ok(Value::string(out))
        },
    ),
    row(
        "jsondecode",
        "jsondecode(text)",
        "The value of a JSON text.",
        ["jsondecode(\"{\\\"a\\\": [1.50]}\")", "{ a = [1.5] }"],
        &[Str],
        |a| {
            decode(a).map_err(|(at, why)| {
                let line = a
                    .text(0)
                    .get(..at)
                    .map_or(1, |t| t.matches('\n').count() + 1);
                Fail::Arg(0, format!("line {line} of the JSON: {why}"))
            })
        },
    ),
];

pub fn encode(value: &Value, out: &mut String) -> Result<(), Fail> {
    if out.len() > STRING_BYTES_MAX {
        return Err(Fail::TooLarge);
    }
    match &value.data {
        Data::Null => out.push_str("null"),
        Data::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Data::Number(n) => out.push_str(&n.to_string()),
        Data::String(s) => quote(s, out),
        Data::Seq(seq) => {
            out.push('[');
            for (i, item) in seq.items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                encode(item, out)?;
            }
            out.push(']');
        }
        Data::Map(map) => {
            out.push('{');
            for (i, (key, item)) in map.entries.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                quote(key, out);
                out.push(':');
                encode(item, out)?;
            }
            out.push('}');
        }
        Data::Resource(r) => {
            return Err(Fail::Call(format!(
                "{} is a resource; name one of its attributes",
                r.addr
            )));
        }
    }
    Ok(())
}

/// As Go does it: what HTML would read is escaped.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)))
            }
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

type Parsed<T> = Result<T, (usize, &'static str)>;

fn decode(a: &Args<'_>) -> Parsed<Value> {
    let mut reader = Reader {
        text: a.text(0),
        at: 0,
    };
    let value = reader.value(0)?;
    reader.blank();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err((reader.at, "something stands after the value")),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, why: &'static str) -> Parsed<()> {
        self.blank();
        if self.peek() != Some(byte) {
            return Err((self.at, why));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Parsed<Value> {
        if depth > DEPTH_MAX {
            return Err((self.at, "nested too deep"));
        }
        self.blank();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::string(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Parsed<Value> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let words = [
            ("null", Value::null()),
            ("true", Value::bool(true)),
            ("false", Value::bool(false)),
        ];
        for (word, value) in words {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err((self.at, "expected a value"))
    }

    fn number(&mut self) -> Parsed<Value> {
        let start = self.at;
        while matches!(
            self.peek(),
            Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
        ) {
            self.at += 1;
        }
        match Number::parse(self.text.get(start..self.at).unwrap_or_default()) {
            Ok(Some(n)) => Ok(Value::number(n)),
            Ok(None) => Err((start, "this is not a number")),
            Err(_) => Err((start, "this number is too large")),
        }
    }

    fn array(&mut self, depth: usize) -> Parsed<Value> {
        self.at += 1;
        let mut items = Vec::new();
        self.blank();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::tuple(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::tuple(items));
                }
                _ => return Err((self.at, "expected `,` or `]`")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Parsed<Value> {
        self.at += 1;
        let mut entries = Entries::new();
        self.blank();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::object(entries));
        }
        loop {
            self.blank();
            if self.peek() != Some(b'"') {
                return Err((self.at, "expected a key in quotes"));
            }
            let key = Value::string(self.string()?);
            self.expect(b':', "expected `:`")?;
            let value = self.value(depth + 1)?;
            entries.insert(Arc::from(key.as_str().unwrap_or_default()), value);
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::object(entries));
                }
                _ => return Err((self.at, "expected `,` or `}`")),
            }
        }
    }

    /// The text between here and its closing quote, read by serde_json, which knows all escapes.
    fn string(&mut self) -> Parsed<String> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err((start, "this string has no end")),
            }
        }
        self.at += 1;
        let quoted = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(quoted).map_err(|_| (start, "this string is not valid"))
    }
}
