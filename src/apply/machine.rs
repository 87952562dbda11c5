//! PURE. One run as a synchronous machine: told what happened, it answers what to do next, and nothing else decides.
//!
//! It holds the schedule, the run's copy of state, the loans and the summary. Whoever drives it commits what it says, then
//! starts what it says: a step is started only after the batch that holds its `started` is durable, and what depends on an end
//! only after that end is (design rule 5). Everything that has ended by the time of a commit goes into one batch, together with
//! the starts that follow from it: a commit costs the same for one step and for a thousand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::lifecycle;
use super::loans::Loans;
use super::schedule::{Action, Schedule};
use super::summary::Summary;
pub use super::talk::{Close, Command, Input, Performed};
use super::turns::Pause;
use crate::ids::Addr;
use crate::model::Resource;
use crate::model::event::{Event, Outcome};
use crate::plan::forecast::Durations;
use crate::plan::{Plan, PlannedStep, StepId};
use crate::store::{Batch, Note, Request, StateChange};

/// Notes in one batch: enough that a commit costs nothing a step, few enough that none takes long.
pub const BATCH_NOTES_MAX: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// Every step has ended; what is still borrowed is being given back.
    Returning {
        open: usize,
    },
    Closed,
}

/// What was said to be committed, and what follows when it is.
struct Flight {
    starts: Vec<StepId>,
    reports: Vec<Event>,
}

pub struct Machine<'p> {
    plan: &'p Plan,
    run: String,
    notes_max: usize,
    schedule: Schedule<'p>,
    state: BTreeMap<Addr, Resource>,
    loans: Loans,
    summary: Summary,
    begun_ms: i64,
    /// When each step was started; 0 before that.
    started_ms: Vec<i64>,
    ended_well: Vec<bool>,
    /// Nodes whose failed step has given back what was borrowed, or has said that it could not.
    given_back: BTreeSet<Addr>,
    ended: VecDeque<(StepId, Performed)>,
    to_start: VecDeque<StepId>,
    /// Steps that a window or a rollout keeps, to be noted.
    kept: VecDeque<(StepId, Outcome)>,
    to_wake: Vec<Pause>,
    returned: VecDeque<(StepId, Option<String>)>,
    /// What is to be told when the next batch is durable, or at once when there is none.
    reports: Vec<Event>,
    flight: Option<Flight>,
    batches: u64,
    paused: bool,
    stage: Stage,
}

