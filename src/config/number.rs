//! Exact decimal numbers, bounded in length and exponent.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU64;

use bigdecimal::{BigDecimal, Context, RoundingMode, Signed, ToPrimitive, Zero};

/// A quotient is rounded to as many significant digits as Terraform's 512 bits hold.
const QUOTIENT_DIGITS: NonZeroU64 = match NonZeroU64::new(155) {
    Some(n) => n,
    None => NonZeroU64::MIN,
};
/// Digits before and after the point together. `1e400` fits; what does not fit is no quantity of anybody's rack.
pub const DIGITS_MAX: u64 = 4096;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(BigDecimal);

/// The result has more than [`DIGITS_MAX`] digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl Number {
    fn checked(value: BigDecimal) -> Result<Number, TooLarge> {
        let value = value.normalized();
        let scale = value.fractional_digit_count();
        if value.digits().saturating_add(scale.unsigned_abs()) > DIGITS_MAX {
            return Err(TooLarge);
        }
        Ok(Number(value))
    }

    /// Reads `12`, `-1.5`, `1e400`. `Ok(None)`: not a number.
    pub fn parse(text: &str) -> Result<Option<Number>, TooLarge> {
        if !looks_like_a_number(text) {
            return Ok(None);
        }
        if text.len() as u64 > DIGITS_MAX {
            return Err(TooLarge);
        }
        if let Some((_, exponent)) = text.split_once(['e', 'E']) {
            // An exponent beyond i64 would not parse at all; both are the same mistake.
            let small = exponent
                .parse::<i64>()
                .is_ok_and(|e| e.unsigned_abs() <= DIGITS_MAX);
            if !small {
                return Err(TooLarge);
            }
        }
        match text.parse::<BigDecimal>() {
            Ok(value) => Number::checked(value).map(Some),
            Err(_) => Ok(None),
        }
    }

    pub fn zero() -> Number {
        Number(BigDecimal::zero())
    }

    /// The shortest decimal that reads back as `value`; infinities and NaN have none.
    pub fn from_f64(value: f64) -> Option<Number> {
        if !value.is_finite() {
            return None;
        }
        Number::parse(&format!("{value:e}")).ok().flatten()
    }

    pub fn to_f64(&self) -> Option<f64> {
        self.0.to_f64().filter(|f| f.is_finite())
    }

    pub fn is_integer(&self) -> bool {
        self.0.fractional_digit_count() <= 0
    }

    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    pub fn signum(&self) -> i32 {
        match self.0.sign() {
            bigdecimal::num_bigint::Sign::Minus => -1,
            bigdecimal::num_bigint::Sign::NoSign => 0,
            bigdecimal::num_bigint::Sign::Plus => 1,
        }
    }

    /// The number as an integer, when it is one and fits.
    pub fn to_i64(&self) -> Option<i64> {
        self.is_integer().then(|| self.0.to_i64()).flatten()
    }

    pub fn to_u64(&self) -> Option<u64> {
        self.is_integer().then(|| self.0.to_u64()).flatten()
    }

    pub fn to_usize(&self) -> Option<usize> {
        self.to_u64().and_then(|n| usize::try_from(n).ok())
    }

    pub fn to_bigint(&self) -> bigdecimal::num_bigint::BigInt {
        self.0
            .with_scale_round(0, RoundingMode::Down)
            .into_bigint_and_scale()
            .0
    }

    pub fn add(&self, other: &Number) -> Result<Number, TooLarge> {
        Number::checked(&self.0 + &other.0)
    }

    pub fn sub(&self, other: &Number) -> Result<Number, TooLarge> {
        Number::checked(&self.0 - &other.0)
    }

    pub fn mul(&self, other: &Number) -> Result<Number, TooLarge> {
        Number::checked(&self.0 * &other.0)
    }

    /// `None`: division by zero.
    pub fn div(&self, other: &Number) -> Option<Result<Number, TooLarge>> {
        if other.is_zero() {
            return None;
        }
        let context = Context::default().with_precision(QUOTIENT_DIGITS);
        // Integer division of scaled integers: `BigDecimal`'s own division rounds to a precision set when it was built.
        let (a, a_scale) = self.0.as_bigint_and_exponent();
        let (b, b_scale) = other.0.as_bigint_and_exponent();
        let extra = QUOTIENT_DIGITS
            .get()
            .saturating_add(other.0.digits())
            .saturating_add(8);
        let shift = u32::try_from(extra).unwrap_or(u32::MAX).min(16_384);
        let scaled = a * bigdecimal::num_bigint::BigInt::from(10u8).pow(shift);
        let quotient = BigDecimal::new(
            scaled / b,
            a_scale
                .saturating_sub(b_scale)
                .saturating_add(i64::from(shift)),
        );
        Some(Number::checked(context.round_decimal(quotient)))
    }

    /// The remainder of a division that rounds toward zero, as Go's and Terraform's `%`.
    pub fn rem(&self, other: &Number) -> Option<Result<Number, TooLarge>> {
        if other.is_zero() {
            return None;
        }
        Some(Number::checked(&self.0 % &other.0))
    }

    pub fn neg(&self) -> Number {
        Number(-&self.0)
    }

    pub fn abs(&self) -> Number {
        Number(self.0.abs())
    }

    pub fn floor(&self) -> Number {
        Number(self.0.with_scale_round(0, RoundingMode::Floor).normalized())
    }

    pub fn ceil(&self) -> Number {
        Number(
            self.0
                .with_scale_round(0, RoundingMode::Ceiling)
                .normalized(),
        )
    }

    /// With exactly so many digits after the point, rounded half to even as C's printf does for exact halves.
    pub fn fixed(&self, decimals: u32) -> String {
        let rounded = self
            .0
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
        let (digits, scale) = context
            .round_decimal(self.0.clone())
            .into_bigint_and_scale();
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
}

