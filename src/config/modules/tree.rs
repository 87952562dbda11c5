//! The root module and everything it calls, however deep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{GitSource, Lock, ModuleSource};
use crate::config::codes;
use crate::config::declare::{Declarations, RESERVED};
use crate::config::eval::join;
use crate::config::files::Files;
use crate::config::sources::SourceErrorKind;
use crate::config::suggest::did_you_mean;
use crate::config::syntax::ast::{Block, ExprKind};
use crate::config::value::Data;
use crate::diag::{Diagnostic, Span};

/// Modules within each other.
const DEPTH_MAX: usize = 16;
/// Calls in all; a call with `for_each` counts once.
const CALLS_MAX: usize = 2000;

/// A module as it is called from one place in the text; its instances come later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModuleId(pub usize);

impl ModuleId {
    pub const ROOT: ModuleId = ModuleId(0);
}

pub struct Module {
    /// Who calls it, under which name.
    pub caller: Option<(ModuleId, Arc<str>)>,
    /// From the root module; empty for the root module itself.
    pub dir: Arc<str>,
    pub declared: Arc<Declarations>,
    pub children: BTreeMap<Arc<str>, ModuleId>,
}

pub struct Tree {
    modules: Vec<Module>,
    /// Modules of repositories that the lock file does not have, or whose checkout is not there.
    pub missing: Vec<GitSource>,
    /// What the lock file calls the repositories that are used.
    pub repositories: BTreeSet<String>,
}

/// A call that was found and has not been followed yet.
struct Pending {
    caller: ModuleId,
    name: Arc<str>,
    header: Span,
    dir: Arc<str>,
    depth: usize,
}

impl Tree {
    /// Reads all of them, starting with the root module's declarations.
    pub fn load(root: Declarations, files: &mut Files<'_>, lock: &Lock) -> Tree {
        let root = Arc::new(root);
        let mut tree = Tree {
            modules: vec![Module {
                caller: None,
                dir: Arc::from(""),
                declared: root.clone(),
                children: BTreeMap::new(),
            }],
            missing: Vec::new(),
            repositories: BTreeSet::new(),
        };
        let mut read: BTreeMap<Arc<str>, Option<Arc<Declarations>>> = BTreeMap::new();
        read.insert(Arc::from(""), Some(root));
        let mut verified = BTreeMap::new();
        let mut queue = tree.calls(ModuleId::ROOT, 1, files, lock, &mut verified);
        while let Some(call) = queue.pop() {
            if tree.modules.len() > CALLS_MAX {
                let text = format!("more than {CALLS_MAX} module calls");
                files.report.push(
                    Diagnostic::error(codes::MODULE_LOOP, text)
                        .at(call.header, "this one is too many")
                        .help("call a module once, with for_each"),
                );
                break;
            }
            let declared = read.entry(call.dir.clone());
            let declared = declared.or_insert_with(|| directory(&call, files));
            let Some(declared) = declared.clone() else {
                continue;
            };
            let id = ModuleId(tree.modules.len());
            arguments(
                &tree.module(call.caller).declared,
                &call.name,
                &declared,
                files,
            );
            tree.modules.push(Module {
                caller: Some((call.caller, call.name.clone())),
                dir: call.dir,
                declared,
                children: BTreeMap::new(),
            });
            if let Some(parent) = tree.modules.get_mut(call.caller.0) {
                parent.children.insert(call.name, id);
            }
            queue.extend(tree.calls(id, call.depth + 1, files, lock, &mut verified));
        }
        tree.missing.sort();
        tree.missing.dedup();
        tree
    }

    pub fn module(&self, id: ModuleId) -> &Module {
        &self.modules[id.0]
    }

    pub fn ids(&self) -> impl Iterator<Item = ModuleId> + use<> {
        (0..self.modules.len()).map(ModuleId)
    }

    /// `module.a.module.b.`, or nothing for the root module: what stands before a name of the module.
    pub fn prefix(&self, id: ModuleId) -> String {
        match &self.module(id).caller {
            None => String::new(),
            Some((caller, name)) => format!("{}module.{name}.", self.prefix(*caller)),
        }
    }

