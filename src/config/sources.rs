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
    /// The digest of all files below a directory and their names, in hex: of `name`, NUL, the SHA-256 of the bytes, NUL, for each
    /// file in the order of the names from the directory.
    fn tree_digest(&self, dir: &str) -> Result<String, SourceError>;
    /// The keyed fingerprint of a secret.
    fn fingerprint(&self, secret: &str) -> String;
}

/// Files and environment held in memory, for tests and for editors.
#[derive(Debug, Clone, Default)]
pub struct MemorySources {
    pub files: BTreeMap<String, Vec<u8>>,
    pub env: BTreeMap<String, String>,
}

fn not_found(path: &str) -> SourceError {
    SourceError {
        path: path.to_owned(),
        reason: "no such file".to_owned(),
        kind: SourceErrorKind::NotFound,
    }
}

/// The digest of a directory, file by file in the order of their names.
#[derive(Default)]
pub struct TreeDigest(sha2::Sha256);

impl TreeDigest {
    pub fn add(&mut self, name: &str, bytes: &[u8]) {
        use sha2::Digest as _;
        self.0.update(name.as_bytes());
        self.0.update([0]);
        self.0.update(sha2::Sha256::digest(bytes));
        self.0.update([0]);
    }

    pub fn finish(self) -> String {
        use sha2::Digest as _;
        hex::encode(self.0.finalize())
    }
}

impl MemorySources {
    /// Files below a directory, by their names from there.
    fn below<'f>(&'f self, dir: &str) -> impl Iterator<Item = (&'f str, &'f [u8])> {
        let prefix = if matches!(dir, "" | ".") {
            String::new()
        } else {
            format!("{dir}/")
        };
        let all = self.files.iter();
        all.filter_map(move |(name, bytes)| Some((name.strip_prefix(&prefix)?, bytes.as_slice())))
    }

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
    fn list(&self, dir: &str) -> Result<Vec<String>, SourceError> {
        let below: Vec<&str> = self.below(dir).map(|(name, _)| name).collect();
        if below.is_empty() && !matches!(dir, "" | ".") {
            return Err(not_found(dir));
        }
        let here = below.into_iter().filter(|name| !name.contains('/'));
        Ok(here.map(str::to_owned).collect())
    }

    fn tree_digest(&self, dir: &str) -> Result<String, SourceError> {
        let mut tree = TreeDigest::default();
        let mut any = false;
        for (name, bytes) in self.below(dir) {
            tree.add(name, bytes);
            any = true;
        }
        if any {
            Ok(tree.finish())
        } else {
            Err(not_found(dir))
        }
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
        self.files
            .get(plain)
            .cloned()
            .ok_or_else(|| not_found(path))
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
