//! The values that took part in a mistake: what the names in an expression stood for.

use super::eval::{Scope, Stop, eval_steps};
use super::syntax::ast::{Expr, ExprKind, Step, StepKind};
use crate::diag::Diagnostic;

/// More than these are no help.
const NAMES_MAX: usize = 4;

/// The mistake with the values of the names that are in the expression.
pub fn with_values(stop: Stop, expr: &Expr, scope: &Scope<'_>) -> Stop {
    match stop {
        Stop::Mistake(d) => Stop::Mistake(Box::new(add_values(*d, expr, scope))),
        Stop::Reported => Stop::Reported,
    }
}

pub fn add_values(d: Diagnostic, expr: &Expr, scope: &Scope<'_>) -> Diagnostic {
    let values = values(expr, scope);
    if values.is_empty() {
        return d;
    }
    d.note(format!("where {}", values.join(", ")))
}

/// `name is value` of each name, as far as it has one; sensitive values are not shown.
fn values(expr: &Expr, scope: &Scope<'_>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    expr.roots(&mut |root, span, steps| {
        let known: Vec<(&Step, String)> = steps.iter().map_while(|s| Some((s, step(s)?))).collect();
        if out.len() >= NAMES_MAX || matches!(root, "path") {
            return;
        }
        let base = Expr::new(span, ExprKind::Name(root.into()));
        let written = steps.get(..known.len()).unwrap_or_default();
        let Ok(value) = eval_steps(&base, written, scope) else {
            return;
        };
        let name: String = known.iter().map(|(_, text)| text.as_str()).collect();
        let told = format!("{root}{name} is {}", value.shown());
        if !out.contains(&told) {
            out.push(told);
        }
    });
    out
}

/// A step as it is written, when it says by itself which element it means.
fn step(step: &Step) -> Option<String> {
    match &step.kind {
        StepKind::Attribute(name) => Some(format!(".{name}")),
        StepKind::LegacyIndex(n) => Some(format!(".{n}")),
        StepKind::Index(index) => match &index.kind {
            ExprKind::Literal(value) => Some(format!("[{}]", value.shown())),
            _ => None,
        },
        StepKind::Splat | StepKind::AttributeSplat => None,
    }
}
