//! What the files declare, sorted by what it is. Duplicates, wrong labels and unknown block types are reported here.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codes;
use super::report::Report;
use super::suggest::did_you_mean;
use super::syntax::ast::{Attribute, Block, Body};
use crate::diag::{Diagnostic, Span};
use crate::ids::{Kind, Name};

/// One resource block.
pub struct Resource {
    pub kind: Kind,
    pub name: Name,
    pub block: Block,
}

#[derive(Default)]
pub struct Declarations {
    pub settings: Vec<Block>,
    pub variables: BTreeMap<Arc<str>, Block>,
    pub locals: BTreeMap<Arc<str>, Attribute>,
    pub outputs: BTreeMap<Arc<str>, Block>,
    pub modules: BTreeMap<Arc<str>, Block>,
    pub checks: BTreeMap<Arc<str>, Block>,
    pub policies: BTreeMap<Arc<str>, Block>,
    pub rollouts: BTreeMap<Arc<str>, Block>,
    pub windows: BTreeMap<Arc<str>, Block>,
    pub moved: Vec<Block>,
    pub removed: Vec<Block>,
    pub imports: Vec<Block>,
    pub resources: BTreeMap<(Kind, Arc<str>), Resource>,
}

const OTHERS: [&str; 12] = [
    "bmctl", "variable", "locals", "output", "module", "check", "policy", "rollout", "window",
    "moved", "removed", "import",
];

/// What a `module` block says about itself, and not to the module.
pub const RESERVED: [&str; 7] = [
    "source",
    "version",
    "providers",
    "count",
    "for_each",
    "depends_on",
    "lifecycle",
];

impl Declarations {
    /// Takes in one file.
    pub fn add(&mut self, body: Body, report: &Report) {
        for attribute in body.attributes {
            let text = "an attribute outside of any block";
            let help = did_you_mean(&attribute.name, known_blocks()).unwrap_or_else(|| {
                "put it into `locals { }`; values for variables belong in bmctl.vars.hcl".to_owned()
            });
            report.push(
                Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, text)
                    .at(attribute.name_span, "not in a block")
                    .help(help),
            );
        }
        for block in body.blocks {
            self.block(block, report);
        }
    }

    fn block(&mut self, block: Block, report: &Report) {
        let kind = block.kind.clone();
        match kind.as_ref() {
            "bmctl" => {
                if let Some(first) = self.settings.first() {
                    report.push(twice("the block `bmctl`", block.header, first.header));
                }
                // Also one with labels: whoever asks for the settings is to see that its mistake is theirs.
                labels_fit(&block, 0, report);
                self.settings.push(block);
            }
            "locals" => {
                if labels_fit(&block, 0, report) {
                    self.locals(block, report);
                }
            }
            "variable" | "output" | "module" | "check" | "policy" | "rollout" | "window" => {
                self.named(block, report)
            }
            "moved" | "removed" | "import" => {
                if labels_fit(&block, 0, report) {
                    match kind.as_ref() {
                        "moved" => self.moved.push(block),
                        "removed" => self.removed.push(block),
                        _ => self.imports.push(block),
                    }
                }
            }
            other => match other.parse::<Kind>() {
                Ok(kind) => self.resource(kind, block, report),
                Err(_) => report.push(unknown(&block)),
            },
        }
    }

    fn named(&mut self, block: Block, report: &Report) {
        let Some(name) = name(&block, report) else {
            return;
        };
        let kind = block.kind.clone();
        let all = match kind.as_ref() {
            "variable" => &mut self.variables,
            "output" => &mut self.outputs,
            "module" => &mut self.modules,
            "policy" => &mut self.policies,
            "rollout" => &mut self.rollouts,
            "window" => &mut self.windows,
            _ => &mut self.checks,
        };
        if let Some(first) = all.get(name.as_str()) {
            let what = format!("{kind} \"{name}\"");
            report.push(twice(&what, block.header, first.header));
            return;
        }
        if kind.as_ref() == "variable" && RESERVED.contains(&name.as_str()) {
            let text = format!("a variable cannot be called `{name}`");
            report.push(
                Diagnostic::error(codes::LABELS, text)
                    .at(block.header, "a module could not be given it")
                    .help("the blocks of modules use this name themselves; choose another"),
            );
        }
        all.insert(Arc::from(name.as_str()), block);
    }

    fn locals(&mut self, block: Block, report: &Report) {
        for nested in &block.body.blocks {
            report.push(
                Diagnostic::error(codes::UNKNOWN_BLOCK, "`locals` holds attributes only")
                    .at(nested.header, "a block"),
            );
        }
        for attribute in block.body.attributes {
            if let Some(first) = self.locals.get(&attribute.name) {
                let what = format!("local.{}", attribute.name);
                report.push(twice(&what, attribute.name_span, first.name_span));
                continue;
            }
            self.locals.insert(attribute.name.clone(), attribute);
        }
    }

    fn resource(&mut self, kind: Kind, block: Block, report: &Report) {
        let Some(name) = name(&block, report) else {
            return;
        };
        let key = (kind, Arc::from(name.as_str()));
        if let Some(first) = self.resources.get(&key) {
            let what = format!("{kind}.{name}");
            report.push(twice(&what, block.header, first.block.header));
            return;
        }
        self.resources.insert(key, Resource { kind, name, block });
    }
}

fn twice(what: &str, again: Span, first: Span) -> Diagnostic {
    Diagnostic::error(codes::DUPLICATE, format!("{what} is declared twice"))
        .at(again, "again here")
        .also(first, "first here")
        .help("give one of them another name")
}

fn known_blocks() -> impl Iterator<Item = &'static str> {
    Kind::ALL.map(Kind::as_str).into_iter().chain(OTHERS)
}

fn unknown(block: &Block) -> Diagnostic {
    let kind = block.kind.as_ref();
    let d = Diagnostic::error(
        codes::UNKNOWN_BLOCK,
        format!("there is no block type `{kind}`"),
    )
    .at(block.header, "not known");
    match did_you_mean(kind, known_blocks()) {
        Some(help) => d.help(help),
        None if kind == "resource" => {
            d.help("kinds are block types of their own: node \"x\" { } instead of resource \"node\" \"x\" { }")
        }
        None => d.help("docs/language.md lists all blocks"),
    }
}

fn labels_fit(block: &Block, wanted: usize, report: &Report) -> bool {
    if block.labels.len() == wanted {
        return true;
    }
    let form = if wanted == 0 {
        format!("{} {{ }}", block.kind)
    } else {
        format!("{} \"name\" {{ }}", block.kind)
    };
    let text = format!(
        "`{}` takes {wanted} labels, found {}",
        block.kind,
        block.labels.len()
    );
    report.push(
        Diagnostic::error(codes::LABELS, text)
            .at(block.header, "this header")
            .help(format!("write {form}")),
    );
    false
}

/// The one label of a block, as a name.
fn name(block: &Block, report: &Report) -> Option<Name> {
    if !labels_fit(block, 1, report) {
        return None;
    }
    let label = block.labels.first()?;
    match label.text.parse::<Name>() {
        Ok(name) => Some(name),
        Err(e) => {
            report.push(
                Diagnostic::error(codes::LABELS, "this label is not a name")
                    .at(label.span, e.to_string()),
            );
            None
        }
    }
}
