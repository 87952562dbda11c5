//! L0. Quantities and names with a standard form, parsed once at the edge into types that cannot be wrong.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::ids::ParseError;
use crate::serde_as_text;

pub const MIB: u64 = 1024 * 1024;
/// GB means GiB here, as in the seed systems.
pub const GIB: u64 = 1024 * MIB;

/// An Ethernet address: six pairs of hex digits joined by colons (row P28), kept in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// `aa-bb-cc-dd-ee-ff`, as in `pxelinux.cfg/01-…` (row P15).
    pub fn dashed(&self) -> String {
        self.to_string().replace(':', "-")
    }
}

impl FromStr for Mac {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Mac, ParseError> {
        let bad = || ParseError::new("a MAC address such as 52:54:00:12:34:56", s);
        let mut out = [0u8; 6];
        let mut parts = s.split(':');
        for byte in &mut out {
            let part = parts.next().ok_or_else(bad)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(bad());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() || out == [0; 6] || out[0] & 1 == 1 {
            return Err(ParseError::new(
                "the MAC address of one station (not all zeroes, not multicast)",
                s,
            ));
        }
        Ok(Mac(out))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The SHA-256 of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The first 12 hex digits, enough to tell images apart in a table.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl FromStr for Sha256 {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Sha256, ParseError> {
        let mut out = [0u8; 32];
        hex::decode_to_slice(s, &mut out)
            .map_err(|_| ParseError::new("a SHA-256 of 64 hex digits", s))?;
        Ok(Sha256(out))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A host name as RFC 1123 allows: labels of letters, digits and inner hyphens, each at most 63 bytes, 253 in all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(String);

impl Hostname {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hostname {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Hostname, ParseError> {
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !l.starts_with('-')
                && !l.ends_with('-')
        };
        if s.len() <= 253 && s.split('.').all(label) {
            Ok(Hostname(s.to_owned()))
        } else {
            Err(ParseError::new(
                "a host name (RFC 1123: letters, digits and inner hyphens, labels of 1 to 63)",
                s,
            ))
        }
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An iSCSI name of the `iqn.` form (RFC 3720 §3.2.6.3.1): `iqn.yyyy-mm.reversed.domain[:rest]`, at most 223 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iqn(String);

impl Iqn {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Iqn {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Iqn, ParseError> {
        let bad = || {
            ParseError::new(
                "an iSCSI name such as iqn.2026-01.org.example:disk (lower case, at most 223 bytes)",
                s,
            )
        };
        let rest = s.strip_prefix("iqn.").ok_or_else(bad)?;
        let (date, rest) = rest.split_at_checked(7).ok_or_else(bad)?;
        let month = date.get(5..7).and_then(|m| m.parse::<u8>().ok());
        let date_ok = date
            .get(..4)
            .is_some_and(|y| y.bytes().all(|b| b.is_ascii_digit()))
            && date.as_bytes().get(4) == Some(&b'-')
            && month.is_some_and(|m| (1..=12).contains(&m));
        let name_ok = rest.len() > 1
            && rest.starts_with('.')
            && rest
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:".contains(&b));
        if s.len() <= 223 && date_ok && name_ok {
            Ok(Iqn(s.to_owned()))
        } else {
            Err(bad())
        }
    }
}

impl fmt::Display for Iqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a BMC answers. Unique in a fleet (many BMCs may share an address behind one gateway, by port).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BmcEndpoint {
    pub address: Ipv4Addr,
    pub port: u16,
}

impl fmt::Display for BmcEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.address, self.port)
    }
}

impl FromStr for BmcEndpoint {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<BmcEndpoint, ParseError> {
        let at: std::net::SocketAddrV4 = s
            .parse()
            .map_err(|_| ParseError::new("address:port of a BMC", s))?;
        Ok(BmcEndpoint {
            address: *at.ip(),
            port: at.port(),
        })
    }
}

/// What identifies the table of a disk: the MBR's signature or the GPT's disk GUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableId {
    Mbr(u32),
    /// The 16 bytes as they stand on disk (mixed endian).
    Gpt([u8; 16]),
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableId::Mbr(signature) => write!(f, "mbr:{signature:08x}"),
            TableId::Gpt(guid) => write!(f, "gpt:{}", hex::encode(guid)),
        }
    }
}

impl FromStr for TableId {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<TableId, ParseError> {
        let bad = || ParseError::new("mbr:XXXXXXXX or gpt:<32 hex digits>", s);
        if let Some(signature) = s.strip_prefix("mbr:") {
            return u32::from_str_radix(signature, 16)
                .map(TableId::Mbr)
                .map_err(|_| bad());
        }
        let mut guid = [0u8; 16];
        let text = s.strip_prefix("gpt:").ok_or_else(bad)?;
        hex::decode_to_slice(text, &mut guid).map_err(|_| bad())?;
        Ok(TableId::Gpt(guid))
    }
}

serde_as_text!(Mac, Sha256, Hostname, Iqn, BmcEndpoint, TableId);

/// Bytes for people: `512 B`, `4.0 MiB`, `10 GiB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut scale = 1024u64;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if bytes / scale < 1024 {
            break;
        }
        scale *= 1024;
        unit = next;
    }
    if bytes.is_multiple_of(scale) {
        return format!("{} {unit}", bytes / scale);
    }
    let tenths = u128::from(bytes) * 10 / u128::from(scale);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// A moment, in milliseconds since 1970, as `2026-11-21 16:20:03 UTC`.
