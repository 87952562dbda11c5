//! Numbers as Terraform's: binary floating point of 512 bits, bounded in size. Sums, products and quotients are rounded to the
//! nearest, ties to even, so that `7 / 3 * 3` is 7 and every decision made on a number is the one that Terraform makes.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::{BigDecimal, ToPrimitive};

/// Bits of a number that is written down.
const PRECISION: u64 = 512;
/// Bits of a number that a machine's integer gave, such as a length.
const INTEGER_PRECISION: u64 = 64;
/// Digits of a number. `1e400` fits; what does not fit is no quantity of anybody's rack.
pub const DIGITS_MAX: u64 = 4096;
/// As many bits as [`DIGITS_MAX`] digits have.
const EXPONENT_MAX: u64 = 13_607;

/// `mantissa * 2^exponent`; the mantissa is odd, or both are zero. The precision is that of the value's origin: it decides to how
/// many bits a result is rounded and how many digits are printed, and has no part in whether two numbers are equal.
#[derive(Clone, Debug)]
pub struct Number {
    mantissa: BigInt,
    exponent: i64,
    precision: u64,
}

/// The result has more than [`DIGITS_MAX`] digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl Number {
    /// The nearest number of this precision.
    fn rounded(mantissa: BigInt, exponent: i64, precision: u64) -> Result<Number, TooLarge> {
        let (sign, mut bits) = mantissa.into_parts();
        let mut exponent = exponent;
        let excess = bits.bits().saturating_sub(precision);
        if excess > 0 {
            let up = bits.bit(excess - 1)
                && (bits.bit(excess) || bits.trailing_zeros().is_some_and(|z| z < excess - 1));
            bits >>= excess;
            if up {
                bits += 1u8;
            }
            exponent = exponent.saturating_add_unsigned(excess);
        }
        let Some(zeros) = bits.trailing_zeros() else {
            return Ok(Number::whole(BigInt::ZERO, precision));
        };
        bits >>= zeros;
        exponent = exponent.saturating_add_unsigned(zeros);
        if exponent.saturating_add_unsigned(bits.bits()).unsigned_abs() > EXPONENT_MAX {
            return Err(TooLarge);
        }
        Ok(Number {
            mantissa: BigInt::from_biguint(sign, bits),
            exponent,
            precision,
        })
    }

    fn whole(value: BigInt, precision: u64) -> Number {
        let zeros = value.trailing_zeros().unwrap_or(0);
        Number {
            mantissa: value >> zeros,
            exponent: i64::try_from(zeros).unwrap_or(i64::MAX),
            precision,
        }
    }

    fn quotient(a: &BigInt, b: &BigInt, exponent: i64, precision: u64) -> Result<Number, TooLarge> {
        let shift = (precision + 2 + b.bits()).saturating_sub(a.bits());
        let scaled = a << shift;
        let result = &scaled / b;
        // What is left over decides a tie; one bit below the others stands for it.
        let rest = (scaled != &result * b)
            .then(|| BigInt::from(if a.sign() == b.sign() { 1 } else { -1 }));
        let result = (result << 1u8) + rest.unwrap_or_default();
        Number::rounded(
            result,
            exponent.saturating_sub_unsigned(shift).saturating_sub(1),
            precision,
        )
    }

    /// Reads `12`, `-1.5`, `1e400`. `Ok(None)`: not a number.
    pub fn parse(text: &str) -> Result<Option<Number>, TooLarge> {
        if !looks_like_a_number(text) {
            return Ok(None);
        }
        if text.len() as u64 > DIGITS_MAX {
            return Err(TooLarge);
        }
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        // An exponent beyond i64 would not parse at all; both are the same mistake.
        let exponent = exponent.parse::<i64>().map_err(|_| TooLarge)?;
        if exponent.unsigned_abs() > DIGITS_MAX {
            return Err(TooLarge);
        }
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let Ok(digits) = format!("{whole}{part}").parse::<BigInt>() else {
            return Ok(None);
        };
        let exponent = exponent - i64::try_from(part.len()).unwrap_or(i64::MAX);
        let power = BigInt::from(10u8).pow(u32::try_from(exponent.unsigned_abs()).unwrap_or(0));
        if exponent < 0 {
            return Number::quotient(&digits, &power, 0, PRECISION).map(Some);
        }
        Number::rounded(digits * power, 0, PRECISION).map(Some)
    }

    pub fn zero() -> Number {
        Number::whole(BigInt::ZERO, PRECISION)
    }

    /// Exactly this number; infinities and NaN are none.
    pub fn from_f64(value: f64) -> Option<Number> {
        if !value.is_finite() {
            return None;
        }
        let bits = value.to_bits();
        let field = i64::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
        let fraction = bits & ((1 << 52) - 1);
        // A subnormal number has no hidden bit.
        let (mantissa, exponent) = match field {
            0 => (fraction, -1074),
            _ => (fraction | (1 << 52), field - 1075),
        };
        let mantissa = BigInt::from(mantissa);
        let signed = if value < 0.0 { -mantissa } else { mantissa };
        Number::rounded(signed, exponent, 53).ok()
    }

    pub fn to_f64(&self) -> Option<f64> {
        let value = self.to_string().parse::<f64>().ok();
        value.filter(|f| f.is_finite())
    }

    pub fn is_integer(&self) -> bool {
        self.exponent >= 0
    }

    pub fn is_zero(&self) -> bool {
        self.mantissa.sign() == Sign::NoSign
    }

    pub fn signum(&self) -> i32 {
        match self.mantissa.sign() {
            Sign::Minus => -1,
            Sign::NoSign => 0,
            Sign::Plus => 1,
        }
    }

    /// The number as an integer, when it is one and fits.
    pub fn to_i64(&self) -> Option<i64> {
        self.is_integer()
            .then(|| self.to_bigint().to_i64())
            .flatten()
    }

    pub fn to_u64(&self) -> Option<u64> {
        self.is_integer()
            .then(|| self.to_bigint().to_u64())
            .flatten()
    }

    pub fn to_usize(&self) -> Option<usize> {
        self.to_u64().and_then(|n| usize::try_from(n).ok())
    }

    /// Without what is behind the point.
    pub fn to_bigint(&self) -> BigInt {
        let by = self.exponent.unsigned_abs();
        if self.exponent >= 0 {
            return &self.mantissa << by;
        }
        BigInt::from_biguint(self.mantissa.sign(), self.mantissa.magnitude() >> by)
    }

    /// Both mantissas as of the smaller exponent, and that.
    fn aligned(&self, other: &Number) -> (BigInt, BigInt, i64) {
        let exponent = self.exponent.min(other.exponent);
        let at = |n: &Number| &n.mantissa << n.exponent.abs_diff(exponent);
        (at(self), at(other), exponent)
    }

    fn precision_with(&self, other: &Number) -> u64 {
        self.precision.max(other.precision)
    }

    pub fn add(&self, other: &Number) -> Result<Number, TooLarge> {
        let (a, b, exponent) = self.aligned(other);
        Number::rounded(a + b, exponent, self.precision_with(other))
    }

    pub fn sub(&self, other: &Number) -> Result<Number, TooLarge> {
        self.add(&other.neg())
    }

    /// A product keeps all its bits, up to those of a number that is written down.
    pub fn mul(&self, other: &Number) -> Result<Number, TooLarge> {
        let exponent = self.exponent.saturating_add(other.exponent);
        let precision = self.precision_with(other);
        let product = Number::rounded(
            &self.mantissa * &other.mantissa,
            exponent,
            precision.max(PRECISION),
        )?;
        Ok(Number {
            precision: precision.max(product.mantissa.bits()),
            ..product
        })
    }

    /// `None`: division by zero.
    pub fn div(&self, other: &Number) -> Option<Result<Number, TooLarge>> {
        if other.is_zero() {
            return None;
        }
        let exponent = self.exponent.saturating_sub(other.exponent);
        let precision = self.precision_with(other);
        Some(Number::quotient(
            &self.mantissa,
            &other.mantissa,
            exponent,
            precision,
        ))
    }

    /// The remainder of a division that rounds toward zero, as Go's and Terraform's `%`.
    pub fn rem(&self, other: &Number) -> Option<Result<Number, TooLarge>> {
        let whole = match self.div(other)? {
            Ok(quotient) => quotient.to_bigint(),
            Err(too_large) => return Some(Err(too_large)),
        };
        let precision = self.precision;
        let rest = Number::rounded(whole, 0, precision).and_then(|whole| {
            let exponent = other.exponent.saturating_add(whole.exponent);
            let product = Number::rounded(&other.mantissa * whole.mantissa, exponent, precision)?;
            let (a, b, exponent) = self.aligned(&product);
            Number::rounded(a - b, exponent, precision)
        });
        Some(rest)
    }

    pub fn neg(&self) -> Number {
        Number {
            mantissa: -&self.mantissa,
            exponent: self.exponent,
            precision: self.precision,
        }
    }

    pub fn abs(&self) -> Number {
        if self.signum() < 0 {
            self.neg()
        } else {
            self.clone()
        }
    }

    pub fn floor(&self) -> Number {
        if self.exponent >= 0 {
            return self.clone();
        }
        // A shift to the right rounds down, for negative numbers too.
        let whole = &self.mantissa >> self.exponent.unsigned_abs();
        Number::whole(whole, self.precision)
    }

    pub fn ceil(&self) -> Number {
        self.neg().floor().neg()
    }

    pub fn mantissa(&self) -> &BigInt {
        &self.mantissa
    }

    pub fn exponent(&self) -> i64 {
        self.exponent
    }

    pub fn precision(&self) -> u64 {
        self.precision
    }

    /// The number with all its digits: of a fraction, as many as it has bits behind the point.
    pub fn exact(&self) -> BigDecimal {
        if self.exponent >= 0 {
            return BigDecimal::from(self.to_bigint());
        }
        let places = u32::try_from(self.exponent.unsigned_abs()).unwrap_or(u32::MAX);
        BigDecimal::new(
            &self.mantissa * BigInt::from(5u8).pow(places),
            i64::from(places),
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

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.mantissa == other.mantissa && self.exponent == other.exponent
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.mantissa.hash(state);
        self.exponent.hash(state);
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        let (a, b, _) = self.aligned(other);
        a.cmp(&b)
    }
}

