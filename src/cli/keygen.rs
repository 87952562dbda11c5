//! `bmctl keygen`: keys that sign plans.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::out::Out;
use super::{CommandResult, Exit, Failure};
use crate::drivers::agent::random_key;
use crate::secret::Key32;
use crate::signing::PrivateKey;

/// Make a key that signs plans, and print its public half for `trusted_keys`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the private key goes; it must not be there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub fn run(args: &Args, out: &Out) -> CommandResult {
    let path = &args.file;
    let trouble = |e: std::io::Error| Failure::new(Exit::Error, format!("{}: {e}", path.display()));
    let seed = random_key()?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| {
            if e.kind() != std::io::ErrorKind::AlreadyExists {
                return trouble(e);
            }
            let text = format!(
                "{}: there is a file already, and a key is never written over: name another one",
                path.display()
            );
            Failure::new(Exit::Error, text)
        })?;
    writeln!(file, "{}", hex::encode(seed.expose()))
        .and_then(|()| file.sync_all())
        .map_err(trouble)?;
    out.line(&PrivateKey::new(seed.expose()).public().to_string());
    Ok(Exit::Done)
}

/// Reads a private key; a file that others may read is refused.
pub fn private_key(path: &Path) -> Result<PrivateKey, Failure> {
    let fail = |why: String| Failure::new(Exit::Error, format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    let mode = std::fs::metadata(path)
        .map_err(|e| fail(e.to_string()))?
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(fail(format!(
            "expected mode 0600, found {mode:04o}; chmod 600 it"
        )));
    }
    let seed = hex::decode(text.trim())
        .ok()
        .and_then(|bytes| Key32::from_slice(&bytes));
    seed.map(|seed| PrivateKey::new(seed.expose()))
        .ok_or_else(|| fail("expected 64 hex digits, as `bmctl keygen` writes them".to_owned()))
}
