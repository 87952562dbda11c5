//! From what is declared, recorded, observed and known to a plan, or to reasons why there is none.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::place::{Placed, place};
use super::select::{self, Everything, Selection};
use super::steps::Builder;
use super::{Change, Plan, StepId, allocate, ignore, moves, planfile};
use crate::diag::{Diagnostic, Diagnostics};
use crate::ids::Addr;
use crate::model::{Fleet, ImageFacts, Nic, Observed, Recorded, rules};
use crate::units::TableId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    Apply,
    Destroy,
    /// State takes note of what was seen; nothing else.
    Refresh,
}

/// Everything a plan is made from.
pub struct PlanInput<'a> {
    pub fleet: &'a Fleet,
    pub recorded: &'a Recorded,
    pub observed: &'a Observed,
    pub facts: &'a BTreeMap<Addr, ImageFacts>,
    pub intent: Intent,
    pub selection: &'a Selection,
}

/// Makes the plan. `Err` holds errors and warnings, as many as there are mistakes.
pub fn make(input: &PlanInput<'_>) -> Result<Plan, Diagnostics> {
    let mut plan = draft(input)?;
    plan.id = planfile::id_of(&plan);
    Ok(plan)
}

/// The same without its id, which takes a walk through all of it: for plans that are not the last, or have more to be said in them.
pub fn draft(input: &PlanInput<'_>) -> Result<Plan, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let moves = match input.intent {
        Intent::Apply | Intent::Destroy => {
            moves::resolve(input.fleet, input.recorded, &mut diagnostics)
        }
        Intent::Refresh => moves::Moves::new(),
    };
    let renamed =
        (!moves.is_empty()).then(|| moves::renamed(input.recorded, input.observed, &moves));
    let unmoved = (input.recorded, input.observed);
    let (recorded, observed) = renamed.as_ref().map_or(unmoved, |(r, o)| (r, o));
    let forgotten = moves::forgotten(input.fleet, recorded, &mut diagnostics);
    let settled = ignore::settle(input.fleet, recorded);
    let nothing = Fleet::default();
    let fleet = match input.intent {
        Intent::Apply => settled.as_ref().unwrap_or(input.fleet),
        Intent::Destroy | Intent::Refresh => &nothing,
    };
    diagnostics.extend(rules::check(fleet, input.facts));
    let everything = Everything::of(fleet, recorded, input.fleet);
    let replace = select::replaced(&everything, input.selection, &mut diagnostics);
    let chosen = input
        .selection
        .is_confined()
        .then(|| everything.chosen(input.selection, &mut diagnostics));
    let confined = chosen
        .as_ref()
        .map(|chosen| select::confine(fleet, recorded, chosen));
    let fleet = confined.as_ref().unwrap_or(fleet);
    diagnostics.extend(wrong_imports(fleet));
    let placement = place(fleet, recorded, input.facts, chosen.as_ref());
    let selected = chosen.map(|chosen| everything.with_needs(chosen, &placement.placed));
    diagnostics.extend(moves::unselected(&moves, selected.as_ref()));
    let (addresses, full) = allocate::allocate(fleet, recorded);
    if !diagnostics.has_errors() {
        diagnostics.extend(placement.refused);
        diagnostics.extend(full);
    }
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let (written, unmoved) = (input.fleet, input.recorded);
    let input = PlanInput {
        recorded,
        observed,
        ..*input
    };
    let mut maker = Maker {
        input: &input,
        written,
        unmoved,
        imported: written.imports.iter().map(|i| &i.to).collect(),
        fleet,
        moves,
        forgotten,
        selected,
        replace,
        nics: fleet.nics_by_node(),
        placed: placement.placed,
        addresses,
        builder: Builder::sized(fleet),
        changes: Vec::new(),
        recorded_by: BTreeMap::new(),
        released_by: BTreeMap::new(),
        departures: BTreeMap::new(),
        finished_by: BTreeMap::new(),
        image_checks: BTreeMap::new(),
        vacated: BTreeMap::new(),
        left_by_this_plan: BTreeMap::new(),
        diagnostics,
    };
    maker.all();
    maker.finish()
}

