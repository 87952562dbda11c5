//! PURE. What may start when: an in-degree ready queue, longest remaining path first, within budgets.
//!
//! A synchronous machine: told what ended, it answers what to start and what will never start. It knows no clock.

use std::collections::{BTreeMap, BTreeSet};

use super::turns::{Ended, Follows, Pause, RolloutId, Turn, Turns};
use crate::ids::Addr;
use crate::model::event::Outcome;
use crate::plan::step::{Lane, Step};
use crate::plan::{Plan, StepId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Start(StepId),
    /// Ended without having been started.
    End(StepId, Outcome),
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

/// A site, or none that is known, and what is scarce there.
type BudgetKey<'p> = (Option<&'p Addr>, Resource);

enum Permit<'p> {
    Taken,
    QueueFor(BudgetKey<'p>),
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
    ready: BTreeSet<(std::cmp::Reverse<usize>, usize)>,
    /// Ready steps that wait for a place in a budget.
    queued: BTreeMap<BudgetKey<'p>, BTreeSet<(std::cmp::Reverse<usize>, usize)>>,
    site_of: BTreeMap<&'p Addr, &'p Addr>,
    /// Nodes whose site no step names share the budget of `None`.
    used: BTreeMap<(Option<&'p Addr>, Resource), u32>,
    /// Nodes that hold a boot permit: from power-on to the ramdisk's first word.
    booting: BTreeSet<&'p Addr>,
    turns: Turns<'p>,
    /// Ready steps whose turn has not come.
    held: BTreeMap<RolloutId, BTreeSet<(std::cmp::Reverse<usize>, usize)>>,
    open: usize,
    stopping: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Resource {
    Write,
    Boot,
}

/// When a site's budget is not in the plan (its configuration has gone), these hold.
const WRITES_DEFAULT: u32 = 8;
const BOOTS_DEFAULT: u32 = 16;

impl<'p> Schedule<'p> {
    pub fn new(plan: &'p Plan) -> Schedule<'p> {
        let count = plan.steps.len();
        let mut followers = vec![Vec::new(); count];
        let mut waits = vec![0; count];
        let mut site_of = BTreeMap::new();
        for (at, step) in plan.steps.iter().enumerate() {
            for before in &step.after {
                followers[before.0 as usize].push(at);
                waits[at] += 1;
            }
            if let Some((node, target)) = step.step.nature().boot {
                site_of.insert(node, &target.site);
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
            queued: BTreeMap::new(),
            site_of,
            used: BTreeMap::new(),
            booting: BTreeSet::new(),
            turns: Turns::of(plan),
            held: BTreeMap::new(),
            open: count,
            stopping: false,
        }
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
        self.queued.clear();
        self.held.clear();
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
        self.give_back(at, good);
        let mut out = Vec::new();
        if good {
            for next in self.followers[at].clone() {
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
        if let Some(id) = self.turns.woken(rollout) {
            self.ready.extend(self.held.remove(&id).unwrap_or_default());
        }
        self.start_what_fits()
    }

    fn follow(&mut self, follows: Follows, out: &mut Vec<Action>) {
        let Follows {
            moved,
            pause,
            blocked,
        } = follows;
        if let Some(id) = moved {
            self.ready.extend(self.held.remove(&id).unwrap_or_default());
        }
        out.extend(pause.map(Action::Wake));
        for (at, by) in blocked {
            if matches!(self.status[at], Status::Waiting | Status::Ready) {
                self.never(at, Outcome::Blocked { by }, out);
                self.block_followers(at, out);
            }
        }
    }

    /// A step that was to be started and was not: it has no end but this.
    pub fn unstart(&mut self, id: StepId) -> Vec<Action> {
        let at = id.0 as usize;
        let mut out = Vec::new();
        if self.status.get(at) == Some(&Status::Running) {
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
        let entry = (std::cmp::Reverse(self.rank[at]), at);
        self.ready.remove(&entry);
        self.held.values_mut().for_each(|held| {
            held.remove(&entry);
        });
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

    fn start_what_fits(&mut self) -> Vec<Action> {
        let mut out = Vec::new();
        while let Some(entry) = self.ready.pop_first() {
            let at = entry.1;
            if let Turn::Later(rollout) = self.turns.ask(at) {
                self.held.entry(rollout).or_default().insert(entry);
                continue;
            }
            match self.take(at) {
                Permit::Taken => {
                    self.status[at] = Status::Running;
                    out.push(Action::Start(self.plan.steps[at].id));
                }
                Permit::QueueFor(budget) => {
                    self.queued.entry(budget).or_default().insert(entry);
                }
            }
        }
        out
    }

    /// Takes the budget a step needs, or says which one it has to queue for.
    fn take(&mut self, at: usize) -> Permit<'p> {
        let step = &self.plan.steps[at];
        let Some(node) = &step.node else {
            return Permit::Taken;
        };
        let resource = match step.step.nature().lane {
            Lane::Free => return Permit::Taken,
            Lane::Write => Resource::Write,
            Lane::Boot if self.booting.contains(node) => return Permit::Taken,
            Lane::Boot => Resource::Boot,
        };
        let site = self.site_of.get(node).copied();
        let budget = site.and_then(|site| self.plan.budgets.get(site));
        let limit = match resource {
            Resource::Write => budget.map_or(WRITES_DEFAULT, |b| b.writes),
            Resource::Boot => budget.map_or(BOOTS_DEFAULT, |b| b.boots),
        };
        let used = self.used.entry((site, resource)).or_insert(0);
        if *used >= limit.max(1) {
            return Permit::QueueFor((site, resource));
        }
        *used += 1;
        if resource == Resource::Boot {
            self.booting.insert(node);
        }
        Permit::Taken
    }

    fn give_back(&mut self, at: usize, good: bool) {
        let step = &self.plan.steps[at];
        let Some(node) = &step.node else { return };
        let site = self.site_of.get(node).copied();
        let resource = match step.step.nature().lane {
            Lane::Free => return,
            Lane::Write => Resource::Write,
            Lane::Boot => {
                // The permit goes from power-on to the wait that follows it.
                let waits_next = good
                    && matches!(step.step, Step::PowerOn { .. })
                    && self.followers[at]
                        .iter()
                        .any(|f| matches!(self.plan.steps[*f].step, Step::AwaitRamdisk { .. }));
                if waits_next || !self.booting.remove(node) {
                    return;
                }
                Resource::Boot
            }
        };
        if let Some(used) = self.used.get_mut(&(site, resource)) {
            *used = used.saturating_sub(1);
        }
        // One place is free: the most urgent of those who queue for it is asked again, and nobody else.
        let next = self
            .queued
            .get_mut(&(site, resource))
            .and_then(BTreeSet::pop_first);
        self.ready.extend(next);
    }
}
