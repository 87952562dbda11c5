//! PURE. What may start when: an in-degree ready queue, longest remaining path first, within budgets.
//!
//! A synchronous machine: told what ended, it answers what to start and what will never start. It knows no clock.

use std::collections::{BTreeMap, BTreeSet};

use super::budgets::Budgets;
use super::held::Held;
use super::queues::Entry;
use super::turns::{Ended, Follows, Hold, Pause, RolloutId, Turn, Turns};
use super::windows::Windows;
use crate::model::event::Outcome;
use crate::plan::forecast::Durations;
use crate::plan::{Plan, StepId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Start(StepId),
    /// Ended without having been started.
    End(StepId, Outcome),
    /// It could start, and waits for this; told once for as long as it waits for the same.
    Wait(StepId, String),
    /// Say so after the pause, by [`Schedule::woken`].
    Wake(Pause),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Waiting,
    Ready,
    Running,
    Good,
    Bad,
}

pub struct Schedule<'p> {
    plan: &'p Plan,
    status: Vec<Status>,
    /// How many steps each one still waits for.
    waits: Vec<usize>,
    followers: Vec<Vec<usize>>,
    /// Steps on the longest path from here to the end.
    rank: Vec<usize>,
    /// Ready steps, most urgent first.
    ready: BTreeSet<Entry>,
    budgets: Budgets<'p>,
    turns: Turns<'p>,
    windows: Windows<'p>,
    now_ms: i64,
    /// Ready steps whose turn has not come.
    held: Held,
    /// What was told of steps that wait.
    told: BTreeMap<usize, String>,
    open: usize,
    running: usize,
    stopping: bool,
    /// Nobody reads what steps wait for.
    silent: bool,
}

