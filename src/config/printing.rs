//! Numbers as texts: the shortest decimal that reads back as the same number, and those of a given length.

use std::fmt;
use std::num::NonZeroU64;

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{Context, RoundingMode, Signed};

use super::number::Number;

/// `0.digits * 10^point`.
pub struct Decimal {
    pub negative: bool,
    pub digits: String,
    pub point: i64,
}

impl Number {
    /// With exactly so many digits after the point, rounded half to even as C's printf does for exact halves.
    pub fn fixed(&self, decimals: u32) -> String {
        let rounded = self
            .exact()
            .with_scale_round(i64::from(decimals), RoundingMode::HalfEven);
        let text = rounded.to_plain_string();
        if self.signum() < 0 && !text.starts_with('-') {
            return format!("-{text}");
        }
        text
    }

    /// Scientific form: the digits before `e`, and the exponent.
    pub fn scientific(&self, decimals: u32) -> String {
        if self.is_zero() {
            return format!("{:.*}e+00", decimals as usize, 0.0);
        }
        let precision = NonZeroU64::new(u64::from(decimals) + 1).unwrap_or(NonZeroU64::MIN);
        let context = Context::default()
            .with_precision(precision)
            .with_rounding_mode(RoundingMode::HalfEven);
        let (digits, scale) = context.round_decimal(self.exact()).into_bigint_and_scale();
        let text = digits.abs().to_string();
        let exponent = i64::try_from(text.len()).unwrap_or(i64::MAX) - 1 - scale;
        let (head, tail) = text.split_at_checked(1).unwrap_or((&text, ""));
        let mut tail = tail.to_owned();
        tail.truncate(decimals as usize);
        while tail.len() < decimals as usize {
            tail.push('0');
        }
        let sign = if self.signum() < 0 { "-" } else { "" };
        let point = if decimals > 0 { "." } else { "" };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        format!(
            "{sign}{head}{point}{tail}e{exponent_sign}{:02}",
            exponent.unsigned_abs()
        )
    }

    /// The fewest digits that no other number of the same precision is nearer to.
    pub fn shortest(&self) -> Decimal {
        let negative = self.signum() < 0;
        let bits = self.mantissa().bits();
        let precision = self.precision();
        // In halves of the last bit, so that the borders to both neighbours are whole numbers.
        let shift = (precision + 1).saturating_sub(bits);
        let middle = self.mantissa().abs() << shift;
        let exponent = self.exponent().saturating_sub_unsigned(shift);
        let (factor, scale) = if exponent < 0 {
            let places = u32::try_from(exponent.unsigned_abs()).unwrap_or(u32::MAX);
            (BigInt::from(5u8).pow(places), exponent)
        } else {
            (BigInt::from(1u8) << exponent.unsigned_abs(), 0)
        };
        let text = |n: BigInt| (n * &factor).to_string();
        // A tie is read back as the even one.
        let closed = !middle.bit(1);
        let below = text(&middle - 1u8);
        let above = text(&middle + 1u8);
        let exact = text(middle);
        let point = i64::try_from(exact.len())
            .unwrap_or(i64::MAX)
            .saturating_add(scale);
        let (digits, carried) = between(&below, &exact, &above, closed);
        Decimal {
            negative,
            digits,
            point: point + i64::from(carried),
        }
    }
}

/// The shortest digits between two borders that belong (`closed`) or do not, and whether they begin one place further left.
fn between(below: &str, exact: &str, above: &str, closed: bool) -> (String, bool) {
    let [below, exact, above] = [below, exact, above].map(|t| t.trim_end_matches('0').as_bytes());
    let digit = |of: &[u8], i: usize| of.get(i).copied().unwrap_or(b'0');
    for (i, &here) in exact.iter().enumerate() {
        let (low, high) = (digit(below, i), digit(above, i));
        let down = low != here || (closed && i + 1 == below.len());
        let up = here != high && (closed || here + 1 < high || i + 1 < above.len());
        if !down && !up {
            continue;
        }
        let (kept, rest) = exact.split_at(i + 1);
        let nearer_up = match rest {
            [b'5'] => here % 2 == 1,
            [first, ..] => *first >= b'5',
            [] => false,
        };
        return if up && (nearer_up || !down) {
            next_up(kept)
        } else {
            (trimmed(kept), false)
        };
    }
    (trimmed(exact), false)
}

fn next_up(digits: &[u8]) -> (String, bool) {
    let nines = digits.iter().rev().take_while(|d| **d == b'9').count();
    match digits.split_at(digits.len() - nines).0 {
        [] => ("1".to_owned(), true),
        [head @ .., last] => {
            let mut out = String::from_utf8_lossy(head).into_owned();
            out.push(char::from(last + 1));
            (out, false)
        }
    }
}

fn trimmed(digits: &[u8]) -> String {
    String::from_utf8_lossy(digits)
        .trim_end_matches('0')
        .to_owned()
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.is_integer();
        let size = self
            .exponent()
            .saturating_add_unsigned(self.mantissa().bits());
        if whole && size.unsigned_abs() <= self.precision() {
            return self.to_bigint().fmt(f);
        }
        let Decimal {
            negative,
            digits,
            point,
        } = self.shortest();
        if negative {
            f.write_str("-")?;
        }
        let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let zeros = |n: i64| "0".repeat(usize::try_from(n).unwrap_or(0));
        if point <= 0 {
            return write!(f, "0.{}{digits}", zeros(-point));
        }
        if point >= length {
            return write!(f, "{digits}{}", zeros(point - length));
        }
        let (head, tail) = digits
            .split_at_checked(usize::try_from(point).unwrap_or(0))
            .unwrap_or((&digits, ""));
        write!(f, "{head}.{tail}")
    }
}
