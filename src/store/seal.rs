//! Sealing: what state keeps of secrets, it keeps under a key that is not in it.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::StoreError;
use crate::secret::{Key32, Secret};

const NONCE_BYTES: usize = 24;

#[derive(Clone)]
pub struct Sealer {
    key: Key32,
}

impl Sealer {
    pub fn new(key: Key32) -> Sealer {
        Sealer { key }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.key.expose().into())
    }

    /// Nonce and ciphertext; `name` is bound to it, so that one secret cannot stand in for another.
    pub fn seal(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut out = vec![0u8; NONCE_BYTES];
        getrandom::fill(&mut out).map_err(|e| StoreError::Random(e.to_string()))?;
        let nonce = XNonce::try_from(&out[..]).map_err(|e| StoreError::Random(e.to_string()))?;
        let payload = Payload {
            msg: secret,
            aad: name.as_bytes(),
        };
        let sealed = self
            .cipher()
            .encrypt(&nonce, payload)
            .map_err(|_| StoreError::WrongKey(name.to_owned()))?;
        out.extend(sealed);
        Ok(out)
    }

    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let wrong = || StoreError::WrongKey(name.to_owned());
        let (nonce, body) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(wrong)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| wrong())?;
        let payload = Payload {
            msg: body,
            aad: name.as_bytes(),
        };
        self.cipher().decrypt(&nonce, payload).map_err(|_| wrong())
    }

    pub fn open_text(&self, name: &str, sealed: &[u8]) -> Result<Secret, StoreError> {
        let bytes = self.open(name, sealed)?;
        String::from_utf8(bytes)
            .map(Secret::new)
            .map_err(|_| StoreError::WrongKey(name.to_owned()))
    }

    pub fn fingerprint(&self, secret: &str) -> String {
        fingerprint(&self.key, secret)
    }
}

/// Tells two secrets apart without telling either: HMAC-SHA256 under the sealing key, 32 hex digits.
pub fn fingerprint(key: &Key32, secret: &str) -> String {
    // The label keeps this use of the key apart from every other.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose()) else {
        return String::new();
    };
    mac.update(b"bmctl fingerprint v1\n");
    mac.update(secret.as_bytes());
    let mut text = hex::encode(mac.finalize().into_bytes());
    text.truncate(32);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_under_its_own_name_and_key() {
        let sealer = Sealer::new(Key32::new([1; 32]));
        let sealed = sealer.seal("node.a", b"hunter2").unwrap();
        assert!(!sealed.windows(7).any(|w| w == b"hunter2"));
        assert_eq!(sealer.open("node.a", &sealed).unwrap(), b"hunter2");
        assert!(sealer.open("node.b", &sealed).is_err());
        assert!(
            Sealer::new(Key32::new([2; 32]))
                .open("node.a", &sealed)
                .is_err()
        );
        assert!(sealer.open("node.a", &sealed[..10]).is_err());
        assert_ne!(sealed, sealer.seal("node.a", b"hunter2").unwrap());
    }

    #[test]
    fn fingerprints_are_keyed() {
        let (a, b) = (Key32::new([1; 32]), Key32::new([2; 32]));
        assert_eq!(fingerprint(&a, "x"), fingerprint(&a, "x"));
        assert_ne!(fingerprint(&a, "x"), fingerprint(&b, "x"));
        assert_eq!(fingerprint(&a, "x").len(), 32);
    }
}
