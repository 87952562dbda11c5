//! PURE. What a step's end means for state: one table for the live run and for recovery.

use std::collections::BTreeMap;

use crate::ids::{Addr, Kind};
use crate::model::event::Outcome;
use crate::model::recorded::{InstanceRecord, Phoned, WrittenDisk};
use crate::model::{InstancePhase, Resource, Traces};
use crate::plan::step::{Afterwards, Step};
use crate::plan::unfinished_adoption;
use crate::store::StateChange;
use crate::units::TableId;

/// What an act found out that the plan could not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Written(WrittenDisk),
    Phoned(Phoned),
}

/// The name under which a node's BMC password is sealed.
pub fn password_secret(node: &Addr) -> String {
    format!("{node}/password")
}

/// The name under which an instance's user data is sealed.
pub fn user_data_secret(instance: &Addr) -> String {
    format!("{instance}/user_data")
}

/// How state changes when the step has ended well.
pub fn effects(
    step: &Step,
    fact: Option<&Fact>,
    state: &BTreeMap<Addr, Resource>,
) -> Vec<StateChange> {
    match step {
        Step::Record { addr, resource } => vec![StateChange::Put(addr.clone(), resource.clone())],
        Step::Forget { addr } => forget(addr, state),
        Step::Move { moves } => vec![StateChange::Move(moves.clone())],
        Step::Claim {
            instance,
            node: _,
            record,
        } => record_of(instance, record),
        Step::WriteDisk(write) => update(&write.instance, state, |record| {
            if let Some(Fact::Written(disk)) = fact {
                record.disk = Some(disk.clone());
            }
        }),
        Step::CheckDisk {
            instance, table, ..
        } => update(instance, state, |record| record.traces.add(*table)),
        Step::EraseDisk { instance, .. } => update(instance, state, |record| {
            record.disk = None;
            record.traces = Traces::default();
        }),
        Step::AwaitPhoneHome { instance, .. } => update(instance, state, |record| {
            if let Some(Fact::Phoned(said)) = fact {
                record.phoned = Some(said.clone());
            }
        }),
        Step::Gate(pass) => update(&pass.instance, state, |record| {
            if let Some(Fact::Phoned(said)) = fact {
                record.phoned = Some(said.clone());
            }
            record.unproven.retain(|open| *open != pass.gate);
        }),
        Step::Finish {
            instance, record, ..
        } => finished(instance, record, state),
        Step::Release {
            instance,
            node,
            then,
        } => released(instance, node, *then, state),
        Step::CheckImage { .. }
        | Step::BootDeploy { .. }
        | Step::PowerOff { .. }
        | Step::SetBootDevice { .. }
        | Step::PowerOn { .. }
        | Step::AwaitRamdisk { .. }
        | Step::BootInstance { .. }
        | Step::Reboot { .. }
        | Step::RemoveBoot { .. } => Vec::new(),
    }
}

/// The plan knows what was declared; state knows what was found out on the way.
fn finished(
    instance: &Addr,
    record: &InstanceRecord,
    state: &BTreeMap<Addr, Resource>,
) -> Vec<StateChange> {
    let mut done = record.clone();
    if let Some(Resource::Instance(so_far)) = state.get(instance) {
        done.disk.clone_from(&so_far.disk);
        done.phoned.clone_from(&so_far.phoned);
    }
    record_of(instance, &done)
}

fn released(
    instance: &Addr,
    node: &Addr,
    then: Afterwards,
    state: &BTreeMap<Addr, Resource>,
) -> Vec<StateChange> {
    let mut changes = vec![
        StateChange::LeaveBehind {
            node: node.clone(),
            tables: tables_of(instance, state),
        },
        StateChange::Remove(instance.clone()),
        StateChange::Unclaim {
            node: node.clone(),
            instance: instance.clone(),
        },
    ];
    match then {
        Afterwards::Gone => changes.push(StateChange::DropSecret(user_data_secret(instance))),
        // Sealed before the run began: the deployment that follows reads it.
        Afterwards::Deployed => {}
    }
    changes
}

