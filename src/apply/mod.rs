//! L4. The engine: carries a plan out, in parallel, and leaves nothing undecided.
//!
//! Takes a plan, the store and drivers; gives events and a summary. `schedule` and `lifecycle` and `recover` are PURE;
//! `perform` is the only caller of drivers; this file is the only one that spawns. It never chooses: what to do stands in
//! the plan, and what is not in it is not done.

#![allow(
    clippy::disallowed_methods,
    reason = "the only file of the engine that spawns and reads the clock"
)]

#[deny(clippy::disallowed_methods)]
pub mod lifecycle;
pub mod perform;
#[deny(clippy::disallowed_methods)]
pub mod recover;
#[deny(clippy::disallowed_methods)]
pub mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::drivers::{DriverError, Drivers};
use crate::ids::Addr;
use crate::model::event::{Event, Outcome};
use crate::model::{Recorded, Resource};
use crate::plan::{Plan, PlannedStep, StepId, audit};
use crate::store::{Actor, NewRun, StateChange, Store, StoreError};

use lifecycle::{Borrowed, Fact, Loan, Returns};
use schedule::{Action, Schedule};

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the plan breaks its own rules, nothing was done: {0}")]
    Audit(String),
    #[error(
        "the plan was made from another state (expected lineage {expected}, found {found}); plan again"
    )]
    OtherState { expected: String, found: String },
    #[error(
        "the state has changed since the plan was made (serial {planned}, found {found}); plan again"
    )]
    Stale { planned: u64, found: u64 },
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub done: usize,
    pub already_done: usize,
    pub failed: usize,
    pub blocked: usize,
    pub not_started: usize,
    /// Each failure: the resource, the step, and why.
    pub failures: Vec<(Addr, String, String)>,
}

/// What somebody at the terminal asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Finish running steps, start none.
    Stop,
}

/// Where events go. Called from one task at a time; must not block for long.
pub type Report<'a> = dyn FnMut(Event) + Send + 'a;

pub struct Run<'a> {
    pub id: String,
    pub plan: &'a Plan,
    pub store: &'a Store,
    pub drivers: Drivers,
}

enum Message {
    Progress(Event),
    Finished(StepId, Outcome, Option<Fact>, Option<String>),
}

