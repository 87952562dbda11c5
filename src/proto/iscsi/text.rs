//! Text negotiation: `key=value` pairs, each ended by a zero byte (RFC 7143 §6.1).

use super::{Done, Error, protocol};

/// Text of one negotiation step, over all its PDUs. Real ones are under one KiB.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Pairs in the order they came.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pairs(Vec<(String, String)>);

impl Pairs {
    pub fn parse(bytes: &[u8]) -> Done<Pairs> {
        let mut pairs = Vec::new();
        for part in bytes.split(|b| *b == 0).filter(|p| !p.is_empty()) {
            let text = std::str::from_utf8(part)
                .map_err(|_| Error::Protocol("login text is not UTF-8".to_owned()))?;
            let Some((key, value)) = text.split_once('=') else {
                return protocol("login text without `=`");
            };
            pairs.push((key.to_owned(), value.to_owned()));
        }
        Ok(Pairs(pairs))
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

/// Appends one pair.
pub fn push(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    out.extend_from_slice(value.as_bytes());
    out.push(0);
}

/// Gathers text that a target spreads over PDUs with the continue bit.
pub fn gather(so_far: &mut Vec<u8>, more: &[u8]) -> Done<()> {
    if so_far.len() + more.len() > TEXT_BYTES_MAX {
        return protocol(format!("login text longer than {TEXT_BYTES_MAX} bytes"));
    }
    so_far.extend_from_slice(more);
    Ok(())
}

/// A number in decimal or, with `0x`, in hex.
pub fn number(value: &str) -> Option<u32> {
    match value
        .strip_prefix("0x")
        .or_else(|| value.strip_prefix("0X"))
    {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => value.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back() {
        let mut out = Vec::new();
        push(&mut out, "A", "1");
        push(&mut out, "B", "x=y");
        let pairs = Pairs::parse(&out).unwrap();
        assert_eq!((pairs.get("A"), pairs.get("B")), (Some("1"), Some("x=y")));
        assert!(Pairs::parse(b"nothing\0").is_err());
        assert_eq!(
            (number("0x10"), number("16"), number("")),
            (Some(16), Some(16), None)
        );
    }
}
