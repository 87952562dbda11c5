//! Drives the machine under a simulated clock, without spawning: one seed is one history.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::drive::{Drive, Goes, Hands};
use super::loans::Returns;
use super::machine::{Input, Performed};
use super::perform::Words;
use super::summary::Summary;
use super::turns::RolloutId;
use super::{ApplyError, Report, Run, perform};
use crate::drivers::Drivers;
use crate::drivers::sim::{Executor, World};
use crate::model::event::Event;
use crate::plan::{PlannedStep, StepId};

/// How a simulated future has ended.
enum End {
    Step(StepId, Performed),
    Returned(StepId, Option<String>),
    Woken(RolloutId),
}

/// Steps as futures that wait for nothing but the world's clock.
struct Futures {
    drivers: Drivers,
    world: Arc<World>,
    executor: Executor<End>,
    /// What steps have said since the last time.
    said: Arc<Mutex<Vec<Event>>>,
}

impl Futures {
    fn said(&self) -> Vec<Event> {
        std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Hands for Futures {
    fn start(&mut self, step: &PlannedStep, returns: Option<Returns>) {
        let (step, drivers) = (step.clone(), self.drivers.clone());
        let said = self.said.clone();
        let id = step.id;
        // Its tasks are polled within one poll of the caller: with tokio's budget for one poll, they would wake themselves for
        // ever once it is spent.
        let task = tokio::task::unconstrained(async move {
            let waits = |reason: String| {
                let event = super::waits_for(&step, reason);
                said.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(event);
            };
            let words = Words {
                waits: &waits,
                ..Words::NONE
            };
            let done = perform::perform(&step, returns.as_ref(), &drivers, &words).await;
            End::Step(step.id, done)
        });
        self.executor.add(self.world.during(id, task));
    }

    fn give_back(&mut self, start: StepId, returns: Returns) {
        let drivers = self.drivers.clone();
        self.executor
            .add(Box::pin(tokio::task::unconstrained(async move {
                let trouble = perform::give_back(&returns, &drivers).await.err();
                End::Returned(start, trouble.map(|e| e.message))
            })));
    }

    fn wake(&mut self, rollout: RolloutId, after: Duration) {
        let clock = self.drivers.clock.clone();
        self.executor.add(Box::pin(async move {
            clock.sleep(after).await;
            End::Woken(rollout)
        }));
    }
}

/// How often requests are looked for, and how long a paused run that has nothing to do waits for the next look.
const REQUESTS_EVERY: Duration = Duration::from_millis(250);

/// Carries a plan out on the simulated rack.
pub async fn simulate(
    run: &Run<'_>,
    world: &Arc<World>,
    report: &mut Report<'_>,
) -> Result<Summary, ApplyError> {
    let mut futures = Futures {
        drivers: run.drivers.clone(),
        world: world.clone(),
        executor: Executor::new(),
        said: Arc::default(),
    };
    let (mut drive, mut goes) = Drive::begin(run, report, &mut futures).await?;
    let mut asked_ms = super::monotonic_ms();
    while goes == Goes::On {
        let mut inputs = inputs_of(futures.executor.run_woken());
        futures
            .said()
            .into_iter()
            .for_each(|event| drive.report(event));
        if super::monotonic_ms() - asked_ms >= REQUESTS_EVERY.as_millis() || drive.is_paused() {
            asked_ms = super::monotonic_ms();
            let now = run.drivers.clock.now_ms();
            let asked = run.store.hear(&run.id, now).await?;
            inputs.extend(asked.into_iter().map(Input::Asked));
        }
        if inputs.is_empty() {
            match world.advance() {
                Some(passed_ms) => pace(world, passed_ms).await,
                None if drive.is_paused() => tokio::time::sleep(REQUESTS_EVERY).await,
                // Nothing runs and nothing is over: a bug in the schedule, not a state to wait in.
                None => break,
            }
        }
        for input in inputs {
            if drive.feed(input, &mut futures).await? == Goes::Over {
                goes = Goes::Over;
            }
        }
    }
    Ok(drive.summary())
}

/// Everything that ended at one instant is one input, so that it is one commit.
fn inputs_of(ends: Vec<End>) -> Vec<Input> {
    let mut steps = Vec::new();
    let mut inputs = Vec::new();
    for end in ends {
        match end {
            End::Step(id, done) => steps.push((id, done)),
            End::Returned(start, trouble) => inputs.push(Input::Returned(start, trouble)),
            End::Woken(rollout) => inputs.push(Input::Woken(rollout)),
        }
    }
    if !steps.is_empty() {
        inputs.push(Input::Ended(steps));
    }
    inputs
}

/// A paced simulation lasts long enough to be watched, or killed.
async fn pace(world: &World, passed_ms: i64) {
    if let Some(real) = world.real_time_of(passed_ms) {
        tokio::time::sleep(real).await;
    }
}
