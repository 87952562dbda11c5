//! How long a plan will take: each step as long as its kind has taken before, within the budgets that apply keeps.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use serde::{Deserialize, Serialize};

use super::step::Lane;
use super::{Plan, PlannedStep, Step, StepId};
use crate::ids::Addr;

/// How long steps of one kind have taken, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    pub p50_ms: u64,
    pub p95_ms: u64,
    /// How many ends that is from; 0 is a guess.
    pub count: u64,
}

impl Spread {
    /// Of some times that were measured; `None` of none.
    pub fn of(mut times_ms: Vec<u64>) -> Option<Spread> {
        times_ms.sort_unstable();
        let at = |percent: usize| {
            let last = times_ms.len().checked_sub(1)?;
            times_ms
                .get(
                    (times_ms.len() * percent)
                        .div_ceil(100)
                        .saturating_sub(1)
                        .min(last),
                )
                .copied()
        };
        Some(Spread {
            p50_ms: at(50)?,
            p95_ms: at(95)?,
            count: times_ms.len() as u64,
        })
    }
}

/// By the title of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations(pub BTreeMap<String, Spread>);

impl Durations {
    /// What was measured, or a guess for a kind that has never been.
    pub fn of(&self, step: &Step) -> Spread {
        let known = self.0.get(step.title());
        known.copied().unwrap_or_else(|| guess(step))
    }
}

/// What is common for machines that take minutes to start, in seconds: for a state without a history.
fn guess(step: &Step) -> Spread {
    let (p50_s, p95_s) = match step {
        Step::Record { .. } | Step::Forget { .. } | Step::Move { .. } | Step::Claim { .. } => {
            (0, 0)
        }
        Step::BootDeploy { .. } | Step::BootInstance { .. } | Step::RemoveBoot { .. } => (1, 2),
        Step::SetBootDevice { .. } | Step::CheckDisk { .. } => (1, 5),
        Step::Finish { .. } | Step::Release { .. } => (0, 1),
        Step::CheckImage { .. } => (5, 30),
        Step::PowerOff { .. } | Step::PowerOn { .. } => (5, 15),
        Step::Reboot { .. } => (5, 20),
        Step::AwaitRamdisk { .. } => (180, 420),
        Step::AwaitPhoneHome { .. } => (180, 480),
        // What phones home in any case has done so by then.
        Step::Gate(_) => (5, 60),
        Step::WriteDisk(_) => (120, 600),
        Step::EraseDisk { .. } => (300, 1800),
    };
    Spread {
        p50_ms: p50_s * 1000,
        p95_ms: p95_s * 1000,
        count: 0,
    }
}

/// What is to be expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// From the start to the end of the run, when every step takes its median, and when each takes its 95th percentile.
    pub p50_ms: u64,
    pub p95_ms: u64,
    /// The kinds of step that nothing was ever measured of.
    pub guessed: Vec<String>,
    /// When each resource's change begins and ends, at the median.
    pub spans: BTreeMap<Addr, Span>,
    /// And when each has ended at the latest, by the 95th percentile.
    pub late_ms: BTreeMap<Addr, u64>,
    /// The steps whose times add up to the median's end.
    pub critical: Vec<StepId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    pub begin_ms: u64,
    pub end_ms: u64,
}

/// Goes through the plan as apply would.
pub fn forecast(plan: &Plan, durations: &Durations) -> Forecast {
    let median = walk(plan, |step| durations.of(step).p50_ms);
    let slow = walk(plan, |step| durations.of(step).p95_ms);
    let guessed: BTreeSet<&str> = plan
        .steps
        .iter()
        .filter(|s| durations.of(&s.step).count == 0)
        .map(|s| s.step.title())
        .collect();
    let mut spans: BTreeMap<Addr, Span> = BTreeMap::new();
    for (step, times) in plan.steps.iter().zip(&median.times) {
        let span = spans.entry(step.subject.clone()).or_insert(*times);
        span.begin_ms = span.begin_ms.min(times.begin_ms);
        span.end_ms = span.end_ms.max(times.end_ms);
    }
    let mut late_ms: BTreeMap<Addr, u64> = BTreeMap::new();
    for (step, times) in plan.steps.iter().zip(&slow.times) {
        let end = late_ms.entry(step.subject.clone()).or_insert(0);
        *end = (*end).max(times.end_ms);
    }
    Forecast {
        late_ms,
        p50_ms: median.end_ms(),
        p95_ms: slow.end_ms(),
        guessed: guessed.into_iter().map(str::to_owned).collect(),
        critical: critical(plan, &median),
        spans,
    }
}

struct Walk {
    times: Vec<Span>,
    /// The step whose end let each one start.
    freed_by: Vec<Option<usize>>,
}

impl Walk {
    fn end_ms(&self) -> u64 {
        self.times.iter().map(|t| t.end_ms).max().unwrap_or(0)
    }
}

/// What is scarce: a place for a write or a boot at a site.
type Budget<'p> = (Option<&'p Addr>, bool);

