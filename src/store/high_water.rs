//! How far this configuration has seen its state come, kept beside the configuration: an old copy of a state has a good
//! checksum, and only somebody who remembers can tell.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::handle::Store;
use super::head::Head;
use super::sqlite::may_only_be_read;

/// Beside the configuration, in the directory that is not committed.
const FILE: &str = ".bmctl/high-water";

/// By the place of the state: one configuration may have several, one a workspace.
#[derive(Debug, Serialize, Deserialize)]
struct Marks {
    format: u32,
    states: BTreeMap<String, Mark>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    lineage: String,
    serial: u64,
}

/// The file of one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HighWater {
    path: PathBuf,
}

impl Mark {
    fn of(head: &Head) -> Mark {
        Mark {
            lineage: head.lineage.clone(),
            serial: head.serial,
        }
    }
}

impl HighWater {
    pub fn of(root: &Path) -> HighWater {
        HighWater {
            path: root.join(FILE),
        }
    }

    /// Refuses a state that is older than the one seen in this place, or another; remembers one that is newer.
    fn check(&self, place: &str, head: &Head) -> Result<(), StoreError> {
        let (marks, found) = (self.read()?, Mark::of(head));
        let Some(seen) = marks.states.get(place) else {
            return self.remember(marks, place, found);
        };
        if seen.lineage != found.lineage {
            return Err(StoreError::OtherState {
                place: place.to_owned(),
                found: found.lineage,
                seen: seen.lineage.clone(),
                path: self.path.display().to_string(),
            });
        }
        if found.serial < seen.serial {
            return Err(StoreError::OldCopy {
                serial: found.serial,
                seen: seen.serial,
                path: self.path.display().to_string(),
            });
        }
        if found == *seen {
            return Ok(());
        }
        self.remember(marks, place, found)
    }

    /// Whoever may only read is refused what is older all the same; the next who may write remembers.
    fn remember(&self, marks: Marks, place: &str, mark: Mark) -> Result<(), StoreError> {
        match self.put(marks, place, mark) {
            Err(StoreError::Directory { source, .. }) if may_only_be_read(&source) => Ok(()),
            ended => ended,
        }
    }

    fn put(&self, mut marks: Marks, place: &str, mark: Mark) -> Result<(), StoreError> {
        marks.states.insert(place.to_owned(), mark);
        self.write(&marks)
    }

    fn read(&self) -> Result<Marks, StoreError> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => super::from_json(&self.path.display().to_string(), &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Marks {
                format: 1,
                states: BTreeMap::new(),
            }),
            Err(error) => Err(self.trouble(error)),
        }
    }

    /// Written whole beside it, then put in its place: a power cut leaves the old one or the new one.
    fn write(&self, marks: &Marks) -> Result<(), StoreError> {
        let text = super::to_json("the high-water mark", marks)?;
        let fresh = self
            .path
            .with_extension(format!("new-{}", std::process::id()));
        let put = || {
            if let Some(folder) = self.path.parent() {
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(folder)?;
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&fresh, &self.path)
        };
        put().map_err(|error| self.trouble(error))
    }

    fn trouble(&self, source: std::io::Error) -> StoreError {
        StoreError::Directory {
            path: self.path.display().to_string(),
            source,
        }
    }
}

impl Store {
    /// A handle that refuses a state which is older than one that was seen, and remembers how far it has come.
    pub fn remembering(&self, seen: HighWater) -> Store {
        Store {
            seen: Some(Arc::new(seen)),
            ..self.clone()
        }
    }

    /// Takes the state as it is, after a person has decided that it is the right one. Its serial.
    pub async fn accept(&self) -> Result<u64, StoreError> {
        let head = self.head_now().await?;
        self.refuse_moved(&head)?;
        if let Some(mark) = &self.mark {
            mark.set(head.writes).await?;
        }
        if let Some(seen) = &self.seen {
            seen.put(seen.read()?, self.place(), Mark::of(&head))?;
        }
        Ok(head.serial)
    }

    /// Where this configuration has had its state, when nothing was ever written to the one that it names: a slip in the block
    /// `state` would else be a plan to make everything again.
    pub async fn left_elsewhere(&self) -> Result<Option<String>, StoreError> {
        let Some(seen) = &self.seen else {
            return Ok(None);
        };
        if self.head_now().await?.serial > 0 {
            return Ok(None);
        }
        let others = seen.read()?.states.into_iter();
        let others = others.filter(|(place, mark)| place != self.place() && mark.serial > 0);
        Ok(others
            .max_by_key(|(_, mark)| mark.serial)
            .map(|(place, _)| place))
    }

    pub(super) fn remember(&self, head: &Head) -> Result<(), StoreError> {
        match &self.seen {
            Some(seen) => seen.check(self.place(), head),
            None => Ok(()),
        }
    }
}
