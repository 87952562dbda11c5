//! PURE. Whether an instance may begin at this moment, as far as its windows go: it has to be up again before they close.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::Addr;
use crate::model::window::Window;
use crate::plan::Plan;
use crate::plan::forecast::Durations;

pub struct Windows<'p> {
    of: BTreeMap<&'p Addr, Vec<&'p Window>>,
    /// How long the steps of a subject take from this one on, when each takes the 95th percentile.
    rest_ms: Vec<u64>,
    /// Who has begun goes on: half-way is the worst place to stop.
    begun: BTreeSet<&'p Addr>,
}

impl<'p> Windows<'p> {
    pub fn of(plan: &'p Plan, durations: &Durations) -> Windows<'p> {
        let mut of: BTreeMap<&Addr, Vec<&Window>> = BTreeMap::new();
        for kept in &plan.windows {
            for member in &kept.members {
                of.entry(member).or_default().push(&kept.window);
            }
        }
        let mut rest_ms = vec![0; if of.is_empty() { 0 } else { plan.steps.len() }];
        for (at, step) in plan.steps.iter().enumerate().rev() {
            if !of.contains_key(&step.subject) {
                continue;
            }
            rest_ms[at] += durations.of(&step.step).p95_ms;
            let after = rest_ms[at];
            for before in &step.after {
                let before = before.0 as usize;
                if plan.steps[before].subject == step.subject {
                    rest_ms[before] = rest_ms[before].max(after);
                }
            }
        }
        Windows {
            of,
            rest_ms,
            begun: BTreeSet::new(),
        }
    }

    /// What keeps this step from being started, when something does. `None` lets its instance begin.
    pub fn ask(&mut self, plan: &'p Plan, at: usize, now_ms: i64) -> Option<String> {
        let subject = &plan.steps[at].subject;
        let windows = self.of.get(subject)?;
        if self.begun.contains(subject) {
            return None;
        }
        let takes_ms = self.rest_ms[at];
        if windows.iter().any(|w| w.holds(now_ms, takes_ms)) {
            return None;
        }
        let names: Vec<&str> = windows.iter().map(|w| w.name.as_str()).collect();
        let names = names.join(", ");
        let is_open = windows.iter().any(|w| w.open_until_ms(now_ms).is_some());
        Some(if is_open {
            let minutes = takes_ms.div_ceil(60_000);
            format!("window {names}: may take {minutes} min, and it closes before that")
        } else {
            format!("window {names}: it is not open")
        })
    }

    pub fn begins(&mut self, plan: &'p Plan, at: usize) {
        let subject = &plan.steps[at].subject;
        if self.of.contains_key(subject) {
            self.begun.insert(subject);
        }
    }
}