fn walk(plan: &Plan, time: impl Fn(&Step) -> u64) -> Walk {
    let count = plan.steps.len();
    let mut waits: Vec<usize> = plan.steps.iter().map(|s| s.after.len()).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (at, step) in plan.steps.iter().enumerate() {
        for before in &step.after {
            if let Some(list) = followers.get_mut(before.0 as usize) {
                list.push(at);
            }
        }
    }
    let sites = sites(plan);
    let mut used: BTreeMap<Budget<'_>, u32> = BTreeMap::new();
    let mut queued: BTreeMap<Budget<'_>, BTreeSet<usize>> = BTreeMap::new();
    let mut walk = Walk {
        times: vec![
            Span {
                begin_ms: 0,
                end_ms: 0
            };
            count
        ],
        freed_by: vec![None; count],
    };
    let mut ready: BTreeSet<usize> = (0..count).filter(|at| waits[*at] == 0).collect();
    let mut running: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut now = 0;
    loop {
        while let Some(at) = ready.pop_first() {
            let step = &plan.steps[at];
            if let Some(budget) = budget(step, &sites) {
                let taken = used.entry(budget).or_insert(0);
                if *taken >= limit(plan, budget) {
                    queued.entry(budget).or_default().insert(at);
                    continue;
                }
                *taken += 1;
            }
            let end_ms = now + time(&step.step);
            walk.times[at] = Span {
                begin_ms: now,
                end_ms,
            };
            running.push(Reverse((end_ms, at)));
        }
        let Some(Reverse((end, at))) = running.pop() else {
            return walk;
        };
        now = end;
        if let Some(budget) = budget(&plan.steps[at], &sites) {
            let taken = used.entry(budget).or_insert(0);
            *taken = taken.saturating_sub(1);
            if let Some(next) = queued.get_mut(&budget).and_then(BTreeSet::pop_first) {
                walk.freed_by[next] = Some(at);
                ready.insert(next);
            }
        }
        for &next in &followers[at] {
            waits[next] -= 1;
            if waits[next] == 0 {
                walk.freed_by[next] = Some(at);
                ready.insert(next);
            }
        }
    }
}

fn sites(plan: &Plan) -> BTreeMap<&Addr, &Addr> {
    let boots = plan.steps.iter().filter_map(|s| s.step.nature().boot);
    boots.map(|(node, target)| (node, &target.site)).collect()
}

/// A boot lasts from power-on to the ramdisk's word; here each of both takes a place, which is the same in sum.
fn budget<'p>(step: &'p PlannedStep, sites: &BTreeMap<&'p Addr, &'p Addr>) -> Option<Budget<'p>> {
    let node = step.node.as_ref()?;
    let site = sites.get(node).copied();
    match step.step.nature().lane {
        Lane::Free => None,
        Lane::Write => Some((site, true)),
        Lane::Boot => Some((site, false)),
    }
}

fn limit(plan: &Plan, (site, is_write): Budget<'_>) -> u32 {
    let budget = site.and_then(|site| plan.budgets.get(site));
    let limit = match is_write {
        true => budget.map_or(super::Budget::DEFAULT.writes, |b| b.writes),
        false => budget.map_or(super::Budget::DEFAULT.boots, |b| b.boots),
    };
    limit.max(1)
}

fn critical(plan: &Plan, walk: &Walk) -> Vec<StepId> {
    let last = (0..plan.steps.len()).max_by_key(|at| (walk.times[*at].end_ms, Reverse(*at)));
    let mut out = Vec::new();
    let mut at = last;
    while let Some(step) = at {
        // What takes no time is on no path that anybody could shorten.
        if walk.times[step].end_ms > walk.times[step].begin_ms {
            out.push(plan.steps[step].id);
        }
        at = walk.freed_by[step];
    }
    out.reverse();
    out
}

/// `47 s`, `12 min`, `3 h 05 min`.
pub fn human_time(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match (seconds / 3600, seconds / 60, seconds) {
        (0, 0, s) => format!("{s} s"),
        (0, minutes, s) if minutes < 10 => format!("{minutes} min {:02} s", s % 60),
        (0, minutes, _) => format!("{minutes} min"),
        (hours, minutes, _) => format!("{hours} h {:02} min", minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_what_was_measured() {
        let spread = Spread::of((1..=100).collect()).unwrap();
        assert_eq!((spread.p50_ms, spread.p95_ms, spread.count), (50, 95, 100));
        let one = Spread::of(vec![7]).unwrap();
        assert_eq!((one.p50_ms, one.p95_ms), (7, 7));
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn times_are_told_as_people_tell_them() {
        for (ms, told) in [
            (0, "0 s"),
            (46_100, "47 s"),
            (185_000, "3 min 05 s"),
            (720_000, "12 min"),
            (11_100_000, "3 h 05 min"),
        ] {
            assert_eq!(human_time(ms), told);
        }
    }
}
