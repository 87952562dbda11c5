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
    for node in &going {
        down.entry(node).or_insert("is taken down");
    }
    let allowed = usize::try_from(quorum.at_most).unwrap_or(usize::MAX);
    // A plan that takes nobody down is not to blame for who is down.
    if going.is_empty() || down.len() <= allowed {
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
        "at most {allowed} of the group may be down at once, {} would be ({before} already): {}{more}",
        down.len(),
        names.join(", ")
    ))
}

/// The nodes whose system a plan stops: where it is, and for one that moves where it was.
fn taken_down<'a>(plan: &'a Plan, recorded: &'a Recorded) -> BTreeSet<&'a Addr> {
    let mut out = BTreeSet::new();
    for change in plan.changes.iter().filter(|c| c.takes_down()) {
        let was = recorded.resources.get(&change.addr);
        match was.and_then(Resource::as_instance) {
            Some(record) => out.insert(&record.node),
            None => change.node.as_ref().is_some_and(|node| out.insert(node)),
        };
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
            (InstancePhase::Deploying, _) => "is not deployed to its end",
            (InstancePhase::Destroying, _) => "is being taken down",
            (InstancePhase::NeedsAttention(_), _) => "needs attention",
            (InstancePhase::Running | InstancePhase::Off, _) => return None,
        };
        Some((&record.node, why))
    })
}
