//! format() and formatlist(): printf's verbs over values.

use unicode_segmentation::UnicodeSegmentation as _;

use super::args::{Args, Fail, Param};
use super::{Function, json, row};
use crate::config::convert::convert;
use crate::config::number::Number;
use crate::config::types::Type;
use crate::config::value::{Data, Value};

use Param::{Nullable, String as Str};

/// A wider field or a longer fraction is a mistake.
const WIDTH_MAX: usize = 1024;

pub const TABLE: &[Function] = &[
    row(
        "format",
        "format(pattern, value...)",
        "Values put into a text by printf's verbs.",
        ["format(\"%s-%03d\", \"web\", 7)", "\"web-007\""],
        &[Str],
        |a| {
            let rest = a.values.get(1..).unwrap_or_default();
            Ok(Value::string(format(a, a.text(0), rest)?))
        },
    )
    .variadic(Nullable),
    row(
        "formatlist",
        "formatlist(pattern, list...)",
        "The same for each element of the lists.",
        [
            "formatlist(\"%s-%d\", [\"a\", \"b\"], [1, 2])",
            "tolist([\"a-1\", \"b-2\"])",
        ],
        &[Str],
        formatlist,
    )
    .variadic(Nullable),
];

fn formatlist(a: &Args<'_>) -> Result<Value, Fail> {
    let rest = a.values.get(1..).unwrap_or_default();
    let mut count = None;
    for (i, value) in rest.iter().enumerate() {
        if let Some(items) = value.items() {
            match count {
                Some(n) if n != items.len() => {
                    return Err(Fail::Arg(
                        i + 1,
                        format!("{} elements, and {n} before", items.len()),
                    ));
                }
                _ => count = Some(items.len()),
            }
        }
    }
    let mut out = Vec::new();
    for at in 0..count.unwrap_or(1) {
        let row = rest.iter().map(|v| match v.items() {
            Some(items) => items.get(at).cloned().unwrap_or_else(Value::null),
            None => v.clone(),
        });
        let row: Vec<Value> = row.collect();
        a.spend(row.len() as u64 + 1)?;
        out.push(Value::string(format(a, a.text(0), &row)?));
    }
    Ok(Value::list(out))
}

#[derive(Default)]
struct Verb {
    minus: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

fn format(a: &Args<'_>, pattern: &str, values: &[Value]) -> Result<String, Fail> {
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    let mut next = 0;
    let mut highest = 0;
    let mut indexed = false;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.peek() == Some(&'%') {
            chars.next();
            out.push('%');
            continue;
        }
        let (verb, index) = read_verb(&mut chars)?;
        if let Some(index) = index {
            next = index;
            indexed = true;
        }
        let Some(value) = values.get(next) else {
            return Err(Fail::Arg(
                0,
                format!(
                    "%{} needs value {}, there are {}",
                    verb.letter,
                    next + 1,
                    values.len()
                ),
            ));
        };
        next += 1;
        highest = highest.max(next);
        let text =
            one(&verb, value).map_err(|why| Fail::Arg(next, format!("%{}: {why}", verb.letter)))?;
        out.push_str(&padded(&verb, &text));
        a.spend_text(text.len())?;
    }
    if highest < values.len() && !indexed {
        return Err(Fail::Arg(
            highest + 1,
            "the pattern has no verb for it".to_owned(),
        ));
    }
    a.spend_text(out.len())?;
    Ok(out)
}

type Chars<'c> = std::iter::Peekable<std::str::Chars<'c>>;

fn read_verb(chars: &mut Chars<'_>) -> Result<(Verb, Option<usize>), Fail> {
    let mut verb = Verb::default();
    let mut index = None;
    loop {
        match chars.peek() {
            Some('-') => verb.minus = true,
            Some('+') => verb.plus = true,
            Some('0') => verb.zero = true,
            Some(' ') => verb.space = true,
            Some('#') => verb.sharp = true,
            _ => break,
        }
        chars.next();
    }
    let mut read_index = |chars: &mut Chars<'_>| -> Result<(), Fail> {
        if chars.peek() == Some(&'[') {
            chars.next();
            let n = digits(chars)?;
            if chars.next() != Some(']') || n == 0 {
                return Err(Fail::Arg(0, "expected a number from 1 in [ ]".to_owned()));
            }
            index = Some(n - 1);
        }
        Ok(())
    };
    read_index(chars)?;
    verb.width = digits(chars)?;
    if chars.peek() == Some(&'.') {
        chars.next();
        verb.precision = Some(digits(chars)?);
    }
    read_index(chars)?;
    verb.letter = chars
        .next()
        .ok_or_else(|| Fail::Arg(0, "a verb is missing after %".to_owned()))?;
    Ok((verb, index))
}

fn digits(chars: &mut Chars<'_>) -> Result<usize, Fail> {
    let mut n = 0usize;
    while let Some(d) = chars.peek().and_then(|c| c.to_digit(10)) {
        n = n * 10 + d as usize;
        if n > WIDTH_MAX {
            return Err(Fail::Arg(
                0,
                format!("a width of at most {WIDTH_MAX} is allowed"),
            ));
        }
        chars.next();
    }
    Ok(n)
}

