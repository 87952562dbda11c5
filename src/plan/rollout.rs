//! A change that goes through a fleet in turn: who is in which wave, how many may be down at once, and what stops it.
//!
//! What is written ([`Rule`]) speaks of numbers and percentages; what a plan holds ([`Rollout`]) names every instance of every wave,
//! so that nothing is left to decide when it is carried out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256 as Hasher};

use super::waves::knotted;
pub use super::waves::{roll_out, waits};
use super::{Action, Change, Plan, PlannedStep, Risk};
use crate::ids::{Addr, Kind};
use crate::model::rollout::has_labels;
pub use crate::model::rollout::{AtMostDown, Rule, Share};
use crate::model::{Fleet, Gate};
use crate::units::Sha256;

/// A rollout as a plan holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rollout {
    pub name: String,
    /// Of the rule it goes by: another rule makes another plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Sha256>,
    /// Its first wave has a size of its own.
    #[serde(default)]
    pub has_canary: bool,
    /// Instances in their order; one that is in no wave is not held back.
    pub waves: Vec<Vec<Addr>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    pub failures_max: u32,
    pub pause_s: u32,
    /// What every member has to pass before the next wave begins; each is a step of the member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// The first wave is of so many instances to which nothing else is done than asking them again what they have not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_again: Option<usize>,
}

/// Instances whose nodes share something, such as a rack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Group {
    /// `label = value`, for what is told.
    pub name: String,
    pub members: BTreeSet<Addr>,
    pub at_most: u32,
}

/// An instance that a rule is about, with the labels of its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    pub instance: &'a Addr,
    pub labels: &'a BTreeMap<String, String>,
    pub part: Part,
}

/// What a member does in its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Changes,
    /// It stands as it is, and is asked for what it has not shown in an earlier run.
    AskedAgain,
}

pub fn digest(rule: &Rule) -> Sha256 {
    // Values of the model always serialize; were one not to, its digest would equal no other.
    let bytes = serde_json::to_vec(rule).unwrap_or_default();
    Sha256(Hasher::digest(bytes).into())
}

impl Change {
    /// Whether it deploys a machine, or takes one down: what goes in turn.
    pub fn goes_in_turn(&self) -> bool {
        self.addr.kind == Kind::Instance && goes_in_turn(self.action, self.risk)
    }

    /// Its part in a rollout, when it has one.
    fn part(&self, steps: &[PlannedStep]) -> Option<Part> {
        if self.goes_in_turn() {
            return Some(Part::Changes);
        }
        let mut own = self.steps.iter().filter_map(|id| steps.get(id.0 as usize));
        let asks = own.any(|s| s.step.gate().is_some());
        asks.then_some(Part::AskedAgain)
    }
}

/// Whether such a change of an instance deploys its machine, or takes it down.
pub(super) fn goes_in_turn(action: Action, risk: Risk) -> bool {
    match action {
        Action::Create | Action::Redeploy | Action::Replace | Action::Resume => true,
        Action::Update | Action::Delete => risk != Risk::InPlace,
        Action::Adopt | Action::Move | Action::Forget => false,
    }
}

/// The labels of the node that a change is about, as they are declared: a node that is declared no more has none.
pub fn labels_of<'a>(change: &Change, fleet: &'a Fleet) -> &'a BTreeMap<String, String> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    let node = change.node.as_ref().and_then(|node| fleet.nodes.get(node));
    node.map_or(&NONE, |node| &node.labels)
}

/// The rule for nodes with these labels: the first by name that is about them.
pub(super) fn rule_about<'a>(
    labels: &BTreeMap<String, String>,
    fleet: &'a Fleet,
) -> Option<&'a Rule> {
    let mut rules = fleet.rollouts.iter();
    rules.find(|rule| has_labels(&rule.match_labels, labels))
}

/// The rollouts of a plan, and what is to be said about who is in none of them.
pub fn all(
    fleet: &Fleet,
    changes: &[Change],
    steps: &[PlannedStep],
) -> (Vec<Rollout>, Vec<String>) {
    let mut by_rule: BTreeMap<&str, Vec<Member<'_>>> = BTreeMap::new();
    for change in changes {
        let Some(part) = change.part(steps) else {
            continue;
        };
        let labels = labels_of(change, fleet);
        if let Some(rule) = rule_about(labels, fleet) {
            by_rule.entry(&rule.name).or_default().push(Member {
                instance: &change.addr,
                labels,
                part,
            });
        }
    }
    let (mut out, mut warnings) = (Vec::new(), Vec::new());
    for rule in &fleet.rollouts {
        let Some(mut members) = by_rule.remove(rule.name.as_str()) else {
            continue;
        };
        let knot = knotted(&members.iter().map(|m| m.instance).collect(), steps);
        members.retain(|m| !knot.contains(m.instance));
        if !knot.is_empty() {
            let names: Vec<String> = knot.iter().map(ToString::to_string).collect();
            warnings.push(format!(
                "rollout {} does not hold back {}: they wait for each other, and go at the same time",
                rule.name,
                names.join(", ")
            ));
        }
        if !members.is_empty() {
            out.push(roll_out(rule, &members, steps));
        }
    }
    (out, warnings)
}