    /// The calls in one module, those that lead nowhere left out and reported.
    fn calls(
        &mut self,
        id: ModuleId,
        depth: usize,
        files: &mut Files<'_>,
        lock: &Lock,
        verified: &mut BTreeMap<String, bool>,
    ) -> Vec<Pending> {
        let declared = self.module(id).declared.clone();
        let mut out = Vec::new();
        for (name, block) in declared.modules.iter().rev() {
            let Some((source, span)) = source(block, files) else {
                continue;
            };
            let dir = match source {
                ModuleSource::Local(path) => Some(beside(&self.module(id).dir, &path)),
                ModuleSource::Git(git) => {
                    self.repositories.insert(git.repository());
                    let dir = fetched(&git, span, files, lock, verified);
                    if dir.is_none() {
                        self.missing.push(git);
                    }
                    dir
                }
            };
            let Some(dir) = dir else { continue };
            if let Some(d) = self.circle(id, block, &dir, depth) {
                files.report.push(d);
                continue;
            }
            out.push(Pending {
                caller: id,
                name: name.clone(),
                header: block.header,
                dir: Arc::from(dir),
                depth,
            });
        }
        out
    }

    /// A module that is called by one that it calls, shown as the whole loop.
    fn circle(
        &self,
        caller: ModuleId,
        block: &Block,
        dir: &str,
        depth: usize,
    ) -> Option<Diagnostic> {
        let mut chain = vec![(block.header, dir.to_owned())];
        let mut at = caller;
        loop {
            let module = self.module(at);
            if module.dir.as_ref() == dir {
                let shown = |dir: &str| if dir.is_empty() { "." } else { dir }.to_owned();
                let mut names: Vec<String> = chain.iter().rev().map(|(_, d)| shown(d)).collect();
                names.insert(0, shown(dir));
                let text = format!(
                    "modules call each other in a circle: {}",
                    names.join(" -> ")
                );
                let mut d = Diagnostic::error(codes::MODULE_LOOP, text)
                    .at(block.header, "this call closes it");
                for (header, _) in chain.iter().skip(1) {
                    d = d.also(*header, "called here");
                }
                return Some(d.help("a module cannot contain itself; take one of these calls out"));
            }
            let Some((parent, name)) = &module.caller else {
                break;
            };
            if let Some(call) = self.module(*parent).declared.modules.get(name) {
                chain.push((call.header, module.dir.to_string()));
            }
            at = *parent;
        }
        (depth > DEPTH_MAX).then(|| {
            let text = format!("modules are nested deeper than {DEPTH_MAX} levels");
            Diagnostic::error(codes::MODULE_LOOP, text)
                .at(block.header, "this call is one too many")
                .help("a directory that links to one above it looks like this, too")
        })
    }
}

/// A module's directory from the root module, for a path from the directory of its caller.
fn beside(dir: &str, path: &str) -> String {
    // What starts in a directory is shortened; the root module's has no name.
    join(if dir.is_empty() { "." } else { dir }, path)
}

/// The value of `source`: it must be readable before anything is evaluated.
fn source(block: &Block, files: &Files<'_>) -> Option<(ModuleSource, Span)> {
    let Some(attribute) = block.body.attribute("source") else {
        if block.body.incomplete {
            return None;
        }
        files.report.push(
            Diagnostic::error(codes::MISSING, "`source` is required")
                .at(block.header, "not in this block")
                .help("write source = \"./directory\""),
        );
        return None;
    };
    let span = attribute.value.span;
    let wrong = |why: String| {
        files.report.push(
            Diagnostic::error(codes::MODULE_SOURCE, "this is no source of a module").at(span, why),
        );
        None
    };
    let ExprKind::Literal(value) = &attribute.value.kind else {
        if matches!(attribute.value.kind, ExprKind::Invalid) {
            return None;
        }
        return wrong(
            "expected a text without any reference: modules are read before anything is evaluated"
                .to_owned(),
        );
    };
    let Data::String(text) = &value.data else {
        return wrong(format!("expected a text, found {}", value.shown()));
    };
    match ModuleSource::parse(text) {
        Ok(source) => Some((source, span)),
        Err(why) => wrong(why),
    }
}

