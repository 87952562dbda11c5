//! A directory as an editor sees it: the files there, with what is open and not saved laid over them; and what is declared in it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::cursor::value_of;
use super::outline::{Content, Item, outline};
use crate::config::{SourceError, Sources};
use crate::ids::Kind;

/// Open documents by file name, over a directory.
pub struct Folder<'a> {
    pub disk: &'a dyn Sources,
    pub open: BTreeMap<String, &'a str>,
}

fn plain(path: &str) -> &str {
    path.strip_prefix("./").unwrap_or(path)
}

impl Sources for Folder<'_> {
    fn list(&self, dir: &str) -> Result<Vec<String>, SourceError> {
        let prefix = match plain(dir) {
            "" | "." => String::new(),
            dir => format!("{dir}/"),
        };
        let open = self.open.keys().filter_map(|n| n.strip_prefix(&prefix));
        let mut names: Vec<String> = open
            .filter(|n| !n.contains('/'))
            .map(str::to_owned)
            .collect();
        match self.disk.list(dir) {
            Ok(saved) => names.extend(saved),
            Err(e) if names.is_empty() => return Err(e),
            // A directory that is not made yet, with a document that is to be its first file.
            Err(_) => {}
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        match self.open.get(plain(path)) {
            Some(text) => Ok(text.as_bytes().to_vec()),
            None => self.disk.read(path),
        }
    }

    /// What is locked is what is saved.
    fn tree_digest(&self, dir: &str) -> Result<String, SourceError> {
        self.disk.tree_digest(dir)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.disk.env(name)
    }

    fn fingerprint(&self, secret: &str) -> String {
        self.disk.fingerprint(secret)
    }
}

/// Where something was declared.
#[derive(Debug, Clone)]
pub struct Declared {
    pub file: String,
    pub name: Range<usize>,
    /// Where a module comes from; empty for everything else.
    pub source: String,
}

/// Everything that can be referred to in a directory, as it is written in a reference: `local.x`, `node.rack`; outputs, which
/// a caller refers to, as `output.x`.
pub fn declared(folder: &Folder<'_>, dir: &str) -> BTreeMap<String, Declared> {
    let mut out = BTreeMap::new();
    let names = folder.list(dir).unwrap_or_default();
    let files = names
        .iter()
        .filter(|n| n.ends_with(".hcl") && !n.ends_with(".vars.hcl"));
    for name in files {
        let file = match dir {
            "." => name.clone(),
            dir => format!("{dir}/{name}"),
        };
        let text = folder
            .read(&file)
            .ok()
            .and_then(|b| String::from_utf8(b).ok());
        let Some(text) = text else { continue };
        for item in outline(&text) {
            for (written, name, source) in references(&item, &text) {
                let place = Declared {
                    file: file.clone(),
                    name,
                    source,
                };
                out.entry(written).or_insert(place);
            }
        }
    }
    out
}

/// What a block declares: the reference, the name's place, and where a module comes from.
fn references(item: &Item, text: &str) -> Vec<(String, Range<usize>, String)> {
    let part = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default();
    let kind = part(&item.name);
    let inner: &[Item] = match &item.content {
        Content::Body(_, items) => items,
        Content::Value(_) | Content::Nothing => &[],
    };
    if kind == "locals" {
        let all = inner.iter().map(|i| {
            (
                format!("local.{}", part(&i.name)),
                i.name.clone(),
                String::new(),
            )
        });
        return all.collect();
    }
    let root = match kind {
        "variable" => "var",
        "module" | "output" => kind,
        kind if kind.parse::<Kind>().is_ok() => kind,
        _ => return Vec::new(),
    };
    let Some(label) = item.labels.first() else {
        return Vec::new();
    };
    let source = inner
        .iter()
        .find(|i| kind == "module" && part(&i.name) == "source");
    let source = source
        .map(|i| value_of(i, text).to_owned())
        .unwrap_or_default();
    let written = format!("{root}.{}", part(label).trim_matches('"'));
    vec![(written, label.clone(), source)]
}
