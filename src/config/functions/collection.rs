//! Functions that look into one collection.

use unicode_segmentation::UnicodeSegmentation as _;

use super::args::{Args, Fail, Param};
use super::{Function, row};
use crate::config::convert::convert;
use crate::config::eval::Stop;
use crate::config::types::{Type, unify_all};
use crate::config::value::{Data, Entries, MapKind, SeqKind, Value};

use Param::{
    Any, Bools, List, Nullable, Number as Num, Set, String as Str, Strings, StringsOrNull,
};

pub const TABLE: &[Function] = &[
    row(
        "length",
        "length(value)",
        "How many elements, or characters.",
        ["length([\"a\", \"b\"])", "2"],
        &[Any],
        length,
    )
    .keeps_marks(),
    row(
        "lookup",
        "lookup(map, key, default)",
        "The element with this key, or the default.",
        ["lookup({ a = 1 }, \"b\", 2)", "2"],
        &[Any, Str],
        lookup,
    )
    .variadic(Nullable)
    .keeps_marks(),
    row(
        "keys",
        "keys(map)",
        "The keys, sorted.",
        ["keys({ b = 1, a = 2 })", "[\"a\", \"b\"]"],
        &[Any],
        |a| {
            let keys = a.entries(0)?.keys().map(Value::string).collect();
            Ok(like_map(a, keys).marked(a.value(0).sensitive))
        },
    )
    .keeps_marks(),
    row(
        "values",
        "values(map)",
        "The elements, sorted by their keys.",
        ["values({ b = 1, a = 2 })", "[2, 1]"],
        &[Any],
        |a| {
            let values = a.entries(0)?.values().cloned().collect();
            Ok(like_map(a, values).marked(a.value(0).sensitive))
        },
    )
    .keeps_marks(),
    row(
        "element",
        "element(list, index)",
        "The element at an index, which wraps around.",
        ["element([\"a\", \"b\"], 3)", "\"b\""],
        &[Any, Num],
        element,
    )
    .keeps_marks(),
    row(
        "index",
        "index(list, value)",
        "Where a value first stands in a list.",
        ["index([\"a\", \"b\"], \"b\")", "1"],
        &[Any, Any],
        |a| {
            let at = a.items(0)?.iter().position(|v| v.same(a.value(1)));
            a.spend(at.unwrap_or(0) as u64 / 8)?;
            at.map(Value::number)
                .ok_or_else(|| Fail::Call("the list has no such element".to_owned()))
        },
    ),
    row(
        "contains",
        "contains(list, value)",
        "Whether a list has this element.",
        ["contains([\"a\", \"b\"], \"b\")", "true"],
        &[Any, Nullable],
        |a| {
            let items = a.items(0)?;
            a.spend(items.len() as u64 / 8)?;
            Ok(Value::bool(items.iter().any(|v| v.same(a.value(1)))))
        },
    ),
    row(
        "slice",
        "slice(list, start, end)",
        "The elements from start up to, not including, end.",
        ["slice([\"a\", \"b\", \"c\"], 1, 3)", "[\"b\", \"c\"]"],
        &[Any, Num, Num],
        slice,
    ),
    row(
        "sort",
        "sort(list)",
        "The texts in order.",
        ["sort([\"b\", \"a\"])", "tolist([\"a\", \"b\"])"],
        &[Strings],
        |a| {
            let mut texts = a.strings(0)?;
            texts.sort_unstable();
            Ok(Value::list(texts.into_iter().map(Value::string).collect()))
        },
    ),
    row(
        "reverse",
        "reverse(list)",
        "The elements in reverse order.",
        ["reverse([1, 2])", "[2, 1]"],
        &[Any],
        |a| {
            let items = a.items(0)?.iter().rev().cloned().collect();
            Ok(same_kind(a, items))
        },
    ),
    row(
        "distinct",
        "distinct(list)",
        "Each element once, in the order they first come.",
        ["distinct([\"a\", \"b\", \"a\"])", "tolist([\"a\", \"b\"])"],
        &[List],
        |a| {
            let mut seen: Vec<&Value> = Vec::new();
            let mut out = Vec::new();
            for item in a.items(0)? {
                if let Err(at) = seen.binary_search_by(|v| v.total_order(item)) {
                    seen.insert(at, item);
                    out.push(item.clone());
                }
            }
            Ok(Value::list(out))
        },
    ),
    row(
        "compact",
        "compact(list)",
        "Without empty texts and nulls.",
        ["compact([\"a\", \"\", null])", "tolist([\"a\"])"],
        &[StringsOrNull],
        |a| {
            let items = a.items(0)?.iter();
            let kept = items.filter(|v| v.as_str().is_some_and(|s| !s.is_empty()));
            Ok(Value::list(kept.cloned().collect()))
        },
    ),
    row(
        "chunklist",
        "chunklist(list, size)",
        "Lists of at most so many elements.",
        [
            "chunklist([1, 2, 3], 2)",
            "tolist([tolist([1, 2]), tolist([3])])",
        ],
        &[List, Num],
        |a| {
            let items = a.items(0)?;
            let size = usize::try_from(a.whole(1)?)
                .map_err(|_| Fail::Arg(1, "it must not be negative".to_owned()))?;
            let size = if size == 0 { items.len().max(1) } else { size };
            Ok(Value::list(
                items
                    .chunks(size)
                    .map(|c| Value::list(c.to_vec()))
                    .collect(),
            ))
        },
    ),
    row(
        "one",
        "one(list)",
        "The only element, or null when there is none.",
        ["one([\"a\"])", "\"a\""],
        &[Any],
        |a| match a.items(0)? {
            [] => Ok(Value::null()),
            [only] => Ok(only.clone()),
            more => Err(Fail::Arg(
                0,
                format!("expected at most one element, found {}", more.len()),
            )),
        },
    ),
    row(
        "alltrue",
        "alltrue(list)",
        "Whether every element is true.",
        ["alltrue([true, false])", "false"],
        &[Bools],
        |a| {
            Ok(Value::bool(
                a.items(0)?
                    .iter()
                    .all(|v| matches!(v.data, Data::Bool(true))),
            ))
        },
    ),
    row(
        "anytrue",
        "anytrue(list)",
        "Whether an element is true.",
        ["anytrue([true, false])", "true"],
        &[Bools],
        |a| {
            Ok(Value::bool(
                a.items(0)?
                    .iter()
                    .any(|v| matches!(v.data, Data::Bool(true))),
            ))
        },
    ),
    row(
        "tolist",
        "tolist(value)",
        "As a list.",
        ["tolist([\"a\", 1])", "tolist([\"a\", \"1\"])"],
        &[Nullable],
        |a| {
            a.spend(a.value(0).extent().size / 8)?;
            Ok(convert(a.value(0), &Type::list_of(Type::Any))?)
        },
    )
    .keeps_marks(),
    row(
        "toset",
        "toset(value)",
        "As a set: sorted, each element once.",
        ["toset([\"b\", \"a\", \"b\"])", "toset([\"a\", \"b\"])"],
        &[Nullable],
        |a| {
            a.spend(a.value(0).extent().size / 8)?;
            Ok(convert(a.value(0), &Param::Set.as_type())?)
        },
    )
    .keeps_marks(),
    row(
        "tomap",
        "tomap(value)",
        "As a map, whose elements have one type.",
        [
            "tomap({ a = 1, b = \"x\" })",
            "tomap({ a = \"1\", b = \"x\" })",
        ],
        &[Nullable],
        |a| {
            a.spend(a.value(0).extent().size / 8)?;
            Ok(convert(a.value(0), &Type::Map(Box::new(Type::Any)))?)
        },
    )
    .keeps_marks(),
    row(
        "setunion",
        "setunion(set...)",
        "What is in any of the sets.",
        ["setunion([\"a\"], [\"b\"])", "toset([\"a\", \"b\"])"],
        &[Set],
        |a| set_of(a, |sets| sets.concat()),
    )
    .variadic(Set),
    row(
        "setintersection",
        "setintersection(set...)",
        "What is in all of the sets.",
        ["setintersection([\"a\", \"b\"], [\"b\"])", "toset([\"b\"])"],
        &[Set],
        |a| {
            set_of(a, |sets| match sets.split_first() {
                Some((first, rest)) => first
                    .iter()
                    .filter(|v| rest.iter().all(|s| has(s, v)))
                    .cloned()
                    .collect(),
                None => Vec::new(),
            })
        },
    )
    .variadic(Set),
    row(
        "setsubtract",
        "setsubtract(set, set)",
        "What is in the first set only.",
        ["setsubtract([\"a\", \"b\"], [\"a\"])", "toset([\"b\"])"],
        &[Set, Set],
        |a| {
            set_of(a, |sets| match sets {
                [first, second] => first.iter().filter(|v| !has(second, v)).cloned().collect(),
                _ => Vec::new(),
            })
        },
    ),
];

