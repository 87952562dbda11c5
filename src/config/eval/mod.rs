//! Expressions to values. Takes a syntax tree and a [`Scope`]; gives a value or a mistake with its place. May import the
//! syntax tree, values and functions. Never looks at blocks; asks the outside through `Sources` only.

mod for_each;
mod module;
mod operate;
mod scope;
mod template;
mod traverse;

use std::sync::Arc;

pub use operate::truth;
pub use scope::{
    BUDGET, Called, Caller, Env, EnvId, Frame, STRING_BYTES_MAX, Scope, Slot, Stop, World, join,
};
pub use template::render as render_template;
pub use traverse::eval as eval_steps;

use super::codes;
use super::convert::{Mismatch, convert};
use super::functions;
use super::syntax::ast::{BinaryOp, Expr, ExprKind};
use super::types::{Type, unify_all};
use super::value::{Entries, Value};
use crate::diag::{Diagnostic, Span};

/// Collections within each other in a value.
const VALUE_DEPTH_MAX: u32 = 100;
/// Values within a value, however they are shared. A rack of a million rows of ten columns fits.
const VALUE_SIZE_MAX: u64 = 16_000_000;

pub type Evaluated = Result<Value, Stop>;

pub fn eval(expr: &Expr, scope: &Scope<'_>) -> Evaluated {
    scope.world.spend(1, expr.span)?;
    let value = match &expr.kind {
        ExprKind::Invalid => return Err(Stop::Reported),
        ExprKind::Literal(value) => value.clone(),
        ExprKind::Template(parts) => template::eval(parts, expr.span, scope)?,
        ExprKind::Tuple(items) => {
            let items = items.iter().map(|e| eval(e, scope));
            Value::tuple(items.collect::<Result<_, _>>()?)
        }
        ExprKind::Object(items) => object(items, scope)?,
        ExprKind::Paren(inner) => eval(inner, scope)?,
        ExprKind::Name(name) => traverse::root(name, expr.span, &[], scope)?.0,
        ExprKind::Conditional(three) => conditional(three, expr.span, scope)?,
        ExprKind::Call(call) => functions::call(call, expr.span, scope)?,
        ExprKind::Traversal(base, steps) => traverse::eval(base, steps, scope)?,
        ExprKind::Not(inner) => operate::not(&eval(inner, scope)?, inner.span)?,
        ExprKind::Negate(inner) => operate::negate(&eval(inner, scope)?, inner.span)?,
        ExprKind::Binary(op, two) => binary(*op, two, expr.span, scope)?,
        ExprKind::For(f) => for_each::eval(f, expr.span, scope)?,
    };
    let extent = value.extent();
    if extent.depth > VALUE_DEPTH_MAX || extent.size > VALUE_SIZE_MAX {
        return Err(Diagnostic::error(codes::TOO_LARGE, "this value is too large")
            .at(expr.span, "made here")
            .note(format!(
                "at most {VALUE_DEPTH_MAX} collections within each other, and {VALUE_SIZE_MAX} values in all"
            ))
            .into());
    }
    Ok(value)
}

fn binary(op: BinaryOp, two: &[Expr; 2], span: Span, scope: &Scope<'_>) -> Evaluated {
    let [left, right] = two;
    let a = eval(left, scope);
    // Both sides are evaluated, as in Terraform: `&&` does not hide a mistake on its right.
    let b = eval(right, scope)?;
    scope.world.spend(b.extent().size / 8, span)?;
    operate::binary(op, (&a?, left.span), (&b, right.span), span)
}

fn object(items: &[(Expr, Expr)], scope: &Scope<'_>) -> Evaluated {
    let mut entries = Entries::new();
    let mut sensitive = false;
    for (key, value) in items {
        let name = eval(key, scope)?;
        sensitive |= name.sensitive;
        entries.insert(key_text(&name, key.span)?, eval(value, scope)?);
    }
    Ok(Value::object(entries).marked(sensitive))
}

/// A value as the key of an object.
fn key_text(value: &Value, span: Span) -> Result<Arc<str>, Stop> {
    let wrong = |m: Mismatch| {
        Stop::from(
            Diagnostic::error(codes::OPERATION, "this cannot be the key of an object")
                .at(span, m.sentence()),
        )
    };
    match convert(value, &Type::String).map_err(wrong)?.as_str() {
        Some(text) => Ok(Arc::from(text)),
        None => Err(wrong(Mismatch::new("a string", "null"))),
    }
}

fn conditional(three: &[Expr; 3], span: Span, scope: &Scope<'_>) -> Evaluated {
    let [condition, yes, no] = three;
    let condition_value = eval(condition, scope)?;
    let chosen_is_yes = operate::truth(&condition_value, condition.span, "a condition")?;
    // Both results take part in finding the type; a mistake in the one that is not chosen is no mistake.
    let (yes_value, no_value) = (eval(yes, scope), eval(no, scope));
    let (chosen, other) = if chosen_is_yes {
        (yes_value?, no_value)
    } else {
        (no_value?, yes_value)
    };
    let sensitive = condition_value.sensitive;
    let other = match other {
        Ok(other) => other,
        Err(stop) if stop.is_undeclared() => return Err(stop),
        Err(_) => return Ok(chosen.marked(sensitive)),
    };
    let looked_at = chosen.extent().size.saturating_add(other.extent().size);
    scope.world.spend(looked_at / 8, span)?;
    let (chosen_type, other_type) = (Type::of(&chosen), Type::of(&other));
    if chosen_type == other_type {
        return Ok(chosen.marked(sensitive));
    }
    let (yes_type, no_type) = if chosen_is_yes {
        (&chosen_type, &other_type)
    } else {
        (&other_type, &chosen_type)
    };
    let mismatch = |yes_found: &Type, no_found: &Type| {
        Diagnostic::error(codes::CONDITIONAL, "the two results have no type in common")
            .at(span, "in this conditional")
            .also(yes.span, format!("if true: {yes_found}"))
            .also(no.span, format!("if false: {no_found}"))
            .help("give both results the same type")
    };
    let Some(common) = unify_all([yes_type.clone(), no_type.clone()]) else {
        return Err(mismatch(yes_type, no_type).into());
    };
    if common == Type::Any || other.is_null() {
        return Ok(chosen.marked(sensitive));
    }
    match convert(&chosen, &common) {
        Ok(value) => Ok(value.marked(sensitive)),
        Err(_) => Err(mismatch(yes_type, no_type).into()),
    }
}
