//! A change that goes through a fleet in turn: who is in which wave, how many may be down at once, and what stops it.
//!
//! What is written ([`Rule`]) speaks of numbers and percentages; what a plan holds ([`Rollout`]) names every instance of every wave,
//! so that nothing is left to decide when it is carried out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256 as Hasher};

use super::{Action, Change, Plan, PlannedStep, Risk, StepId};
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

/// Names the waves. Members go by their addresses, but none before one whose steps its own steps wait for: an instance that moves
/// onto a node is in no earlier wave than the one that leaves it.
pub fn roll_out(rule: &Rule, members: &[Member<'_>], steps: &[PlannedStep]) -> Rollout {
    let mut turns: BTreeSet<&Addr> = members.iter().map(|m| m.instance).collect();
    let mut waves: Vec<Vec<Addr>> = Vec::new();
    let first = asked_first(members, steps);
    turns.retain(|member| !first.contains(member));
    let asked_again = (!first.is_empty()).then_some(first.len());
    waves.extend(asked_again.map(|_| first));
    let order = in_order(turns, steps);
    let all = order.len();
    let mut rest = order.as_slice();
    let mut size = rule.canary.unwrap_or(rule.wave).of(all);
    while !rest.is_empty() {
        let (wave, after) = rest.split_at(size.min(rest.len()));
        waves.push(wave.iter().map(|a| (*a).clone()).collect());
        rest = after;
        size = rule.wave.of(all);
    }
    Rollout {
        name: rule.name.clone(),
        rule: Some(digest(rule)),
        has_canary: rule.canary.is_some(),
        waves,
        groups: groups(rule.at_most_down.as_ref(), members),
        failures_max: rule.failures_max,
        pause_s: rule.pause_s,
        gates: rule.gates.clone(),
        asked_again,
    }
}

/// Whoever has not shown what it should is asked before anybody else begins; one whose own steps wait for another member's goes
/// in the order of these.
fn asked_first(members: &[Member<'_>], steps: &[PlannedStep]) -> Vec<Addr> {
    let all: BTreeSet<&Addr> = members.iter().map(|m| m.instance).collect();
    let waits_for = waits(&all, steps);
    let is_free = |m: &&Member<'_>| waits_for.get(m.instance).is_none_or(BTreeSet::is_empty);
    let asked = members.iter().filter(|m| m.part == Part::AskedAgain);
    let first: BTreeSet<&Addr> = asked.filter(is_free).map(|m| m.instance).collect();
    first.into_iter().cloned().collect()
}

fn groups(rule: Option<&AtMostDown>, members: &[Member<'_>]) -> Vec<Group> {
    let Some(AtMostDown { label, at_most }) = rule else {
        return Vec::new();
    };
    let mut by_value: BTreeMap<&String, BTreeSet<Addr>> = BTreeMap::new();
    for member in members {
        // A node without the label shares it with nobody.
        if let Some(value) = member.labels.get(label) {
            let group = by_value.entry(value).or_default();
            group.insert(member.instance.clone());
        }
    }
    let group = |(value, members)| Group {
        name: format!("{label} = {value}"),
        members,
        at_most: (*at_most).max(1),
    };
    by_value.into_iter().map(group).collect()
}

/// Members so that each comes after those it waits for, else by address.
fn in_order<'a>(members: BTreeSet<&'a Addr>, steps: &[PlannedStep]) -> Vec<&'a Addr> {
    let waits_for = waits(&members, steps);
    let mut open: BTreeMap<&Addr, usize> = BTreeMap::new();
    let mut followers: BTreeMap<&Addr, Vec<&'a Addr>> = BTreeMap::new();
    for (member, others) in &waits_for {
        open.insert(member, others.len());
        for other in others {
            followers.entry(other).or_default().push(member);
        }
    }
    let is_free = |m: &&Addr| open.get(*m).is_none_or(|n| *n == 0);
    let mut free: BTreeSet<&'a Addr> = members.iter().copied().filter(is_free).collect();
    let mut left = members;
    let mut order = Vec::with_capacity(left.len());
    // Instances that wait for each other step by step can only go together: the first of them goes first.
    while let Some(next) = free.pop_first().or_else(|| left.first().copied()) {
        if !left.remove(next) {
            continue;
        }
        order.push(next);
        for follower in followers.get(next).into_iter().flatten() {
            if let Some(open) = open.get_mut(follower) {
                *open = open.saturating_sub(1);
                if *open == 0 {
                    free.insert(follower);
                }
            }
        }
    }
    order
}

/// Members that wait for each other, in whatever way around: they swap nodes, and can only go at the same time.
fn knotted<'a>(members: &BTreeSet<&'a Addr>, steps: &[PlannedStep]) -> BTreeSet<&'a Addr> {
    let mut waits_for = waits(members, steps);
    // Whoever waits for nobody that is left, or whom nobody that is left waits for, is in no knot.
    loop {
        let awaited: BTreeSet<&Addr> = waits_for.values().flatten().copied().collect();
        let before = waits_for.len();
        waits_for.retain(|member, others| !others.is_empty() && awaited.contains(member));
        let left: BTreeSet<&'a Addr> = waits_for.keys().copied().collect();
        for others in waits_for.values_mut() {
            others.retain(|other| left.contains(other));
        }
        if waits_for.len() == before {
            return left;
        }
    }
}