fn has(sorted: &[Value], value: &Value) -> bool {
    sorted.binary_search_by(|v| v.total_order(value)).is_ok()
}

/// Sets of different element types are brought to one first.
fn set_of(a: &Args<'_>, combine: fn(&[Vec<Value>]) -> Vec<Value>) -> Result<Value, Fail> {
    let common = unify_all(a.values.iter().map(Type::of))
        .ok_or_else(|| Fail::Call("the sets have no element type in common".to_owned()))?;
    let mut sets = Vec::new();
    for value in a.values {
        let set = convert(value, &common)?;
        sets.push(set.items().unwrap_or_default().to_vec());
    }
    Ok(Value::set(combine(&sets)))
}

/// A list from a map, a tuple from an object.
fn like_map(a: &Args<'_>, items: Vec<Value>) -> Value {
    match &a.value(0).data {
        Data::Map(map) if map.kind == MapKind::Map => Value::list(items),
        _ => Value::tuple(items),
    }
}

fn same_kind(a: &Args<'_>, items: Vec<Value>) -> Value {
    match a.seq_kind(0) {
        Some(SeqKind::Tuple) => Value::tuple(items),
        Some(SeqKind::List | SeqKind::Set) | None => Value::list(items),
    }
}

fn length(a: &Args<'_>) -> Result<Value, Fail> {
    let value = a.value(0);
    let n = match &value.data {
        Data::String(s) => s.graphemes(true).count(),
        Data::Seq(seq) => seq.items.len(),
        Data::Map(map) => map.entries.len(),
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::Resource(_) => {
            let found = value.shown();
            return Err(Fail::Arg(
                0,
                format!("expected a collection or a string, found {found}"),
            ));
        }
    };
    Ok(Value::number(n).marked(value.sensitive))
}

