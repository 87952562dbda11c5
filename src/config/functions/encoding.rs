//! Encodings and digests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use super::args::{Args, Fail, Param};
use super::{Function, row};
use crate::config::value::{Entries, Value};

use Param::String as Str;

pub const TABLE: &[Function] = &[
    row(
        "base64encode",
        "base64encode(text)",
        "The text's UTF-8 bytes in base64.",
        ["base64encode(\"hi\")", "\"aGk=\""],
        &[Str],
        |a| {
            a.spend_text(a.text(0).len() / 3 * 4)?;
            Ok(Value::string(STANDARD.encode(a.text(0))))
        },
    ),
    row(
        "base64decode",
        "base64decode(text)",
        "The text whose bytes these are in base64.",
        ["base64decode(\"aGk=\")", "\"hi\""],
        &[Str],
        |a| {
            // Line ends are none of the text, such as the one at the end of a file.
            let bytes = STANDARD.decode(a.text(0).replace(['\r', '\n'], ""));
            let bytes = bytes.map_err(|_| Fail::Arg(0, "expected base64".to_owned()))?;
            match String::from_utf8(bytes) {
                Ok(text) => Ok(Value::string(text)),
                Err(_) => Err(Fail::Call("the decoded bytes are not UTF-8".to_owned())),
            }
        },
    ),
    row(
        "urlencode",
        "urlencode(text)",
        "The text as part of a URL's query.",
        ["urlencode(\"a b&c\")", "\"a+b%26c\""],
        &[Str],
        |a| {
            let mut out = String::new();
            for byte in a.text(0).bytes() {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                        out.push(char::from(byte))
                    }
                    b' ' => out.push('+'),
                    _ => out.push_str(&format!("%{byte:02X}")),
                }
            }
            Ok(Value::string(out))
        },
    ),
    row(
        "sha256",
        "sha256(text)",
        "The SHA-256 in hex.",
        [
            "sha256(\"a\")",
            "\"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\"",
        ],
        &[Str],
        |a| Ok(Value::string(hex::encode(sha2::Sha256::digest(a.text(0))))),
    ),
    row(
        "sha1",
        "sha1(text)",
        "The SHA-1 in hex.",
        [
            "sha1(\"a\")",
            "\"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8\"",
        ],
        &[Str],
        |a| Ok(Value::string(hex::encode(sha1::Sha1::digest(a.text(0))))),
    ),
    row(
        "md5",
        "md5(text)",
        "The MD5 in hex.",
        ["md5(\"a\")", "\"0cc175b9c0f1b6a831c399e269772661\""],
        &[Str],
        |a| Ok(Value::string(hex::encode(md5::Md5::digest(a.text(0))))),
    ),
    row(
        "csvdecode",
        "csvdecode(text)",
        "The rows of a CSV text with a header, as a list of objects.",
        [
            "csvdecode(\"a,b\\n1,2\")",
            "tolist([{ a = \"1\", b = \"2\" }])",
        ],
        &[Str],
        csvdecode,
    ),
];

fn csvdecode(a: &Args<'_>) -> Result<Value, Fail> {
    let bad = |e: csv::Error| {
        let line = e.position().map(csv::Position::line);
        Fail::Arg(
            0,
            match (e.kind(), line) {
                (
                    csv::ErrorKind::UnequalLengths {
                        expected_len, len, ..
                    },
                    Some(line),
                ) => {
                    format!("line {line} has {len} fields, the header {expected_len}")
                }
                (_, Some(line)) => format!("line {line} is not CSV"),
                (_, None) => "this is not CSV".to_owned(),
            },
        )
    };
    let text = a.text(0);
    if let Some(line) = stray_quote(text) {
        let why = format!("line {line}: a quote that nothing closes, or inside of a field");
        return Err(Fail::Arg(0, why));
    }
    let mut reader =
        csv::ReaderBuilder::new().from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let header: Vec<std::sync::Arc<str>> = reader
        .headers()
        .map_err(bad)?
        .iter()
        .map(std::sync::Arc::from)
        .collect();
    if header.is_empty() {
        return Err(Fail::Arg(0, "it has no header line".to_owned()));
    }
    let mut sorted = header.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != header.len() {
        return Err(Fail::Arg(0, "a column name comes twice".to_owned()));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(bad)?;
        a.spend(header.len() as u64)?;
        let fields = header.iter().cloned().zip(record.iter().map(Value::string));
        rows.push(Value::object(fields.collect::<Entries>()));
    }
    Ok(Value::list(rows))
}

/// The line of the first quote that is neither around a whole field nor doubled within one. Readers of CSV go on as well as they
/// can, and a quote too much would hide all rows up to the next one.
fn stray_quote(text: &str) -> Option<usize> {
    let mut line = 1;
    let mut opened = None;
    let mut at_start = true;
    let mut chars = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = chars.next() {
        let was_at_start = std::mem::replace(&mut at_start, matches!(c, ',' | '\r' | '\n'));
        match (c, opened) {
            ('"', None) if was_at_start => opened = Some(line),
            ('"', None) => return Some(line),
            ('"', Some(_)) if chars.next_if_eq(&'"').is_some() => {}
            ('"', Some(_)) => match chars.peek() {
                None | Some(',' | '\r' | '\n') => opened = None,
                Some(_) => return Some(line),
            },
            (_, _) => {}
        }
        line += usize::from(c == '\n');
    }
    opened
}
