//! The file behind a simulated rack: one act a line, in the order in which they befell the machines.
//!
//! It is written beside the state and never read by the engine. Were the truth of the metal derived from the journal, a
//! journal that lies would be believed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::metal::Act;

#[derive(Debug)]
pub struct Record {
    file: File,
}

#[derive(Serialize, Deserialize)]
struct Line<A> {
    at_ms: i64,
    #[serde(flatten)]
    act: A,
}

impl Record {
    /// The file and what it holds. A last line that was not written whole befell nobody: it is cut off.
    pub fn open(path: &Path) -> std::io::Result<(Record, Vec<(i64, Act)>)> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        let mut acts = Vec::new();
        for (at, line) in text.get(..whole).unwrap_or_default().lines().enumerate() {
            let line: Line<Act> = serde_json::from_str(line).map_err(|e| {
                std::io::Error::other(format!(
                    "{}: line {}: {e}; remove the directory to begin a new simulation",
                    path.display(),
                    at + 1
                ))
            })?;
            acts.push((line.at_ms, line.act));
        }
        let end = u64::try_from(whole).unwrap_or(u64::MAX);
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok((Record { file }, acts))
    }

    /// One write a line: it survives the process, not the power; a simulated machine has none of its own.
    pub fn write(&mut self, at_ms: i64, act: &Act) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&Line { at_ms, act })?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}
