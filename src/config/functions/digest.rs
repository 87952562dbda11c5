//! Further digests and encodings: base64 of digests, other character sets, name-based UUIDs, gzip.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use super::args::{Args, Fail, Param};
use super::{Function, row};
use crate::config::value::Value;

use Param::String as Str;

pub const TABLE: &[Function] = &[
    row(
        "sha512",
        "sha512(text)",
        "The SHA-512 in hex.",
        ["substr(sha512(\"a\"), 0, 16)", "\"1f40fc92da241694\""],
        &[Str],
        |a| Ok(Value::string(hex::encode(sha2::Sha512::digest(a.text(0))))),
    ),
    row(
        "base64sha256",
        "base64sha256(text)",
        "The SHA-256 in base64.",
        [
            "base64sha256(\"a\")",
            "\"ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=\"",
        ],
        &[Str],
        |a| {
            Ok(Value::string(
                STANDARD.encode(sha2::Sha256::digest(a.text(0))),
            ))
        },
    ),
    row(
        "base64sha512",
        "base64sha512(text)",
        "The SHA-512 in base64.",
        ["substr(base64sha512(\"a\"), 0, 16)", "\"H0D8ktokFpR1CXnu\""],
        &[Str],
        |a| {
            Ok(Value::string(
                STANDARD.encode(sha2::Sha512::digest(a.text(0))),
            ))
        },
    ),
    row(
        "base64gzip",
        "base64gzip(text)",
        "The text, compressed with gzip, in base64.",
        ["startswith(base64gzip(\"a\"), \"H4sI\")", "true"],
        &[Str],
        base64gzip,
    ),
    row(
        "textencodebase64",
        "textencodebase64(text, encoding)",
        "The text in another encoding, such as UTF-16LE, in base64.",
        ["textencodebase64(\"hi\", \"UTF-16LE\")", "\"aABpAA==\""],
        &[Str, Str],
        |a| {
            a.spend_text(a.text(0).len().saturating_mul(3))?;
            Ok(Value::string(STANDARD.encode(encoded(a)?)))
        },
    ),
    row(
        "textdecodebase64",
        "textdecodebase64(text, encoding)",
        "The text whose bytes in an encoding these are in base64.",
        ["textdecodebase64(\"aABpAA==\", \"UTF-16LE\")", "\"hi\""],
        &[Str, Str],
        |a| {
            a.spend_text(a.text(0).len().saturating_mul(3))?;
            let bytes = STANDARD.decode(a.text(0));
            let bytes = bytes.map_err(|_| Fail::Arg(0, "expected base64".to_owned()))?;
            Ok(Value::string(decoded(a, &bytes)?))
        },
    ),
    row(
        "uuidv5",
        "uuidv5(namespace, name)",
        "The UUID of a name in the namespace dns, url, oid, x500 or a UUID; the same for ever.",
        [
            "uuidv5(\"dns\", \"example.com\")",
            "\"cfbff0d1-9375-5685-968c-48ce8b15ae17\"",
        ],
        &[Str, Str],
        uuidv5,
    ),
];

fn base64gzip(a: &Args<'_>) -> Result<Value, Fail> {
    a.spend_text(a.text(0).len())?;
    let failed = |e: std::io::Error| Fail::Call(e.to_string());
    // No time and no name within: the same text gives the same bytes.
    let mut encoder = flate2::GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), flate2::Compression::default());
    encoder.write_all(a.text(0).as_bytes()).map_err(failed)?;
    Ok(Value::string(
        STANDARD.encode(encoder.finish().map_err(failed)?),
    ))
}

