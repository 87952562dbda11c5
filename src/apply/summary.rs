//! PURE. How a run ended, counted.

use std::collections::BTreeMap;

use crate::ids::Addr;
use crate::model::event::Outcome;
use crate::plan::PlannedStep;

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub done: usize,
    pub already_done: usize,
    pub failed: usize,
    pub blocked: usize,
    pub not_started: usize,
    /// Resources that a window kept from beginning, or that wait for such; their steps are among those not started.
    pub outside: BTreeMap<Addr, String>,
    /// Each failure: the resource, the step, and why.
    pub failures: Vec<(Addr, String, String)>,
}

impl Summary {
    pub fn count(&mut self, step: &PlannedStep, outcome: &Outcome) {
        match outcome {
            Outcome::Done { .. } => self.done += 1,
            Outcome::AlreadyDone { .. } => self.already_done += 1,
            Outcome::Failed { why } => {
                self.failed += 1;
                let title = step.step.title().to_owned();
                self.failures
                    .push((step.subject.clone(), title, why.clone()));
            }
            Outcome::Blocked { .. } => self.blocked += 1,
            Outcome::NotStarted => self.not_started += 1,
            Outcome::Outside { why } => {
                self.not_started += 1;
                self.outside.insert(step.subject.clone(), why.clone());
            }
        }
    }
}
