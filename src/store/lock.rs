//! The exclusive right to apply.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::{FlockOperation, flock};

use super::database::Database;
use super::{Store, StoreError};

/// Held for the length of an apply. The operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct ApplyLock {
    _file: File,
}

impl Store {
    /// Takes the exclusive right to apply, or says who has it.
    pub fn lock_for_apply(&self, holder: &str) -> Result<ApplyLock, StoreError> {
        let Database::Sqlite(db) = &self.db else {
            return Err(StoreError::Connection(
                "an apply on PostgreSQL is not possible with this version".to_owned(),
            ));
        };
        let path = db.directory.join("apply.lock");
        let trouble = |source| StoreError::Directory {
            path: path.display().to_string(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(trouble)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut who = String::new();
            let _ = (&mut file).take(200).read_to_string(&mut who);
            return Err(StoreError::Locked {
                holder: who.trim().to_owned(),
            });
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{holder}"))
            .map_err(trouble)?;
        Ok(ApplyLock { _file: file })
    }
}
