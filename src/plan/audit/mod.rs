//! The second opinion: what must be true of any finished plan, derived from the plan alone, by other code than made it.
//!
//! Runs in every test and before every apply (design rule 11). A finding is a bug in the planner or a forged plan.

mod deployments;
mod filed;

use std::collections::BTreeMap;

use deployments::{deployments_are_whole, one_instance_per_node};
use filed::Filed;

use super::step::{BootDevice, Persistence, Step, StepId};
use super::{Action, Plan, PlannedStep};
use crate::ids::Addr;

/// Every broken rule, as a sentence.
pub fn audit(plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    numbering(plan, &mut found);
    if !found.is_empty() {
        return found;
    }
    steps_are_about_what_they_say(plan, &mut found);
    let filed = Filed::of(plan);
    one_step_per_node(&filed, &mut found);
    one_instance_per_node(&filed, &mut found);
    destruction_is_named(plan, &mut found);
    nothing_outside_the_targets(plan, &mut found);
    what_is_acted_on_was_read(plan, &mut found);
    writes_are_prepared(&filed, &mut found);
    deployments_are_whole(&filed, &mut found);
    borrows_are_returned(&filed, &mut found);
    found.extend(super::rollout::findings(&plan.rollouts, &plan.steps));
    found
}

fn numbering(plan: &Plan, found: &mut Vec<String>) {
    for (at, step) in plan.steps.iter().enumerate() {
        if step.id.0 as usize != at {
            found.push(format!("step {} stands at place {at}", step.id));
        }
        for before in &step.after {
            if before.0 as usize >= at {
                found.push(format!(
                    "step {} waits for step {before}, which does not come before it",
                    step.id
                ));
            }
        }
        if step.conditions_differ() {
            found.push(format!(
                "step {}: its conditions are not those of its kind",
                step.id
            ));
        }
        if at > 0 && matches!(step.step, Step::Move { .. }) {
            found.push(format!(
                "step {} gives other addresses after steps that use the old ones",
                step.id
            ));
        }
        if step.limit_s == 0 {
            found.push(format!("step {} has no limit", step.id));
        }
    }
    let moves = plan
        .steps
        .first()
        .filter(|s| matches!(s.step, Step::Move { .. }));
    if let Some(first) = moves {
        for step in plan.steps.iter().skip(1).filter(|s| s.after.is_empty()) {
            found.push(format!(
                "step {} does not wait for step {}, which gives other addresses",
                step.id, first.id
            ));
        }
    }
    for change in &plan.changes {
        for id in &change.steps {
            if plan.step(*id).is_none() {
                found.push(format!("{}: step {id} does not exist", change.addr));
            }
        }
    }
}

impl PlannedStep {
    fn conditions_differ(&self) -> bool {
        (self.expect, self.goal) != self.step.conditions()
    }
}

/// The resource and the node that a step's own data name.
fn named_by(step: &Step) -> (Option<&Addr>, Option<&Addr>) {
    match step {
        Step::Record { addr, .. } | Step::Forget { addr } => (Some(addr), None),
        Step::Move { .. } => (None, None),
        Step::CheckImage { image, .. } => (Some(image), None),
        Step::Claim { instance, node, .. }
        | Step::BootDeploy { instance, node, .. }
        | Step::AwaitRamdisk { instance, node }
        | Step::CheckDisk { instance, node, .. }
        | Step::EraseDisk { instance, node, .. }
        | Step::BootInstance { instance, node, .. }
        | Step::Reboot { instance, node }
        | Step::AwaitPhoneHome { instance, node, .. }
        | Step::Finish { instance, node, .. }
        | Step::Release { instance, node, .. } => (Some(instance), Some(node)),
        Step::WriteDisk(write) => (Some(&write.instance), Some(&write.node)),
        Step::Gate(pass) => (Some(&pass.instance), Some(&pass.node)),
        Step::PowerOff { bmc, .. } | Step::PowerOn { bmc } | Step::SetBootDevice { bmc, .. } => {
            (None, Some(&bmc.node))
        }
        Step::RemoveBoot { node, .. } => (None, Some(node)),
    }
}

/// What a step does is done to the node and the resource it is filed under: budgets, locks and reviews go by those.
fn steps_are_about_what_they_say(plan: &Plan, found: &mut Vec<String>) {
    for step in &plan.steps {
        let (subject, node) = named_by(&step.step);
        if subject.is_some_and(|s| *s != step.subject) {
            found.push(format!(
                "step {} is filed under {} and acts for another resource",
                step.id, step.subject
            ));
        }
        // The record of an instance is filed under its node as well: it goes before the acts of its destruction.
        let is_record = matches!(step.step, Step::Record { .. });
        if node != step.node.as_ref() && !is_record {
            found.push(format!(
                "step {} ({}) acts on another node than the one it is filed under",
                step.id,
                step.step.title()
            ));
        }
        if let Step::Claim { record, .. } | Step::Finish { record, .. } = &step.step
            && Some(&record.node) != node
        {
            found.push(format!(
                "step {} records another node than its own",
                step.id
            ));
        }
    }
}

fn one_step_per_node(filed: &Filed<'_>, found: &mut Vec<String>) {
    for (node, steps) in &filed.nodes {
        for pair in steps.windows(2) {
            if !filed.is_before(pair[0], pair[1]) {
                found.push(format!(
                    "{node}: steps {} and {} could run at once",
                    pair[0], pair[1]
                ));
            }
        }
    }
}