/// The directory of a locked module that is there and unchanged.
fn fetched(
    git: &GitSource,
    span: Span,
    files: &Files<'_>,
    lock: &Lock,
    verified: &mut BTreeMap<String, bool>,
) -> Option<String> {
    let report = |message: String, label: &str| {
        files.report.push(
            Diagnostic::error(codes::NOT_FETCHED, message)
                .at(span, label)
                .help("run `bmctl init`"),
        );
    };
    let Some(locked) = lock.modules.get(&git.repository()) else {
        report(
            format!("{} is not in {}", git.repository(), Lock::FILE),
            "not fetched yet",
        );
        return None;
    };
    let checkout = locked.checkout();
    let intact = *verified.entry(checkout.clone()).or_insert_with(|| {
        match files.sources.tree_digest(&checkout) {
            Ok(digest) if digest == locked.digest => true,
            Ok(digest) => {
                let text = format!("{checkout} is not what {} says", Lock::FILE);
                files.report.push(
                    Diagnostic::error(codes::LOCK, text)
                        .at(
                            span,
                            format!("expected digest {}, found {digest}", locked.digest),
                        )
                        .help("delete the directory and run `bmctl init`"),
                );
                false
            }
            Err(e) if e.kind == SourceErrorKind::NotFound => {
                report(
                    format!("commit {} is not fetched", locked.commit),
                    "not fetched on this machine",
                );
                false
            }
            Err(e) => {
                report(e.to_string(), "cannot be read");
                false
            }
        }
    });
    intact.then(|| locked.dir(git))
}

fn directory(call: &Pending, files: &mut Files<'_>) -> Option<Arc<Declarations>> {
    match files.sources.list(&call.dir) {
        Ok(names) => Some(Arc::new(files.declarations(&call.dir, &names))),
        Err(e) => {
            files.report.push(
                Diagnostic::error(
                    codes::MODULE_SOURCE,
                    format!("the module cannot be read: {e}"),
                )
                .at(call.header, "called here"),
            );
            None
        }
    }
}

/// What a call passes against what the module takes.
fn arguments(caller: &Declarations, name: &str, module: &Declarations, files: &Files<'_>) {
    let Some(block) = caller.modules.get(name) else {
        return;
    };
    for attribute in &block.body.attributes {
        let given = attribute.name.as_ref();
        if matches!(given, "version" | "providers") {
            let text = format!("`{given}` has no meaning here");
            let help = match given {
                "version" => "a module from a repository is chosen by ?ref= in its source",
                _ => "there are no providers; take it out",
            };
            files.report.push(
                Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, text)
                    .at(attribute.name_span, "not known")
                    .help(help),
            );
        } else if !RESERVED.contains(&given) && !module.variables.contains_key(given) {
            let text = format!("module \"{name}\" has no variable `{given}`");
            let d = Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, text)
                .at(attribute.name_span, "not known");
            let known = module.variables.keys().map(AsRef::as_ref);
            files.report.push(match did_you_mean(given, known) {
                Some(help) => d.help(help),
                None => d,
            });
        }
    }
    for nested in &block.body.blocks {
        let text = format!("`module` has no block `{}`", nested.kind);
        files
            .report
            .push(Diagnostic::error(codes::UNKNOWN_BLOCK, text).at(nested.header, "not known"));
    }
    for (variable, declared) in &module.variables {
        let given = block.body.incomplete || block.body.attribute(variable).is_some();
        if declared.body.attribute("default").is_none() && !declared.body.incomplete && !given {
            let text = format!("module \"{name}\" needs a value for `{variable}`");
            files.report.push(
                Diagnostic::error(codes::MISSING, text)
                    .at(block.header, "not in this block")
                    .also(declared.header, "declared without a default"),
            );
        }
    }
}
