//! L0. Values that must not be seen: they have no `Display`, their `Debug` says nothing, and they are wiped when dropped.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A password or a key as text.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    /// The value itself. Every call is a place where a secret can leak: keep them few.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

/// 32 bytes of key material.
#[derive(Clone)]
pub struct Key32(Zeroizing<[u8; 32]>);

impl Key32 {
    pub fn new(bytes: [u8; 32]) -> Key32 {
        Key32(Zeroizing::new(bytes))
    }

    pub fn from_slice(bytes: &[u8]) -> Option<Key32> {
        bytes.try_into().ok().map(Key32::new)
    }

    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(key)")
    }
}

/// A secret of the configuration beside its keyed fingerprint. Only the fingerprint is ever written; what comes back from a
/// file has no text, so a reader that needs it must take it from the configuration.
#[derive(Clone, Debug, Default)]
pub struct Protected {
    pub text: Secret,
    /// HMAC-SHA256 under the sealing key, hex, cut to 32 digits: tells "changed" without telling what.
    pub fingerprint: String,
}

impl PartialEq for Protected {
    fn eq(&self, other: &Protected) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Protected {}

impl serde::Serialize for Protected {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.fingerprint)
    }
}

impl schemars::JsonSchema for Protected {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fingerprint".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

impl<'de> serde::Deserialize<'de> for Protected {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Protected, D::Error> {
        Ok(Protected {
            text: Secret::default(),
            fingerprint: serde::Deserialize::deserialize(d)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_nothing() {
        let s = Secret::new("hunter2");
        assert!(!format!("{s:?}").contains("hunter2"));
        assert!(!format!("{:?}", Key32::new([7; 32])).contains('7'));
        assert!(s == Secret::new("hunter2") && s != Secret::new("hunter3"));
        let p = Protected {
            text: s,
            fingerprint: "f0".into(),
        };
        assert_eq!(serde_json::to_string(&p).unwrap(), "\"f0\"");
    }
}