impl Run<'_> {
    /// Refuses a plan that is not sound or not for this state.
    pub fn check(&self, recorded: &Recorded) -> Result<(), ApplyError> {
        let findings = audit::audit(self.plan);
        if !findings.is_empty() {
            return Err(ApplyError::Audit(findings.join("; ")));
        }
        let from = &self.plan.made_from;
        if from.lineage != recorded.lineage {
            return Err(ApplyError::OtherState {
                expected: from.lineage.clone(),
                found: recorded.lineage.clone(),
            });
        }
        if from.serial != recorded.serial {
            return Err(ApplyError::Stale {
                planned: from.serial,
                found: recorded.serial,
            });
        }
        Ok(())
    }

    async fn begin(&self, at_ms: i64) -> Result<(), StoreError> {
        let run = NewRun {
            id: &self.id,
            plan: self.plan,
            at_ms,
            by: Actor::here(),
        };
        self.store.begin_run(run).await
    }

    /// Carries the plan out. Returns when every step has ended, failed, or will not be started.
    pub async fn execute(
        &self,
        mut requests: mpsc::Receiver<Request>,
        report: &mut Report<'_>,
    ) -> Result<Summary, ApplyError> {
        let recorded = self.store.recorded().await?;
        self.check(&recorded)?;
        let clock = self.drivers.clock.clone();
        let begun = clock.now_ms();
        self.begin(begun).await?;
        report(Event::RunStarted {
            run: self.id.clone(),
            plan: self.plan.id.clone(),
            steps: self.plan.steps.len(),
        });

        let borrowed = Borrowed::of(self.plan);
        let (sender, mut messages) = mpsc::unbounded_channel::<Message>();
        let mut journal = Journal {
            run: self,
            state: recorded.resources,
            begun: BTreeMap::new(),
            summary: Summary::default(),
            borrowed: &borrowed,
            ended_well: BTreeSet::new(),
            given_back: BTreeSet::new(),
        };
        let mut schedule = Schedule::new(self.plan);
        let mut actions = schedule.begin();
        let mut asking = true;
        loop {
            for action in std::mem::take(&mut actions) {
                match action {
                    Action::Start(id) => {
                        let Some(step) = self.plan.step(id) else {
                            continue;
                        };
                        journal.started(step, report).await?;
                        self.spawn(step.clone(), borrowed.by(step).cloned(), sender.clone());
                    }
                    Action::End(id, outcome) => journal.ended(id, outcome, report),
                }
            }
            if schedule.is_over() {
                break;
            }
            tokio::select! {
                Some(message) = messages.recv() => match message {
                    Message::Progress(event) => report(event),
                    Message::Finished(id, outcome, fact, attention) => {
                        actions = self.finish(&mut journal, &mut schedule, id, outcome, fact, attention, report).await?;
                    }
                },
                request = requests.recv(), if asking => match request {
                    Some(Request::Stop) => actions = schedule.stop(),
                    None => asking = false,
                },
            }
        }
        let open: Vec<&Loan> = borrowed
            .left_open(&journal.ended_well, &journal.given_back)
            .collect();
        let mut returning = tokio::task::JoinSet::new();
        for loan in open {
            let (start, returns, drivers) =
                (loan.start, loan.returns.clone(), self.drivers.clone());
            returning
                .spawn(async move { (start, perform::give_back(&returns, &drivers).await.err()) });
        }
        while let Some(returned) = returning.join_next().await {
            if let Ok((start, trouble)) = returned {
                journal.returned(start, trouble, report).await?;
            }
        }
        journal.close(begun, report).await
    }

    #[allow(clippy::too_many_arguments)]
    async fn finish(
        &self,
        journal: &mut Journal<'_, '_>,
        schedule: &mut Schedule<'_>,
        id: StepId,
        outcome: Outcome,
        fact: Option<Fact>,
        attention: Option<String>,
        report: &mut Report<'_>,
    ) -> Result<Vec<Action>, ApplyError> {
        let good = outcome.is_good();
        journal
            .finished(id, outcome, fact, attention, report)
            .await?;
        Ok(schedule.finished(id, good))
    }

    fn spawn(
        &self,
        step: PlannedStep,
        returns: Option<Returns>,
        sender: mpsc::UnboundedSender<Message>,
    ) {
        let drivers = self.drivers.clone();
        let id = step.id;
        let progress = {
            let sender = sender.clone();
            let subject = step.subject.clone();
            move |phase: &str, done: u64, total: u64| {
                let event = Event::Progress {
                    step: id.0,
                    subject: subject.clone(),
                    phase: phase.to_owned(),
                    done,
                    total,
                };
                // The receiver lives as long as the run; after it nobody is interested.
                let _ = sender.send(Message::Progress(event));
            }
        };
        let task =
            async move { perform::perform(&step, returns.as_ref(), &drivers, &progress).await };
        // A panic in a step is a bug; it must end as that step's failure, not as a run that waits for ever.
        let guarded = tokio::spawn(task);
        tokio::spawn(async move {
            let message = match guarded.await {
                Ok(done) => Message::Finished(id, done.outcome, done.fact, done.attention),
                Err(bug) => {
                    let why = format!(
                        "a bug in bmctl ended this step: {bug}; nothing is known of its effect"
                    );
                    Message::Finished(id, Outcome::Failed { why: why.clone() }, None, Some(why))
                }
            };
            let _ = sender.send(message);
        });
    }
}

/// The run's side of the store: every step's start and end, and state as it changes.
pub struct Journal<'a, 'p> {
    run: &'a Run<'p>,
    state: BTreeMap<Addr, Resource>,
    begun: BTreeMap<StepId, i64>,
    summary: Summary,
    borrowed: &'a Borrowed,
    ended_well: BTreeSet<StepId>,
    /// Nodes whose failed step has given back what was borrowed, or has said that it could not.
    given_back: BTreeSet<Addr>,
}

impl Journal<'_, '_> {
    async fn started(
        &mut self,
        step: &PlannedStep,
        report: &mut Report<'_>,
    ) -> Result<(), StoreError> {
        let now = self.run.drivers.clock.now_ms();
        self.begun.insert(step.id, now);
        self.run.store.started(&self.run.id, step, now).await?;
        report(Event::StepStarted {
            step: step.id.0,
            subject: step.subject.clone(),
            title: step.step.title().to_owned(),
        });
        Ok(())
    }

