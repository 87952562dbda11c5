//! PURE. What a step's end means for state: one table for the live run and for recovery.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Addr, Kind};
use crate::model::recorded::{InstanceRecord, Phoned, WrittenDisk};
use crate::model::{InstancePhase, Resource, Traces};
use crate::plan::step::{Afterwards, Bmc, BootTarget, Step};
use crate::plan::{Plan, PlannedStep, StepId};
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
        // The plan knows what was declared; state knows what was found out on the way.
        Step::Finish {
            instance,
            node: _,
            record,
        } => {
            let mut done = record.as_ref().clone();
            if let Some(Resource::Instance(so_far)) = state.get(instance) {
                done.disk.clone_from(&so_far.disk);
                done.phoned.clone_from(&so_far.phoned);
            }
            record_of(instance, &done)
        }
        Step::Release {
            instance,
            node,
            then,
        } => {
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
                Afterwards::Gone => {
                    changes.push(StateChange::DropSecret(user_data_secret(instance)));
                }
                // Sealed before the run began: the deployment that follows reads it.
                Afterwards::Deployed => {}
            }
            changes
        }
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
        record.phase = InstancePhase::NeedsAttention(why.to_owned())
    })
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

/// What a deployment has borrowed and gives back when one of its steps fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returns {
    pub node: Addr,
    pub bmc: Bmc,
    pub target: BootTarget,
}

/// What every deployment of a plan borrows, found once: plans have a hundred thousand steps.
#[derive(Debug, Default)]
pub struct Borrowed {
    /// By instance and node.
    deployments: BTreeMap<(Addr, Addr), Loan>,
}

/// From the step that makes a node boot into the ramdisk to the one after which the ramdisk is gone.
#[derive(Debug)]
pub struct Loan {
    pub start: StepId,
    pub end: Option<StepId>,
    pub returns: Returns,
}

impl Borrowed {
    pub fn of(plan: &Plan) -> Borrowed {
        let mut bmcs: BTreeMap<(&Addr, &Addr), &Bmc> = BTreeMap::new();
        let mut starts: Vec<(&PlannedStep, &Addr, &BootTarget)> = Vec::new();
        let mut ends: BTreeMap<(&Addr, &Addr), StepId> = BTreeMap::new();
        for step in &plan.steps {
            match &step.step {
                Step::PowerOff { bmc, .. } | Step::PowerOn { bmc } => {
                    bmcs.entry((&step.subject, &bmc.node)).or_insert(bmc);
                }
                Step::BootDeploy { node, target, .. } => starts.push((step, node, target)),
                Step::Reboot { node, .. } | Step::RemoveBoot { node, .. } => {
                    ends.insert((&step.subject, node), step.id);
                }
                Step::Record { .. }
                | Step::Forget { .. }
                | Step::Move { .. }
                | Step::Claim { .. }
                | Step::CheckImage { .. }
                | Step::SetBootDevice { .. }
                | Step::AwaitRamdisk { .. }
                | Step::CheckDisk { .. }
                | Step::WriteDisk(_)
                | Step::EraseDisk { .. }
                | Step::BootInstance { .. }
                | Step::AwaitPhoneHome { .. }
                | Step::Finish { .. }
                | Step::Release { .. } => {}
            }
        }
        let deployments = starts
            .into_iter()
            .filter_map(|(step, node, target)| {
                let bmc = *bmcs.get(&(&step.subject, node))?;
                let returns = Returns {
                    node: node.clone(),
                    bmc: bmc.clone(),
                    target: target.clone(),
                };
                let loan = Loan {
                    start: step.id,
                    end: ends.get(&(&step.subject, node)).copied(),
                    returns,
                };
                Some(((step.subject.clone(), node.clone()), loan))
            })
            .collect();
        Borrowed { deployments }
    }

    /// Loans that were taken and neither ended nor given back by a step that failed: the steps between were blocked, or not
    /// started.
    pub fn left_open<'a>(
        &'a self,
        ended_well: &'a BTreeSet<StepId>,
        given_back: &'a BTreeSet<Addr>,
    ) -> impl Iterator<Item = &'a Loan> {
        self.deployments.values().filter(|loan| {
            ended_well.contains(&loan.start)
                && !loan.end.is_some_and(|end| ended_well.contains(&end))
                && !given_back.contains(&loan.returns.node)
        })
    }

    /// Set for steps between the deploy boot files and the goodbye of the ramdisk; after it the disk is the instance's own and
    /// nothing is borrowed any more.
    pub fn by(&self, step: &PlannedStep) -> Option<&Returns> {
        let borrows = match &step.step {
            Step::BootDeploy { .. }
            | Step::SetBootDevice { .. }
            | Step::PowerOn { .. }
            | Step::AwaitRamdisk { .. }
            | Step::CheckDisk { .. }
            | Step::WriteDisk(_)
            | Step::EraseDisk { .. }
            | Step::BootInstance { .. }
            | Step::Reboot { .. } => true,
            Step::Record { .. }
            | Step::Forget { .. }
            | Step::Move { .. }
            | Step::Claim { .. }
            | Step::CheckImage { .. }
            | Step::PowerOff { .. }
            | Step::AwaitPhoneHome { .. }
            | Step::Finish { .. }
            | Step::RemoveBoot { .. }
            | Step::Release { .. } => false,
        };
        let key = (step.subject.clone(), step.node.clone()?);
        let loan = self.deployments.get(&key)?;
        (borrows && loan.start <= step.id).then_some(&loan.returns)
    }
}
