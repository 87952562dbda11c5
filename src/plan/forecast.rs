//! How long steps take, and what that makes of a plan. The walk through the plan is the engine's (`apply/forecast.rs`): who begins
//! when is its to say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Step, StepId};
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
    /// The steps whose times add up to the median's end, with the pauses between waves.
    pub critical: Vec<StepId>,
    /// Resources that would not begin if the plan were carried out at that moment, and why: they are in no time that is told.
    pub outside: BTreeMap<Addr, String>,
}

impl Forecast {
    /// What is not in the times, for whoever reads them.
    pub fn left_out(&self) -> Option<String> {
        let (first, why) = self.outside.first_key_value()?;
        Some(match self.outside.len() {
            1 => format!("{first} would not begin at this moment: outside of {why}"),
            n => {
                format!("{n} would not begin at this moment, {first} among them: outside of {why}")
            }
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    pub begin_ms: u64,
    pub end_ms: u64,
}

impl Span {
    /// From the earlier begin to the later end.
    pub fn over(self, other: Span) -> Span {
        Span {
            begin_ms: self.begin_ms.min(other.begin_ms),
            end_ms: self.end_ms.max(other.end_ms),
        }
    }
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
