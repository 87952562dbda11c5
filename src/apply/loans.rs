//! PURE. What deployments borrow, and which loans are still open when a run ends.
//!
//! A run that dies leaves its loans to the next one: an instance that state has in the middle of a change may have its machine in
//! the ramdisk until the first power-off of that machine has ended well.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::Addr;
use crate::model::{InstancePhase, Resource};
use crate::plan::nature;
use crate::plan::step::{Bmc, BootTarget, Step};
use crate::plan::{Plan, PlannedStep, StepId};

/// What a deployment has borrowed and gives back when one of its steps fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returns {
    pub node: Addr,
    pub bmc: Bmc,
    pub target: BootTarget,
}

/// What every deployment of a plan borrows, found once: plans have a hundred thousand steps.
#[derive(Debug, Default)]
pub struct Loans {
    loans: Vec<Loan>,
    /// For each step of the plan the loan it needs.
    of_step: Vec<Option<usize>>,
}

/// From the step that makes a node boot into the ramdisk to the one after which the ramdisk is gone.
#[derive(Debug)]
pub struct Loan {
    pub start: StepId,
    pub end: Option<StepId>,
    /// It was open before this run began, or may have been.
    pub is_inherited: bool,
    pub returns: Returns,
}

/// A deployment: an instance on a node.
type Key<'p> = (&'p Addr, &'p Addr);

impl Loans {
    pub fn of(plan: &Plan, state: &BTreeMap<Addr, Resource>) -> Loans {
        let inherited = inherited(plan, state);
        let mut bmcs: BTreeMap<Key<'_>, &Bmc> = BTreeMap::new();
        let mut starts: Vec<(&PlannedStep, &Addr, &BootTarget)> = Vec::new();
        let mut ends: BTreeMap<Key<'_>, StepId> = BTreeMap::new();
        for step in &plan.steps {
            let nature = step.step.nature();
            if let Some(bmc) = nature.bmc {
                bmcs.entry((&step.subject, &bmc.node)).or_insert(bmc);
            }
            match (nature.loan, &step.node) {
                (nature::Loan::Starts, _) => {
                    starts.extend(nature.boot.map(|(node, target)| (step, node, target)));
                }
                (nature::Loan::Ends | nature::Loan::Returns, Some(node)) => {
                    ends.insert((&step.subject, node), step.id);
                }
                (nature::Loan::Apart | nature::Loan::Within, _)
                | (nature::Loan::Ends | nature::Loan::Returns, None) => {}
            }
        }
        let mut loans = Vec::new();
        let mut by_key: BTreeMap<Key<'_>, usize> = BTreeMap::new();
        for (step, node, target) in starts {
            let key = (&step.subject, node);
            let Some(bmc) = bmcs.get(&key).copied() else {
                continue;
            };
            by_key.insert(key, loans.len());
            loans.push(Loan {
                start: step.id,
                end: ends.get(&key).copied(),
                is_inherited: false,
                returns: Returns {
                    node: node.clone(),
                    bmc: bmc.clone(),
                    target: target.clone(),
                },
            });
        }
        let needed_by = |step: &PlannedStep| {
            let at = *by_key.get(&(&step.subject, step.node.as_ref()?))?;
            (needs(step.step.nature().loan) && loans.get(at)?.start <= step.id).then_some(at)
        };
        let mut of_step: Vec<Option<usize>> = plan.steps.iter().map(needed_by).collect();
        for loan in inherited {
            // Whatever fails before the ramdisk is surely gone must see to it that it is.
            if let Some(slot) = of_step.get_mut(loan.start.0 as usize) {
                *slot = slot.or(Some(loans.len()));
            }
            loans.push(loan);
        }
        Loans { loans, of_step }
    }

    /// Set for steps between the deploy boot files and the goodbye of the ramdisk; after it the disk is the instance's own and
    /// nothing is borrowed any more.
    pub fn needed_by(&self, step: StepId) -> Option<&Returns> {
        let at = (*self.of_step.get(step.0 as usize)?)?;
        self.loans.get(at).map(|loan| &loan.returns)
    }

    /// Loans that were taken and neither ended nor given back by a step that failed: the steps between were blocked, or not
    /// started.
    pub fn left_open(
        &self,
        ended_well: impl Fn(StepId) -> bool,
        given_back: &BTreeSet<Addr>,
    ) -> Vec<&Loan> {
        let open = self.loans.iter().filter(|loan| {
            (loan.is_inherited || ended_well(loan.start))
                && !loan.end.is_some_and(&ended_well)
                && !given_back.contains(&loan.returns.node)
        });
        open.collect()
    }
}

/// For every instance that may be in its ramdisk: from its first step to the power-off after which no ramdisk runs. The run that died
/// may have known instance and node by other names: state is as it left it, and the plan's steps have the names it gives.
fn inherited(plan: &Plan, state: &BTreeMap<Addr, Resource>) -> Vec<Loan> {
    let mut targets: BTreeMap<Key<'_>, &BootTarget> = BTreeMap::new();
    let mut firsts: BTreeMap<Key<'_>, (StepId, &Bmc)> = BTreeMap::new();
    let mut not_to_stay: BTreeSet<Key<'_>> = BTreeSet::new();
    for step in &plan.steps {
        let nature = step.step.nature();
        if let Some((node, target)) = nature.boot {
            if matches!(nature.loan, nature::Loan::Starts | nature::Loan::Returns) {
                not_to_stay.insert((&step.subject, node));
            }
            targets.entry((&step.subject, node)).or_insert(target);
        }
        if let (Step::PowerOff { bmc, .. }, Some(node)) = (&step.step, &step.node) {
            firsts
                .entry((&step.subject, node))
                .or_insert((step.id, bmc));
        }
    }
    let moved = moved(plan);
    let named: BTreeMap<&Addr, &Addr> = moved.iter().map(|(from, to)| (*to, *from)).collect();
    let open = firsts.into_iter().filter_map(|(key, (off, bmc))| {
        let (subject, node) = key;
        let was = named.get(subject).copied().unwrap_or(subject);
        let record = state.get(was)?.as_instance()?;
        let stands_on = moved.get(&record.node).copied().unwrap_or(&record.node);
        let has_no_system = record.disk.is_none() || not_to_stay.contains(&key);
        let may_be_lent = stands_on == node && may_be_in_ramdisk(&record.phase, has_no_system);
        let target = targets.get(&key).filter(|_| may_be_lent)?;
        Some(Loan {
            start: off,
            end: Some(off),
            is_inherited: true,
            returns: Returns {
                node: node.clone(),
                bmc: bmc.clone(),
                target: (*target).clone(),
            },
        })
    });
    open.collect()
}

/// Old names and those that the plan gives instead.
fn moved(plan: &Plan) -> BTreeMap<&Addr, &Addr> {
    let moves = plan.steps.iter().filter_map(|step| {
        let Step::Move { moves } = &step.step else {
            return None;
        };
        Some(moves)
    });
    moves.flatten().collect()
}

/// It is in the middle of a change, and there is no system on its disk that is to stay: that one could be running, and would be
/// left alone.
fn may_be_in_ramdisk(phase: &InstancePhase, has_no_system: bool) -> bool {
    match phase {
        InstancePhase::Destroying => true,
        InstancePhase::Deploying | InstancePhase::NeedsAttention(_) => has_no_system,
        InstancePhase::Running | InstancePhase::Off => false,
    }
}

fn needs(loan: nature::Loan) -> bool {
    match loan {
        nature::Loan::Starts | nature::Loan::Within | nature::Loan::Ends => true,
        nature::Loan::Apart | nature::Loan::Returns => false,
    }
}
