//! L0. What a person is told: a message with a place, what was expected, what was found and the next move.
//!
//! Takes spans into source texts held by a [`SourceMap`]; gives text for a terminal or JSON for a script. Never prints.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

/// The index of a file in a [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A byte range in one file. `end` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub file: FileId,
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(file: FileId, range: Range<usize>) -> Span {
        // A file over 4 GiB is refused when it is read; saturating keeps this total.
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span {
            file,
            start: clamp(range.start),
            end: clamp(range.end),
        }
    }

    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One source text and the name it is shown under.
#[derive(Debug, Clone)]
pub struct SourceFile {
    pub path: String,
    pub text: Arc<str>,
}

impl SourceFile {
    /// Line and column of a byte offset, both counted from 1, the column in characters.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        (line, column)
    }
}

/// All texts of a run, so that a [`Span`] can be shown.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    pub fn add(&mut self, path: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(SourceFile {
            path: path.into(),
            text: text.into(),
        });
        id
    }

    pub fn get(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    pub fn files(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        (0u32..).map(FileId).zip(self.files.iter())
    }

    /// `path:line:column`, for a place named inside a sentence.
    pub fn place(&self, span: Span) -> String {
        self.get(span.file).map_or_else(
            || "?".to_owned(),
            |f| {
                let (line, column) = f.line_column(span.start as usize);
                format!("{}:{line}:{column}", f.path)
            },
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// A place and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// One mistake or warning. `code` is stable and short, such as `E0203`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub code: &'static str,
    pub message: String,
    pub primary: Option<Label>,
    pub secondary: Vec<Label>,
    /// What was expected and found, and other facts, a line each.
    pub notes: Vec<String>,
    /// The next move.
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code,
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    pub fn warning(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(code, message)
        }
    }

    pub fn at(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.primary = Some(Label {
            span,
            text: text.into(),
        });
        self
    }

    pub fn also(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.secondary.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// For a terminal; `color` decides about escape sequences, nothing else does.
    pub fn render(&self, sources: &SourceMap, color: Color) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(&self.message).id(self.code));
        for snippet in self.snippets(sources) {
            group = group.element(snippet);
        }
        for note in &self.notes {
            group = group.element(Level::NOTE.message(note.as_str()));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = match color {
            Color::Always => Renderer::styled(),
            Color::Never => Renderer::plain(),
        };
        renderer.render(&[group])
    }

    fn snippets<'a>(
        &'a self,
        sources: &'a SourceMap,
    ) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let mut labels: Vec<(&Label, AnnotationKind)> = Vec::new();
        labels.extend(self.primary.iter().map(|l| (l, AnnotationKind::Primary)));
        labels.extend(self.secondary.iter().map(|l| (l, AnnotationKind::Context)));
        let mut order: Vec<FileId> = Vec::new();
        for (label, _) in &labels {
            if !order.contains(&label.span.file) {
                order.push(label.span.file);
            }
        }
        let mut out = Vec::new();
        for file_id in order {
            let Some(file) = sources.get(file_id) else {
                continue;
            };
            let mut snippet = Snippet::source(file.text.as_ref()).path(file.path.as_str());
            for (label, kind) in labels.iter().filter(|(l, _)| l.span.file == file_id) {
                snippet = snippet.annotation(
                    kind.span(clamp_range(&file.text, label.span.range()))
                        .label(label.text.as_str()),
                );
            }
            out.push(snippet);
        }
        out
    }

    /// For a script: byte ranges beside lines and columns.
    pub fn to_json(&self, sources: &SourceMap) -> serde_json::Value {
        let place = |l: &Label| {
            let file = sources.get(l.span.file);
            let (line, column) = file.map_or((0, 0), |f| f.line_column(l.span.start as usize));
            serde_json::json!({
                "file": file.map(|f| f.path.as_str()), "line": line, "column": column,
                "byte_start": l.span.start, "byte_end": l.span.end, "label": l.text,
            })
        };
        serde_json::json!({
            "severity": self.severity, "code": self.code, "message": self.message,
            "primary": self.primary.as_ref().map(place),
            "secondary": self.secondary.iter().map(place).collect::<Vec<_>>(),
            "notes": self.notes, "help": self.help,
        })
    }
}

/// Whether escape sequences are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    Always,
    Never,
}

fn clamp_range(text: &str, range: Range<usize>) -> Range<usize> {
    let floor = |mut n: usize| {
        n = n.min(text.len());
        while !text.is_char_boundary(n) {
            n -= 1;
        }
        n
    };
    let start = floor(range.start);
    start..floor(range.end).max(start)
}

/// The mistakes of a run, in the order found. At most [`Diagnostics::LIMIT`] are kept; the rest are counted.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    dropped: usize,
    errors: usize,
}

impl Diagnostics {
    /// One slip in a template can make thousands of mistakes; nobody reads past this many.
    pub const LIMIT: usize = 50;

    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.is_error());
        if self.list.len() < Self::LIMIT {
            self.list.push(diagnostic);
        } else {
            self.dropped += 1;
        }
    }

    pub fn extend(&mut self, other: impl IntoIterator<Item = Diagnostic>) {
        for d in other {
            self.push(d);
        }
    }

    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// How many were not kept.
    pub fn dropped(&self) -> usize {
        self.dropped
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_file_line_and_both_places() {
        let mut sources = SourceMap::default();
        let f = sources.add("a.hcl", "mac = \"x\"\nmac = \"x\"\n");
        let d = Diagnostic::error("E0100", "the same MAC twice")
            .at(Span::new(f, 16..19), "again here")
            .also(Span::new(f, 6..9), "first here")
            .help("give each NIC its own");
        let text = d.render(&sources, Color::Never);
        assert!(text.contains("error[E0100]: the same MAC twice"), "{text}");
        assert!(text.contains("a.hcl:2:7"), "{text}");
        assert!(text.contains("again here") && text.contains("first here"));
        assert_eq!(d.to_json(&sources)["primary"]["line"], 2);
    }

    #[test]
    fn a_span_outside_the_text_is_cut_not_a_panic() {
        let mut sources = SourceMap::default();
        let f = sources.add("a.hcl", "é");
        let d = Diagnostic::error("E0100", "m").at(Span::new(f, 1..99), "t");
        assert!(d.render(&sources, Color::Never).contains("E0100"));
    }

    #[test]
    fn keeps_a_bounded_number() {
        let mut all = Diagnostics::default();
        for _ in 0..60 {
            all.push(Diagnostic::error("E0100", "m"));
        }
        assert_eq!((all.iter().count(), all.dropped()), (50, 10));
    }
}