pub fn utc(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The date of a day counted from 1970, in years that begin in March so that the leap day comes last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Milliseconds since 1970 of the beginning of a day such as 2026-01-31, in UTC.
pub fn day_ms(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<u16>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    let (shifted_year, shifted) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    // A day that is on no calendar comes out as another one.
    (civil(days) == (year, month, day)).then_some(days * 86_400_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_is_strict_as_row_p28() {
        assert_eq!(
            "52:54:00:AB:cd:01".parse::<Mac>().unwrap().to_string(),
            "52:54:00:ab:cd:01"
        );
        for bad in [
            "",
            "52:54:00:ab:cd",
            "52-54-00-ab-cd-01",
            "52:54:00:ab:cd:01:02",
            "5:54:00:ab:cd:01",
            "00:00:00:00:00:00",
            "01:00:5e:00:00:01",
            "+1:54:00:ab:cd:01",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    #[test]
    fn host_names_follow_rfc_1123() {
        for good in ["a", "web-1", "r1.example.org", "0abc"] {
            assert!(good.parse::<Hostname>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a_b", "a..b", "a b", &"x".repeat(64)] {
            assert!(bad.parse::<Hostname>().is_err(), "{bad}");
        }
    }

    #[test]
    fn iqns_follow_rfc_3720() {
        assert!("iqn.2026-11.org.bmctl:web-1".parse::<Iqn>().is_ok());
        for bad in [
            "iqn-11",
            "iqn.2026-13.org.x",
            "iqn.2026-11.",
            "iqn.2026-11.Org",
            "iqn.2026-11.org x",
            "eui.02004567A425678D",
            "iqn.é026-11.org",
        ] {
            assert!(bad.parse::<Iqn>().is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_for_people() {
        assert_eq!(human_bytes(512), "512 B");
        assert_eq!(human_bytes(10 * GIB), "10 GiB");
        assert_eq!(human_bytes(MIB + MIB / 2), "1.5 MiB");
        assert_eq!(human_bytes(u64::MAX), "16777215.9 TiB");
    }

    #[test]
    fn moments_are_told_in_utc() {
        for (ms, told) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (951_782_399_000, "2000-02-28 23:59:59 UTC"),
            (951_868_800_000, "2000-03-01 00:00:00 UTC"),
            (1_795_278_003_999, "2026-11-21 16:20:03 UTC"),
        ] {
            assert_eq!(utc(ms), told);
        }
    }
}