fn lookup(a: &Args<'_>) -> Result<Value, Fail> {
    let entries: &Entries = a.entries(0)?;
    let sensitive = a.value(0).sensitive || a.value(1).sensitive;
    let key = a.text(1);
    if a.values.len() > 3 {
        return Err(Fail::Call(
            "it takes a map, a key and one default".to_owned(),
        ));
    }
    match (entries.get(key), a.values.get(2)) {
        (Some(v), _) => Ok(v.clone().marked(sensitive)),
        (None, Some(default)) => Ok(default.clone().marked(sensitive)),
        (None, None) => Err(Fail::Call(if sensitive {
            "there is no such key, and no default".to_owned()
        } else {
            format!("there is no key \"{key}\", and no default")
        })),
    }
}

fn element(a: &Args<'_>) -> Result<Value, Fail> {
    let items = a.items(0)?;
    let sensitive = a.value(0).sensitive || a.value(1).sensitive;
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let index = a.whole(1)?;
    if count == 0 {
        return Err(Fail::Arg(0, "it must not be empty".to_owned()));
    }
    if index < 0 {
        return Err(Fail::Arg(1, format!("expected 0 or more, found {index}")));
    }
    match usize::try_from(index % count)
        .ok()
        .and_then(|i| items.get(i))
    {
        Some(v) => Ok(v.clone().marked(sensitive)),
        None => Err(Fail::Stop(Stop::Reported)),
    }
}

fn slice(a: &Args<'_>) -> Result<Value, Fail> {
    let items = a.items(0)?;
    if a.seq_kind(0) == Some(SeqKind::Set) {
        return Err(Fail::Arg(0, "a set has no order; use tolist()".to_owned()));
    }
    let (start, end) = (a.whole(1)?, a.whole(2)?);
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    match range.and_then(|(start, end)| items.get(start..end)) {
        Some(part) => Ok(same_kind(a, part.to_vec())),
        None => Err(Fail::Call(format!(
            "{start} to {end} is not within a list of {}",
            items.len()
        ))),
    }
}
