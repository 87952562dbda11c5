//! PURE. A run told again: the events of the live run, from its plan and what it noted.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::Addr;
use crate::model::event::{Event, Outcome};
use crate::plan::{Plan, StepId};
use crate::store::{Happened, Record, RunRow};

/// In the order in which they happened; what was never started comes last, with what kept it.
pub fn events(run: &RunRow, plan: Option<&Plan>, records: &[Record]) -> Vec<Event> {
    let mut out = vec![Event::RunStarted {
        run: run.id.clone(),
        plan: run.plan.clone(),
        steps: plan.map_or(0, |p| p.steps.len()),
    }];
    let mut told = Told {
        plan,
        begun: BTreeMap::new(),
        bad: BTreeMap::new(),
        seen: BTreeSet::new(),
        counts: [0; 5],
    };
    for record in records {
        out.extend(told.record(record));
    }
    // What was not started may be yet: that a step was left out is known at the end of its run.
    let Some(end) = run.finished_ms else {
        out.push(told.without_end(&run.id));
        return out;
    };
    out.extend(told.never_started());
    let [done, already_done, failed, blocked, not_started] = told.counts;
    out.push(Event::RunFinished {
        run: run.id.clone(),
        done,
        already_done,
        failed,
        blocked,
        not_started,
        elapsed_ms: u64::try_from(end.saturating_sub(run.started_ms)).unwrap_or(0),
    });
    out
}

struct Told<'p> {
    plan: Option<&'p Plan>,
    begun: BTreeMap<StepId, i64>,
    /// Steps that did not end well, and what that makes of those which wait for them.
    bad: BTreeMap<StepId, Outcome>,
    seen: BTreeSet<StepId>,
    counts: [usize; 5],
}

impl Told<'_> {
    fn title(&self, step: StepId) -> String {
        let planned = self.plan.and_then(|p| p.step(step));
        planned.map_or_else(|| format!("step {step}"), |s| s.step.title().to_owned())
    }

    fn record(&mut self, record: &Record) -> Option<Event> {
        let (step, subject) = (record.step, record.subject.clone());
        let title = self.title(step);
        self.seen.insert(step);
        match &record.what {
            Happened::Started => {
                self.begun.insert(step, record.at_ms);
                Some(Event::StepStarted {
                    step: step.0,
                    subject,
                    title,
                })
            }
            Happened::Finished(outcome) => {
                let begun = self.begun.remove(&step).unwrap_or(record.at_ms);
                self.count(outcome);
                match outcome {
                    Outcome::Done { .. } | Outcome::AlreadyDone { .. } => {}
                    // Whoever waits for what a window kept is kept by the window.
                    Outcome::Outside { .. } => {
                        self.bad.insert(step, outcome.clone());
                    }
                    Outcome::Failed { .. } | Outcome::Blocked { .. } | Outcome::NotStarted => {
                        self.blocks(step, &subject, &title);
                    }
                }
                Some(Event::StepFinished {
                    step: step.0,
                    subject,
                    title,
                    elapsed_ms: u64::try_from(record.at_ms.saturating_sub(begun)).unwrap_or(0),
                    outcome: outcome.clone(),
                })
            }
            Happened::Settled(text) | Happened::Noted(text) => {
                self.begun.remove(&step);
                self.blocks(step, &subject, &title);
                Some(Event::Warning {
                    subject: Some(subject),
                    text: format!("{title}: {text}"),
                })
            }
        }
    }

    fn blocks(&mut self, step: StepId, subject: &Addr, title: &str) {
        let by = format!("{subject}: {title}");
        self.bad.insert(step, Outcome::Blocked { by });
    }

    fn count(&mut self, outcome: &Outcome) {
        let place = match outcome {
            Outcome::Done { .. } => 0,
            Outcome::AlreadyDone { .. } => 1,
            Outcome::Failed { .. } => 2,
            Outcome::Blocked { .. } => 3,
            Outcome::NotStarted | Outcome::Outside { .. } => 4,
        };
        self.counts[place] += 1;
    }

    fn without_end(&self, run: &str) -> Event {
        let ended: usize = self.counts.iter().sum();
        let steps = self.plan.map_or(0, |p| p.steps.len());
        let under_way = self.begun.len();
        let text = format!(
            "run {run} has no end yet: it goes on, or has died; {ended} of {steps} steps have ended, {under_way} are under way"
        );
        let subject = None;
        Event::Warning { subject, text }
    }

    fn never_started(&mut self) -> Vec<Event> {
        let Some(plan) = self.plan else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for planned in &plan.steps {
            if self.seen.contains(&planned.id) {
                continue;
            }
            let root = planned.after.iter().find_map(|before| self.bad.get(before));
            let outcome = root.cloned().unwrap_or(Outcome::NotStarted);
            if outcome != Outcome::NotStarted {
                self.bad.insert(planned.id, outcome.clone());
            }
            self.count(&outcome);
            out.push(Event::StepFinished {
                step: planned.id.0,
                title: planned.step.title().to_owned(),
                subject: planned.subject.clone(),
                elapsed_ms: 0,
                outcome,
            });
        }
        out
    }
}
