//! Operators. Operands convert as Terraform's do; null and the wrong type are mistakes at the operand.

use super::{Evaluated, Stop};
use crate::config::codes;
use crate::config::convert::convert;
use crate::config::number::{Number, TooLarge};
use crate::config::syntax::ast::BinaryOp;
use crate::config::types::Type;
use crate::config::value::{Data, Value};
use crate::diag::{Diagnostic, Span};

fn operand(value: &Value, to: &Type, span: Span, what: &str) -> Result<Value, Stop> {
    if value.is_null() {
        let text = format!("{what} must not be null");
        return Err(Diagnostic::error(codes::OPERATION, text)
            .at(span, "this is null")
            .into());
    }
    convert(value, to).map_err(|m| {
        Diagnostic::error(codes::OPERATION, format!("{what} has the wrong type"))
            .at(span, m.sentence())
            .into()
    })
}

fn number(value: &Value, span: Span) -> Result<Number, Stop> {
    match operand(value, &Type::Number, span, "the operand")?.data {
        Data::Number(n) => Ok(n),
        _ => Ok(Number::zero()),
    }
}

/// A value as a condition.
pub fn truth(value: &Value, span: Span, what: &str) -> Result<bool, Stop> {
    let value = operand(value, &Type::Bool, span, what)?;
    Ok(matches!(value.data, Data::Bool(true)))
}

pub fn not(value: &Value, span: Span) -> Evaluated {
    Ok(Value::bool(!truth(value, span, "the operand of `!`")?).marked(value.sensitive))
}

pub fn negate(value: &Value, span: Span) -> Evaluated {
    Ok(Value::number(number(value, span)?.neg()).marked(value.sensitive))
}

type Operand<'v> = (&'v Value, Span);

pub fn binary(op: BinaryOp, a: Operand<'_>, b: Operand<'_>, span: Span) -> Evaluated {
    let value = match op {
        BinaryOp::Equal | BinaryOp::NotEqual => {
            let sensitive = a.0.contains_sensitive() || b.0.contains_sensitive();
            let equal = a.0.same(b.0);
            return Ok(Value::bool(equal == (op == BinaryOp::Equal)).marked(sensitive));
        }
        BinaryOp::And => {
            let (a, b) = (truth(a.0, a.1, "the operand of `&&`")?, b);
            Value::bool(truth(b.0, b.1, "the operand of `&&`")? && a)
        }
        BinaryOp::Or => {
            let (a, b) = (truth(a.0, a.1, "the operand of `||`")?, b);
            Value::bool(truth(b.0, b.1, "the operand of `||`")? || a)
        }
        BinaryOp::Less
        | BinaryOp::LessEqual
        | BinaryOp::Greater
        | BinaryOp::GreaterEqual
        | BinaryOp::Add
        | BinaryOp::Subtract
        | BinaryOp::Multiply
        | BinaryOp::Divide
        | BinaryOp::Modulo => arithmetic(op, &number(a.0, a.1)?, &number(b.0, b.1)?, span)?,
    };
    Ok(value.marked(a.0.sensitive || b.0.sensitive))
}

fn arithmetic(op: BinaryOp, x: &Number, y: &Number, span: Span) -> Evaluated {
    let by_zero = || {
        Stop::from(
            Diagnostic::error(codes::DIVISION_BY_ZERO, "division by zero")
                .at(span, "the divisor is 0"),
        )
    };
    let result = match op {
        BinaryOp::Less => return Ok(Value::bool(x < y)),
        BinaryOp::LessEqual => return Ok(Value::bool(x <= y)),
        BinaryOp::Greater => return Ok(Value::bool(x > y)),
        BinaryOp::GreaterEqual => return Ok(Value::bool(x >= y)),
        BinaryOp::Add => x.add(y),
        BinaryOp::Subtract => x.sub(y),
        BinaryOp::Multiply => x.mul(y),
        BinaryOp::Divide => x.div(y).ok_or_else(by_zero)?,
        BinaryOp::Modulo => x.rem(y).ok_or_else(by_zero)?,
        BinaryOp::Equal | BinaryOp::NotEqual | BinaryOp::And | BinaryOp::Or => Ok(Number::zero()),
    };
    match result {
        Ok(n) => Ok(Value::number(n)),
        Err(TooLarge) => Err(
            Diagnostic::error(codes::TOO_LARGE, "the result is too large")
                .at(span, "more digits than a number may have")
                .into(),
        ),
    }
}
