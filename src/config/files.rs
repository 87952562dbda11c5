//! The files of a directory: which of them are configuration, and their texts.

use std::sync::Arc;

use super::codes;
use super::declare::Declarations;
use super::report::Report;
use super::sources::Sources;
use super::syntax::json::{parse_json, property};
use super::syntax::parse_file;
use crate::diag::{Diagnostic, FileId, SourceMap};

/// A configuration is text that people wrote, or a generator; not an image.
const FILE_BYTES_MAX: usize = 24 * 1024 * 1024;

pub struct Files<'s> {
    pub sources: &'s dyn Sources,
    pub map: SourceMap,
    pub report: &'s Report,
}

/// In which form a file holds configuration: every `*.hcl`, but not values of variables and not the lock file; and every
/// `*.bmctl.json`.
fn form(name: &str) -> Option<Form> {
    if name.ends_with(".bmctl.json") {
        return Some(Form::Json);
    }
    let is_native =
        name.ends_with(".hcl") && !name.ends_with(".vars.hcl") && name != super::Lock::FILE;
    is_native.then_some(Form::Native)
}

pub fn is_configuration(name: &str) -> bool {
    form(name).is_some()
}

enum Form {
    Native,
    Json,
}

impl Files<'_> {
    /// The names in a directory; none when it cannot be read, which is reported.
    pub fn list(&self, dir: &str) -> Vec<String> {
        self.sources.list(dir).unwrap_or_else(|e| {
            self.report.push(Diagnostic::error(
                codes::UNREADABLE,
                format!("the directory cannot be read: {e}"),
            ));
            Vec::new()
        })
    }

    /// What the files of a directory declare.
    pub fn declarations(&mut self, dir: &str, names: &[String]) -> Declarations {
        let mut declared = Declarations::default();
        for name in names {
            let Some(form) = form(name) else { continue };
            let path = if dir.is_empty() {
                name.clone()
            } else {
                format!("{dir}/{name}")
            };
            let Some((file, text)) = self.read(&path) else {
                continue;
            };
            let mut mistakes = Vec::new();
            let body = match form {
                Form::Native => parse_file(file, &text, &mut mistakes),
                Form::Json => parse_json(file, &text, &property, &mut mistakes),
            };
            mistakes.into_iter().for_each(|d| self.report.push(d));
            declared.add(body, self.report);
        }
        declared
    }

    /// A file's text; `None` when it cannot be had, which is reported.
    pub fn read(&mut self, path: &str) -> Option<(FileId, Arc<str>)> {
        let refuse = |why: String| {
            self.report.push(Diagnostic::error(codes::UNREADABLE, why));
            None
        };
        let bytes = match self.sources.read(path) {
            Ok(bytes) => bytes,
            Err(e) => return refuse(format!("a file cannot be read: {e}")),
        };
        if bytes.len() > FILE_BYTES_MAX {
            return refuse(format!(
                "{path}: {} bytes; a file has at most {FILE_BYTES_MAX}",
                bytes.len()
            ));
        }
        match String::from_utf8(bytes) {
            Ok(text) => {
                let text: Arc<str> = Arc::from(text);
                Some((self.map.add(path, text.clone()), text))
            }
            Err(e) => {
                let at = e.utf8_error().valid_up_to();
                refuse(format!("{path}: not UTF-8 at byte {at}"))
            }
        }
    }
}