macro_rules! from_int {
    ($($t:ty),+) => {$(
        impl From<$t> for Number {
            fn from(n: $t) -> Number {
                Number::whole(BigInt::from(n), INTEGER_PRECISION)
            }
        }
    )+};
}
from_int!(u8, u16, u32, u64, i32, i64);

impl From<BigInt> for Number {
    fn from(n: BigInt) -> Number {
        let precision = n.bits().max(INTEGER_PRECISION);
        Number::whole(n, precision)
    }
}

impl From<usize> for Number {
    fn from(n: usize) -> Number {
        Number::from(n as u64)
    }
}

impl Number {
    /// Like `cmp`, for callers that hold references.
    pub fn order(&self, other: &Number) -> Ordering {
        self.cmp(other)
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

    /// Each as Terraform 1.11 prints it.
    #[test]
    fn rounds_as_terraform() {
        let printed = |n: Option<Result<Number, TooLarge>>| n.unwrap().unwrap().to_string();
        let third = n("1").div(&n("3"));
        let expected = format!("0.{}5", "3".repeat(154));
        assert_eq!(printed(third), expected);
        let seven = n("7").div(&n("3")).unwrap().unwrap().mul(&n("3")).unwrap();
        assert_eq!(seven, n("7"));
        assert_eq!(seven.floor().to_string(), "7");
        let tenth = n("1").sub(&n("0.9")).unwrap();
        assert_ne!(tenth, n("0.1"));
        assert_eq!(tenth.to_string(), format!("0.1{}3", "0".repeat(153)));
        assert_eq!(n("1e160").add(&n("1")).unwrap(), n("1e160"));
        // A length is an integer of the machine, of 64 bits.
        let lengths = Number::from(1u64).div(&Number::from(3u64));
        assert_eq!(printed(lengths), "0.33333333333333333334");
        let power = Number::from_f64(18_446_744_073_709_551_616.0).unwrap();
        assert_eq!(power.to_string(), "18446744073709550000");
        assert_eq!(n("0.35").fixed(1), "0.3");
        assert_eq!(n("-0.5").floor().to_string(), "-1");
        assert_eq!(n("-0.5").ceil().to_string(), "0");
        assert!(n("-0.5") < n("0.25") && n("3") > n("2.5") && n("-3") < n("-2.5"));
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