/// Imports into what is not declared, or from two places.
fn wrong_imports(fleet: &Fleet) -> Vec<Diagnostic> {
    let unknown = fleet
        .imports
        .iter()
        .filter(|i| !fleet.instances.contains_key(&i.to));
    let told = unknown.map(|import| {
        let text = format!("{} is to be taken over, and is not declared", import.to);
        Diagnostic::error("E0611", text)
            .at(import.span, "said here")
            .help("declare the instance as it is to be, and the plan shows what would differ; or have it written: bmctl import --generate-config FILE")
    });
    let mut nodes: BTreeMap<&Addr, &Addr> = BTreeMap::new();
    let twice = fleet.imports.iter().filter_map(move |import| {
        let first = *nodes.entry(&import.to).or_insert(&import.node);
        (*first != import.node).then(|| {
            let text = format!(
                "{} is to be taken over from {first} and from {}",
                import.to, import.node
            );
            Diagnostic::error("E0612", text)
                .at(import.span, "said here, and before")
                .help("an instance stands on one node: take one of the `import` blocks out")
        })
    });
    told.chain(twice).collect()
}

pub(super) struct Maker<'a> {
    pub(super) input: &'a PlanInput<'a>,
    /// The configuration as it was given, and state under its old names.
    pub(super) written: &'a Fleet,
    pub(super) unmoved: &'a Recorded,
    /// Who is taken over from the node that it stands on.
    pub(super) imported: BTreeSet<&'a Addr>,
    /// What is planned for: less than what is written when a part was asked for, or all is to be destroyed.
    pub(super) fleet: &'a Fleet,
    /// Recorded resources that go by another address: old and new.
    pub(super) moves: moves::Moves,
    /// What leaves state without being taken down.
    pub(super) forgotten: BTreeSet<Addr>,
    /// What is planned for; `None` means everything.
    pub(super) selected: Option<BTreeSet<Addr>>,
    /// Instances that are written anew because somebody asked for it.
    pub(super) replace: BTreeSet<Addr>,
    pub(super) nics: BTreeMap<&'a Addr, Vec<&'a Nic>>,
    pub(super) placed: BTreeMap<Addr, Placed>,
    pub(super) addresses: allocate::Addresses,
    pub(super) builder: Builder,
    pub(super) changes: Vec<Change>,
    /// The step that puts a resource into state.
    pub(super) recorded_by: BTreeMap<Addr, StepId>,
    /// The last step of an instance's destruction.
    pub(super) released_by: BTreeMap<Addr, StepId>,
    /// The steps by which an instance leaves the node that it stood on, for another.
    pub(super) departures: BTreeMap<Addr, Vec<StepId>>,
    /// The last step of an instance's change.
    pub(super) finished_by: BTreeMap<Addr, StepId>,
    pub(super) image_checks: BTreeMap<Addr, StepId>,
    /// Nodes that an instance leaves in this plan, and the step after which they are free.
    pub(super) vacated: BTreeMap<Addr, StepId>,
    /// The tables that instances which leave in this plan leave on their nodes' disks.
    pub(super) left_by_this_plan: BTreeMap<Addr, Vec<TableId>>,
    pub(super) diagnostics: Diagnostics,
}

impl Maker<'_> {
    fn all(&mut self) {
        match self.input.intent {
            Intent::Apply | Intent::Destroy => {
                self.rename();
                self.resources();
                self.instances();
                self.forget();
            }
            Intent::Refresh => self.observe(),
        }
    }

    /// Whether the plan is about this resource.
    pub(super) fn wants(&self, addr: &Addr) -> bool {
        self.selected.as_ref().is_none_or(|s| s.contains(addr))
    }
}
