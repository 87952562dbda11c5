//! Functions that make one collection of several, or of nothing.

use std::sync::Arc;

use super::args::{Args, Fail, Param};
use super::{Function, row};
use crate::config::convert::convert;
use crate::config::number::Number;
use crate::config::types::{Type, unify_all};
use crate::config::value::{Data, Entries, MapKind, SeqKind, Value};

use Param::{Any, List, MapOfStringLists, Nullable, Number as Num, Strings};

/// As many elements as range() and setproduct() make at most.
const ELEMENTS_MAX: usize = 1024 * 1024;

pub const TABLE: &[Function] = &[
    row(
        "concat",
        "concat(list...)",
        "The lists one after the other.",
        ["concat([1], [\"a\"])", "[1, \"a\"]"],
        &[Any],
        concat,
    )
    .variadic(Any)
    .keeps_marks(),
    row(
        "merge",
        "merge(map...)",
        "All entries; a later map wins.",
        ["merge({ a = 1 }, { a = 2, b = 3 })", "{ a = 2, b = 3 }"],
        &[],
        merge,
    )
    .variadic(Nullable)
    .keeps_marks(),
    row(
        "flatten",
        "flatten(list)",
        "Lists within the list replaced by their elements, at every depth.",
        ["flatten([[\"a\", [\"b\"]], []])", "[\"a\", \"b\"]"],
        &[Any],
        |a| {
            let mut out = Vec::new();
            a.spend(a.value(0).extent().size / 8)?;
            flatten(a.items(0)?, &mut out);
            Ok(Value::tuple(out).marked(a.value(0).sensitive))
        },
    )
    .keeps_marks(),
    row(
        "coalesce",
        "coalesce(value...)",
        "The first that is neither null nor an empty text.",
        ["coalesce(null, \"\", \"b\")", "\"b\""],
        &[Nullable],
        |a| first(a, |v| !v.is_null() && v.as_str() != Some("")),
    )
    .variadic(Nullable),
    row(
        "coalescelist",
        "coalescelist(list...)",
        "The first list that is not empty.",
        ["coalescelist([], [\"a\"])", "[\"a\"]"],
        &[Nullable],
        |a| {
            let found = a
                .values
                .iter()
                .find(|v| v.items().is_some_and(|i| !i.is_empty()));
            found
                .cloned()
                .ok_or_else(|| Fail::Call("every list is empty".to_owned()))
        },
    )
    .variadic(Nullable),
    row(
        "range",
        "range(start, limit, step)",
        "Numbers from start (0) up to, not including, the limit, by step (1).",
        ["range(1, 7, 2)", "tolist([1, 3, 5])"],
        &[Num],
        range,
    )
    .variadic(Num),
    row(
        "setproduct",
        "setproduct(set...)",
        "Every combination of an element of each.",
        [
            "setproduct([\"a\", \"b\"], [1])",
            "tolist([[\"a\", 1], [\"b\", 1]])",
        ],
        &[Any, Any],
        setproduct,
    )
    .variadic(Any),
    row(
        "zipmap",
        "zipmap(keys, values)",
        "A map from a list of keys and a list of values.",
        ["zipmap([\"a\", \"b\"], [1, 2])", "{ a = 1, b = 2 }"],
        &[Strings, Any],
        |a| {
            let (keys, values) = (a.strings(0)?, a.items(1)?);
            if keys.len() != values.len() {
                return Err(Fail::Call(format!(
                    "{} keys and {} values",
                    keys.len(),
                    values.len()
                )));
            }
            let entries = keys
                .into_iter()
                .map(Arc::from)
                .zip(values.iter().cloned())
                .collect();
            Ok(match a.seq_kind(1) {
                Some(SeqKind::Tuple) => Value::object(entries),
                Some(SeqKind::List | SeqKind::Set) | None => Value::map(entries),
            })
        },
    ),
    row(
        "matchkeys",
        "matchkeys(values, keys, searched)",
        "The values whose key is among those searched.",
        [
            "matchkeys([\"a\", \"b\"], [\"x\", \"y\"], [\"y\"])",
            "tolist([\"b\"])",
        ],
        &[List, List, List],
        |a| {
            let (values, keys, searched) = (a.items(0)?, a.items(1)?, a.items(2)?);
            if values.len() != keys.len() {
                return Err(Fail::Call(format!(
                    "{} values and {} keys",
                    values.len(),
                    keys.len()
                )));
            }
            a.spend((keys.len() as u64).saturating_mul(searched.len() as u64) / 8)?;
            let both = values.iter().zip(keys);
            let kept = both.filter(|(_, k)| searched.iter().any(|s| s.same(k)));
            Ok(Value::list(kept.map(|(v, _)| v.clone()).collect()))
        },
    ),
    row(
        "transpose",
        "transpose(map)",
        "A map of lists of texts, turned around.",
        [
            "transpose({ a = [\"x\", \"y\"], b = [\"y\"] })",
            "tomap({ x = tolist([\"a\"]), y = tolist([\"a\", \"b\"]) })",
        ],
        &[MapOfStringLists],
        |a| {
            let mut out: std::collections::BTreeMap<Arc<str>, Vec<Value>> =
                std::collections::BTreeMap::new();
            for (key, list) in a.entries(0)? {
                for item in list.items().unwrap_or_default() {
                    let text = item.as_str().unwrap_or_default();
                    out.entry(Arc::from(text))
                        .or_default()
                        .push(Value::string(key));
                }
            }
            Ok(Value::map(
                out.into_iter().map(|(k, v)| (k, Value::list(v))).collect(),
            ))
        },
    ),
];