enum Charset {
    Utf16(Order),
    Latin1,
    Ascii,
    Other(&'static encoding_rs::Encoding),
}

enum Order {
    Little,
    Big,
    /// Told by a mark at the start; without one, big.
    Marked,
}

fn charset(name: &str) -> Result<Charset, Fail> {
    let known = match name.to_ascii_uppercase().as_str() {
        "UTF-16LE" => Some(Charset::Utf16(Order::Little)),
        "UTF-16BE" => Some(Charset::Utf16(Order::Big)),
        "UTF-16" => Some(Charset::Utf16(Order::Marked)),
        "ISO-8859-1" | "LATIN1" | "L1" | "ISO_8859-1" => Some(Charset::Latin1),
        "US-ASCII" | "ASCII" => Some(Charset::Ascii),
        _ => encoding_rs::Encoding::for_label_no_replacement(name.as_bytes()).map(Charset::Other),
    };
    known.ok_or_else(|| {
        let text = format!("there is no encoding `{name}`; there are UTF-8, UTF-16LE, ISO-8859-1, windows-1252 and others");
        Fail::Arg(1, text)
    })
}

fn encoded(a: &Args<'_>) -> Result<Vec<u8>, Fail> {
    let text = a.text(0);
    let stranger = |c: char| Fail::Arg(0, format!("{} has no `{c}`", a.text(1)));
    let narrow = |limit: u32| {
        let bytes = text.chars().map(|c| match u8::try_from(u32::from(c)) {
            Ok(byte) if u32::from(c) < limit => Ok(byte),
            _ => Err(stranger(c)),
        });
        bytes.collect::<Result<Vec<u8>, Fail>>()
    };
    let units = text.encode_utf16();
    match charset(a.text(1))? {
        Charset::Utf16(Order::Little) => Ok(units.flat_map(u16::to_le_bytes).collect()),
        Charset::Utf16(Order::Big) => Ok(units.flat_map(u16::to_be_bytes).collect()),
        Charset::Utf16(Order::Marked) => {
            let marked = std::iter::once(0xfeff).chain(units);
            Ok(marked.flat_map(u16::to_be_bytes).collect())
        }
        Charset::Latin1 => narrow(0x100),
        Charset::Ascii => narrow(0x80),
        Charset::Other(encoding) => match encoding.encode(text) {
            (bytes, _, false) => Ok(bytes.into_owned()),
            (_, _, true) => Err(Fail::Arg(
                0,
                format!("{} lacks one of its characters", a.text(1)),
            )),
        },
    }
}

fn decoded(a: &Args<'_>, bytes: &[u8]) -> Result<String, Fail> {
    let wrong = || Fail::Arg(0, format!("the decoded bytes are not {}", a.text(1)));
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        if bytes.len() % 2 == 1 {
            return Err(wrong());
        }
        let pairs = bytes.chunks_exact(2).map(|pair| match pair {
            [a, b] => unit([*a, *b]),
            _ => 0,
        });
        let chars = char::decode_utf16(pairs).collect::<Result<String, _>>();
        chars.map_err(|_| wrong())
    };
    match charset(a.text(1))? {
        Charset::Utf16(Order::Little) => wide(bytes, u16::from_le_bytes),
        Charset::Utf16(Order::Big) => wide(bytes, u16::from_be_bytes),
        Charset::Utf16(Order::Marked) => match bytes {
            [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
            [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
            bytes => wide(bytes, u16::from_be_bytes),
        },
        Charset::Latin1 => Ok(bytes.iter().copied().map(char::from).collect()),
        Charset::Ascii if bytes.is_ascii() => Ok(bytes.iter().copied().map(char::from).collect()),
        Charset::Ascii => Err(wrong()),
        Charset::Other(encoding) => encoding
            .decode_without_bom_handling_and_without_replacement(bytes)
            .map(std::borrow::Cow::into_owned)
            .ok_or_else(wrong),
    }
}

/// RFC 4122, section 4.3 and appendix C.
fn uuidv5(a: &Args<'_>) -> Result<Value, Fail> {
    let namespace = match a.text(0) {
        "dns" => "6ba7b8109dad11d180b400c04fd430c8".to_owned(),
        "url" => "6ba7b8119dad11d180b400c04fd430c8".to_owned(),
        "oid" => "6ba7b8129dad11d180b400c04fd430c8".to_owned(),
        "x500" => "6ba7b8149dad11d180b400c04fd430c8".to_owned(),
        other => {
            let groups: Vec<usize> = other.split('-').map(str::len).collect();
            match groups == [8, 4, 4, 4, 12] {
                true => other.replace('-', ""),
                false => String::new(),
            }
        }
    };
    let namespace = hex::decode(&namespace)
        .ok()
        .filter(|bytes| bytes.len() == 16);
    let namespace = namespace
        .ok_or_else(|| Fail::Arg(0, "expected dns, url, oid, x500 or a UUID".to_owned()))?;
    let digest = sha1::Sha1::new()
        .chain_update(namespace)
        .chain_update(a.text(1))
        .finalize();
    let mut bytes: Vec<u8> = digest.iter().copied().take(16).collect();
    for (at, keep, set) in [(6, 0x0f, 0x50), (8, 0x3f, 0x80)] {
        if let Some(byte) = bytes.get_mut(at) {
            *byte = *byte & keep | set;
        }
    }
    let text = hex::encode(bytes);
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|r| text.get(r).unwrap_or_default());
    Ok(Value::string(groups.join("-")))
}
