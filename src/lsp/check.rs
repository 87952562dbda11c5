//! Mistakes of a directory, as an editor shows them.

use std::collections::BTreeMap;
use std::path::Path;

use lsp_types::{
    Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString, Range,
};

use super::folder::Folder;
use super::text::Text;
use super::uri;
use crate::config::{self, VariableInput};
use crate::diag::{self, Severity, SourceMap};
use crate::model::rules;

/// Texts of the run, with their lines, by number.
type Texts = BTreeMap<diag::FileId, Text>;

/// The mistakes of every file that has some, by file name.
pub fn directory(
    root: &Path,
    folder: &Folder<'_>,
    variables: &[VariableInput],
) -> BTreeMap<String, Vec<Diagnostic>> {
    let loaded = config::load(".", variables, folder);
    let mut found: Vec<diag::Diagnostic> = loaded.diagnostics.iter().cloned().collect();
    if !loaded.diagnostics.has_errors() {
        found.extend(rules::check(&loaded.fleet, &BTreeMap::new()));
    }
    let mut texts = Texts::new();
    let mut out: BTreeMap<String, Vec<Diagnostic>> = BTreeMap::new();
    for one in &found {
        let Some(label) = &one.primary else { continue };
        let Some(file) = loaded.sources.get(label.span.file) else {
            continue;
        };
        let converted = convert(root, one, label, &loaded.sources, &mut texts);
        out.entry(file.path.clone()).or_default().push(converted);
    }
    out
}

/// The mistakes of syntax of one text, before anything else is looked at.
pub fn syntax(root: &Path, name: &str, text: &str) -> Vec<Diagnostic> {
    let (found, sources) = config::syntax_mistakes(name, text);
    let mut texts = Texts::new();
    let all = found.iter().filter_map(|one| {
        let label = one.primary.as_ref()?;
        Some(convert(root, one, label, &sources, &mut texts))
    });
    all.collect()
}

fn convert(
    root: &Path,
    one: &diag::Diagnostic,
    primary: &diag::Label,
    sources: &SourceMap,
    texts: &mut Texts,
) -> Diagnostic {
    let mut message = one.message.clone();
    let more = [Some(&primary.text)]
        .into_iter()
        .chain(one.notes.iter().map(Some))
        .chain([one.help.as_ref()]);
    for line in more.flatten().filter(|l| !l.is_empty()) {
        message.push('\n');
        message.push_str(line);
    }
    let related = one.secondary.iter().filter_map(|label| {
        let path = uri::plain(&root.join(&sources.get(label.span.file)?.path));
        Some(DiagnosticRelatedInformation {
            location: Location::new(uri::from_path(&path)?, range(label, sources, texts)),
            message: label.text.clone(),
        })
    });
    let related: Vec<_> = related.collect();
    Diagnostic {
        range: range(primary, sources, texts),
        severity: Some(severity(one)),
        code: Some(NumberOrString::String(one.code.to_owned())),
        source: Some("bmctl".to_owned()),
        message,
        related_information: (!related.is_empty()).then_some(related),
        ..Diagnostic::default()
    }
}

/// A variable's value is given on the command line, which an editor does not know.
fn severity(one: &diag::Diagnostic) -> DiagnosticSeverity {
    match one.severity {
        Severity::Error if one.code == config::codes::NO_VALUE => DiagnosticSeverity::INFORMATION,
        Severity::Error => DiagnosticSeverity::ERROR,
        Severity::Warning => DiagnosticSeverity::WARNING,
    }
}

fn range(label: &diag::Label, sources: &SourceMap, texts: &mut Texts) -> Range {
    let text = texts.entry(label.span.file).or_insert_with(|| {
        let file = sources.get(label.span.file);
        Text::new(file.map(|f| f.text.to_string()).unwrap_or_default())
    });
    text.range(label.span.range())
}