fn looks_like_a_number(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((m, e)) => (m, Some(e)),
        None => (body, None),
    };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let mantissa_ok = match mantissa.split_once('.') {
        Some((whole, part)) => {
            (digits(whole) || whole.is_empty())
                && (digits(part) || part.is_empty())
                && !(whole.is_empty() && part.is_empty())
        }
        None => digits(mantissa),
    };
    mantissa_ok && exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)))
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_plain_string())
    }
}

macro_rules! from_int {
    ($($t:ty),+) => {$(
        impl From<$t> for Number {
            fn from(n: $t) -> Number {
                Number(BigDecimal::from(n).normalized())
            }
        }
    )+};
}
from_int!(u8, u16, u32, u64, i32, i64, bigdecimal::num_bigint::BigInt);

impl From<usize> for Number {
    fn from(n: usize) -> Number {
        Number::from(n as u64)
    }
}

impl Number {
    /// Like `cmp`, for callers that hold references.
    pub fn order(&self, other: &Number) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(text: &str) -> Number {
        Number::parse(text).unwrap().unwrap()
    }

    #[test]
    fn stays_exact() {
        assert_eq!(n("0.1").add(&n("0.2")).unwrap().to_string(), "0.3");
        assert_eq!(n("1e400").to_string().len(), 401);
        assert_eq!(n("9007199254740993").to_string(), "9007199254740993");
        assert_eq!(n("10").div(&n("4")).unwrap().unwrap().to_string(), "2.5");
        assert_eq!(n("-7").rem(&n("3")).unwrap().unwrap().to_string(), "-1");
        assert!(n("1").div(&n("0")).is_none());
        assert_eq!(n("1500").scientific(2), "1.50e+03");
    }

    #[test]
    fn refuses_what_is_too_large_or_no_number() {
        assert_eq!(Number::parse("1e999999999"), Err(TooLarge));
        assert_eq!(Number::parse("1e99999999999999999999"), Err(TooLarge));
        for text in ["", "-", "1e", "e5", ".", "1_000", "0x10", "inf", "NaN"] {
            assert_eq!(Number::parse(text), Ok(None), "{text}");
        }
        let big = n("1e3000");
        assert_eq!(big.mul(&big).unwrap_err(), TooLarge);
    }
}
