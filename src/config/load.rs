//! A directory, as one root module, to a fleet.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::declare::Declarations;
use super::eval::{BUDGET, Scope, World};
use super::evaluate::Evaluation;
use super::files::Files;
use super::modules::{GitSource, Lock, Tree};
use super::policies::Policies;
use super::report::Report;
use super::settings::Settings;
use super::sources::Sources;
use super::syntax::parse_file;
use super::variables::{self, Given, GivenValues, ValuesFile, VariableInput, VariableOrigin};
use super::{codes, files, rollouts, windows};
use crate::diag::{Diagnostic, Diagnostics, SourceMap, Span};
use crate::model::Fleet;

/// What a configuration says. With errors among the diagnostics, the fleet lacks what they are about.
#[derive(Debug, Default)]
pub struct Loaded {
    pub fleet: Fleet,
    pub settings: Settings,
    pub policies: Policies,
    pub sources: SourceMap,
    pub diagnostics: Diagnostics,
    pub lock: Lock,
    /// Modules of repositories that must be fetched first.
    pub missing: Vec<GitSource>,
    /// What the lock file calls the repositories that modules come from.
    pub repositories: BTreeSet<String>,
}

/// Loads a configuration. `dir` is the root module's directory as `sources` knows it, and is part of no name that is shown.
/// `variables` come in rising order of precedence within their kind; see [`VariableOrigin`].
pub fn load(dir: &str, variables: &[VariableInput], sources: &dyn Sources) -> Loaded {
    load_within(dir, variables, sources, BUDGET)
}

pub(super) fn load_within(
    dir: &str,
    variables: &[VariableInput],
    sources: &dyn Sources,
    budget: u64,
) -> Loaded {
    let Opened {
        world,
        fleet,
        settings,
        policies,
        diagnostics,
        lock,
        missing,
        repositories,
    } = open_within(dir, variables, sources, budget);
    let mut diagnostics = diagnostics;
    let has_any = world
        .files
        .borrow()
        .files()
        .any(|(_, f)| files::is_configuration(&f.path));
    // Nothing declared means that everything is to be taken down: that has to be said, by a file, and not by a slip in a path.
    if !has_any && !diagnostics.has_errors() {
        diagnostics.push(no_configuration());
    }
    Loaded {
        fleet,
        settings,
        policies,
        sources: world.files.into_inner(),
        diagnostics,
        lock,
        missing,
        repositories,
    }
}

fn no_configuration() -> Diagnostic {
    let text = "there is no configuration here: expected a file *.hcl or *.bmctl.json, found none";
    Diagnostic::error(codes::NO_CONFIGURATION, text).help(
        "go to the directory that holds it, or name it with -C DIR; an empty main.hcl says that nothing is to be",
    )
}

/// What is loaded, and the values of its names.
pub(super) struct Opened<'s> {
    pub world: World<'s>,
    pub fleet: Fleet,
    pub settings: Settings,
    pub policies: Policies,
    pub diagnostics: Diagnostics,
    lock: Lock,
    missing: Vec<GitSource>,
    repositories: BTreeSet<String>,
}

pub(super) fn open_within<'s>(
    dir: &str,
    variables: &[VariableInput],
    sources: &'s dyn Sources,
    budget: u64,
) -> Opened<'s> {
    let report = Report::default();
    let mut files = Files {
        sources,
        map: SourceMap::default(),
        report: &report,
    };
    let names = files.list(dir);
    let declared = files.declarations("", &names);
    let given = given_values(&mut files, &names, variables, &declared);
    let lock = locked(&mut files, &names);
    let opened = evaluated(files, declared, &given, lock, sources, budget);
    Opened {
        diagnostics: report.into_diagnostics(),
        ..opened
    }
}

