//! The outside of a configuration: the file system and the environment.

use std::path::{Path, PathBuf};

use crate::config::{SourceError, SourceErrorKind, Sources, TreeDigest};
use crate::secret::Key32;
use crate::store::fingerprint;

pub struct FsSources {
    pub root: PathBuf,
    pub key: Key32,
}

/// A file that a configuration reads whole.
const FILE_BYTES_MAX: u64 = 24 * 1024 * 1024;

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

/// Directories within each other in a checkout.
const DEPTH_MAX: usize = 64;

/// The files below a directory, by their names from its top. A symbolic link is a file that holds where it leads: followed, it
/// could lead back.
fn tree_entries(
    dir: &Path,
    prefix: &str,
    depth: usize,
    names: &mut Vec<String>,
) -> Result<(), SourceError> {
    if depth > DEPTH_MAX {
        return Err(SourceError {
            path: dir.display().to_string(),
            reason: format!("more than {DEPTH_MAX} directories within each other"),
            kind: SourceErrorKind::Other,
        });
    }
    for entry in std::fs::read_dir(dir).map_err(|e| error(dir, &e))? {
        let entry = entry.map_err(|e| error(dir, &e))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = format!("{prefix}{}", name.to_string_lossy());
        let kind = entry.file_type().map_err(|e| error(&path, &e))?;
        if kind.is_dir() {
            tree_entries(&path, &format!("{name}/"), depth + 1, names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
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

    fn tree_digest(&self, dir: &str) -> Result<String, SourceError> {
        let root = self.root.join(dir);
        let mut names = Vec::new();
        tree_entries(&root, "", 0, &mut names)?;
        names.sort();
        let mut tree = TreeDigest::default();
        for name in names {
            let path = root.join(&name);
            let bytes = if path.is_symlink() {
                let target = std::fs::read_link(&path).map_err(|e| error(&path, &e))?;
                target.into_os_string().into_encoded_bytes()
            } else {
                std::fs::read(&path).map_err(|e| error(&path, &e))?
            };
            tree.add(&name, &bytes);
        }
        Ok(tree.finish())
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
