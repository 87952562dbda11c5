//! L0. Names of things, parsed once: what a resource is called in HCL, on the command line, in state and in JSON.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::plain::steers;

/// Why a text is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found `{found}`")]
pub struct ParseError {
    pub expected: &'static str,
    pub found: String,
}

impl ParseError {
    pub fn new(expected: &'static str, found: &str) -> ParseError {
        // A hostile input must not become a hostile message.
        let found = if found.chars().count() > 80 {
            found.chars().take(77).chain("...".chars()).collect()
        } else {
            found.to_owned()
        };
        ParseError { expected, found }
    }
}

/// Serde by `Display` and `FromStr`, for types that are one word in JSON.
#[macro_export]
macro_rules! serde_as_text {
    ($($t:ty),+) => {$(
        impl serde::Serialize for $t {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                // Whole: a serializer looks through every piece by itself, and names are written by the million.
                s.serialize_str(&self.to_string())
            }
        }
        impl<'de> serde::Deserialize<'de> for $t {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $t {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($t).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" })
            }
        }
    )+};
}

/// The kinds of resources, in the order in which they are shown and recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Network,
    Site,
    Flavor,
    Image,
    Node,
    Nic,
    Instance,
}

impl Kind {
    pub const ALL: [Kind; 7] = [
        Kind::Network,
        Kind::Site,
        Kind::Flavor,
        Kind::Image,
        Kind::Node,
        Kind::Nic,
        Kind::Instance,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Network => "network",
            Kind::Site => "site",
            Kind::Flavor => "flavor",
            Kind::Image => "image",
            Kind::Node => "node",
            Kind::Nic => "nic",
            Kind::Instance => "instance",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Kind, ParseError> {
        Kind::ALL
            .into_iter()
            .find(|k| k.as_str() == s)
            .ok_or_else(|| {
                ParseError::new(
                    "one of network, site, flavor, image, node, nic, instance",
                    s,
                )
            })
    }
}

/// An identifier as HCL has it: a letter or `_`, then letters, digits, `_` and `-`. ASCII, at most 128 bytes.
#[derive(Debug, Clone, Eq)]
pub struct Name(Arc<str>);

/// Addresses are compared by the million, and most of what they have in common is one text that they share.
fn compare(a: &Arc<str>, b: &Arc<str>) -> Ordering {
    match Arc::ptr_eq(a, b) {
        true => Ordering::Equal,
        false => a.cmp(b),
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Name {
    pub const LEN_MAX: usize = 128;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Name, ParseError> {
        let mut chars = s.chars();
        let head = chars
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        let tail = chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if head && tail && s.len() <= Self::LEN_MAX {
            Ok(Name(s.into()))
        } else {
            Err(ParseError::new(
                "a name of letters, digits, `_` and `-` that starts with a letter or `_`",
                s,
            ))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which one of a `for_each` (text) or `count` (number).
#[derive(Debug, Clone, Eq)]
pub enum Key {
    Index(u32),
    Text(Arc<str>),
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        match (self, other) {
            (Key::Index(a), Key::Index(b)) => a == b,
            (Key::Text(a), Key::Text(b)) => Arc::ptr_eq(a, b) || a == b,
            (Key::Index(_), Key::Text(_)) | (Key::Text(_), Key::Index(_)) => false,
        }
    }
}

impl Ord for Key {
    /// Numbers come before texts.
    fn cmp(&self, other: &Key) -> Ordering {
        match (self, other) {
            (Key::Index(a), Key::Index(b)) => a.cmp(b),
            (Key::Text(a), Key::Text(b)) => compare(a, b),
            (Key::Index(_), Key::Text(_)) => Ordering::Less,
            (Key::Text(_), Key::Index(_)) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Key::Index(n) => (0u8, n).hash(state),
            Key::Text(text) => (1u8, text).hash(state),
        }
    }
}

/// Stands for itself between quotes.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Index(n) => write!(f, "[{n}]"),
            Key::Text(t) if t.bytes().all(is_plain) => {
                f.write_str("[\"")?;
                f.write_str(t)?;
                f.write_str("\"]")
            }
            Key::Text(t) => {
                f.write_str("[\"")?;
                for c in t.chars() {
                    match c {
                        '"' => f.write_str("\\\"")?,
                        '\\' => f.write_str("\\\\")?,
                        '\n' => f.write_str("\\n")?,
                        c if steers(c) => write!(f, "{}", c.escape_unicode())?,
                        c => write!(f, "{c}")?,
                    }
                }
                f.write_str("\"]")
            }
        }
    }
}

/// The address of one resource: `node.rack["r1-01"]`, `flavor.small`, `module.pool["a"].instance.web[0]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr {
    /// The modules around it, outermost first; empty in the root module.
    pub module: Vec<ModuleStep>,
    pub kind: Kind,
    pub name: Name,
    pub key: Option<Key>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleStep {
    pub name: Name,
    pub key: Option<Key>,
}

impl Addr {
    pub fn new(kind: Kind, name: Name, key: Option<Key>) -> Addr {
        Addr {
            module: Vec::new(),
            kind,
            name,
            key,
        }
    }
}

/// `module.pool["a"].module.disks`: the way to a module.
pub fn fmt_path(path: &[ModuleStep], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, step) in path.iter().enumerate() {
        if i > 0 {
            f.write_str(".")?;
        }
        f.write_str("module.")?;
        f.write_str(step.name.as_str())?;
        if let Some(key) = &step.key {
            fmt::Display::fmt(key, f)?;
        }
    }
    Ok(())
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.module.is_empty() {
            fmt_path(&self.module, f)?;
            f.write_str(".")?;
        }
        f.write_str(self.kind.as_str())?;
        f.write_str(".")?;
        f.write_str(self.name.as_str())?;
        match &self.key {
            Some(key) => fmt::Display::fmt(key, f),
            None => Ok(()),
        }
    }
}