/// The values of what is declared; mistakes are in the report of `files`.
pub(super) fn evaluated<'s>(
    mut files: Files<'_>,
    declared: Declarations,
    given: &GivenValues,
    lock: Lock,
    sources: &'s dyn Sources,
    budget: u64,
) -> Opened<'s> {
    let tree = Tree::load(declared, &mut files, &lock);
    let report = files.report;
    let texts: Vec<(String, usize)> = files
        .map
        .files()
        .map(|(_, f)| (f.path.clone(), f.text.len()))
        .collect();
    let mut world = World::new(sources, files.map, budget);
    for (path, bytes) in texts {
        world.grant(&path, bytes);
    }
    let mut fleet = Fleet::default();
    let evaluation = Evaluation {
        tree: &tree,
        report,
        lock: &lock,
    };
    let settings = evaluation.run(given, &mut world, &mut fleet);
    let policies = Policies::read(&Scope::new(&world), report);
    fleet.windows = windows::read(&Scope::new(&world), report);
    fleet.rollouts = rollouts::read(&Scope::new(&world), report);
    if let Some(d) = world.exhausted() {
        report.push(d);
    }
    Opened {
        world,
        fleet,
        settings,
        policies,
        diagnostics: Diagnostics::default(),
        missing: tree.missing,
        repositories: tree.repositories,
        lock,
    }
}

fn locked(files: &mut Files<'_>, names: &[String]) -> Lock {
    if !names.iter().any(|n| n == Lock::FILE) {
        return Lock::default();
    }
    let Some((file, text)) = files.read(Lock::FILE) else {
        return Lock::default();
    };
    let mut mistakes = Vec::new();
    let body = parse_file(file, &text, &mut mistakes);
    mistakes.into_iter().for_each(|d| files.report.push(d));
    Lock::read(&body, files.report)
}

fn add_variables(
    name: &str,
    files: &mut Files<'_>,
    given: &mut GivenValues,
) -> Vec<(Arc<str>, Span)> {
    match files.read(name) {
        Some((file, text)) => {
            let read = ValuesFile {
                file,
                name,
                text: &text,
            };
            variables::add_file(&read, given, &files.map, files.report)
        }
        None => Vec::new(),
    }
}

/// What is given for variables; the last one wins: environment, `bmctl.vars.hcl` and `.json`, `*.auto.vars.hcl` and `.json` by
/// their names, files and flags.
pub(super) fn given_values(
    files: &mut Files<'_>,
    names: &[String],
    inputs: &[VariableInput],
    declared: &Declarations,
) -> GivenValues {
    let mut given = GivenValues::new();
    let mut places: Vec<(Arc<str>, Span)> = Vec::new();
    for input in inputs.iter().filter(|i| i.origin == VariableOrigin::Env) {
        if declared.variables.contains_key(input.name.as_str()) {
            let file = files
                .map
                .add(format!("BMCTL_VAR_{}", input.name), shown(input, declared));
            given.insert(
                Arc::from(input.name.as_str()),
                Given::Text(file, input.text.clone()),
            );
        }
    }
    for name in ["bmctl.vars.hcl", "bmctl.vars.json"] {
        if names.iter().any(|n| n == name) {
            places.extend(add_variables(name, files, &mut given));
        }
    }
    let is_auto = |n: &&String| n.ends_with(".auto.vars.hcl") || n.ends_with(".auto.vars.json");
    for name in names.iter().filter(is_auto) {
        places.extend(add_variables(name, files, &mut given));
    }
    for input in inputs {
        match &input.origin {
            VariableOrigin::Env => {}
            VariableOrigin::File { path } => {
                let read = ValuesFile {
                    file: files.map.add(path.as_str(), input.text.as_str()),
                    name: path,
                    text: &input.text,
                };
                places.extend(variables::add_file(
                    &read,
                    &mut given,
                    &files.map,
                    files.report,
                ));
            }
            VariableOrigin::Flag => {
                let file = files
                    .map
                    .add(format!("--var {}", input.name), shown(input, declared));
                let name: Arc<str> = Arc::from(input.name.as_str());
                places.push((name.clone(), Span::new(file, 0..input.text.len())));
                given.insert(name, Given::Text(file, input.text.clone()));
            }
        }
    }
    // A place costs a walk through its file: no more of them than are shown.
    let strangers = places
        .into_iter()
        .filter(|(name, _)| !declared.variables.contains_key(name));
    for (name, place) in strangers.take(Diagnostics::LIMIT) {
        let known = declared.variables.keys().map(AsRef::as_ref);
        let place = files.map.place(place);
        files
            .report
            .push(variables::undeclared(&name, &place, known));
    }
    given
}

/// What a report may show of a value's text: nothing, when the variable is, or may be meant to be, sensitive.
fn shown<'i>(input: &'i VariableInput, declared: &Declarations) -> &'i str {
    match declared.variables.get(input.name.as_str()) {
        Some(block) if block.body.attribute("sensitive").is_none() => &input.text,
        _ => "(not shown)",
    }
}
