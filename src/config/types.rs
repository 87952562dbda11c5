//! Type constraints, the type of a value, and the common type of several.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::value::{Data, MapKind, SeqKind, Value};
use crate::ids::Kind;

#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// `any`; also the type of null and of an empty collection's elements.
    Any,
    Bool,
    Number,
    String,
    List(Box<Type>),
    Set(Box<Type>),
    Map(Box<Type>),
    Tuple(Vec<Type>),
    Object(BTreeMap<Arc<str>, Field>),
    /// A reference to a resource of this kind.
    Resource(Kind),
}

#[derive(Clone, Debug)]
pub struct Field {
    pub of: Type,
    /// `Some` for `optional(...)`: the value when the attribute is absent or null.
    pub default: Option<Value>,
}

impl PartialEq for Field {
    fn eq(&self, other: &Field) -> bool {
        let Field { of, default } = self;
        *of == other.of
            && match (default, &other.default) {
                (None, None) => true,
                (Some(a), Some(b)) => a.same(b),
                (None, Some(_)) | (Some(_), None) => false,
            }
    }
}

impl Type {
    pub fn list_of(element: Type) -> Type {
        Type::List(Box::new(element))
    }

    pub fn of(value: &Value) -> Type {
        match &value.data {
            Data::Null => Type::Any,
            Data::Bool(_) => Type::Bool,
            Data::Number(_) => Type::Number,
            Data::String(_) => Type::String,
            Data::Seq(seq) => match seq.kind {
                SeqKind::Tuple => Type::Tuple(seq.items.iter().map(Type::of).collect()),
                SeqKind::List => Type::List(Box::new(common(&seq.items))),
                SeqKind::Set => Type::Set(Box::new(common(&seq.items))),
            },
            Data::Map(map) => match map.kind {
                MapKind::Map => Type::Map(Box::new(
                    unify_all(map.entries.values().map(Type::of)).unwrap_or(Type::Any),
                )),
                MapKind::Object => Type::Object(
                    map.entries
                        .iter()
                        .map(|(k, v)| {
                            let of = Type::of(v);
                            (k.clone(), Field { of, default: None })
                        })
                        .collect(),
                ),
            },
            Data::Resource(r) => Type::Resource(r.addr.kind),
        }
    }
}

fn common(items: &[Value]) -> Type {
    unify_all(items.iter().map(Type::of)).unwrap_or(Type::Any)
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Any => f.write_str("any"),
            Type::Bool => f.write_str("bool"),
            Type::Number => f.write_str("number"),
            Type::String => f.write_str("string"),
            Type::List(t) => write!(f, "list({t})"),
            Type::Set(t) => write!(f, "set({t})"),
            Type::Map(t) => write!(f, "map({t})"),
            Type::Tuple(types) => {
                f.write_str("tuple([")?;
                for (i, t) in types.iter().enumerate() {
                    write!(f, "{}{t}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("])")
            }
            Type::Object(fields) => {
                f.write_str("object({")?;
                for (i, (name, field)) in fields.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    match field.default {
                        Some(_) => write!(f, "{comma}{name}=optional({})", field.of)?,
                        None => write!(f, "{comma}{name}={}", field.of)?,
                    }
                }
                f.write_str("})")
            }
            Type::Resource(kind) => write!(f, "{kind}"),
        }
    }
}

/// The type all of these convert to; `None` when there is none. No types at all: `Any`.
pub fn unify_all(types: impl IntoIterator<Item = Type>) -> Option<Type> {
    let mut result: Option<Type> = None;
    for t in types {
        result = Some(match result {
            None => t,
            Some(so_far) if so_far == t => so_far,
            Some(so_far) => unify(so_far, t)?,
        });
    }
    Some(result.unwrap_or(Type::Any))
}

fn unify(a: Type, b: Type) -> Option<Type> {
    Some(match (a, b) {
        (a, b) if a == b => a,
        (Type::Any, t) | (t, Type::Any) => t,
        (Type::String, Type::Number | Type::Bool) | (Type::Number | Type::Bool, Type::String) => {
            Type::String
        }
        (Type::List(a), Type::List(b)) => Type::List(Box::new(unify(*a, *b)?)),
        (Type::Set(a), Type::Set(b)) => Type::Set(Box::new(unify(*a, *b)?)),
        (Type::Map(a), Type::Map(b)) => Type::Map(Box::new(unify(*a, *b)?)),
        (Type::Tuple(a), Type::Tuple(b)) if a.len() == b.len() => {
            let both = a.into_iter().zip(b);
            Type::Tuple(both.map(|(a, b)| unify(a, b)).collect::<Option<_>>()?)
        }
        (Type::Tuple(a), Type::Tuple(b)) => {
            Type::List(Box::new(unify_all(a.into_iter().chain(b))?))
        }
        (Type::Tuple(items), Type::List(t)) | (Type::List(t), Type::Tuple(items)) => {
            Type::List(Box::new(unify_all(items.into_iter().chain([*t]))?))
        }
        (Type::Tuple(items), Type::Set(t)) | (Type::Set(t), Type::Tuple(items)) => {
            Type::Set(Box::new(unify_all(items.into_iter().chain([*t]))?))
        }
        (Type::List(a), Type::Set(b)) | (Type::Set(b), Type::List(a)) => {
            Type::List(Box::new(unify(*a, *b)?))
        }
        (Type::Object(a), Type::Object(b)) => unify_objects(a, b)?,
        (Type::Object(fields), Type::Map(t)) | (Type::Map(t), Type::Object(fields)) => {
            let types = fields.into_values().map(|f| f.of).chain([*t]);
            Type::Map(Box::new(unify_all(types)?))
        }
        _ => return None,
    })
}

fn unify_objects(a: BTreeMap<Arc<str>, Field>, b: BTreeMap<Arc<str>, Field>) -> Option<Type> {
    if a.keys().eq(b.keys()) {
        let both = a.into_iter().zip(b.into_values());
        let fields = both.map(|((name, a), b)| {
            let of = unify(a.of, b.of)?;
            Some((name, Field { of, default: None }))
        });
        return Some(Type::Object(fields.collect::<Option<_>>()?));
    }
    let types = a.into_values().chain(b.into_values()).map(|f| f.of);
    Some(Type::Map(Box::new(unify_all(types)?)))
}
