//! The algorithms of cipher suites 17 and 3 (§22.15.2): keyed hashes, the keys made from them, AES-128-CBC.

use aes::Aes128;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

/// A cipher suite that authenticates, signs and encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128.
    Three,
    /// RAKP-HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128.
    Seventeen,
}

impl Suite {
    pub fn from_number(number: u8) -> Option<Suite> {
        match number {
            3 => Some(Suite::Three),
            17 => Some(Suite::Seventeen),
            _ => None,
        }
    }

    pub fn number(self) -> u8 {
        match self {
            Suite::Three => 3,
            Suite::Seventeen => 17,
        }
    }

    /// Numbers of the authentication, integrity and confidentiality algorithms (tables 13-17 to 13-19).
    pub fn algorithms(self) -> [u8; 3] {
        match self {
            Suite::Three => [0x01, 0x01, 0x01],
            Suite::Seventeen => [0x03, 0x04, 0x01],
        }
    }

    /// Bytes of a key exchange authentication code.
    pub fn code_len(self) -> usize {
        match self {
            Suite::Three => 20,
            Suite::Seventeen => 32,
        }
    }

    /// Bytes of RAKP 4's check value and of every packet's trailer.
    pub fn tag_len(self) -> usize {
        match self {
            Suite::Three => 12,
            Suite::Seventeen => 16,
        }
    }

    pub fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Suite::Three => keyed::<Hmac<Sha1>>(key, parts),
            Suite::Seventeen => keyed::<Hmac<Sha256>>(key, parts),
        })
    }
}

fn keyed<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return Vec::new();
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// What a session signs and encrypts with.
pub struct Keys {
    pub suite: Suite,
    k1: Zeroizing<Vec<u8>>,
    aes: Zeroizing<[u8; 16]>,
}

/// The constants of §13.32 have 20 bytes for every algorithm.
const CONSTANT_LEN: usize = 20;
const IV_LEN: usize = 16;

impl Keys {
    pub fn derive(suite: Suite, sik: &[u8]) -> Keys {
        let k1 = suite.hmac(sik, &[&[1; CONSTANT_LEN]]);
        let k2 = suite.hmac(sik, &[&[2; CONSTANT_LEN]]);
        let mut aes = Zeroizing::new([0u8; 16]);
        aes.copy_from_slice(&k2[..16]);
        Keys { suite, k1, aes }
    }

    /// The trailer of a packet: over everything from the authentication type to the next header.
    pub fn tag(&self, signed: &[u8]) -> Vec<u8> {
        self.suite.hmac(&self.k1, &[signed])[..self.suite.tag_len()].to_vec()
    }

    /// IV and ciphertext; padded with 1, 2, 3, … and the pad's length (§13.29).
    pub fn encrypt(&self, iv: [u8; IV_LEN], plain: &[u8]) -> Vec<u8> {
        let pad = (IV_LEN - (plain.len() + 1) % IV_LEN) % IV_LEN;
        let mut padded = Zeroizing::new(plain.to_vec());
        padded.extend((1..=pad).map(|n| n as u8));
        padded.push(pad as u8);
        let mut out = iv.to_vec();
        out.extend(
            cbc::Encryptor::<Aes128>::new((&*self.aes).into(), (&iv).into())
                .encrypt_padded_vec::<NoPadding>(&padded),
        );
        out
    }

    pub fn decrypt(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (iv, body) = sealed.split_first_chunk::<IV_LEN>()?;
        let cipher = cbc::Decryptor::<Aes128>::new((&*self.aes).into(), iv.into());
        let mut plain = Zeroizing::new(cipher.decrypt_padded_vec::<NoPadding>(body).ok()?);
        let pad = usize::from(*plain.last()?);
        let len = plain.len().checked_sub(pad + 1)?;
        plain.truncate(len);
        Some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_can_be_read_again() {
        let keys = Keys::derive(Suite::Seventeen, &[7; 32]);
        for len in 0..40 {
            let plain = vec![9u8; len];
            let sealed = keys.encrypt([3; 16], &plain);
            assert_eq!(sealed.len() % 16, 0);
            assert_eq!(keys.decrypt(&sealed).unwrap().as_slice(), plain.as_slice());
        }
        assert!(keys.decrypt(&[0; 5]).is_none());
        assert!(keys.decrypt(&[0; 17]).is_none());
    }
}
