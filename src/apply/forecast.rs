//! PURE. How long a plan will take: the run's own schedule, gone through with each step as long as its kind has taken before.
//!
//! So whatever keeps a step waiting in a run, a budget, a wave, a pause or a window, keeps it here; what fails does not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::schedule::{Action, Schedule};
use super::turns::RolloutId;
use crate::ids::Addr;
use crate::model::event::Outcome;
use crate::plan::forecast::{Durations, Forecast, Span};
use crate::plan::{Plan, Step, StepId};

/// What is to be expected of a run that begins at this moment, in milliseconds since 1970.
pub fn forecast(plan: &Plan, durations: &Durations, now_ms: i64) -> Forecast {
    let walk = |pace| Walk::through(plan, durations, now_ms, pace);
    of_walks(plan, durations, walk(Pace::Median), walk(Pace::Slow))
}

/// How long each step is taken to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    Median,
    /// The 95th percentile, of each.
    Slow,
}

/// The same of walks that were made by themselves: at the same time, where there is more than one processor.
pub fn of_walks(plan: &Plan, durations: &Durations, median: Walk, slow: Walk) -> Forecast {
    let guessed: BTreeSet<&str> = plan
        .steps
        .iter()
        .filter(|s| durations.of(&s.step).count == 0)
        .map(|s| s.step.title())
        .collect();
    let late = slow.spans(plan).into_iter();
    let mut outside = median.outside.clone();
    outside.extend(slow.outside.iter().map(|(a, why)| (a.clone(), why.clone())));
    Forecast {
        p50_ms: median.end_ms(),
        p95_ms: slow.end_ms(),
        guessed: guessed.into_iter().map(str::to_owned).collect(),
        critical: median.critical(plan),
        spans: owned(median.spans(plan)),
        late_ms: late.map(|(a, span)| (a.clone(), span.end_ms)).collect(),
        outside,
    }
}

fn owned<T>(of: BTreeMap<&Addr, T>) -> BTreeMap<Addr, T> {
    of.into_iter()
        .map(|(addr, is)| (addr.clone(), is))
        .collect()
}

/// What is to happen next; of what happens at one moment, steps come in the plan's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Ends(StepId),
    /// A pause is over that began with the end of this step.
    Woken(RolloutId, Option<StepId>),
}

/// A run as it is expected to go.
pub struct Walk {
    /// When each step begins and ends; `None` of one that does not begin.
    times: Vec<Option<Span>>,
    /// The step whose end let each one start.
    freed_by: Vec<Option<StepId>>,
    outside: BTreeMap<Addr, String>,
    to_come: BinaryHeap<Reverse<(u64, Next)>>,
}

impl Walk {
    pub fn through(plan: &Plan, durations: &Durations, begun_ms: i64, pace: Pace) -> Walk {
        let time = |step: &Step| match pace {
            Pace::Median => durations.of(step).p50_ms,
            Pace::Slow => durations.of(step).p95_ms,
        };
        let mut schedule = Schedule::silent(plan, durations);
        let mut walk = Walk {
            times: vec![None; plan.steps.len()],
            freed_by: vec![None; plan.steps.len()],
            outside: BTreeMap::new(),
            to_come: BinaryHeap::new(),
        };
        schedule.tell_time(begun_ms);
        walk.take(schedule.begin(), 0, None, plan, &time);
        while let Some(Reverse((now, next))) = walk.to_come.pop() {
            let passed = i64::try_from(now).unwrap_or(i64::MAX);
            schedule.tell_time(begun_ms.saturating_add(passed));
            let (actions, cause) = match next {
                Next::Ends(id) => (schedule.finished(id, true), Some(id)),
                Next::Woken(rollout, cause) => (schedule.woken(rollout), cause),
            };
            walk.take(actions, now, cause, plan, &time);
        }
        walk
    }

    fn take(
        &mut self,
        actions: Vec<Action>,
        now: u64,
        cause: Option<StepId>,
        plan: &Plan,
        time: &impl Fn(&Step) -> u64,
    ) {
        for action in actions {
            match action {
                Action::Start(id) => self.start(id, now, cause, plan, time),
                Action::Wake(pause) => {
                    let over = now.saturating_add(u64::from(pause.seconds) * 1000);
                    let next = Next::Woken(pause.rollout, cause);
                    self.to_come.push(Reverse((over, next)));
                }
                Action::End(id, Outcome::Outside { why }) => {
                    if let Some(step) = plan.step(id) {
                        self.outside.insert(step.subject.clone(), why);
                    }
                }
                // Nothing fails here; what is blocked all the same is told by the run.
                Action::End(..) | Action::Wait(..) => {}
            }
        }
    }

    fn start(
        &mut self,
        id: StepId,
        now: u64,
        cause: Option<StepId>,
        plan: &Plan,
        time: &impl Fn(&Step) -> u64,
    ) {
        let at = id.0 as usize;
        let Some(step) = plan.step(id) else {
            return;
        };
        let end_ms = now.saturating_add(time(&step.step));
        if let (Some(times), Some(freed_by)) = (self.times.get_mut(at), self.freed_by.get_mut(at)) {
            *times = Some(Span {
                begin_ms: now,
                end_ms,
            });
            *freed_by = cause;
        }
        self.to_come.push(Reverse((end_ms, Next::Ends(id))));
    }

    /// From the begin of each resource's first step to the end of its last. Its steps stand together for the most part: the map
    /// is asked once for each stretch.
    fn spans<'p>(&self, plan: &'p Plan) -> BTreeMap<&'p Addr, Span> {
        let mut out: BTreeMap<&Addr, Span> = BTreeMap::new();
        for stretch in plan.steps.chunk_by(|a, b| a.subject == b.subject) {
            let times = stretch.iter().map(|s| self.times.get(s.id.0 as usize));
            let whole = times.filter_map(|t| *t?).reduce(Span::over);
            if let (Some(first), Some(span)) = (stretch.first(), whole) {
                out.entry(&first.subject)
                    .and_modify(|known| *known = known.over(span))
                    .or_insert(span);
            }
        }
        out
    }

    fn end_ms(&self) -> u64 {
        let ends = self.times.iter().flatten().map(|t| t.end_ms);
        ends.max().unwrap_or(0)
    }

    fn critical(&self, plan: &Plan) -> Vec<StepId> {
        let times = plan.steps.iter().zip(&self.times);
        let ended =
            times.filter_map(|(step, times)| Some((times.as_ref()?.end_ms, Reverse(step.id))));
        let mut at = ended.max().map(|(_, last)| last.0);
        let mut out = Vec::new();
        while let Some(step) = at {
            let index = step.0 as usize;
            let times = self.times.get(index).copied().flatten();
            // What takes no time is on no path that anybody could shorten.
            if times.is_some_and(|t| t.end_ms > t.begin_ms) {
                out.push(step);
            }
            at = self.freed_by.get(index).copied().flatten();
        }
        out.reverse();
        out
    }
}