/// For each member the members whose steps its own steps wait for, over any number of steps of others between.
pub fn waits<'a>(
    members: &BTreeSet<&'a Addr>,
    steps: &[PlannedStep],
) -> BTreeMap<&'a Addr, BTreeSet<&'a Addr>> {
    let mut before: Vec<BTreeSet<&'a Addr>> = Vec::with_capacity(steps.len());
    let mut out: BTreeMap<&'a Addr, BTreeSet<&'a Addr>> = BTreeMap::new();
    for step in steps {
        let member = members.get(&step.subject).copied();
        let mut reached = BTreeSet::new();
        for StepId(at) in &step.after {
            if let Some(others) = before.get(*at as usize) {
                reached.extend(others.iter().copied());
            }
        }
        if let Some(member) = member {
            reached.remove(member);
            out.entry(member).or_default().extend(reached.iter());
            reached.insert(member);
        }
        before.push(reached);
    }
    out
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
    let members: BTreeSet<&Addr> = wave_of.keys().copied().collect();
    for (member, others) in waits(&members, steps) {
        for other in others {
            let (Some((name, own)), Some((their_name, theirs))) =
                (wave_of.get(member), wave_of.get(other))
            else {
                continue;
            };
            if name == their_name && own < theirs {
                found.push(format!(
                    "rollout {name}: {member} in wave {} waits for {other} in wave {}",
                    own + 1,
                    theirs + 1
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Step;
    use crate::plan::steps::Builder;

    fn addr(text: &str) -> Addr {
        text.parse().unwrap()
    }

    fn rule(canary: Option<Share>, wave: Share) -> Rule {
        Rule {
            name: "web".to_owned(),
            canary,
            wave,
            at_most_down: Some(AtMostDown {
                label: "rack".to_owned(),
                at_most: 1,
            }),
            match_labels: BTreeMap::new(),
            failures_max: 0,
            pause_s: 0,
            gates: Vec::new(),
        }
    }

    /// Ten instances, two to a rack; steps one after the other where `edges` says so.
    fn rolled(rule: &Rule, edges: &[(usize, usize)]) -> (Rollout, Vec<PlannedStep>) {
        let names: Vec<Addr> = (0..10).map(|n| addr(&format!("instance.i{n}"))).collect();
        let mut builder = Builder::default();
        // A step may only wait for one that stands before it.
        let mut order: Vec<usize> = (0..10).collect();
        order.sort_by_key(|n| edges.iter().any(|(_, after)| after == n));
        let mut ids = BTreeMap::new();
        for n in order {
            let waits = edges.iter().filter(|(_, after)| *after == n);
            let after: Vec<StepId> = waits.map(|(before, _)| ids[before]).collect();
            let forget = Step::Forget {
                addr: names[n].clone(),
            };
            ids.insert(n, builder.push(&names[n], None, forget, &after, 60));
        }
        let labels: Vec<BTreeMap<String, String>> = (0..10)
            .map(|n| BTreeMap::from([("rack".to_owned(), format!("r{}", n / 2))]))
            .collect();
        let members: Vec<Member<'_>> = names
            .iter()
            .zip(&labels)
            .map(|(instance, labels)| Member {
                instance,
                labels,
                part: Part::Changes,
            })
            .collect();
        (roll_out(rule, &members, &builder.steps), builder.steps)
    }

    fn sizes(rollout: &Rollout) -> Vec<usize> {
        rollout.waves.iter().map(Vec::len).collect()
    }

    #[test]
    fn waves_have_the_size_that_is_written() {
        let (canary, steps) = rolled(&rule(Some(Share::Number(1)), Share::Percent(25)), &[]);
        assert_eq!(sizes(&canary), [1, 3, 3, 3]);
        assert_eq!(findings(std::slice::from_ref(&canary), &steps), [""; 0]);
        assert_eq!(canary.groups.len(), 5);
        assert_eq!(canary.groups[0].name, "rack = r0");
        assert_eq!(canary.groups[0].members.len(), 2);
        let (even, _) = rolled(&rule(None, Share::Number(4)), &[]);
        assert_eq!(sizes(&even), [4, 4, 2]);
        let (all, _) = rolled(&rule(None, Share::Percent(100)), &[]);
        assert_eq!(sizes(&all), [10]);
        let (none, _) = rolled(&rule(None, Share::Percent(0)), &[]);
        assert_eq!(sizes(&none), [1; 10]);
    }

    #[test]
    fn what_is_to_come_is_told() {
        let (canary, _) = rolled(&rule(Some(Share::Number(1)), Share::Percent(25)), &[]);
        assert_eq!(
            describe(&canary),
            "Rollout web: 1 canary, then 3 waves of 3, at most 1 down per rack, stops at the first failure"
        );
        let mut loose = rule(None, Share::Number(4));
        loose.at_most_down = None;
        loose.failures_max = 2;
        loose.pause_s = 60;
        assert_eq!(
            describe(&rolled(&loose, &[]).0),
            "Rollout web: 3 waves of up to 4, 60 s between waves, goes on after up to 2 failures"
        );
    }

    #[test]
    fn who_swaps_nodes_is_found() {
        let names: Vec<Addr> = (0..4).map(|n| addr(&format!("instance.i{n}"))).collect();
        let mut builder = Builder::default();
        let mut step = |n: usize, after: &[StepId]| {
            let forget = Step::Forget {
                addr: names[n].clone(),
            };
            builder.push(&names[n], None, forget, after, 60)
        };
        let (a, b) = (step(0, &[]), step(1, &[]));
        step(0, &[b]);
        let end = step(1, &[a]);
        step(2, &[end]);
        step(3, &[]);
        let members: BTreeSet<&Addr> = names.iter().collect();
        let knot = knotted(&members, &builder.steps);
        assert_eq!(knot, BTreeSet::from([&names[0], &names[1]]));
    }

    #[test]
    fn who_waits_for_another_is_in_no_earlier_wave() {
        let (rollout, steps) = rolled(&rule(None, Share::Number(1)), &[(9, 0), (5, 2)]);
        let at = |n: usize| {
            let name = addr(&format!("instance.i{n}"));
            rollout.waves.iter().position(|w| w.contains(&name))
        };
        assert!(at(9) < at(0) && at(5) < at(2));
        assert_eq!(findings(std::slice::from_ref(&rollout), &steps), [""; 0]);
        let mut wrong = rollout.clone();
        wrong.waves.reverse();
        let found = findings(&[wrong, rollout], &steps);
        assert!(
            found
                .iter()
                .any(|f| f.contains("instance.i0 is in two waves"))
        );
        let mut backwards = rolled(&rule(None, Share::Number(1)), &[(9, 0)]).0;
        backwards.waves.reverse();
        let found = findings(&[backwards], &steps);
        assert!(
            found.iter().any(|f| f.contains("waits for instance.i9")),
            "{found:?}"
        );
    }
}
