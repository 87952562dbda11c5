//! How far a state in SQLite has come, in a file beside the database. A transaction stands in the database's log alone for a while, and
//! SQLite takes a log up to the first frame that does not add up: damage there gives an older state, with good sums. Its index would
//! tell, and is made anew after every power cut.
//!
//! Written and synced after each commit, before the caller hears of it: so what a caller was told of is always counted here, and a
//! transaction that was cut off before its commit returned never is. Two lines take turns, so that a write that is cut off spoils the
//! older one.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::StoreError;
use super::handle::Store;
use super::head::Head;

const FILE: &str = "state.mark";
const FORM: &str = "bmctl mark 1 ";
/// Each in a sector of its own.
const SLOT_BYTES: usize = 512;
const SLOTS: u64 = 2;

#[derive(Debug, Clone)]
pub struct Mark {
    file: Arc<File>,
    path: PathBuf,
    access: Access,
}

/// What may be done with a state in the place where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Write,
    Read,
}

/// What is missing of what was counted.
#[derive(Debug)]
pub(super) struct Behind {
    pub found: u64,
    pub seen: u64,
    pub path: String,
}

impl Mark {
    /// `None` in a place that may only be read and has none.
    pub fn open(directory: &Path, access: Access) -> Result<Option<Mark>, StoreError> {
        let path = directory.join(FILE);
        let mut options = OpenOptions::new();
        options.read(true);
        match access {
            Access::Write => options.write(true).create(true).mode(0o600),
            Access::Read => &mut options,
        };
        match options.open(&path) {
            Ok(file) => Ok(Some(Mark {
                file: Arc::new(file),
                path,
                access,
            })),
            Err(error) if access == Access::Read && error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(trouble(&path, source)),
        }
    }

    /// How many transactions were counted; `None` before the first.
    fn seen(&self) -> Result<Option<u64>, StoreError> {
        let (mut seen, mut is_blank) = (None, true);
        for slot in 0..SLOTS {
            let bytes = self.slot(slot).map_err(|e| trouble(&self.path, e))?;
            is_blank &= bytes.iter().all(|b| *b == 0);
            seen = seen.max(parse(&bytes));
        }
        if seen.is_none() && !is_blank {
            let why = "neither of its lines adds up; when `bmctl state verify` is content after it was removed, only this file was damaged";
            return Err(StoreError::corrupt(self.path.display().to_string(), why));
        }
        Ok(seen)
    }

    fn slot(&self, slot: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; SLOT_BYTES];
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self
                .file
                .read_at(rest, slot * SLOT_BYTES as u64 + read as u64)?
            {
                0 => break,
                count => read += count,
            }
        }
        Ok(bytes)
    }

    /// Counts what was committed. Of two that commit at the same time the later one may be the first to be counted: a count may lag,
    /// and never leads.
    pub async fn put(&self, count: u64) -> Result<(), StoreError> {
        self.write(count, count % SLOTS..count % SLOTS + 1).await
    }

    /// Counts from here on.
    pub async fn set(&self, count: u64) -> Result<(), StoreError> {
        self.write(count, 0..SLOTS).await
    }

    async fn write(&self, count: u64, slots: Range<u64>) -> Result<(), StoreError> {
        let (file, line) = (self.file.clone(), line(count));
        let put = move || {
            for slot in slots {
                file.write_all_at(&line, slot * SLOT_BYTES as u64)?;
            }
            file.sync_data()
        };
        let put = tokio::task::spawn_blocking(put).await;
        put.unwrap_or_else(|e| Err(std::io::Error::other(e)))
            .map_err(|e| trouble(&self.path, e))
    }
}

fn trouble(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Directory {
        path: path.display().to_string(),
        source,
    }
}

fn line(count: u64) -> Vec<u8> {
    let text = format!("{FORM}{count}");
    let mut line = format!("{text} {}\n", sum(&text)).into_bytes();
    line.resize(SLOT_BYTES, 0);
    line
}

fn sum(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// How many, when the line is whole.
fn parse(bytes: &[u8]) -> Option<u64> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let rest = bytes.get(end + 1..)?;
    let (text, noted) = std::str::from_utf8(bytes.get(..end)?)
        .ok()?
        .rsplit_once(' ')?;
    let is_whole = rest.iter().all(|b| *b == 0) && sum(text) == noted;
    is_whole
        .then(|| text.strip_prefix(FORM)?.parse().ok())
        .flatten()
}

impl Store {
    /// Looks whether all that was counted is there. The count is read before the head: others may be writing.
    pub(super) async fn look_for_loss(&mut self, mark: Option<Mark>) -> Result<(), StoreError> {
        let Some(mark) = mark else { return Ok(()) };
        let seen = mark.seen()?;
        let found = self.head_now().await?.writes;
        match seen {
            Some(seen) if found < seen => {
                self.behind = Some(Arc::new(Behind {
                    found,
                    seen,
                    path: mark.path.display().to_string(),
                }));
            }
            Some(_) => {}
            None => match mark.access {
                Access::Write => mark.set(found).await?,
                Access::Read => {}
            },
        }
        self.mark = Some(mark);
        Ok(())
    }

    pub(super) async fn head_now(&self) -> Result<Head, StoreError> {
        Head::read(&mut self.db.read().await?).await
    }
}
