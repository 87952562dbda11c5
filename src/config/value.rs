//! Values of expressions. Collections are shared, so that a reference costs a pointer; every value carries its own mark.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::number::Number;
use crate::ids::Addr;

/// A value and whether it must not be shown. An element of a collection may be sensitive while the collection is not.
#[derive(Clone, Debug)]
pub struct Value {
    pub data: Data,
    pub sensitive: bool,
}

#[derive(Clone, Debug)]
pub enum Data {
    Null,
    Bool(bool),
    Number(Number),
    String(Arc<str>),
    Seq(Arc<Seq>),
    Map(Arc<Map>),
    /// A declared resource: a reference to it, and its attributes.
    Resource(Arc<ResourceValue>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeqKind {
    Tuple,
    List,
    /// Sorted, each element once.
    Set,
}

#[derive(Debug)]
pub struct Seq {
    pub kind: SeqKind,
    pub items: Vec<Value>,
    /// Whether an element, at any depth, is sensitive.
    marked: bool,
    extent: Extent,
}

/// How deep and how large a value is when every part is counted as often as it occurs. Parts are shared, so a few lines can
/// make a value that nobody could walk through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    /// Collections within each other; 0 for a scalar.
    pub depth: u32,
    /// Values in it, a text counting for one per 32 bytes.
    pub size: u64,
}

impl Extent {
    fn around<'v>(parts: impl Iterator<Item = &'v Value>) -> Extent {
        let mut out = Extent { depth: 0, size: 1 };
        for part in parts {
            let Extent { depth, size } = part.extent();
            out.depth = out.depth.max(depth);
            out.size = out.size.saturating_add(size);
        }
        out.depth = out.depth.saturating_add(1);
        out
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MapKind {
    Object,
    Map,
}

pub type Entries = BTreeMap<Arc<str>, Value>;

#[derive(Debug)]
pub struct Map {
    pub kind: MapKind,
    pub entries: Entries,
    marked: bool,
    extent: Extent,
}

/// One instance of a resource block.
#[derive(Debug)]
pub struct ResourceValue {
    pub addr: Addr,
    /// What was written and the defaults of what was not. `None`: its mistakes have been reported.
    pub attributes: Option<Entries>,
}

impl Value {
    pub fn new(data: Data) -> Value {
        Value {
            data,
            sensitive: false,
        }
    }

    pub fn null() -> Value {
        Value::new(Data::Null)
    }

    pub fn bool(b: bool) -> Value {
        Value::new(Data::Bool(b))
    }

    pub fn number(n: impl Into<Number>) -> Value {
        Value::new(Data::Number(n.into()))
    }

    /// Text in Unicode's normal form C, as all strings of the language are.
    pub fn string(text: impl AsRef<str>) -> Value {
        let text = text.as_ref();
        let plain = text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes;
        Value::new(Data::String(if plain {
            Arc::from(text)
        } else {
            Arc::from(text.nfc().collect::<String>())
        }))
    }

    pub fn seq(kind: SeqKind, mut items: Vec<Value>) -> Value {
        let mut hoisted = false;
        if kind == SeqKind::Set {
            // Where an element stands in a set tells about it, so marks move to the whole.
            hoisted = items.iter().any(Value::contains_sensitive);
            if hoisted {
                items = items.iter().map(Value::unmarked_deep).collect();
            }
            items.sort_by(Value::total_order);
            items.dedup_by(|a, b| a.total_order(b) == Ordering::Equal);
        }
        let marked = items.iter().any(Value::contains_sensitive);
        let extent = Extent::around(items.iter());
        Value {
            data: Data::Seq(Arc::new(Seq {
                kind,
                items,
                marked,
                extent,
            })),
            sensitive: hoisted,
        }
    }

    pub fn tuple(items: Vec<Value>) -> Value {
        Value::seq(SeqKind::Tuple, items)
    }

    pub fn list(items: Vec<Value>) -> Value {
        Value::seq(SeqKind::List, items)
    }

    pub fn set(items: Vec<Value>) -> Value {
        Value::seq(SeqKind::Set, items)
    }

    pub fn mapping(kind: MapKind, entries: Entries) -> Value {
        let marked = entries.values().any(Value::contains_sensitive);
        let extent = Extent::around(entries.values());
        Value::new(Data::Map(Arc::new(Map {
            kind,
            entries,
            marked,
            extent,
        })))
    }

    pub fn object(entries: Entries) -> Value {
        Value::mapping(MapKind::Object, entries)
    }

    pub fn map(entries: Entries) -> Value {
        Value::mapping(MapKind::Map, entries)
    }

    #[must_use]
    pub fn marked(mut self, sensitive: bool) -> Value {
        self.sensitive |= sensitive;
        self
    }

    pub fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::String(s) => Some(s),
            _ => None,
        }
    }

    /// The elements of a list, set or tuple.
    pub fn as_number(&self) -> Option<&Number> {
        match &self.data {
            Data::Number(n) => Some(n),
            _ => None,
        }
    }

    pub fn items(&self) -> Option<&[Value]> {
        match &self.data {
            Data::Seq(seq) => Some(&seq.items),
            _ => None,
        }
    }

    pub fn entries(&self) -> Option<&Entries> {
        match &self.data {
            Data::Map(map) => Some(&map.entries),
            _ => None,
        }
    }