    async fn finished(
        &mut self,
        id: StepId,
        outcome: Outcome,
        fact: Option<Fact>,
        attention: Option<String>,
        report: &mut Report<'_>,
    ) -> Result<(), ApplyError> {
        let Some(step) = self.run.plan.step(id) else {
            return Ok(());
        };
        let mut changes = if outcome.is_good() {
            lifecycle::effects(&step.step, fact.as_ref(), &self.state)
        } else {
            Vec::new()
        };
        if let Some(why) = &attention {
            changes.extend(lifecycle::needs_attention(&step.subject, why, &self.state));
            report(Event::Warning {
                subject: Some(step.subject.clone()),
                text: why.clone(),
            });
        }
        if outcome.is_good() {
            self.ended_well.insert(id);
        } else if let Some(returns) = self.borrowed.by(step) {
            self.given_back.insert(returns.node.clone());
        }
        let body = serde_json::to_string(&outcome).unwrap_or_default();
        let now = self.run.drivers.clock.now_ms();
        self.run
            .store
            .finished(&self.run.id, step, &body, &changes, now)
            .await?;
        lifecycle::fold(&mut self.state, &changes);
        self.ended(id, outcome, report);
        Ok(())
    }

    /// A deployment that was stopped between its steps has been taken back, or could not be.
    async fn returned(
        &mut self,
        start: StepId,
        trouble: Option<DriverError>,
        report: &mut Report<'_>,
    ) -> Result<(), StoreError> {
        let Some(step) = self.run.plan.step(start) else {
            return Ok(());
        };
        let node = step
            .node
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let (text, changes) = match trouble {
            None => (
                format!(
                    "{node} was in its deploy ramdisk and has been switched off; apply again to go on"
                ),
                Vec::new(),
            ),
            Some(error) => {
                let why = format!("{node} may still be in its deploy ramdisk: {error}");
                let changes = lifecycle::needs_attention(&step.subject, &why, &self.state);
                (why, changes)
            }
        };
        report(Event::Warning {
            subject: Some(step.subject.clone()),
            text,
        });
        if !changes.is_empty() {
            let now = self.run.drivers.clock.now_ms();
            self.run
                .store
                .finished(&self.run.id, step, "\"left open\"", &changes, now)
                .await?;
            lifecycle::fold(&mut self.state, &changes);
        }
        Ok(())
    }

    fn ended(&mut self, id: StepId, outcome: Outcome, report: &mut Report<'_>) {
        let Some(step) = self.run.plan.step(id) else {
            return;
        };
        let title = step.step.title().to_owned();
        match &outcome {
            Outcome::Done { .. } => self.summary.done += 1,
            Outcome::AlreadyDone { .. } => self.summary.already_done += 1,
            Outcome::Failed { why } => {
                self.summary.failed += 1;
                self.summary
                    .failures
                    .push((step.subject.clone(), title.clone(), why.clone()));
            }
            Outcome::Blocked { .. } => self.summary.blocked += 1,
            Outcome::NotStarted => self.summary.not_started += 1,
        }
        let now = self.run.drivers.clock.now_ms();
        let elapsed = self
            .begun
            .get(&id)
            .map_or(0, |begun| now.saturating_sub(*begun));
        report(Event::StepFinished {
            step: id.0,
            subject: step.subject.clone(),
            title,
            elapsed_ms: u64::try_from(elapsed).unwrap_or(0),
            outcome,
        });
    }

    async fn close(self, begun: i64, report: &mut Report<'_>) -> Result<Summary, ApplyError> {
        let now = self.run.drivers.clock.now_ms();
        let s = &self.summary;
        let outcome = if s.failed + s.blocked + s.not_started == 0 {
            "done"
        } else {
            "incomplete"
        };
        self.run.store.end_run(&self.run.id, outcome, now).await?;
        report(Event::RunFinished {
            run: self.run.id.clone(),
            done: s.done,
            already_done: s.already_done,
            failed: s.failed,
            blocked: s.blocked,
            not_started: s.not_started,
            elapsed_ms: u64::try_from(now.saturating_sub(begun)).unwrap_or(0),
        });
        Ok(self.summary)
    }
}

