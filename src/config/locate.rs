//! Where the state is, and nothing else: for those who look at it, or mend it, or speak to a run. They need no value of a variable
//! that it does not hang on, and a mistake somewhere else is none of theirs.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::declare::Declarations;
use super::eval::BUDGET;
use super::files::Files;
use super::load::{self, Opened};
use super::modules::Lock;
use super::report::Report;
use super::settings::StateBackend;
use super::sources::Sources;
use super::syntax::ast::{Block, Body, Expr, Step, StepKind};
use super::variables::VariableInput;
use super::{Loaded, codes};
use crate::diag::{Diagnostic, Diagnostics, SourceMap, Span};
use crate::ids::Kind;

/// What the configuration says of its state. With errors among the diagnostics, the backend is not to be used: it may be a default
/// in the place of what could not be read.
#[derive(Debug)]
pub struct Located {
    pub state: StateBackend,
    pub sources: SourceMap,
    pub diagnostics: Diagnostics,
}

/// As [`load`](super::load()), for the state alone.
pub fn locate(dir: &str, variables: &[VariableInput], sources: &dyn Sources) -> Located {
    let (declaring, giving, report) = (Report::default(), Report::default(), Report::default());
    let mut files = Files {
        sources,
        map: SourceMap::default(),
        report: &declaring,
    };
    let names = files.list(dir);
    let mut declared = files.declarations("", &names);
    for block in &mut declared.settings {
        // Whose plans are trusted matters to those who carry them out.
        let attributes = &mut block.body.attributes;
        attributes.retain(|a| a.name.as_ref() != "trusted_keys");
    }
    let mut needs = Needs::of(&declared);
    if needs.is_whole {
        return whole(load::load(dir, variables, sources));
    }
    files.report = &giving;
    let given = load::given_values(&mut files, &names, variables, &declared);
    let Files { map, .. } = files;
    let all = declaring.into_diagnostics();
    needs.is_missing |= all.dropped() > 0;
    let touching = all
        .iter()
        .filter(|d| needs.is_touched_by(d, &declared, &map));
    touching.for_each(|d| report.push(d.clone()));
    // A value that was not understood may be one that would have been the stronger.
    if !needs.variables.is_empty() {
        let all = giving.into_diagnostics();
        all.iter().for_each(|d| report.push(d.clone()));
    }
    let files = Files {
        sources,
        map,
        report: &report,
    };
    let declared = needs.only(declared);
    let Opened {
        world, settings, ..
    } = load::evaluated(files, declared, &given, Lock::default(), sources, BUDGET);
    Located {
        state: settings.state,
        sources: world.files.into_inner(),
        diagnostics: report.into_diagnostics(),
    }
}

fn whole(loaded: Loaded) -> Located {
    Located {
        state: loaded.settings.state,
        sources: loaded.sources,
        diagnostics: loaded.diagnostics,
    }
}

/// What the block `bmctl` hangs on, over however many steps.
#[derive(Default)]
struct Needs {
    variables: BTreeSet<Arc<str>>,
    locals: BTreeSet<Arc<str>>,
    /// Of the blocks and attributes that matter.
    places: Vec<Span>,
    /// Something is asked for that is not declared, or could not be read.
    is_missing: bool,
    /// It hangs on a resource or on a module: then nothing can be left out.
    is_whole: bool,
}

impl Needs {
    fn of(declared: &Declarations) -> Needs {
        let mut needs = Needs::default();
        for block in &declared.settings {
            needs.block(block, declared);
        }
        needs
    }

    fn block(&mut self, block: &Block, declared: &Declarations) {
        self.places.push(Span {
            end: block.body.span.end,
            ..block.header
        });
        self.body(&block.body, declared);
    }

    fn body(&mut self, body: &Body, declared: &Declarations) {
        self.is_missing |= body.incomplete;
        for attribute in &body.attributes {
            self.expression(&attribute.value, declared);
        }
        for block in &body.blocks {
            self.body(&block.body, declared);
        }
    }

    fn expression(&mut self, expression: &Expr, declared: &Declarations) {
        let mut found = Vec::new();
        expression.roots(&mut |root, _, steps| found.push((root, name_of(steps))));
        for (root, name) in found {
            match (root, name) {
                ("var", Some(name)) => self.variable(name, declared),
                ("local", Some(name)) => self.local(name, declared),
                ("var" | "local" | "module", _) => self.is_whole = true,
                (other, _) => self.is_whole |= other.parse::<Kind>().is_ok(),
            }
        }
    }

    fn variable(&mut self, name: &Arc<str>, declared: &Declarations) {
        if !self.variables.insert(name.clone()) {
            return;
        }
        match declared.variables.get(name) {
            Some(block) => self.block(block, declared),
            None => self.is_missing = true,
        }
    }

    fn local(&mut self, name: &Arc<str>, declared: &Declarations) {
        if !self.locals.insert(name.clone()) {
            return;
        }
        match declared.locals.get(name) {
            Some(attribute) => {
                self.places.push(Span {
                    end: attribute.value.span.end,
                    ..attribute.name_span
                });
                self.expression(&attribute.value, declared);
            }
            None => self.is_missing = true,
        }
    }

    /// Whether a mistake may have changed where the state is. A default in the place of what could not be read would be another
    /// state, so where that cannot be told, it counts.
    fn is_touched_by(&self, d: &Diagnostic, declared: &Declarations, map: &SourceMap) -> bool {
        let Some(place) = d.primary.as_ref().map(|label| label.span) else {
            return true;
        };
        if self.is_missing {
            return true;
        }
        if declared.settings.is_empty() {
            let text = map.get(place.file).map(|file| file.text.clone());
            return d.code == codes::UNKNOWN_BLOCK || text.is_none_or(|t| t.contains("bmctl"));
        }
        // What is declared twice is told at the second place, with the first beside it.
        let labels = d.primary.iter().chain(&d.secondary);
        let mut spans = labels.map(|label| label.span);
        spans.any(|span| self.places.iter().any(|place| meet(&span, place)))
    }

    fn only(&self, declared: Declarations) -> Declarations {
        let Declarations {
            settings,
            mut variables,
            mut locals,
            ..
        } = declared;
        variables.retain(|name, _| self.variables.contains(name));
        locals.retain(|name, _| self.locals.contains(name));
        Declarations {
            settings,
            variables,
            locals,
            ..Declarations::default()
        }
    }
}

fn meet(one: &Span, other: &Span) -> bool {
    one.file == other.file && one.start <= other.end && other.start <= one.end
}

fn name_of(steps: &[Step]) -> Option<&Arc<str>> {
    match &steps.first()?.kind {
        StepKind::Attribute(name) => Some(name),
        StepKind::Index(_)
        | StepKind::LegacyIndex(_)
        | StepKind::Splat
        | StepKind::AttributeSplat => None,
    }
}