/// An instance that is forgotten leaves its node as it is: what it carries is nobody's to overwrite.
fn forget(addr: &Addr, state: &BTreeMap<Addr, Resource>) -> Vec<StateChange> {
    let mut changes = vec![StateChange::Remove(addr.clone())];
    if addr.kind == Kind::Node {
        changes.push(StateChange::DropSecret(password_secret(addr)));
    }
    if let Some(Resource::Instance(record)) = state.get(addr) {
        changes.push(StateChange::Unclaim {
            node: record.node.clone(),
            instance: addr.clone(),
        });
        changes.push(StateChange::DropSecret(user_data_secret(addr)));
    }
    changes
}

/// The record as it is to be. User data that is not declared any more is not kept: the next deployment would hand it out.
fn record_of(instance: &Addr, record: &InstanceRecord) -> Vec<StateChange> {
    let mut changes = vec![put(instance, record)];
    if record.desired.user_data.is_none() {
        changes.push(StateChange::DropSecret(user_data_secret(instance)));
    }
    changes
}

/// What an instance leaves on its node's disk.
fn tables_of(instance: &Addr, state: &BTreeMap<Addr, Resource>) -> Vec<TableId> {
    let record = state.get(instance).and_then(Resource::as_instance);
    record.map_or_else(Vec::new, |r| r.tables().collect())
}

fn put(instance: &Addr, record: &InstanceRecord) -> StateChange {
    StateChange::Put(
        instance.clone(),
        Box::new(Resource::Instance(Box::new(record.clone()))),
    )
}

fn update(
    instance: &Addr,
    state: &BTreeMap<Addr, Resource>,
    change: impl FnOnce(&mut InstanceRecord),
) -> Vec<StateChange> {
    let Some(Resource::Instance(record)) = state.get(instance) else {
        return Vec::new();
    };
    let mut record = record.as_ref().clone();
    change(&mut record);
    vec![put(instance, &record)]
}

/// Marks an instance so that the next plan and every listing say that a person has to look.
pub fn needs_attention(
    subject: &Addr,
    why: &str,
    state: &BTreeMap<Addr, Resource>,
) -> Vec<StateChange> {
    update(subject, state, |record| {
        // What is being taken over is somebody's system: with another word in its place, the next plan would take it for a deployment
        // that has to be done over, and write.
        if unfinished_adoption(&record.phase) {
            return;
        }
        // What was being destroyed may be half gone: nobody is to boot from it because somebody had to look in between.
        if record.phase == InstancePhase::Destroying
            && let Some(disk) = record.disk.take()
        {
            record.traces.add(disk.table);
            record.traces.disk = Some(disk);
        }
        record.phase = InstancePhase::NeedsAttention(why.to_owned());
    })
}

/// How state changes when the step has failed: a claim may be in the store all the same, since the answer can be lost.
pub fn after_failure(step: &Step, state: &BTreeMap<Addr, Resource>) -> Vec<StateChange> {
    unrecorded_claim(step, state).into_iter().collect()
}

/// A claim is in the store before its step's end is. Without a record that goes with it, it would hold the node for an instance
/// that the next plan may put elsewhere, or not know at all.
pub fn unrecorded_claim(step: &Step, state: &BTreeMap<Addr, Resource>) -> Option<StateChange> {
    let Step::Claim { instance, node, .. } = step else {
        return None;
    };
    let record = state.get(instance).and_then(Resource::as_instance);
    (record.map(|r| &r.node) != Some(node)).then(|| StateChange::Unclaim {
        node: node.clone(),
        instance: instance.clone(),
    })
}

/// An outcome as the journal keeps it.
pub fn written(outcome: &Outcome) -> String {
    // An enum of texts always has a JSON form.
    serde_json::to_string(outcome).unwrap_or_default()
}

/// Applies changes to the copy of state that a run carries along.
pub fn fold(state: &mut BTreeMap<Addr, Resource>, changes: &[StateChange]) {
    for change in changes {
        match change {
            StateChange::Put(addr, resource) => {
                state.insert(addr.clone(), resource.as_ref().clone());
            }
            StateChange::Remove(addr) => {
                state.remove(addr);
            }
            StateChange::Move(moves) => {
                let before = std::mem::take(state);
                state.extend(before.into_iter().map(|(addr, mut resource)| {
                    resource.rename(moves);
                    (moves.get(&addr).cloned().unwrap_or(addr), resource)
                }));
            }
            StateChange::Unclaim { .. }
            | StateChange::DropSecret(_)
            | StateChange::LeaveBehind { .. } => {}
        }
    }
}
