//! PURE. What deployments borrow, and which loans are still open when a run ends.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::Addr;
use crate::plan::nature;
use crate::plan::step::{Bmc, BootTarget};
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
    pub returns: Returns,
}

/// A deployment: an instance on a node.
type Key<'p> = (&'p Addr, &'p Addr);

impl Loans {
    pub fn of(plan: &Plan) -> Loans {
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
        let of_step = plan.steps.iter().map(needed_by).collect();
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
            ended_well(loan.start)
                && !loan.end.is_some_and(&ended_well)
                && !given_back.contains(&loan.returns.node)
        });
        open.collect()
    }
}

fn needs(loan: nature::Loan) -> bool {
    match loan {
        nature::Loan::Starts | nature::Loan::Within | nature::Loan::Ends => true,
        nature::Loan::Apart | nature::Loan::Returns => false,
    }
}
