//! What is scarce at a site is queued for.

use bmctl::apply::schedule::{Action, Schedule};
use bmctl::model::{Observed, PowerSeen};
use bmctl::plan::{Intent, Step, StepId};

use super::racks::{fleet, nodes};
use super::rig::count;
use crate::fleet::{facts_of, plan};

/// A rack that somebody switched off does not come back all at once: power-ons without boot files queue too.
#[test]
fn power_ons_of_drift_have_a_budget() {
    let wanted = fleet(&format!(
        "{}instance \"i\" {{\n  count = 40\n  flavor = flavor.small\n  image = image.disk\n}}\n",
        nodes(40)
    ));
    let facts = facts_of(&wanted.fleet);
    let mut memory = crate::fleet::Memory::new();
    let seen = Observed::default();
    let first = plan(
        &wanted.fleet,
        &memory.recorded,
        &seen,
        &facts,
        Intent::Apply,
    )
    .unwrap();
    memory.seal(&wanted.fleet, &first);
    memory.apply(&first, |_| false);
    let mut off = Observed::default();
    for node in wanted.fleet.nodes.keys() {
        off.power.insert(node.clone(), PowerSeen::Off);
    }
    let drift = plan(&wanted.fleet, &memory.recorded, &off, &facts, Intent::Apply).unwrap();
    assert_eq!(count(&drift, |s| matches!(s, Step::PowerOn { .. })), 40);

    let mut schedule = Schedule::new(&drift);
    let mut actions = schedule.begin();
    let (mut running, mut most, mut ended) = (Vec::new(), 0, 0);
    while !schedule.is_over() {
        for action in actions {
            match action {
                Action::Start(id) => running.push(id),
                Action::End(id, outcome) => panic!("{id}: {outcome:?}"),
                Action::Wake(pause) => panic!("{pause:?}"),
            }
        }
        let is_on = |id: &&StepId| {
            matches!(
                drift.step(**id).map(|s| &s.step),
                Some(Step::PowerOn { .. })
            )
        };
        most = most.max(running.iter().filter(is_on).count());
        // What is no power-on ends first, so that as many of these as may be run at once.
        let at = running.iter().position(|id| !is_on(&id)).unwrap_or(0);
        actions = schedule.finished(running.remove(at), true);
        ended += 1;
    }
    assert_eq!((most, ended), (16, drift.steps.len()));
}
