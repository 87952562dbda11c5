//! `at_most_down`: whether a plan would take too many of a group down at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{Plan, view};
use crate::ids::Addr;
use crate::model::{
    Fleet, InstancePhase, Observed, PowerSeen, PowerState, Quorum, Recorded, Resource,
};

/// What is broken, as a sentence; `None` when enough of the group stays up.
///
/// What is down already counts: a group that has lost one machine cannot spare as many as one that has not.
pub fn broken(
    quorum: &Quorum,
    plan: &Plan,
    fleet: &Fleet,
    recorded: &Recorded,
    observed: &Observed,
) -> Option<String> {
    let in_group = |node: &Addr| {
        view::node(node, fleet, recorded).is_some_and(|n| {
            quorum
                .labels
                .iter()
                .all(|(k, v)| n.labels.get(k) == Some(v))
        })
    };
    let mut down: BTreeMap<&Addr, &'static str> = BTreeMap::new();
    for (node, why) in down_already(recorded, observed) {
        if in_group(node) {
            down.insert(node, why);
        }
    }
    let before = down.len();
    let going: BTreeSet<&Addr> = taken_down(plan, recorded)
        .into_iter()
        .filter(|node| in_group(node))
        .collect();
    let was_up: BTreeSet<&Addr> = going
        .iter()
        .copied()
        .filter(|n| !down.contains_key(n))
        .collect();
    for node in &going {
        down.entry(node).or_insert("is taken down");
    }
    let allowed = usize::try_from(quorum.at_most).unwrap_or(usize::MAX);
    let most = before + at_once(plan, recorded, &was_up);
    // A plan that takes nobody down is not to blame for who is down.
    if going.is_empty() || most <= allowed {
        return None;
    }
    const NAMED_MAX: usize = 10;
    let names: Vec<String> = down
        .iter()
        .take(NAMED_MAX)
        .map(|(node, why)| format!("{node} {why}"))
        .collect();
    let more = match down.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    Some(format!(
        "at most {allowed} of the group may be down at once, {most} would be ({before} already): {}{more}",
        names.join(", ")
    ))
}

/// How many of these nodes the plan may take down at the same time, at worst: a rollout takes a wave at a time, and what has
/// failed in it stays down.
fn at_once(plan: &Plan, recorded: &Recorded, nodes: &BTreeSet<&Addr>) -> usize {
    let node_of = nodes_of(plan, recorded);
    let is_one = |addr: &&Addr| node_of.get(*addr).is_some_and(|node| nodes.contains(node));
    let mut most = 0;
    let mut in_turn = 0;
    for rollout in &plan.rollouts {
        let members: BTreeSet<&Addr> = rollout.waves.iter().flatten().filter(is_one).collect();
        in_turn += members.len();
        let widest = rollout
            .waves
            .iter()
            .map(|w| w.iter().filter(is_one).count());
        let failed = usize::try_from(rollout.failures_max).unwrap_or(usize::MAX);
        let by_waves = widest.max().unwrap_or(0).saturating_add(failed);
        let mut grouped: BTreeSet<&Addr> = BTreeSet::new();
        let mut by_groups = 0;
        for group in &rollout.groups {
            let ours: BTreeSet<&Addr> = group.members.iter().filter(is_one).collect();
            by_groups += ours
                .len()
                .min(usize::try_from(group.at_most).unwrap_or(usize::MAX));
            grouped.extend(ours);
        }
        by_groups += members.difference(&grouped).count();
        most += by_waves.min(by_groups).min(members.len());
    }
    most + nodes.len().saturating_sub(in_turn)
}

/// The nodes whose system a plan stops.
fn taken_down<'a>(plan: &'a Plan, recorded: &'a Recorded) -> BTreeSet<&'a Addr> {
    nodes_of(plan, recorded).into_values().collect()
}

/// By instance, the node that a plan takes down for it: where it is, and for one that moves where it was.
fn nodes_of<'a>(plan: &'a Plan, recorded: &'a Recorded) -> BTreeMap<&'a Addr, &'a Addr> {
    let mut out = BTreeMap::new();
    for change in plan.changes.iter().filter(|c| c.takes_down()) {
        let was = recorded.resources.get(&change.addr);
        let node = match was.and_then(Resource::as_instance) {
            Some(record) => Some(&record.node),
            None => change.node.as_ref(),
        };
        out.extend(node.map(|node| (&change.addr, node)));
    }
    out
}

fn down_already<'a>(
    recorded: &'a Recorded,
    observed: &'a Observed,
) -> impl Iterator<Item = (&'a Addr, &'static str)> {
    let instances = recorded
        .resources
        .values()
        .filter_map(Resource::as_instance);
    instances.filter_map(|record| {
        let wanted = record.desired.power_state == PowerState::On;
        let why = match (&record.phase, observed.power.get(&record.node)) {
            (_, Some(PowerSeen::Off)) if wanted => "is off",
            // What cannot be asked may be down: to count it as up would be a guess in the wrong direction.
            (_, Some(PowerSeen::Unknown(_))) if wanted => "does not answer",
            (InstancePhase::Deploying, _) => "is not deployed to its end",
            (InstancePhase::Destroying, _) => "is being taken down",
            (InstancePhase::NeedsAttention(_), _) => "needs attention",
            (InstancePhase::Running | InstancePhase::Off, _) => return None,
        };
        Some((&record.node, why))
    })
}