impl<'p> Machine<'p> {
    pub fn new(
        run: &str,
        plan: &'p Plan,
        state: BTreeMap<Addr, Resource>,
        durations: &Durations,
        notes_max: usize,
    ) -> Machine<'p> {
        Machine {
            plan,
            run: run.to_owned(),
            notes_max: notes_max.max(1),
            schedule: Schedule::new(plan, durations),
            loans: Loans::of(plan, &state),
            state,
            summary: Summary::default(),
            begun_ms: 0,
            started_ms: vec![0; plan.steps.len()],
            ended_well: vec![false; plan.steps.len()],
            given_back: BTreeSet::new(),
            ended: VecDeque::new(),
            to_start: VecDeque::new(),
            kept: VecDeque::new(),
            to_wake: Vec::new(),
            returned: VecDeque::new(),
            reports: Vec::new(),
            flight: None,
            batches: 0,
            paused: false,
            stage: Stage::Running,
        }
    }

    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Takes one thing that happened and says what to do about it.
    pub fn handle(&mut self, input: Input, now_ms: i64) -> Vec<Command<'p>> {
        let mut out = Vec::new();
        self.schedule.tell_time(now_ms);
        match input {
            Input::Begin => {
                self.begun_ms = now_ms;
                out.push(Command::Report(Event::RunStarted {
                    run: self.run.clone(),
                    plan: self.plan.id.clone(),
                    steps: self.plan.steps.len(),
                }));
                let actions = self.schedule.begin();
                self.take(actions, now_ms);
            }
            Input::Ended(ended) => self.ended.extend(ended),
            Input::Committed => self.land(&mut out),
            Input::Returned(start, trouble) => self.returned.push_back((start, trouble)),
            Input::Asked(request) => self.ask(request, now_ms),
            Input::Woken(rollout) => {
                let actions = self.schedule.woken(rollout);
                self.take(actions, now_ms);
            }
        }
        self.go_on(now_ms, &mut out);
        out
    }

    /// What was committed is told, and what waited for it starts.
    fn land(&mut self, out: &mut Vec<Command<'p>>) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        out.extend(flight.reports.into_iter().map(Command::Report));
        self.wake(out);
        for id in flight.starts {
            if let Some(step) = self.plan.step(id) {
                out.push(Command::Start(step, self.loans.needed_by(id).cloned()));
            }
        }
    }

    /// Pauses begin when the ends that they follow are durable.
    fn wake(&mut self, out: &mut Vec<Command<'p>>) {
        let pauses = std::mem::take(&mut self.to_wake);
        out.extend(pauses.iter().map(|p| Command::Wake(p.rollout, p.seconds)));
    }

    fn ask(&mut self, request: Request, now_ms: i64) {
        let text = match request {
            Request::Pause if self.paused => return,
            Request::Resume if !self.paused => return,
            Request::Pause => {
                self.paused = true;
                "paused: what runs goes to its end, nothing is started until `bmctl resume`"
            }
            Request::Resume => {
                self.paused = false;
                "resumed"
            }
            Request::Abort => {
                self.paused = false;
                let mut actions = self.schedule.stop();
                let waiting = std::mem::take(&mut self.to_start);
                actions.extend(waiting.into_iter().flat_map(|id| self.schedule.unstart(id)));
                self.take(actions, now_ms);
                return;
            }
        };
        self.reports.push(Event::Warning {
            subject: None,
            text: format!("run {} {text}", self.run),
        });
    }

    fn go_on(&mut self, now_ms: i64, out: &mut Vec<Command<'p>>) {
        if self.flight.is_some() {
            return;
        }
        let (batch, flight) = self.gather(now_ms);
        if !batch.notes.is_empty() {
            self.batches += 1;
            self.flight = Some(flight);
            out.push(Command::Commit(batch));
            return;
        }
        out.extend(flight.reports.into_iter().map(Command::Report));
        self.wake(out);
        if self.is_idle() {
            self.conclude(now_ms, out);
        }
    }

    /// Everything that has ended, and what may start because of it, up to the limit of a batch.
    fn gather(&mut self, now_ms: i64) -> (Batch<'p>, Flight) {
        let mut batch = Batch {
            number: self.batches + 1,
            notes: Vec::new(),
            changes: Vec::new(),
        };
        let mut flight = Flight {
            starts: Vec::new(),
            reports: Vec::new(),
        };
        while batch.notes.len() < self.notes_max
            && let Some((id, performed)) = self.ended.pop_front()
        {
            self.end(id, performed, now_ms, &mut batch);
        }
        while batch.notes.len() < self.notes_max
            && let Some((start, trouble)) = self.returned.pop_front()
        {
            self.note_return(start, trouble, now_ms, &mut batch);
        }
        while batch.notes.len() < self.notes_max
            && let Some((id, outcome)) = self.kept.pop_front()
        {
            if let Some(step) = self.plan.step(id) {
                self.note_end(step, &outcome, now_ms, Vec::new(), &mut batch);
            }
        }
        while batch.notes.len() < self.notes_max
            && !self.paused
            && let Some(id) = self.to_start.pop_front()
        {
            self.start(id, now_ms, &mut batch, &mut flight);
        }
        flight.reports = std::mem::take(&mut self.reports);
        (batch, flight)
    }

    fn start(&mut self, id: StepId, now_ms: i64, batch: &mut Batch<'p>, flight: &mut Flight) {
        let Some(step) = self.plan.step(id) else {
            return;
        };
        if let Some(at) = self.started_ms.get_mut(id.0 as usize) {
            *at = now_ms;
        }
        batch.notes.push(Note::Started {
            step,
            at_ms: now_ms,
        });
        flight.starts.push(id);
        self.reports.push(Event::StepStarted {
            step: id.0,
            subject: step.subject.clone(),
            title: step.step.title().to_owned(),
        });
    }

    fn end(&mut self, id: StepId, performed: Performed, now_ms: i64, batch: &mut Batch<'p>) {
        let Some(step) = self.plan.step(id) else {
            return;
        };
        let Performed {
            outcome,
            fact,
            attention,
        } = performed;
        let good = outcome.is_good();
        let mut changes = if good {
            lifecycle::effects(&step.step, fact.as_ref(), &self.state)
        } else {
            lifecycle::after_failure(&step.step, &self.state)
        };
        if let Some(why) = attention {
            changes.extend(lifecycle::needs_attention(&step.subject, &why, &self.state));
            self.reports.push(Event::Warning {
                subject: Some(step.subject.clone()),
                text: why,
            });
        }
        if good {
            if let Some(well) = self.ended_well.get_mut(id.0 as usize) {
                *well = true;
            }
        } else if let Some(returns) = self.loans.needed_by(id) {
            self.given_back.insert(returns.node.clone());
        }
        self.note_end(step, &outcome, now_ms, changes, batch);
        self.tell_end(id, outcome, now_ms);
        let actions = self.schedule.finished(id, good);
        self.take(actions, now_ms);
    }

    fn note_end(
        &mut self,
        step: &'p PlannedStep,
        outcome: &Outcome,
        at_ms: i64,
        changes: Vec<StateChange>,
        batch: &mut Batch<'p>,
    ) {
        lifecycle::fold(&mut self.state, &changes);
        batch.changes.extend(changes);
        batch.notes.push(Note::Finished {
            step,
            outcome: lifecycle::written(outcome),
            at_ms,
        });
    }

    /// A deployment that was stopped between its steps has been taken back, or could not be.
    fn note_return(
        &mut self,
        start: StepId,
        trouble: Option<String>,
        now_ms: i64,
        batch: &mut Batch<'p>,
    ) {
        if let Stage::Returning { open } = &mut self.stage {
            *open = open.saturating_sub(1);
        }
        let Some(step) = self.plan.step(start) else {
            return;
        };
        let node = step.node.as_ref().map(Addr::to_string).unwrap_or_default();
        let text = match trouble {
            None => format!(
                "{node} was in its deploy ramdisk and has been switched off; apply again to go on"
            ),
            Some(error) => {
                let why = format!("{node} may still be in its deploy ramdisk: {error}");
                let changes = lifecycle::needs_attention(&step.subject, &why, &self.state);
                let outcome = Outcome::Failed { why: why.clone() };
                self.note_end(step, &outcome, now_ms, changes, batch);
                why
            }
        };
        self.reports.push(Event::Warning {
            subject: Some(step.subject.clone()),
            text,
        });
    }

    fn take(&mut self, actions: Vec<Action>, now_ms: i64) {
        for action in actions {
            match action {
                Action::Start(id) => self.to_start.push_back(id),
                Action::End(id, outcome) => {
                    if self.is_kept_by_turn(id, &outcome) {
                        self.kept.push_back((id, outcome.clone()));
                    }
                    self.tell_end(id, outcome, now_ms);
                }
                Action::Wait(id, reason) => {
                    if let Some(step) = self.plan.step(id) {
                        self.reports.push(Event::Waiting {
                            step: id.0,
                            subject: step.subject.clone(),
                            title: step.step.title().to_owned(),
                            reason,
                        });
                    }
                }
                Action::Wake(pause) => {
                    let text = match pause.seconds {
                        0 => format!("{}; the next begins", pause.text),
                        s => format!("{}; the next begins in {s} s", pause.text),
                    };
                    let subject = None;
                    self.reports.push(Event::Warning { subject, text });
                    self.to_wake.push(pause);
                }
            }
        }
    }

    /// Whether it will not begin although all that it waits for has ended well: a window or a rollout keeps it. The journal has to
    /// say so, since nothing else in it would; what follows from it, and what was stopped, can be told from the plan.
    fn is_kept_by_turn(&self, id: StepId, outcome: &Outcome) -> bool {
        let is_free = self.plan.step(id).is_some_and(|step| {
            let mut before = step.after.iter();
            before.all(|b| self.ended_well.get(b.0 as usize) == Some(&true))
        });
        match outcome {
            Outcome::Blocked { .. } | Outcome::Outside { .. } => is_free,
            Outcome::Done { .. }
            | Outcome::AlreadyDone { .. }
            | Outcome::Failed { .. }
            | Outcome::NotStarted => false,
        }
    }

    fn tell_end(&mut self, id: StepId, outcome: Outcome, now_ms: i64) {
        let Some(step) = self.plan.step(id) else {
            return;
        };
        self.summary.count(step, &outcome);
        let started = self.started_ms.get(id.0 as usize).copied().unwrap_or(0);
        // A step that never started has taken no time.
        let elapsed = if started == 0 { 0 } else { now_ms - started };
        self.reports.push(Event::StepFinished {
            step: id.0,
            subject: step.subject.clone(),
            title: step.step.title().to_owned(),
            elapsed_ms: u64::try_from(elapsed).unwrap_or(0),
            outcome,
        });
    }

    /// Nothing runs, nothing waits to be noted.
    fn is_idle(&self) -> bool {
        self.schedule.is_over()
            && self.ended.is_empty()
            && self.to_start.is_empty()
            && self.kept.is_empty()
            && self.returned.is_empty()
    }

    fn conclude(&mut self, now_ms: i64, out: &mut Vec<Command<'p>>) {
        match self.stage {
            Stage::Running => {
                let well = |id: StepId| self.ended_well.get(id.0 as usize) == Some(&true);
                let open = self.loans.left_open(well, &self.given_back);
                let back = |loan: &&super::loans::Loan| {
                    Command::GiveBack(loan.start, loan.returns.clone())
                };
                out.extend(open.iter().map(back));
                self.stage = Stage::Returning { open: open.len() };
                if open.is_empty() {
                    self.close(now_ms, out);
                }
            }
            Stage::Returning { open: 0 } => self.close(now_ms, out),
            Stage::Returning { .. } | Stage::Closed => {}
        }
    }

    fn close(&mut self, now_ms: i64, out: &mut Vec<Command<'p>>) {
        self.stage = Stage::Closed;
        let s = &self.summary;
        out.push(Command::Close(
            if s.failed + s.blocked + s.not_started == 0 {
                Close::Done
            } else {
                Close::Incomplete
            },
        ));
        out.push(Command::Report(Event::RunFinished {
            run: self.run.clone(),
            done: s.done,
            already_done: s.already_done,
            failed: s.failed,
            blocked: s.blocked,
            not_started: s.not_started,
            elapsed_ms: u64::try_from(now_ms - self.begun_ms).unwrap_or(0),
        }));
    }
}
