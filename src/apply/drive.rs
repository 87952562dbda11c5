//! What every way of driving the machine does alike: the store's side of a run, in the order that the machine says.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::loans::Returns;
use super::machine::{Close, Command, Input, Machine};
use super::summary::Summary;
use super::turns::RolloutId;
use super::{ApplyError, Report, Run};
use crate::model::event::{Event, Outcome};
use crate::plan::{PlannedStep, StepId};

/// Whoever starts what the machine says: tasks of the runtime, or futures under a virtual clock.
pub trait Hands {
    fn start(&mut self, step: &PlannedStep, returns: Option<Returns>);
    fn give_back(&mut self, start: StepId, returns: Returns);
    fn wake(&mut self, rollout: RolloutId, after: Duration);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    On,
    /// The run has come to its end and is noted as such.
    Over,
}

pub struct Drive<'a, 'p, 'r> {
    run: &'a Run<'p>,
    machine: Machine<'p>,
    report: &'a mut Report<'r>,
    /// How long steps took that did something, by their titles: what the next forecast is made from.
    took: BTreeMap<&'static str, Vec<u64>>,
}

impl<'a, 'p, 'r> Drive<'a, 'p, 'r> {
    /// Refuses what must not be carried out; else notes the run and starts what can be started.
    pub async fn begin(
        run: &'a Run<'p>,
        report: &'a mut Report<'r>,
        hands: &mut impl Hands,
    ) -> Result<(Drive<'a, 'p, 'r>, Goes), ApplyError> {
        let recorded = run.store.recorded().await?;
        run.check(&recorded)?;
        let now = run.drivers.clock.now_ms();
        run.begin(now).await?;
        let machine = Machine::new(&run.id, run.plan, recorded.resources, run.notes_max);
        let mut drive = Drive {
            run,
            machine,
            report,
            took: BTreeMap::new(),
        };
        let goes = drive.feed(Input::Begin, hands).await?;
        Ok((drive, goes))
    }

    pub async fn feed(&mut self, input: Input, hands: &mut impl Hands) -> Result<Goes, ApplyError> {
        let mut goes = Goes::On;
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.run.drivers.clock.now_ms();
            for command in self.machine.handle(input, now) {
                match command {
                    Command::Commit(batch) => {
                        self.run.store.append(&self.run.id, &batch).await?;
                        inputs.push_back(Input::Committed);
                    }
                    Command::Report(event) => {
                        self.learn(&event);
                        (self.report)(event);
                    }
                    Command::Start(step, returns) => hands.start(step, returns),
                    Command::GiveBack(start, returns) => hands.give_back(start, returns),
                    Command::Wake(rollout, seconds) => {
                        hands.wake(rollout, Duration::from_secs(u64::from(seconds)));
                    }
                    Command::Close(how) => {
                        self.close(how).await?;
                        goes = Goes::Over;
                    }
                }
            }
        }
        Ok(goes)
    }

    fn learn(&mut self, event: &Event) {
        if let Event::StepFinished {
            step,
            elapsed_ms,
            outcome: Outcome::Done { .. },
            ..
        } = event
            && let Some(planned) = self.run.plan.step(StepId(*step))
        {
            let took = self.took.entry(planned.step.title()).or_default();
            took.push(*elapsed_ms);
        }
    }

    async fn close(&mut self, how: Close) -> Result<(), ApplyError> {
        self.run.store.learn(&self.took).await?;
        let outcome = match how {
            Close::Done => "done",
            Close::Incomplete => "incomplete",
        };
        let now = self.run.drivers.clock.now_ms();
        Ok(self.run.store.end_run(&self.run.id, outcome, now).await?)
    }

    pub fn report(&mut self, event: crate::model::event::Event) {
        (self.report)(event);
    }

    pub fn is_paused(&self) -> bool {
        self.machine.is_paused()
    }

    pub fn summary(&self) -> Summary {
        self.machine.summary().clone()
    }
}
