//! `.bmctl.lock.hcl`: the commit and the digest of every module from a repository, and the digest of every image. Written by
//! `bmctl init`, kept in git, so that everyone who plans reads the same text and writes the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::GitSource;
use crate::config::codes;
use crate::config::generate::quoted;
use crate::config::report::Report;
use crate::config::syntax::ast::{Block, Body, ExprKind};
use crate::config::value::Data;
use crate::diag::Diagnostic;
use crate::ids::Addr;
use crate::units::Sha256;

/// What is locked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// By [`GitSource::repository`].
    pub modules: BTreeMap<String, LockedModule>,
    pub images: BTreeMap<Addr, Sha256>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedModule {
    /// 40 hex digits, or 64.
    pub commit: String,
    /// Of all files of the checkout and their names.
    pub digest: String,
}

/// Where fetched modules are kept, from the root module.
pub const MODULES_DIR: &str = ".bmctl/modules";

impl LockedModule {
    /// The directory of the checkout, from the root module. One commit has one directory, wherever it came from.
    pub fn checkout(&self) -> String {
        format!("{MODULES_DIR}/{}", self.commit)
    }

    /// The directory of a module in it.
    pub fn dir(&self, source: &GitSource) -> String {
        if source.subdir.is_empty() {
            self.checkout()
        } else {
            format!("{}/{}", self.checkout(), source.subdir)
        }
    }
}

impl Lock {
    pub const FILE: &str = ".bmctl.lock.hcl";

    /// Reads the file's blocks. What is not understood is an error: a lock that is half read does not lock.
    pub fn read(body: &Body, report: &Report) -> Lock {
        let mut lock = Lock::default();
        for attribute in &body.attributes {
            report.push(wrong("an attribute").at(attribute.name_span, "not known"));
        }
        for block in &body.blocks {
            let (kind, label) = match block.labels.as_slice() {
                [label] => (block.kind.as_ref(), label.text.as_ref()),
                _ => ("", ""),
            };
            let taken = match kind {
                "module" => module(block).map(|locked| {
                    lock.modules.insert(label.to_owned(), locked);
                }),
                "image" => image(block, label).map(|(addr, digest)| {
                    lock.images.insert(addr, digest);
                }),
                _ => None,
            };
            if taken.is_none() {
                report.push(wrong("this block").at(block.header, "not understood"));
            }
        }
        lock
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut out = String::from(
            "# Written by `bmctl init`. Keep it in git; `bmctl init --upgrade` renews it.\n",
        );
        for (repository, LockedModule { commit, digest }) in &self.modules {
            // Writing to a string does not fail.
            let _ = write!(
                out,
                "\nmodule {} {{\n  commit = \"{commit}\"\n  digest = \"{digest}\"\n}}\n",
                quoted(repository)
            );
        }
        for (addr, digest) in &self.images {
            let addr = quoted(&addr.to_string());
            let _ = write!(out, "\nimage {addr} {{\n  sha256 = \"{digest}\"\n}}\n");
        }
        out
    }
}

fn wrong(what: &str) -> Diagnostic {
    Diagnostic::error(
        codes::LOCK,
        format!("{what} does not belong into {}", Lock::FILE),
    )
    .help("restore the file from git, or delete it and run `bmctl init`")
}

fn text<'b>(block: &'b Block, name: &str) -> Option<&'b str> {
    match &block.body.attribute(name)?.value.kind {
        ExprKind::Literal(value) => match &value.data {
            Data::String(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

fn module(block: &Block) -> Option<LockedModule> {
    let commit = text(block, "commit")?;
    let digest = text(block, "digest")?;
    let hex = |s: &str| s.bytes().all(|b| b.is_ascii_hexdigit());
    let fits = matches!(commit.len(), 40 | 64) && hex(commit) && digest.len() == 64 && hex(digest);
    fits.then(|| LockedModule {
        commit: commit.to_owned(),
        digest: digest.to_owned(),
    })
}

fn image(block: &Block, label: &str) -> Option<(Addr, Sha256)> {
    Some((label.parse().ok()?, text(block, "sha256")?.parse().ok()?))
}
