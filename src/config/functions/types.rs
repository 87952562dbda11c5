//! Functions about types, marks and mistakes.

use super::args::{Fail, Param};
use super::{Function, row};
use crate::config::codes;
use crate::config::convert::convert;
use crate::config::eval::{Evaluated, Scope, eval};
use crate::config::syntax::ast::Call;
use crate::config::types::Type;
use crate::config::value::Value;
use crate::diag::{Diagnostic, Span};

use Param::Nullable;

pub const TABLE: &[Function] = &[
    row(
        "tostring",
        "tostring(value)",
        "As a text.",
        ["tostring(1.50)", "\"1.5\""],
        &[Nullable],
        |a| Ok(convert(a.value(0), &Type::String)?),
    ),
    row(
        "tonumber",
        "tonumber(value)",
        "As a number.",
        ["tonumber(\"12\")", "12"],
        &[Nullable],
        |a| Ok(convert(a.value(0), &Type::Number)?),
    ),
    row(
        "tobool",
        "tobool(value)",
        "As a bool.",
        ["tobool(\"true\")", "true"],
        &[Nullable],
        |a| Ok(convert(a.value(0), &Type::Bool)?),
    ),
    row(
        "sensitive",
        "sensitive(value)",
        "The value, not to be shown.",
        ["issensitive(sensitive(1))", "true"],
        &[Nullable],
        |a| Ok(a.value(0).clone().marked(true)),
    )
    .keeps_marks(),
    row(
        "ephemeralasnull",
        "ephemeralasnull(value)",
        "The value: there are no ephemeral ones, which it would turn into null.",
        ["ephemeralasnull(1)", "1"],
        &[Nullable],
        |a| Ok(a.value(0).clone()),
    )
    .keeps_marks(),
    row(
        "nonsensitive",
        "nonsensitive(value)",
        "The value, allowed to be shown.",
        ["issensitive(nonsensitive(sensitive(1)))", "false"],
        &[Nullable],
        |a| {
            let mut value = a.value(0).clone();
            value.sensitive = false;
            Ok(value)
        },
    )
    .keeps_marks(),
    row(
        "issensitive",
        "issensitive(value)",
        "Whether the value must not be shown.",
        ["issensitive(1)", "false"],
        &[Nullable],
        |a| Ok(Value::bool(a.value(0).sensitive)),
    )
    .keeps_marks(),
    row(
        "try",
        "try(expression...)",
        "The first expression that has a value.",
        ["try(tonumber(\"x\"), 0)", "0"],
        &[],
        unevaluated,
    )
    .variadic(Nullable),
    row(
        "can",
        "can(expression)",
        "Whether the expression has a value.",
        ["can(tonumber(\"x\"))", "false"],
        &[Nullable],
        unevaluated,
    ),
];

/// `try` and `can` see expressions, so they are evaluated by [`try_each`] and [`can`].
fn unevaluated(_: &super::args::Args<'_>) -> Result<Value, Fail> {
    Err(Fail::Call("it takes expressions".to_owned()))
}

pub fn try_each(call: &Call, span: Span, scope: &Scope<'_>) -> Evaluated {
    let mut last = None;
    for arg in &call.args {
        match eval(arg, scope) {
            Err(stop) if stop.may_be_caught() => last = Some(stop),
            done => return done,
        }
    }
    match last {
        Some(stop) => Err(stop),
        None => Err(
            Diagnostic::error(codes::FUNCTION, "try() needs an expression")
                .at(span, "")
                .into(),
        ),
    }
}

pub fn can(call: &Call, span: Span, scope: &Scope<'_>) -> Evaluated {
    let [only] = call.args.as_slice() else {
        return Err(
            Diagnostic::error(codes::FUNCTION, "can() takes one expression")
                .at(span, "")
                .into(),
        );
    };
    match eval(only, scope) {
        Ok(_) => Ok(Value::bool(true)),
        Err(stop) if stop.may_be_caught() => Ok(Value::bool(false)),
        Err(stop) => Err(stop),
    }
}
