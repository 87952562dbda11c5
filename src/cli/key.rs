//! The sealing key: from BMCTL_KEY, or a file of the user's own that is not in the state directory.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Exit, Failure};
use crate::drivers::agent::random_key;
use crate::secret::Key32;

const VARIABLE: &str = "BMCTL_KEY";

/// Finds the key, or makes one when there is none.
pub fn sealing_key() -> Result<Key32, Failure> {
    if let Ok(text) = std::env::var(VARIABLE) {
        return parse(text.trim()).ok_or_else(|| {
            Failure::new(
                Exit::Error,
                format!("{VARIABLE}: expected 64 hex digits (openssl rand -hex 32)"),
            )
        });
    }
    let path = file()?;
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let mode = std::fs::metadata(&path)?.mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(Failure::new(
                    Exit::Error,
                    format!(
                        "{}: expected mode 0600, found {mode:04o}; chmod 600 it",
                        path.display()
                    ),
                ));
            }
            parse(text.trim()).ok_or_else(|| {
                Failure::new(
                    Exit::Error,
                    format!("{}: expected 64 hex digits", path.display()),
                )
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(&path),
        Err(error) => Err(Failure::new(
            Exit::Error,
            format!("{}: {error}", path.display()),
        )),
    }
}

fn parse(text: &str) -> Option<Key32> {
    Key32::from_slice(&hex::decode(text).ok()?)
}

fn file() -> Result<PathBuf, Failure> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
    base.map(|base| base.join("bmctl/key")).ok_or_else(|| {
        Failure::new(
            Exit::Error,
            format!("no place for the sealing key: set {VARIABLE}, HOME or XDG_CONFIG_HOME"),
        )
    })
}

fn make(path: &Path) -> Result<Key32, Failure> {
    let trouble = |e: std::io::Error| Failure::new(Exit::Error, format!("{}: {e}", path.display()));
    let key = random_key()?;
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(trouble)?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match file {
        Ok(mut file) => {
            writeln!(file, "{}", hex::encode(key.expose()))
                .and_then(|()| file.sync_all())
                .map_err(trouble)?;
            Ok(key)
        }
        // Another bmctl was first: its key is the one.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => sealing_key(),
        Err(error) => Err(trouble(error)),
    }
}