const ADDR_FORM: &str = "an address such as node.rack[\"r1-01\"]";

impl FromStr for Addr {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Addr, ParseError> {
        let bad = || ParseError::new(ADDR_FORM, s);
        let mut rest = s;
        let mut module = Vec::new();
        loop {
            let (word, after) = rest.split_once('.').ok_or_else(bad)?;
            let (name, key, tail) = name_and_key(after).ok_or_else(bad)?;
            if word == "module" {
                module.push(ModuleStep { name, key });
                rest = tail.strip_prefix('.').ok_or_else(bad)?;
                continue;
            }
            let kind = word.parse().map_err(|_| bad())?;
            return if tail.is_empty() {
                Ok(Addr {
                    module,
                    kind,
                    name,
                    key,
                })
            } else {
                Err(bad())
            };
        }
    }
}

/// Splits `name["key"]rest`; the key is optional.
fn name_and_key(s: &str) -> Option<(Name, Option<Key>, &str)> {
    let end = s.find(['.', '[']).unwrap_or(s.len());
    let name: Name = s[..end].parse().ok()?;
    let rest = &s[end..];
    let Some(inner) = rest.strip_prefix('[') else {
        return Some((name, None, rest));
    };
    let Some(quoted) = inner.strip_prefix('"') else {
        let (digits, tail) = inner.split_once(']')?;
        return Some((name, Some(Key::Index(digits.parse().ok()?)), tail));
    };
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let tail = quoted[at + 1..].strip_prefix(']')?;
                return Some((name, Some(Key::Text(text.into())), tail));
            }
            '\\' => match chars.next()?.1 {
                'n' => text.push('\n'),
                'u' if quoted[at + 1..].starts_with("u{") => {
                    let digits = quoted[at + 3..].split_once('}')?.0;
                    text.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                    // The brace before the digits, and the one after them.
                    chars.nth(digits.len() + 1)?;
                }
                other => text.push(other),
            },
            c => text.push(c),
        }
    }
    None
}

serde_as_text!(Addr, Name, Kind);

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Key::Index(n) => s.serialize_u32(*n),
            Key::Text(t) => s.serialize_str(t),
        }
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Key, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Index(u32),
            Text(String),
        }
        Ok(match Raw::deserialize(d)? {
            Raw::Index(n) => Key::Index(n),
            Raw::Text(t) => Key::Text(t.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_round_trip() {
        for text in [
            "flavor.small",
            "node.rack[\"r1-01\"]",
            "instance.web[3]",
            "node.x[\"\\u{1b}[8m]\\u{202e}u{1}\"]",
            "module.pool[\"a.b\"].node.x[\"q\\\"\\\\\\n]\"]",
            "module.a.module.b[0].nic.pxe",
        ] {
            let addr: Addr = text.parse().unwrap();
            assert_eq!(addr.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in [
            "",
            "node",
            "node.",
            "disk.a",
            "node.a[",
            "node.a[x]",
            "node.a[\"x\"",
            "node.a.b",
            "module.a",
        ] {
            assert!(text.parse::<Addr>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,60}") {
            if let Ok(addr) = text.parse::<Addr>() {
                prop_assert_eq!(addr.to_string().parse::<Addr>().ok(), Some(addr));
            }
        }
    }
}
