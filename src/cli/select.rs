//! `--target`, `--exclude`, `--replace`: options of every command that plans.

use std::path::PathBuf;

use super::{Exit, Failure};
use crate::plan::{Pattern, Selection};

#[derive(Debug, Clone, Default, clap::Args)]
pub struct SelectArgs {
    /// Plan only for this and what it stands on: an address, a glob, or label:KEY=VALUE (may be given again)
    #[arg(long = "target", value_name = "PATTERN")]
    targets: Vec<Pattern>,
    /// Read targets from FILE, one a line; `#` begins a comment
    #[arg(long, value_name = "FILE")]
    target_file: Vec<PathBuf>,
    /// Leave this out, and what stands on it
    #[arg(long = "exclude", value_name = "PATTERN")]
    excludes: Vec<Pattern>,
    /// Read what to leave out from FILE, one a line
    #[arg(long, value_name = "FILE")]
    exclude_file: Vec<PathBuf>,
    /// Write this instance anew although nothing of it has changed
    #[arg(long, value_name = "PATTERN")]
    replace: Vec<Pattern>,
}

impl SelectArgs {
    /// Whether anything was asked for.
    pub fn is_given(&self) -> bool {
        let SelectArgs {
            targets,
            target_file,
            excludes,
            exclude_file,
            replace,
        } = self;
        let patterns = targets.len() + excludes.len() + replace.len();
        patterns + target_file.len() + exclude_file.len() > 0
    }

    /// One target, and no other.
    pub fn only(&mut self, target: Pattern) {
        self.targets = vec![target];
    }

    /// What is asked for, files read.
    pub fn selection(&self) -> Result<Selection, Failure> {
        let mut selection = Selection {
            targets: self.targets.clone(),
            excludes: self.excludes.clone(),
            replace: self.replace.clone(),
        };
        for path in &self.target_file {
            selection.targets.extend(patterns_in(path)?);
        }
        for path in &self.exclude_file {
            selection.excludes.extend(patterns_in(path)?);
        }
        // An empty list of targets would mean everything, which is the opposite of what an empty file says.
        if selection.targets.is_empty() && !self.target_file.is_empty() {
            return Err(Failure::new(
                Exit::Usage,
                "--target-file: expected at least one address, glob or label:KEY=VALUE, found none",
            ));
        }
        Ok(selection)
    }
}

fn patterns_in(path: &PathBuf) -> Result<Vec<Pattern>, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::new(Exit::Error, format!("{shown}: {e}")))?;
    let lines = text.lines().enumerate();
    let said = lines
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    said.map(|(at, line)| {
        line.parse()
            .map_err(|e| Failure::new(Exit::Usage, format!("{shown}:{at}: {e}")))
    })
    .collect()
}