fn concat(a: &Args<'_>) -> Result<Value, Fail> {
    let mut items = Vec::new();
    let mut lists = true;
    let mut sensitive = false;
    for i in 0..a.values.len() {
        items.extend_from_slice(a.items(i)?);
        lists &= a.seq_kind(i) == Some(SeqKind::List);
        sensitive |= a.value(i).sensitive;
    }
    let value = Value::tuple(items);
    let value = match convert(&value, &Type::list_of(Type::Any)) {
        Ok(list) if lists => list,
        _ => value,
    };
    Ok(value.marked(sensitive))
}

fn merge(a: &Args<'_>) -> Result<Value, Fail> {
    let mut out = Entries::new();
    let mut maps = a.values.iter().any(|v| !v.is_null());
    let mut sensitive = false;
    for (i, value) in a.values.iter().enumerate() {
        sensitive |= value.sensitive;
        if value.is_null() {
            continue;
        }
        let entries = a.entries(i)?;
        a.spend(entries.len() as u64)?;
        maps &= matches!(&value.data, Data::Map(m) if m.kind == MapKind::Map);
        out.extend(entries.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    let value = Value::object(out);
    let value = match convert(&value, &Type::Map(Box::new(Type::Any))) {
        Ok(map) if maps => map,
        _ => value,
    };
    Ok(value.marked(sensitive))
}

fn flatten(items: &[Value], out: &mut Vec<Value>) {
    for item in items {
        match &item.data {
            Data::Seq(seq) if item.sensitive => {
                let mut inner = Vec::new();
                flatten(&seq.items, &mut inner);
                out.extend(inner.into_iter().map(|v| v.marked(true)));
            }
            Data::Seq(seq) => flatten(&seq.items, out),
            _ => out.push(item.clone()),
        }
    }
}

fn first(a: &Args<'_>, good: fn(&Value) -> bool) -> Result<Value, Fail> {
    let common = unify_all(a.values.iter().map(Type::of))
        .ok_or_else(|| Fail::Call("the values have no type in common".to_owned()))?;
    match a.values.iter().find(|v| good(v)) {
        Some(v) => Ok(convert(v, &common)?),
        None => Err(Fail::Call("every value is null or empty".to_owned())),
    }
}

fn range(a: &Args<'_>) -> Result<Value, Fail> {
    let zero = Number::zero();
    let (start, limit, step) = match a.values.len() {
        1 => (zero.clone(), a.number(0), None),
        2 => (a.number(0), a.number(1), None),
        3 => (a.number(0), a.number(1), Some(a.number(2))),
        n => return Err(Fail::Call(format!("it takes 1 to 3 numbers, found {n}"))),
    };
    let down = start > limit;
    let step = step.unwrap_or_else(|| Number::from(if down { -1 } else { 1 }));
    if step.is_zero() {
        return Err(Fail::Call("the step must not be 0".to_owned()));
    }
    if start != limit && down != (step < zero) {
        return Err(Fail::Call("the step leads away from the limit".to_owned()));
    }
    let mut out = Vec::new();
    let mut at = start;
    while if down { at > limit } else { at < limit } {
        if out.len() >= ELEMENTS_MAX {
            return Err(Fail::Call(format!("more than {ELEMENTS_MAX} numbers")));
        }
        out.push(Value::number(at.clone()));
        at = at.add(&step)?;
    }
    Ok(Value::list(out))
}

fn setproduct(a: &Args<'_>) -> Result<Value, Fail> {
    let mut total = 1usize;
    let mut sets = Vec::new();
    for i in 0..a.values.len() {
        let common = match a.seq_kind(i) {
            Some(SeqKind::Tuple) => convert(a.value(i), &Type::list_of(Type::Any))?,
            _ => a.value(i).clone(),
        };
        a.items(i)?;
        total = total.saturating_mul(common.items().map_or(0, <[Value]>::len));
        sets.push(common);
    }
    if total > ELEMENTS_MAX {
        return Err(Fail::Call(format!("more than {ELEMENTS_MAX} combinations")));
    }
    a.spend((total as u64).saturating_mul(sets.len() as u64))?;
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for set in &sets {
        let items = set.items().unwrap_or_default();
        let longer = rows.iter().flat_map(|row| {
            items.iter().map(|v| {
                let mut row = row.clone();
                row.push(v.clone());
                row
            })
        });
        rows = longer.collect();
    }
    let rows = rows.into_iter().map(Value::tuple).collect();
    let all_sets = (0..a.values.len()).all(|i| a.seq_kind(i) == Some(SeqKind::Set));
    Ok(if all_sets {
        Value::set(rows)
    } else {
        Value::list(rows)
    })
}
