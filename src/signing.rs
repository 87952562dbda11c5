//! L0. Keys that sign, and keys that tell whether they did: ed25519, as text.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use crate::ids::ParseError;

const PREFIX: &str = "ed25519:";

/// Who may sign: a public key, `ed25519:<64 hex digits>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// The private half: 32 bytes that nobody else has. Wiped when dropped.
pub struct PrivateKey(SigningKey);

/// 128 hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature(ed25519_dalek::Signature);

impl PrivateKey {
    pub fn new(seed: &[u8; 32]) -> PrivateKey {
        PrivateKey(SigningKey::from_bytes(seed))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message))
    }
}

impl PublicKey {
    /// Whether the private half of this key has signed the message.
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(message, &signature.0).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<PublicKey, ParseError> {
        let digits = text.strip_prefix(PREFIX);
        let bytes = digits.and_then(|d| hex::decode(d).ok()?.try_into().ok());
        bytes
            .and_then(|bytes: [u8; 32]| VerifyingKey::from_bytes(&bytes).ok())
            .map(PublicKey)
            .ok_or_else(|| ParseError::new("a key such as ed25519:<64 hex digits>", text))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex::encode(self.0.as_bytes()))
    }
}

impl FromStr for Signature {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Signature, ParseError> {
        let bytes = hex::decode(text).ok();
        bytes
            .and_then(|b| ed25519_dalek::Signature::from_slice(&b).ok())
            .map(Signature)
            .ok_or_else(|| ParseError::new("a signature of 128 hex digits", text))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_message_and_key_alone() {
        let (one, two) = (PrivateKey::new(&[1; 32]), PrivateKey::new(&[2; 32]));
        let signature = one.sign(b"plan");
        assert!(one.public().verifies(b"plan", &signature));
        assert!(!one.public().verifies(b"plam", &signature));
        assert!(!two.public().verifies(b"plan", &signature));
        let text = one.public().to_string();
        assert_eq!(text.parse::<PublicKey>().unwrap(), one.public());
        assert_eq!(
            signature.to_string().parse::<Signature>().unwrap(),
            signature
        );
        for bad in ["", "ed25519:00", &text[8..]] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
    }
}
