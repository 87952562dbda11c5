//! Type constraints: `string`, `list(number)`, `object({ name = string, size = optional(number, 1) })`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codes;
use super::convert::convert;
use super::eval::{Scope, Stop, eval};
use super::syntax::ast::{Call, Expr, ExprKind};
use super::types::{Field, Type};
use super::value::Value;
use crate::diag::{Diagnostic, Span};

pub fn parse_type(expr: &Expr, scope: &Scope<'_>) -> Result<Type, Stop> {
    match &expr.kind {
        ExprKind::Name(name) => match name.as_ref() {
            "any" => Ok(Type::Any),
            "bool" => Ok(Type::Bool),
            "number" => Ok(Type::Number),
            "string" => Ok(Type::String),
            "list" => Ok(Type::list_of(Type::Any)),
            "set" => Ok(Type::Set(Box::new(Type::Any))),
            "map" => Ok(Type::Map(Box::new(Type::Any))),
            _ => Err(wrong(expr.span, "this is not a type")),
        },
        ExprKind::Paren(inner) => parse_type(inner, scope),
        ExprKind::Call(call) => collection(call, expr.span, scope),
        _ => Err(wrong(expr.span, "this is not a type")),
    }
}

fn wrong(span: Span, text: &str) -> Stop {
    Diagnostic::error(codes::TYPE_CONSTRAINT, text)
        .at(span, "expected a type")
        .help("types are string, number, bool, any, list(), set(), map(), tuple([]), object({})")
        .into()
}

fn collection(call: &Call, span: Span, scope: &Scope<'_>) -> Result<Type, Stop> {
    let [argument] = call.args.as_slice() else {
        return Err(wrong(span, "this takes one type"));
    };
    let boxed = || parse_type(argument, scope).map(Box::new);
    match (call.name.as_ref(), &argument.kind) {
        ("list", _) => Ok(Type::List(boxed()?)),
        ("set", _) => Ok(Type::Set(boxed()?)),
        ("map", _) => Ok(Type::Map(boxed()?)),
        ("tuple", ExprKind::Tuple(items)) => {
            let types = items.iter().map(|e| parse_type(e, scope));
            Ok(Type::Tuple(types.collect::<Result<_, _>>()?))
        }
        ("object", ExprKind::Object(items)) => {
            let mut fields = BTreeMap::new();
            for (key, value) in items {
                let ExprKind::Literal(name) = &key.kind else {
                    return Err(wrong(key.span, "an attribute needs a plain name"));
                };
                let name: Arc<str> = Arc::from(name.as_str().unwrap_or_default());
                fields.insert(name, field(value, scope)?);
            }
            Ok(Type::Object(fields))
        }
        ("optional", _) => Err(wrong(
            span,
            "optional() stands for an attribute of an object only",
        )),
        _ => Err(wrong(span, "this is not a type")),
    }
}

fn field(expr: &Expr, scope: &Scope<'_>) -> Result<Field, Stop> {
    let ExprKind::Call(call) = &expr.kind else {
        return Ok(Field {
            of: parse_type(expr, scope)?,
            default: None,
        });
    };
    if call.name.as_ref() != "optional" {
        return Ok(Field {
            of: collection(call, expr.span, scope)?,
            default: None,
        });
    }
    let (of, default) = match call.args.as_slice() {
        [of] => (parse_type(of, scope)?, Value::null()),
        [of, default] => {
            let of = parse_type(of, scope)?;
            let value = eval(default, scope)?;
            let value = convert(&value, &of).map_err(|m| {
                Stop::from(
                    Diagnostic::error(codes::TYPE_CONSTRAINT, "the default does not have the type")
                        .at(default.span, m.sentence()),
                )
            })?;
            (of, value)
        }
        _ => return Err(wrong(expr.span, "optional() takes a type and a default")),
    };
    Ok(Field {
        of,
        default: Some(default),
    })
}
