//! CHAP with MD5 (RFC 1994, RFC 7143 §12.1.3), both ways.

use base64::Engine;
use md5::{Digest, Md5};

use crate::secret::Secret;

/// The algorithm number of MD5 in `CHAP_A`.
pub const MD5: &str = "5";
/// Challenges of more are not in use (§12.1.3).
const CHALLENGE_BYTES_MAX: usize = 1024;

/// `MD5(id ‖ secret ‖ challenge)`.
pub fn response(id: u8, secret: &Secret, challenge: &[u8]) -> [u8; 16] {
    let mut hash = Md5::new();
    hash.update([id]);
    hash.update(secret.expose().as_bytes());
    hash.update(challenge);
    hash.finalize().into()
}

pub fn encode(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// A binary value: hex after `0x`, base64 after `0b` (§6.1).
pub fn decode(value: &str) -> Option<Vec<u8>> {
    let (form, digits) = value.split_at_checked(2)?;
    if digits.len() > 2 * CHALLENGE_BYTES_MAX {
        return None;
    }
    match form {
        "0x" | "0X" if digits.len() % 2 == 1 => hex::decode(format!("0{digits}")).ok(),
        "0x" | "0X" => hex::decode(digits).ok(),
        "0b" | "0B" => base64::engine::general_purpose::STANDARD
            .decode(digits)
            .ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_values_have_two_forms() {
        assert_eq!(decode("0x0aff"), Some(vec![10, 255]));
        assert_eq!(decode("0xaff"), Some(vec![10, 255]));
        assert_eq!(decode("0bCv8="), Some(vec![10, 255]));
        for bad in ["", "0", "0xzz", "12", "é"] {
            assert_eq!(decode(bad), None);
        }
    }

    #[test]
    fn response_is_md5_of_id_secret_challenge() {
        let out = response(b'a', &Secret::new("b"), b"c");
        assert_eq!(hex::encode(out), "900150983cd24fb0d6963f7d28e17f72");
    }
}