fn one(verb: &Verb, value: &Value) -> Result<String, String> {
    if verb.letter == 'v' {
        return Ok(match &value.data {
            Data::String(s) if verb.sharp => serde_json::Value::from(s.as_ref()).to_string(),
            Data::String(s) => s.to_string(),
            Data::Number(n) if !verb.sharp => signed(verb, general(verb, n)),
            _ => as_json(value)?,
        });
    }
    if value.is_null() {
        return Err("the value is null".to_owned());
    }
    let to = |t: &Type| convert(value, t).map_err(|m| m.sentence());
    match verb.letter {
        's' | 'q' => {
            let text = to(&Type::String)?;
            let text = text.as_str().unwrap_or_default();
            let text: String = match verb.precision {
                Some(n) => text.graphemes(true).take(n).collect(),
                None => text.to_owned(),
            };
            Ok(if verb.letter == 'q' {
                serde_json::Value::from(text).to_string()
            } else {
                text
            })
        }
        't' => match to(&Type::Bool)?.data {
            Data::Bool(b) => Ok(b.to_string()),
            _ => Err("expected a bool".to_owned()),
        },
        'd' | 'b' | 'o' | 'x' | 'X' => match to(&Type::Number)?.data {
            Data::Number(n) if n.is_integer() => Ok(integer(verb, &n)),
            _ => Err("expected a whole number".to_owned()),
        },
        'f' | 'F' | 'e' | 'E' | 'g' | 'G' => match to(&Type::Number)?.data {
            Data::Number(n) => Ok(float(verb, &n)),
            _ => Err("expected a number".to_owned()),
        },
        other => Err(format!("there is no verb %{other}")),
    }
}

fn as_json(value: &Value) -> Result<String, String> {
    let mut out = String::new();
    json::encode(value, &mut out).map_err(|_| "it has no text form".to_owned())?;
    Ok(out)
}

fn signed(verb: &Verb, text: String) -> String {
    match (text.starts_with('-'), verb.plus, verb.space) {
        (false, true, _) => format!("+{text}"),
        (false, false, true) => format!(" {text}"),
        _ => text,
    }
}

fn integer(verb: &Verb, n: &Number) -> String {
    let radix = match verb.letter {
        'b' => 2,
        'o' => 8,
        'x' | 'X' => 16,
        _ => 10,
    };
    let digits = n.abs().to_bigint().to_str_radix(radix);
    let prefix = match verb.letter {
        'b' if verb.sharp => "0b",
        'o' if verb.sharp => "0",
        'x' | 'X' if verb.sharp => "0x",
        _ => "",
    };
    let missing = verb.precision.unwrap_or(0).saturating_sub(digits.len());
    let sign = if n.signum() < 0 { "-" } else { "" };
    let text = format!("{sign}{prefix}{}{digits}", "0".repeat(missing));
    let upper = verb.letter == 'X';
    signed(verb, if upper { text.to_uppercase() } else { text })
}

fn float(verb: &Verb, n: &Number) -> String {
    let decimals = u32::try_from(verb.precision.unwrap_or(6)).unwrap_or(6);
    let text = match verb.letter {
        'f' | 'F' => n.fixed(decimals),
        'e' | 'E' => n.scientific(decimals),
        _ => general(verb, n),
    };
    let text = if verb.letter.is_ascii_uppercase() {
        text.to_uppercase()
    } else {
        text
    };
    signed(verb, text)
}

/// The shorter of plain and scientific, as Go decides it: by the exponent.
fn general(verb: &Verb, n: &Number) -> String {
    let Some(precision) = verb.precision.map(|p| p.max(1)) else {
        return shortest(n);
    };
    let scientific = n.scientific(u32::try_from(precision - 1).unwrap_or(0));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "+00"));
    let power: i64 = exponent.parse().unwrap_or(0);
    let places = i64::try_from(precision).unwrap_or(1) - 1 - power;
    if power < -4 || places < 0 {
        return format!("{}e{exponent}", without_zeros(mantissa));
    }
    without_zeros(&n.fixed(u32::try_from(places).unwrap_or(0))).to_owned()
}

/// `%g` without a precision: all digits, and an exponent from a million on.
fn shortest(n: &Number) -> String {
    let decimal = n.shortest();
    let exponent = decimal.point - 1;
    if n.is_zero() || (-4..6).contains(&exponent) {
        return n.to_string();
    }
    let sign = if decimal.negative { "-" } else { "" };
    let (head, tail) = decimal.digits.split_at_checked(1).unwrap_or(("0", ""));
    let point = if tail.is_empty() { "" } else { "." };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    let exponent = exponent.unsigned_abs();
    format!("{sign}{head}{point}{tail}e{exponent_sign}{exponent:02}")
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

fn padded(verb: &Verb, text: &str) -> String {
    let missing = verb.width.saturating_sub(text.graphemes(true).count());
    // Go's bool verb has no width.
    if missing == 0 || verb.letter == 't' {
        return text.to_owned();
    }
    if verb.minus {
        return format!("{text}{}", " ".repeat(missing));
    }
    if verb.zero {
        // The sign of a number stands before the zeros; a text has none.
        let signed = !matches!(verb.letter, 's' | 'q') && text.starts_with(['-', '+', ' ']);
        let (sign, rest) = text.split_at(usize::from(signed));
        return format!("{sign}{}{rest}", "0".repeat(missing));
    }
    format!("{}{text}", " ".repeat(missing))
}
