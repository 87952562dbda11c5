//! A directory, as one root module, to a fleet.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codes;
use super::declare::Declarations;
use super::eval::{BUDGET, Scope, World, eval};
use super::expand::expand;
use super::order::{Unit, order};
use super::outputs;
use super::report::Report;
use super::settings::{self, Settings};
use super::sources::Sources;
use super::syntax::parse_file;
use super::variables::{self, Given, GivenValues, VariableInput, VariableOrigin};
use crate::diag::{Diagnostic, Diagnostics, FileId, SourceMap, Span};
use crate::model::Fleet;

/// A configuration is text that people wrote, or a generator; not an image.
const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a configuration says. With errors among the diagnostics, the fleet lacks what they are about.
#[derive(Debug, Default)]
pub struct Loaded {
    pub fleet: Fleet,
    pub settings: Settings,
    pub sources: SourceMap,
    pub diagnostics: Diagnostics,
}

/// Loads the directory. `variables` come in rising order of precedence within their kind; see [`VariableOrigin`].
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
        diagnostics,
    } = open_within(dir, variables, sources, budget);
    Loaded {
        fleet,
        settings,
        sources: world.files.into_inner(),
        diagnostics,
    }
}

/// What is loaded, and the values of its names.
pub(super) struct Opened<'s> {
    pub world: World<'s>,
    pub fleet: Fleet,
    pub settings: Settings,
    pub diagnostics: Diagnostics,
}

pub(super) fn open_within<'s>(
    dir: &str,
    variables: &[VariableInput],
    sources: &'s dyn Sources,
    budget: u64,
) -> Opened<'s> {
    let report = Report::default();
    let mut files = Files {
        dir,
        sources,
        map: SourceMap::default(),
        report: &report,
    };
    let names = match sources.list(dir) {
        Ok(names) => names,
        Err(e) => {
            report.push(Diagnostic::error(
                codes::UNREADABLE,
                format!("the directory cannot be read: {e}"),
            ));
            Vec::new()
        }
    };
    let mut declared = Declarations::default();
    for name in names.iter().filter(|n| is_configuration(n)) {
        if let Some((file, text)) = files.read(name) {
            let mut mistakes = Vec::new();
            let body = parse_file(file, &text, &mut mistakes);
            mistakes.into_iter().for_each(|d| report.push(d));
            declared.add(body, &report);
        }
    }
    let given = given_values(&mut files, &names, variables, &declared);
    let map = std::mem::take(&mut files.map);
    let mut world = World::new(sources, map, budget);
    let mut fleet = Fleet::default();
    let settings = evaluate(&declared, &given, &mut world, &report, &mut fleet);
    if let Some(d) = world.exhausted() {
        report.push(d);
    }
    Opened {
        world,
        fleet,
        settings,
        diagnostics: report.into_diagnostics(),
    }
}

/// Every `*.hcl`, but not values of variables and not the lock file.
fn is_configuration(name: &str) -> bool {
    name.ends_with(".hcl") && !name.ends_with(".vars.hcl") && name != ".bmctl.lock.hcl"
}

struct Files<'s> {
    dir: &'s str,
    sources: &'s dyn Sources,
    map: SourceMap,
    report: &'s Report,
}

impl Files<'_> {
    fn read(&mut self, name: &str) -> Option<(FileId, Arc<str>)> {
        let refuse = |why: String| {
            self.report.push(Diagnostic::error(codes::UNREADABLE, why));
            None
        };
        let bytes = match self.sources.read(name) {
            Ok(bytes) => bytes,
            Err(e) => return refuse(format!("a file cannot be read: {e}")),
        };
        if bytes.len() > FILE_BYTES_MAX {
            return refuse(format!(
                "{name}: {} bytes; a file has at most {FILE_BYTES_MAX}",
                bytes.len()
            ));
        }
        match String::from_utf8(bytes) {
            Ok(text) => {
                let shown = if self.dir.is_empty() || self.dir == "." {
                    name.to_owned()
                } else {
                    format!("{}/{name}", self.dir.trim_end_matches('/'))
                };
                let text: Arc<str> = Arc::from(text);
                Some((self.map.add(shown, text.clone()), text))
            }
            Err(e) => {
                let at = e.utf8_error().valid_up_to();
                refuse(format!("{name}: not UTF-8 at byte {at}"))
            }
        }
    }

    fn variables(&mut self, name: &str, given: &mut GivenValues) -> Vec<(Arc<str>, Span)> {
        match self.read(name) {
            Some((file, text)) => variables::add_file(file, &text, given, self.report),
            None => Vec::new(),
        }
    }
}

/// What is given for variables; the last one wins: environment, `bmctl.vars.hcl`, `*.auto.vars.hcl`, files and flags.
fn given_values(
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
    if names.iter().any(|n| n == "bmctl.vars.hcl") {
        places.extend(files.variables("bmctl.vars.hcl", &mut given));
    }
    for name in names.iter().filter(|n| n.ends_with(".auto.vars.hcl")) {
        places.extend(files.variables(name, &mut given));
    }
    for input in inputs {
        match &input.origin {
            VariableOrigin::Env => {}
            VariableOrigin::File { path } => {
                let file = files.map.add(path.as_str(), input.text.as_str());
                places.extend(variables::add_file(
                    file,
                    &input.text,
                    &mut given,
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

fn evaluate(
    declared: &Declarations,
    given: &GivenValues,
    world: &mut World<'_>,
    report: &Report,
    fleet: &mut Fleet,
) -> Settings {
    for (name, block) in &declared.variables {
        let value = variables::value(name, block, given.get(name), world, report);
        world.variables.insert(name.clone(), value);
    }
    let settings = settings::read(&declared.settings, world, report);
    let order = order(declared);
    order.cycles.into_iter().for_each(|d| report.push(d));
    // Whatever is declared has its place before anything is evaluated, so that a name is never wrongly called unknown.
    for unit in order.units.iter().chain(&order.in_cycles) {
        set(world, unit, None);
    }
    for unit in &order.units {
        let slot = match unit {
            Unit::Local(name) => declared.locals.get(name).and_then(|attribute| {
                let value = eval(&attribute.value, &Scope::new(world));
                value.map_err(|stop| report.stop(stop, None)).ok()
            }),
            Unit::Resource(kind, name) => {
                let resource = declared.resources.get(&(*kind, name.clone()));
                resource.and_then(|r| expand(r, world, report, fleet))
            }
        };
        set(world, unit, slot);
    }
    for (name, block) in &declared.variables {
        if matches!(world.variables.get(name), Some(Some(_))) {
            variables::validate(name, block, world, report);
        }
    }
    let outputs = declared.outputs.iter();
    let read = outputs.filter_map(|(name, block)| {
        Some((name.to_string(), outputs::read(name, block, world, report)?))
    });
    fleet.outputs = read.collect::<BTreeMap<_, _>>();
    settings
}

fn set(world: &mut World<'_>, unit: &Unit, slot: super::eval::Slot) {
    match unit {
        Unit::Local(name) => world.locals.insert(name.clone(), slot),
        Unit::Resource(kind, name) => world
            .resources
            .entry(*kind)
            .or_default()
            .insert(name.clone(), slot),
    };
}