/// Changes of a plan that would go by another rule than they did when it was made.
pub fn moved_on<'a>(plan: &'a Plan, fleet: &Fleet) -> Vec<(&'a Addr, String)> {
    let mut went_by: BTreeMap<&Addr, &Rollout> = BTreeMap::new();
    for rollout in &plan.rollouts {
        went_by.extend(rollout.waves.iter().flatten().map(|m| (m, rollout)));
    }
    let mut out = Vec::new();
    for change in &plan.changes {
        let was = went_by.get(&change.addr);
        let is = change
            .part(&plan.steps)
            .and_then(|_| rule_about(labels_of(change, fleet), fleet));
        if let Some(gate) = undeclared_gate(change, is, plan) {
            out.push((&change.addr, gate));
        }
        let what = match (was, is) {
            (Some(was), Some(is)) if was.rule == Some(digest(is)) => continue,
            // Those that wait for each other are in none.
            (None, Some(is)) if plan.rollouts.iter().any(|r| r.rule == Some(digest(is))) => {
                continue;
            }
            (None, None) => continue,
            (None, Some(is)) => format!("went by no rollout, and goes by {}", is.name),
            (Some(was), None) => format!("went by rollout {}, and goes by none", was.name),
            (Some(_), Some(is)) => format!(
                "rollout {} is declared in another way than the plan was made from",
                is.name
            ),
        };
        out.push((&change.addr, what));
    }
    out
}

/// A gate may run a program: one that the configuration does not have is not to be carried out, whatever a plan says.
fn undeclared_gate(change: &Change, rule: Option<&Rule>, plan: &Plan) -> Option<String> {
    let declared = rule.map_or(&[][..], |r| &r.gates);
    let steps = change.steps.iter().filter_map(|id| plan.step(*id));
    let mut gates = steps.filter_map(|step| Some(&step.step.gate()?.gate));
    let strange = gates.find(|gate| !declared.contains(gate))?;
    Some(format!("no rollout has gate `{strange}` for it"))
}

/// `Rollout web: 1 canary, then 3 waves of up to 5, at most 1 down per rack, stops after 0 failures`
pub fn describe(rollout: &Rollout) -> String {
    let sizes: Vec<usize> = rollout.waves.iter().map(Vec::len).collect();
    let mut parts = Vec::new();
    let changing = match (rollout.asked_again, sizes.as_slice()) {
        (Some(_), [first, rest @ ..]) => {
            parts.push(format!("{first} asked again"));
            rest
        }
        (_, all) => all,
    };
    let rest = match (rollout.has_canary, changing) {
        (true, [first, rest @ ..]) => {
            parts.push(format!("{first} canary"));
            rest
        }
        (_, all) => all,
    };
    let then = if rollout.has_canary { "then " } else { "" };
    match rest {
        [] => {}
        [one] => parts.push(format!("{then}1 wave of {one}")),
        [first, .., last] => {
            let up_to = if first == last { "" } else { "up to " };
            parts.push(format!("{then}{} waves of {up_to}{first}", rest.len()));
        }
    }
    if let Some(group) = rollout.groups.first() {
        let label = group
            .name
            .split_once(" = ")
            .map_or(group.name.as_str(), |(l, _)| l);
        parts.push(format!("at most {} down per {label}", group.at_most));
    }
    if rollout.pause_s > 0 {
        parts.push(format!("{} s between waves", rollout.pause_s));
    }
    let gates: Vec<String> = rollout.gates.iter().map(|g| format!("`{g}`")).collect();
    if !gates.is_empty() {
        parts.push(format!("each has to pass {}", gates.join(" and ")));
    }
    let plural = if rollout.failures_max == 1 { "" } else { "s" };
    parts.push(match rollout.failures_max {
        0 => "stops at the first failure".to_owned(),
        n => format!("goes on after up to {n} failure{plural}"),
    });
    format!("Rollout {}: {}", rollout.name, parts.join(", "))
}

/// What is wrong with a plan's rollouts: an instance in two of them, or in a wave before one it waits for.
pub fn findings(rollouts: &[Rollout], steps: &[PlannedStep]) -> Vec<String> {
    let mut found = Vec::new();
    let mut wave_of: BTreeMap<&Addr, (&str, usize)> = BTreeMap::new();
    for rollout in rollouts {
        for (at, wave) in rollout.waves.iter().enumerate() {
            for member in wave {
                if let Some((other, _)) = wave_of.insert(member, (&rollout.name, at)) {
                    found.push(format!(
                        "{member} is in two waves, of rollout {other} and of rollout {}",
                        rollout.name
                    ));
                }
            }
        }
    }
    for rollout in rollouts {
        let members: BTreeSet<&Addr> = rollout.waves.iter().flatten().collect();
        for (member, others) in waits(&members, steps) {
            let own = wave_of.get(member).map(|(_, wave)| wave + 1);
            for other in others {
                let theirs = wave_of.get(other).map(|(_, wave)| wave + 1);
                if let (Some(own), Some(theirs)) = (own, theirs)
                    && own < theirs
                {
                    found.push(format!(
                        "rollout {}: {member} in wave {own} waits for {other} in wave {theirs}",
                        rollout.name
                    ));
                }
            }
        }
    }
    found
}
