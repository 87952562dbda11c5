//! Functions over numbers.

use bigdecimal::num_bigint::BigInt;
use bigdecimal::num_traits::Num as _;

use super::args::{Args, Fail, Param};
use super::{Function, row};
use crate::config::number::{DIGITS_MAX, Number};
use crate::config::value::{Data, Value};

use Param::{Any, Number as Num, Numbers};

pub const TABLE: &[Function] = &[
    row(
        "min",
        "min(number...)",
        "The smallest.",
        ["min(3, 1, 2)", "1"],
        &[Num],
        |a| pick(a, |x, best| x < best),
    )
    .variadic(Num),
    row(
        "max",
        "max(number...)",
        "The largest.",
        ["max(3, 1, 2)", "3"],
        &[Num],
        |a| pick(a, |x, best| x > best),
    )
    .variadic(Num),
    row(
        "abs",
        "abs(number)",
        "Without its sign.",
        ["abs(-2.5)", "2.5"],
        &[Num],
        |a| ok(a.number(0).abs()),
    ),
    row(
        "ceil",
        "ceil(number)",
        "Rounded up.",
        ["ceil(1.1)", "2"],
        &[Num],
        |a| ok(a.number(0).ceil()),
    ),
    row(
        "floor",
        "floor(number)",
        "Rounded down.",
        ["floor(-1.1)", "-2"],
        &[Num],
        |a| ok(a.number(0).floor()),
    ),
    row(
        "signum",
        "signum(number)",
        "-1, 0 or 1.",
        ["signum(-3)", "-1"],
        &[Num],
        |a| ok(Number::from(a.number(0).signum())),
    ),
    row(
        "pow",
        "pow(base, exponent)",
        "A power, in floating point.",
        ["pow(2, 10)", "1024"],
        &[Num, Num],
        |a| floating(float(a, 0)?.powf(float(a, 1)?)),
    ),
    row(
        "log",
        "log(number, base)",
        "A logarithm, in floating point.",
        ["log(8, 2)", "3"],
        &[Num, Num],
        |a| floating(float(a, 0)?.ln() / float(a, 1)?.ln()),
    ),
    row(
        "parseint",
        "parseint(text, base)",
        "A whole number from a text, base 2 to 62.",
        ["parseint(\"ff\", 16)", "255"],
        &[Any, Num],
        parseint,
    ),
    row(
        "sum",
        "sum(list)",
        "All numbers of a list together.",
        ["sum([1, 2, 3.5])", "6.5"],
        &[Numbers],
        |a| {
            let items = a.items(0)?;
            if items.is_empty() {
                return Err(Fail::Arg(0, "it must not be empty".to_owned()));
            }
            // The first one as it is: a zero written here would give the sum more bits.
            let mut total: Option<Number> = None;
            for item in items {
                match (&item.data, total) {
                    (Data::Number(n), Some(sum)) => total = Some(sum.add(n)?),
                    (Data::Number(n), None) => total = Some(n.clone()),
                    _ => return Err(Fail::Arg(0, "an element is null".to_owned())),
                }
            }
            ok(total.unwrap_or_else(Number::zero))
        },
    ),
];

#[allow(clippy::unnecessary_wraps)]
fn ok(n: Number) -> Result<Value, Fail> {
    Ok(Value::number(n))
}

fn pick(a: &Args<'_>, better: fn(&Number, &Number) -> bool) -> Result<Value, Fail> {
    let mut best = a.number(0);
    for i in 1..a.values.len() {
        let n = a.number(i);
        if better(&n, &best) {
            best = n;
        }
    }
    ok(best)
}

fn float(a: &Args<'_>, i: usize) -> Result<f64, Fail> {
    a.number(i)
        .to_f64()
        .ok_or_else(|| Fail::Arg(i, "too large for floating point".to_owned()))
}

fn floating(result: f64) -> Result<Value, Fail> {
    match Number::from_f64(result) {
        Some(n) => ok(n),
        None => Err(Fail::Call(format!("the result is {result}"))),
    }
}

fn parseint(a: &Args<'_>) -> Result<Value, Fail> {
    let base = a.whole(1)?;
    let base = u32::try_from(base)
        .ok()
        .filter(|b| (2..=62).contains(b))
        .ok_or_else(|| Fail::Arg(1, "expected a base from 2 to 62".to_owned()))?;
    let value = a.value(0);
    let text = match &value.data {
        Data::Number(n) => n.to_string(),
        Data::String(s) => s.to_string(),
        _ => {
            return Err(Fail::Arg(
                0,
                format!("expected a string, found {}", value.shown()),
            ));
        }
    };
    let bad = || {
        Fail::Arg(
            0,
            format!(
                "expected a whole number in base {base}, found {}",
                value.shown()
            ),
        )
    };
    if text.len() as u64 > DIGITS_MAX / 2 {
        return Err(Fail::TooLarge);
    }
    if text.contains('_') {
        return Err(bad());
    }
    if base <= 36 {
        return ok(Number::from(
            BigInt::from_str_radix(&text, base).map_err(|_| bad())?,
        ));
    }
    // Beyond 36, lower case letters come before upper case ones, as in Go.
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.as_str()),
    };
    let mut total = BigInt::from(0);
    for c in digits.chars() {
        let digit = match c {
            '0'..='9' => u32::from(c) - u32::from('0'),
            'a'..='z' => u32::from(c) - u32::from('a') + 10,
            'A'..='Z' => u32::from(c) - u32::from('A') + 36,
            _ => return Err(bad()),
        };
        if digit >= base {
            return Err(bad());
        }
        total = total * base + digit;
    }
    if digits.is_empty() {
        return Err(bad());
    }
    ok(Number::from(if negative { -total } else { total }))
}
