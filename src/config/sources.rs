//! The outside, as far as a configuration may ask for it.

use std::collections::BTreeMap;

/// Why the outside did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct SourceError {
    pub path: String,
    /// Such as `no such file`.
    pub reason: String,
    pub kind: SourceErrorKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceErrorKind {
    NotFound,
    Other,
}

/// What configuration may ask of the outside.
pub trait Sources {
    /// The names of the files in a directory, sorted.
    fn list(&self, dir: &str) -> Result<Vec<String>, SourceError>;
    /// The bytes of a file; a relative path starts at the root module.
    fn read(&self, path: &str) -> Result<Vec<u8>, SourceError>;
    /// The files below a directory, at any depth: paths relative to it, sorted. Links to directories are not followed.
    fn below(&self, dir: &str) -> Result<Vec<String>, SourceError> {
        self.list(dir)
    }
    /// A path from the root of the file system; a relative one starts at the root module.
    fn absolute(&self, path: &str) -> String {
        match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        }
    }
    fn env(&self, name: &str) -> Option<String>;
    /// The keyed fingerprint of a secret.
    fn fingerprint(&self, secret: &str) -> String;
}

/// Files and environment held in memory, for tests and for editors.
#[derive(Debug, Clone, Default)]
pub struct MemorySources {
    pub files: BTreeMap<String, Vec<u8>>,
    pub env: BTreeMap<String, String>,
}

impl MemorySources {
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> MemorySources {
        self.files.insert(path.to_owned(), content.into());
        self
    }

    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> MemorySources {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl Sources for MemorySources {
    /// Every directory is the root.
    fn list(&self, _dir: &str) -> Result<Vec<String>, SourceError> {
        let in_root = self.files.keys().filter(|f| !f.contains('/'));
        Ok(in_root.cloned().collect())
    }

    fn below(&self, dir: &str) -> Result<Vec<String>, SourceError> {
        let dir = dir.trim_start_matches("./").trim_matches('/');
        let prefix = match dir {
            "" | "." => String::new(),
            dir => format!("{dir}/"),
        };
        let below = self.files.keys().filter_map(|f| f.strip_prefix(&prefix));
        Ok(below.map(str::to_owned).collect())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        let plain = path.strip_prefix("./").unwrap_or(path);
        self.files.get(plain).cloned().ok_or_else(|| SourceError {
            path: path.to_owned(),
            reason: "no such file".to_owned(),
            kind: SourceErrorKind::NotFound,
        })
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    /// No secret of a test deserves a key.
    fn fingerprint(&self, secret: &str) -> String {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(secret.as_bytes());
        hex::encode(digest).chars().take(32).collect()
    }
}