    pub fn extent(&self) -> Extent {
        match &self.data {
            Data::Seq(seq) => seq.extent,
            Data::Map(map) => map.extent,
            Data::String(text) => Extent {
                depth: 0,
                size: 1 + text.len() as u64 / 32,
            },
            Data::Null | Data::Bool(_) | Data::Number(_) | Data::Resource(_) => {
                Extent { depth: 0, size: 1 }
            }
        }
    }

    /// Whether the value or anything in it is sensitive.
    pub fn contains_sensitive(&self) -> bool {
        self.sensitive
            || match &self.data {
                Data::Seq(seq) => seq.marked,
                Data::Map(map) => map.marked,
                // A reference to a resource tells its address, nothing else.
                Data::Resource(_)
                | Data::Null
                | Data::Bool(_)
                | Data::Number(_)
                | Data::String(_) => false,
            }
    }

    /// The same value without any mark, at any depth.
    pub fn unmarked_deep(&self) -> Value {
        if !self.contains_sensitive() {
            return self.clone();
        }
        match &self.data {
            Data::Seq(seq) if seq.marked => Value::seq(
                seq.kind,
                seq.items.iter().map(Value::unmarked_deep).collect(),
            ),
            Data::Map(map) if map.marked => Value::mapping(
                map.kind,
                map.entries
                    .iter()
                    .map(|(k, v)| (k.clone(), v.unmarked_deep()))
                    .collect(),
            ),
            data => Value::new(data.clone()),
        }
    }

    /// What a message calls it: `string`, `list`, `node`.
    pub fn type_name(&self) -> &'static str {
        match &self.data {
            Data::Null => "null",
            Data::Bool(_) => "bool",
            Data::Number(_) => "number",
            Data::String(_) => "string",
            Data::Seq(seq) => match seq.kind {
                SeqKind::Tuple => "tuple",
                SeqKind::List => "list",
                SeqKind::Set => "set",
            },
            Data::Map(map) => match map.kind {
                MapKind::Object => "object",
                MapKind::Map => "map",
            },
            Data::Resource(r) => r.addr.kind.as_str(),
        }
    }

    /// The value as a message shows it: short, and never a secret.
    pub fn shown(&self) -> String {
        if self.contains_sensitive() {
            return format!("a sensitive {}", self.type_name());
        }
        match &self.data {
            Data::Null => "null".to_owned(),
            Data::Bool(b) => b.to_string(),
            Data::Number(n) => cut(&n.to_string()),
            Data::String(s) => format!("\"{}\"", cut(&s.escape_debug().to_string())),
            Data::Seq(seq) => match seq.items.len() {
                0 => format!("an empty {}", self.type_name()),
                n => format!("a {} of {n}", self.type_name()),
            },
            Data::Map(_) => match self.type_name() {
                "object" => "an object".to_owned(),
                name => format!("a {name}"),
            },
            Data::Resource(r) => r.addr.to_string(),
        }
    }

    /// A total order over all values: what sets are sorted by, and equality when it says `Equal`.
    pub fn total_order(&self, other: &Value) -> Ordering {
        match (&self.data, &other.data) {
            (Data::Null, Data::Null) => Ordering::Equal,
            (Data::Bool(a), Data::Bool(b)) => a.cmp(b),
            (Data::Number(a), Data::Number(b)) => a.order(b),
            (Data::String(a), Data::String(b)) => a.cmp(b),
            (Data::Seq(a), Data::Seq(b)) => a.kind.cmp(&b.kind).then_with(|| {
                if Arc::ptr_eq(a, b) {
                    return Ordering::Equal;
                }
                ordered(a.items.iter(), b.items.iter(), Value::total_order)
            }),
            (Data::Map(a), Data::Map(b)) => a.kind.cmp(&b.kind).then_with(|| {
                if Arc::ptr_eq(a, b) {
                    return Ordering::Equal;
                }
                ordered(a.entries.iter(), b.entries.iter(), |a, b| {
                    a.0.cmp(b.0).then_with(|| a.1.total_order(b.1))
                })
            }),
            (Data::Resource(a), Data::Resource(b)) => a.addr.cmp(&b.addr),
            (a, b) => rank(a).cmp(&rank(b)),
        }
    }

    pub fn same(&self, other: &Value) -> bool {
        self.total_order(other) == Ordering::Equal
    }
}

fn rank(data: &Data) -> u8 {
    match data {
        Data::Null => 0,
        Data::Bool(_) => 1,
        Data::Number(_) => 2,
        Data::String(_) => 3,
        Data::Seq(_) => 4,
        Data::Map(_) => 5,
        Data::Resource(_) => 6,
    }
}

fn ordered<T>(
    a: impl ExactSizeIterator<Item = T>,
    b: impl ExactSizeIterator<Item = T>,
    order: impl Fn(T, T) -> Ordering,
) -> Ordering {
    let by_length = a.len().cmp(&b.len());
    a.zip(b)
        .map(|(a, b)| order(a, b))
        .find(|o| *o != Ordering::Equal)
        .unwrap_or(by_length)
}

fn cut(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return text.to_owned();
    }
    text.chars()
        .take(SHOWN_CHARS_MAX)
        .chain("...".chars())
        .collect()
}