/// Settles every step that an earlier run started and did not finish (design rule 7). Returns what was found, a line each.
pub async fn settle(store: &Store, drivers: &Drivers) -> Result<Vec<String>, StoreError> {
    let mut lines = Vec::new();
    let state = store.recorded().await?.resources;
    for entry in store.unfinished().await? {
        let step = &entry.step;
        let seen = match recover::question(&step.step) {
            recover::Question::Power(bmc) => Some(perform::look_at_power(drivers, bmc).await),
            recover::Question::Nothing => None,
        };
        let verdict = recover::verdict(&step.step, seen.as_ref());
        let changes: Vec<StateChange> = recover::changes(step, &verdict, &state);
        let text = verdict.to_string();
        store
            .settled(&entry, &text, &changes, drivers.clock.now_ms())
            .await?;
        lines.push(format!(
            "{}: {} of an earlier run: {text}",
            step.subject,
            step.step.title()
        ));
    }
    Ok(lines)
}

/// The real clock.
pub struct WallClock;

#[async_trait::async_trait]
impl crate::drivers::Clock for WallClock {
    fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
    }

    async fn sleep(&self, time: std::time::Duration) {
        tokio::time::sleep(time).await;
    }
}

/// Drives the same engine under a simulated clock, without spawning: deterministic for one seed.
pub async fn simulate(
    run: &Run<'_>,
    world: &Arc<crate::drivers::sim::World>,
    report: &mut Report<'_>,
) -> Result<Summary, ApplyError> {
    let recorded = run.store.recorded().await?;
    run.check(&recorded)?;
    let begun = run.drivers.clock.now_ms();
    run.begin(begun).await?;
    report(Event::RunStarted {
        run: run.id.clone(),
        plan: run.plan.id.clone(),
        steps: run.plan.steps.len(),
    });
    let borrowed = Borrowed::of(run.plan);
    let mut journal = Journal {
        run,
        state: recorded.resources,
        begun: BTreeMap::new(),
        summary: Summary::default(),
        borrowed: &borrowed,
        ended_well: BTreeSet::new(),
        given_back: BTreeSet::new(),
    };
    let mut schedule = Schedule::new(run.plan);
    // Its tasks are polled within one poll of this function: with tokio's budget for one poll, they would wake themselves for
    // ever once it is spent.
    let mut executor = crate::drivers::sim::Executor::new(world.clone());
    let mut actions = schedule.begin();
    loop {
        for action in std::mem::take(&mut actions) {
            match action {
                Action::Start(id) => {
                    let Some(step) = run.plan.step(id) else {
                        continue;
                    };
                    journal.started(step, report).await?;
                    let (step, drivers) = (step.clone(), run.drivers.clone());
                    let returns = borrowed.by(&step).cloned();
                    executor.add(Box::pin(tokio::task::unconstrained(async move {
                        let done =
                            perform::perform(&step, returns.as_ref(), &drivers, &|_, _, _| {})
                                .await;
                        (step.id, done)
                    })));
                }
                Action::End(id, outcome) => journal.ended(id, outcome, report),
            }
        }
        if schedule.is_over() {
            break;
        }
        // Nothing runs and nothing is over: a bug in the schedule, not a state to wait in.
        let Some((id, done)) = executor.run_to_next() else {
            break;
        };
        let good = done.outcome.is_good();
        journal
            .finished(id, done.outcome, done.fact, done.attention, report)
            .await?;
        actions = schedule.finished(id, good);
    }
    let mut returning = crate::drivers::sim::Executor::new(world.clone());
    for loan in borrowed.left_open(&journal.ended_well, &journal.given_back) {
        let (start, returns, drivers) = (loan.start, loan.returns.clone(), run.drivers.clone());
        returning.add(Box::pin(tokio::task::unconstrained(async move {
            (start, perform::give_back(&returns, &drivers).await.err())
        })));
    }
    while let Some((start, trouble)) = returning.run_to_next() {
        journal.returned(start, trouble, report).await?;
    }
    journal.close(begun, report).await
}