/// Nothing is lost that no change speaks of, and the change names node and disk.
fn destruction_is_named(plan: &Plan, found: &mut Vec<String>) {
    let mut named: Vec<Option<&super::Change>> = vec![None; plan.steps.len()];
    for change in &plan.changes {
        for id in &change.steps {
            if let Some(slot) = named.get_mut(id.0 as usize) {
                *slot = Some(change);
            }
        }
    }
    for (step, change) in plan.steps.iter().zip(named) {
        let Some(change) = change else {
            if step.step.is_destructive() {
                found.push(format!(
                    "step {} ({}) belongs to no change",
                    step.id,
                    step.step.title()
                ));
            }
            continue;
        };
        let writes = matches!(step.step, Step::WriteDisk(_) | Step::EraseDisk { .. });
        if writes && change.disk.is_none() {
            found.push(format!(
                "{}: step {} writes to a disk that the change does not name",
                change.addr, step.id
            ));
        }
        if writes && matches!(change.action, Action::Update) {
            found.push(format!(
                "{}: an update writes to a disk in step {}",
                change.addr, step.id
            ));
        }
        if step.step.is_destructive() && matches!(change.risk, super::Risk::InPlace) {
            found.push(format!(
                "{}: step {} is destructive and the change says \"in place\"",
                change.addr, step.id
            ));
        }
    }
}

/// A plan that does not say what it read of a machine could not be told to be stale.
fn what_is_acted_on_was_read(plan: &Plan, found: &mut Vec<String>) {
    let reads = &plan.reads;
    let same = |a: &PlannedStep, b: &PlannedStep| (&a.subject, &a.node) == (&b.subject, &b.node);
    let is_move = |s: &&PlannedStep| matches!(s.step, Step::Move { .. });
    // The first step of each stretch about the same tells for all of them.
    let stretches = plan.steps.chunk_by(same);
    for step in stretches.filter_map(|s| s.iter().find(|s| !is_move(s))) {
        for addr in std::iter::once(&step.subject).chain(&step.node) {
            let declared = plan.inverse_of.is_some() || reads.declared.contains_key(addr);
            if !declared || !reads.state.contains_key(addr) {
                found.push(format!(
                    "step {} ({}) acts on {addr}, of which nothing was read",
                    step.id,
                    step.step.title()
                ));
            }
        }
    }
}

fn nothing_outside_the_targets(plan: &Plan, found: &mut Vec<String>) {
    let Some(confined) = &plan.confined else {
        return;
    };
    for step in &plan.steps {
        // A move renames rows of state, and is refused at plan time when what it renames is outside.
        let is_move = matches!(step.step, Step::Move { .. });
        let subject = Some(&step.subject).filter(|a| !confined.resources.contains(*a));
        let node = step.node.as_ref().filter(|a| !confined.nodes.contains(*a));
        let outside = subject.or(node).filter(|_| !is_move);
        if let Some(addr) = outside {
            found.push(format!(
                "step {} ({}) touches {addr}, which the plan is not about",
                step.id,
                step.step.title()
            ));
        }
    }
}

/// Before a write: the node is claimed, the ramdisk has reported, the image is checked.
fn writes_are_prepared(filed: &Filed<'_>, found: &mut Vec<String>) {
    let plan = filed.plan;
    let mut checks: BTreeMap<(&Addr, crate::units::Sha256), StepId> = BTreeMap::new();
    for step in &plan.steps {
        if let Step::CheckImage { image, facts, .. } = &step.step {
            checks.insert((image, facts.sha256), step.id);
        }
    }
    for step in &plan.steps {
        let Step::WriteDisk(write) = &step.step else {
            continue;
        };
        let node = &write.node;
        let before = |wanted: &dyn Fn(&Step) -> bool| {
            filed
                .steps_of(node)
                .any(|s| wanted(&s.step) && filed.is_before(s.id, step.id) && s.id != step.id)
        };
        if !before(&|s| matches!(s, Step::Claim { instance, .. } if *instance == write.instance)) {
            found.push(format!(
                "step {} writes to {node} without having claimed it",
                step.id
            ));
        }
        if !before(&|s| matches!(s, Step::AwaitRamdisk { .. })) {
            found.push(format!(
                "step {} writes to {node} without having heard its ramdisk",
                step.id
            ));
        }
        let checked = checks
            .get(&(&write.image, write.facts.sha256))
            .is_some_and(|check| filed.is_before(*check, step.id));
        if !checked {
            found.push(format!(
                "step {} writes an image that no step checks",
                step.id
            ));
        }
    }
}

/// What a deployment borrows (the deploy boot files, the one-shot boot device) is replaced or removed after it.
fn borrows_are_returned(filed: &Filed<'_>, found: &mut Vec<String>) {
    for step in &filed.plan.steps {
        let Step::BootDeploy { node, .. } = &step.step else {
            continue;
        };
        let later = |wanted: &dyn Fn(&Step) -> bool| {
            filed.steps_of(node).any(|s| {
                s.id > step.id
                    && s.subject == step.subject
                    && wanted(&s.step)
                    && filed.is_before(step.id, s.id)
            })
        };
        if !later(&|s| matches!(s, Step::Reboot { .. } | Step::RemoveBoot { .. })) {
            found.push(format!(
                "{node}: the ramdisk of step {} is never left",
                step.id
            ));
        }
        if !later(&|s| matches!(s, Step::BootInstance { .. } | Step::RemoveBoot { .. })) {
            found.push(format!(
                "{node}: the deploy boot files of step {} are never replaced",
                step.id
            ));
        }
        let once = |s: &Step| {
            matches!(
                s,
                Step::SetBootDevice {
                    device: BootDevice::Pxe,
                    persistence: Persistence::Once,
                    ..
                }
            )
        };
        if !later(&once) {
            found.push(format!(
                "{node}: nothing makes it boot into the ramdisk after step {}",
                step.id
            ));
        }
    }
}