impl<'p> Schedule<'p> {
    pub fn new(plan: &'p Plan, durations: &Durations) -> Schedule<'p> {
        let count = plan.steps.len();
        let mut followers = vec![Vec::new(); count];
        let mut waits = vec![0; count];
        for (at, step) in plan.steps.iter().enumerate() {
            for before in &step.after {
                followers[before.0 as usize].push(at);
                waits[at] += 1;
            }
        }
        let mut rank = vec![1; count];
        for at in (0..count).rev() {
            let longest = followers[at].iter().map(|f| rank[*f]).max().unwrap_or(0);
            rank[at] = longest + 1;
        }
        Schedule {
            plan,
            status: vec![Status::Waiting; count],
            waits,
            followers,
            rank,
            ready: BTreeSet::new(),
            budgets: Budgets::of(plan),
            turns: Turns::of(plan),
            windows: Windows::of(plan, durations),
            now_ms: 0,
            held: Held::default(),
            told: BTreeMap::new(),
            open: count,
            running: 0,
            stopping: false,
            silent: false,
        }
    }

    /// For whoever wants to know when steps start, and not what they wait for.
    pub fn silent(plan: &'p Plan, durations: &Durations) -> Schedule<'p> {
        Schedule {
            silent: true,
            ..Schedule::new(plan, durations)
        }
    }

    /// The time at which what is told next happens.
    pub fn tell_time(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    pub fn begin(&mut self) -> Vec<Action> {
        for at in 0..self.status.len() {
            if self.waits[at] == 0 {
                self.make_ready(at);
            }
        }
        self.start_what_fits()
    }

    /// Every step has ended, well or not, or will never start.
    pub fn is_over(&self) -> bool {
        self.open == 0
    }

    /// No step is started from here on; those that run go to their end.
    pub fn stop(&mut self) -> Vec<Action> {
        self.stopping = true;
        self.ready.clear();
        self.budgets.stop();
        self.held = Held::default();
        let mut out = Vec::new();
        for at in 0..self.status.len() {
            match self.status[at] {
                Status::Waiting | Status::Ready => {
                    self.never(at, Outcome::NotStarted, &mut out);
                }
                Status::Running | Status::Good | Status::Bad => {}
            }
        }
        out
    }

    pub fn finished(&mut self, id: StepId, good: bool) -> Vec<Action> {
        let at = id.0 as usize;
        if self.status.get(at) != Some(&Status::Running) {
            return Vec::new();
        }
        self.status[at] = if good { Status::Good } else { Status::Bad };
        self.open -= 1;
        self.running -= 1;
        self.budgets.finished(at, good);
        let mut out = Vec::new();
        if good {
            // Nobody asks for them again: what has ended well blocks nothing.
            for next in std::mem::take(&mut self.followers[at]) {
                self.waits[next] -= 1;
                if self.waits[next] == 0 && self.status[next] == Status::Waiting {
                    self.make_ready(next);
                }
            }
        } else {
            self.block_followers(at, &mut out);
        }
        let how = if good { Ended::Well } else { Ended::Failed };
        let follows = self.turns.ended(at, how);
        self.follow(follows, &mut out);
        out.extend(self.start_what_fits());
        out
    }

    /// The pause of a rollout is over.
    pub fn woken(&mut self, rollout: RolloutId) -> Vec<Action> {
        if self.stopping {
            return Vec::new();
        }
        if let Some(begun) = self.turns.woken(rollout) {
            self.release(begun);
        }
        self.start_what_fits()
    }

    fn follow(&mut self, follows: Follows, out: &mut Vec<Action>) {
        let Follows {
            moved,
            pause,
            blocked,
        } = follows;
        moved.into_iter().for_each(|what| self.release(what));
        out.extend(pause.map(Action::Wake));
        for (at, by) in blocked {
            if matches!(self.status[at], Status::Waiting | Status::Ready) {
                self.never(at, Outcome::Blocked { by }, out);
                self.block_followers(at, out);
            }
        }
    }

    fn release(&mut self, what: Hold) {
        self.ready.extend(self.held.release(what));
    }

    /// A step that was to be started and was not: it has no end but this.
    pub fn unstart(&mut self, id: StepId) -> Vec<Action> {
        let at = id.0 as usize;
        let mut out = Vec::new();
        if self.status.get(at) == Some(&Status::Running) {
            self.running -= 1;
            self.never(at, Outcome::NotStarted, &mut out);
        }
        out
    }

    /// A failure blocks what depends on it and nothing else (design rule 9).
    fn block_followers(&mut self, failed: usize, out: &mut Vec<Action>) {
        let step = &self.plan.steps[failed];
        let by = format!("{}: {}", step.subject, step.step.title());
        let mut stack = self.followers[failed].clone();
        while let Some(at) = stack.pop() {
            if self.status[at] != Status::Waiting {
                continue;
            }
            self.never(at, Outcome::Blocked { by: by.clone() }, out);
            stack.extend(self.followers[at].iter().copied());
        }
    }

    fn never(&mut self, at: usize, outcome: Outcome, out: &mut Vec<Action>) {
        self.status[at] = Status::Bad;
        self.open -= 1;
        self.budgets.never(at);
        let entry = (std::cmp::Reverse(self.rank[at]), at);
        self.ready.remove(&entry);
        self.held.remove(entry);
        out.push(Action::End(self.plan.steps[at].id, outcome));
        let follows = self.turns.ended(at, Ended::Never);
        if !self.stopping {
            self.follow(follows, out);
        }
    }

    fn make_ready(&mut self, at: usize) {
        if self.stopping {
            return;
        }
        self.status[at] = Status::Ready;
        self.ready.insert((std::cmp::Reverse(self.rank[at]), at));
    }

    /// Whoever has waited for a place comes before who has not.
    fn next(&mut self) -> Option<Entry> {
        let waited = self.budgets.let_in().or_else(|| self.held.let_in());
        waited.or_else(|| self.ready.pop_first())
    }

    fn start_what_fits(&mut self) -> Vec<Action> {
        let mut out = Vec::new();
        loop {
            self.fill(&mut out);
            // Whoever is blocked gives back what they held, and others may wait for that.
            if !self.loosen(&mut out) {
                return out;
            }
        }
    }

    fn fill(&mut self, out: &mut Vec<Action>) {
        while let Some(entry) = self.next() {
            let at = entry.1;
            if self.status[at] != Status::Ready {
                continue;
            }
            if let Some(why) = self.windows.ask(self.plan, at, self.now_ms) {
                self.outside(at, &why, out);
                continue;
            }
            match self.turns.ask(at) {
                Turn::Go => {}
                Turn::Begin(begun) => self.release(begun),
                Turn::Later(hold) => {
                    self.held.keep(entry, hold);
                    if !self.silent {
                        let reason = self.turns.reason(hold);
                        out.extend(reason.and_then(|reason| self.waits_for(at, reason)));
                    }
                    continue;
                }
            }
            if let Err(reason) = self.budgets.take(at, entry) {
                if !self.silent {
                    let reason = reason.to_owned();
                    out.extend(self.waits_for(at, reason));
                }
                continue;
            }
            self.windows.begins(self.plan, at);
            self.status[at] = Status::Running;
            self.running += 1;
            out.push(Action::Start(self.plan.steps[at].id));
        }
    }

    /// An instance does not begin, nor what waits for it, nor whoever would come after it in its rollout: a canary that was not
    /// tried has shown nothing.
    fn outside(&mut self, at: usize, why: &str, out: &mut Vec<Action>) {
        let mut stack = vec![at];
        stack.extend(self.turns.shut(at));
        while let Some(at) = stack.pop() {
            if matches!(self.status[at], Status::Waiting | Status::Ready) {
                let why = why.to_owned();
                self.never(at, Outcome::Outside { why }, out);
                stack.extend(self.followers[at].iter().copied());
            }
        }
    }

    /// Two rollouts may wait for each other by way of their steps; a run that waits for ever is worse than one that says so. Whether
    /// anybody was blocked.
    fn loosen(&mut self, out: &mut Vec<Action>) -> bool {
        if self.running > 0 || self.stopping || self.turns.is_pausing() {
            return false;
        }
        let open = self.open;
        const WHY: &str =
            "rollouts that wait for each other; apply again, with --target for a part";
        for (_, at) in self.held.take() {
            if self.status[at] == Status::Ready {
                self.never(at, Outcome::Blocked { by: WHY.to_owned() }, out);
                self.block_followers(at, out);
            }
        }
        self.open < open
    }

    fn waits_for(&mut self, at: usize, reason: String) -> Option<Action> {
        let told = self.told.insert(at, reason.clone());
        let id = self.plan.steps.get(at)?.id;
        (told.as_ref() != Some(&reason)).then_some(Action::Wait(id, reason))
    }
}
