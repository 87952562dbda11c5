//! The outside of a configuration: the file system and the environment.

use std::path::{Path, PathBuf};

use crate::config::{SourceError, SourceErrorKind, Sources};
use crate::secret::Key32;
use crate::store::fingerprint;

pub struct FsSources {
    pub root: PathBuf,
    pub key: Key32,
}

/// A file that a configuration reads whole.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Files that one call may list.
const FILES_MAX: usize = 100_000;

fn error(path: &Path, source: &std::io::Error) -> SourceError {
    let kind = if source.kind() == std::io::ErrorKind::NotFound {
        SourceErrorKind::NotFound
    } else {
        SourceErrorKind::Other
    };
    let reason = match kind {
        SourceErrorKind::NotFound => "no such file".to_owned(),
        SourceErrorKind::Other => source.to_string(),
    };
    SourceError {
        path: path.display().to_string(),
        reason,
        kind,
    }
}

impl Sources for FsSources {
    fn list(&self, dir: &str) -> Result<Vec<String>, SourceError> {
        let path = self.root.join(dir);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(|e| error(&path, &e))? {
            let entry = entry.map_err(|e| error(&path, &e))?;
            // A name that is not UTF-8 cannot end in `.hcl` as we write it.
            if entry.path().is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        let path = self.root.join(path);
        let other = |reason: String| SourceError {
            path: path.display().to_string(),
            reason,
            kind: SourceErrorKind::Other,
        };
        let meta = std::fs::metadata(&path).map_err(|e| error(&path, &e))?;
        if !meta.is_file() {
            return Err(other("not a file".to_owned()));
        }
        if meta.len() > FILE_BYTES_MAX {
            return Err(other(format!(
                "{} bytes, at most {FILE_BYTES_MAX} are read",
                meta.len()
            )));
        }
        std::fs::read(&path).map_err(|e| error(&path, &e))
    }

    fn below(&self, dir: &str) -> Result<Vec<String>, SourceError> {
        let top = self.root.join(dir);
        let mut names = Vec::new();
        let mut waiting = vec![PathBuf::new()];
        while let Some(folder) = waiting.pop() {
            let path = top.join(&folder);
            for entry in std::fs::read_dir(&path).map_err(|e| error(&path, &e))? {
                let entry = entry.map_err(|e| error(&path, &e))?;
                let relative = folder.join(entry.file_name());
                if entry.file_type().is_ok_and(|t| t.is_dir()) {
                    waiting.push(relative);
                } else if entry.path().is_file()
                    && let Some(name) = relative.to_str()
                {
                    names.push(name.to_owned());
                }
            }
            if names.len() + waiting.len() > FILES_MAX {
                return Err(SourceError {
                    path: top.display().to_string(),
                    reason: format!("more than {FILES_MAX} files are below it"),
                    kind: SourceErrorKind::Other,
                });
            }
        }
        names.sort();
        Ok(names)
    }

    fn absolute(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn fingerprint(&self, secret: &str) -> String {
        fingerprint(&self.key, secret)
    }
}
