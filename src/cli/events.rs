//! Events as lines of JSON: in a file beside what a person reads, or on standard output.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{Exit, Failure};
use crate::model::event::{Event, STREAM_FORMAT};
use crate::plan::Plan;

/// The first line, and a line for each change of the plan with the whole difference.
pub fn of_plan(plan: &Plan) -> Vec<Event> {
    let changes = plan.changes.iter().map(|change| Event::PlannedChange {
        // A change always serializes: it has been written into the plan's id.
        change: serde_json::to_value(change).unwrap_or_default(),
    });
    let last = Event::Planned {
        plan: plan.id.clone(),
        changes: plan.changes.len(),
        steps: plan.steps.len(),
        destructive: plan.destructive(),
        findings: plan.findings.len(),
    };
    std::iter::once(first())
        .chain(changes)
        .chain([last])
        .collect()
}

/// What every stream begins with.
pub fn first() -> Event {
    Event::Stream {
        format: STREAM_FORMAT,
        bmctl: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// A line for each.
pub fn lines(events: &[Event]) -> Result<Vec<u8>, Failure> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// A file that events go into while a run goes on, readable by its owner.
pub struct JsonFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl JsonFile {
    pub fn create(path: &Path) -> Result<JsonFile, Failure> {
        let file = super::whole::stream(path)
            .map_err(|e| Failure::new(Exit::Error, format!("{}: {e}", path.display())))?;
        Ok(JsonFile {
            path: path.to_owned(),
            file: BufWriter::new(file),
        })
    }

    pub fn event(&mut self, event: &Event) -> Result<(), Failure> {
        let line = lines(std::slice::from_ref(event))?;
        let written = self.file.write_all(&line);
        written.map_err(|e| self.trouble(&e))
    }

    pub fn finish(&mut self) -> Result<(), Failure> {
        let flushed = self.file.flush();
        flushed.map_err(|e| self.trouble(&e))
    }

    fn trouble(&self, error: &std::io::Error) -> Failure {
        Failure::new(Exit::Error, format!("{}: {error}", self.path.display()))
    }
}
