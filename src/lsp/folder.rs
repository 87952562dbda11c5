//! A directory as an editor sees it: the files there, with what is open and not saved laid over them; and what is declared in it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::outline::{Content, outline};
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
}

/// Everything that can be referred to, as it is written in a reference: `local.x`, `node.rack`.
pub fn declared(folder: &Folder<'_>) -> BTreeMap<String, Declared> {
    let mut out = BTreeMap::new();
    let names = folder.list(".").unwrap_or_default();
    for file in names
        .iter()
        .filter(|n| n.ends_with(".hcl") && !n.ends_with(".vars.hcl"))
    {
        let text = folder
            .read(file)
            .ok()
            .and_then(|b| String::from_utf8(b).ok());
        let Some(text) = text else { continue };
        for item in outline(&text) {
            let part = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default();
            let mut add = |written: String, name: &Range<usize>| {
                let place = Declared {
                    file: file.clone(),
                    name: name.clone(),
                };
                out.entry(written).or_insert(place);
            };
            let kind = part(&item.name);
            match (kind, item.labels.first(), &item.content) {
                ("locals", _, Content::Body(_, items)) => {
                    for inner in items {
                        add(format!("local.{}", part(&inner.name)), &inner.name);
                    }
                }
                (_, Some(label), _) => {
                    let root = match kind {
                        "variable" => "var",
                        "module" => "module",
                        kind if kind.parse::<Kind>().is_ok() => kind,
                        _ => continue,
                    };
                    add(format!("{root}.{}", part(label).trim_matches('"')), label);
                }
                _ => {}
            }
        }
    }
    out
}
