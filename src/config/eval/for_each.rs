//! for-expressions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Evaluated, Frame, Scope, Stop, eval as eval_expr, key_text, operate};
use crate::config::codes;
use crate::config::syntax::ast::{Expr, For};
use crate::config::value::{Data, Entries, SeqKind, Value};
use crate::diag::{Diagnostic, Span};

/// What an iteration over a value sees: the index, key or element, and the element.
pub fn elements(
    collection: &Value,
    span: Span,
) -> Result<Box<dyn Iterator<Item = (Value, Value)> + '_>, Stop> {
    let wrong = |found: String| {
        Err(
            Diagnostic::error(codes::FOR_EXPRESSION, "this cannot be iterated over")
                .at(
                    span,
                    format!("expected a list, set, map or object, found {found}"),
                )
                .into(),
        )
    };
    match &collection.data {
        Data::Seq(seq) => match seq.kind {
            SeqKind::Set => Ok(Box::new(seq.items.iter().map(|v| (v.clone(), v.clone())))),
            SeqKind::Tuple | SeqKind::List => Ok(Box::new(
                (0u64..)
                    .zip(&seq.items)
                    .map(|(i, v)| (Value::number(i), v.clone())),
            )),
        },
        Data::Map(map) => {
            Ok(Box::new(map.entries.iter().map(|(k, v)| {
                (Value::new(Data::String(k.clone())), v.clone())
            })))
        }
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) | Data::Resource(_) => {
            wrong(collection.shown())
        }
    }
}

pub fn eval(f: &For, span: Span, scope: &Scope<'_>) -> Evaluated {
    let collection = eval_expr(&f.over, scope)?;
    let mut made = Made {
        items: Vec::new(),
        entries: Entries::new(),
        groups: BTreeMap::new(),
        sensitive: collection.sensitive,
    };
    for (key, value) in elements(&collection, f.over.span)? {
        scope.world.spend(1, span)?;
        let sensitive = collection.sensitive;
        let outer = f.key_name.as_deref().map(|name| Frame {
            name,
            value: key.marked(sensitive),
            parent: scope.frame,
        });
        let inner = Frame {
            name: &f.value_name,
            value: value.marked(sensitive),
            parent: outer.as_ref().or(scope.frame),
        };
        made.one(f, &scope.with(&inner))?;
    }
    let sensitive = made.sensitive;
    let value = match (&f.key, f.grouping) {
        (None, _) => Value::tuple(made.items),
        (Some(_), false) => Value::object(made.entries),
        (Some(_), true) => {
            let groups = made.groups.into_iter();
            Value::object(groups.map(|(k, v)| (k, Value::tuple(v))).collect())
        }
    };
    Ok(value.marked(sensitive))
}

struct Made {
    items: Vec<Value>,
    entries: Entries,
    groups: BTreeMap<Arc<str>, Vec<Value>>,
    sensitive: bool,
}

impl Made {
    fn one(&mut self, f: &For, scope: &Scope<'_>) -> Result<(), Stop> {
        if let Some(condition) = &f.condition {
            let value = eval_expr(condition, scope)?;
            self.sensitive |= value.sensitive;
            if !operate::truth(&value, condition.span, "the condition")? {
                return Ok(());
            }
        }
        let Some(key_expr) = &f.key else {
            self.items.push(eval_expr(&f.value, scope)?);
            return Ok(());
        };
        let key_value = eval_expr(key_expr, scope)?;
        self.sensitive |= key_value.sensitive;
        let key = key_text(&key_value, key_expr.span)?;
        let value = eval_expr(&f.value, scope)?;
        if f.grouping {
            self.groups.entry(key).or_default().push(value);
            return Ok(());
        }
        if self.entries.contains_key(&key) {
            return Err(twice(&key_value, key_expr).into());
        }
        self.entries.insert(key, value);
        Ok(())
    }
}

fn twice(key: &Value, expr: &Expr) -> Diagnostic {
    Diagnostic::error(codes::FOR_EXPRESSION, "two elements give the same key")
        .at(expr.span, format!("{} comes twice", key.shown()))
        .help("put `...` after the value to collect the values of each key")
}
