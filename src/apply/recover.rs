//! PURE. What to make of a step that was started and whose end nobody saw: look first, never assume (design rule 7).
//!
//! Recovery does not go on with the old plan. It settles each such step, so that the next plan is made from what is known.

use std::collections::BTreeMap;
use std::fmt;

use super::lifecycle;
use crate::ids::Addr;
use crate::model::{PowerSeen, Resource};
use crate::plan::PlannedStep;
use crate::plan::step::{Bmc, Step};
use crate::store::StateChange;

/// What has to be looked at.
#[derive(Debug, PartialEq, Eq)]
pub enum Question<'a> {
    Nothing,
    Power(&'a Bmc),
}

pub fn question(step: &Step) -> Question<'_> {
    match step {
        Step::PowerOff { bmc, .. } | Step::PowerOn { bmc } => Question::Power(bmc),
        Step::Record { .. }
        | Step::Forget { .. }
        | Step::Move { .. }
        | Step::Claim { .. }
        | Step::CheckImage { .. }
        | Step::BootDeploy { .. }
        | Step::SetBootDevice { .. }
        | Step::AwaitRamdisk { .. }
        | Step::CheckDisk { .. }
        | Step::WriteDisk(_)
        | Step::EraseDisk { .. }
        | Step::BootInstance { .. }
        | Step::Reboot { .. }
        | Step::AwaitPhoneHome { .. }
        | Step::Finish { .. }
        | Step::Gate(_)
        | Step::RemoveBoot { .. }
        | Step::Release { .. } => Question::Nothing,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It happened.
    Done,
    /// It did not; doing it is safe.
    NotDone(&'static str),
    /// Nobody knows; the next plan does it over, and says so.
    DoOver(&'static str),
    Unknown(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Done => f.write_str("was done"),
            Verdict::NotDone(why) => write!(f, "was not done ({why})"),
            Verdict::DoOver(why) => write!(f, "is done over ({why})"),
            Verdict::Unknown(why) => write!(f, "is unknown ({why}); the next plan looks again"),
        }
    }
}

pub fn verdict(step: &Step, seen: Option<&PowerSeen>) -> Verdict {
    match step {
        Step::PowerOff { .. } => power(seen, &PowerSeen::Off),
        Step::PowerOn { .. } => power(seen, &PowerSeen::On),
        // State and journal change in one transaction: no end in the journal, no change in state.
        Step::Record { .. }
        | Step::Forget { .. }
        | Step::Move { .. }
        | Step::Finish { .. }
        | Step::Release { .. } => Verdict::NotDone("state does not have it"),
        Step::Claim { .. } => Verdict::NotDone("state does not have it; the claim is given back"),
        Step::CheckImage { .. }
        | Step::CheckDisk { .. }
        | Step::AwaitRamdisk { .. }
        | Step::AwaitPhoneHome { .. }
        | Step::Gate(_) => Verdict::NotDone("it only waits or reads"),
        Step::BootDeploy { .. } | Step::BootInstance { .. } | Step::RemoveBoot { .. } => {
            Verdict::DoOver("boot files are written whole each time")
        }
        Step::SetBootDevice { .. } => {
            Verdict::DoOver("a boot device is a hint and is set before each power-on")
        }
        Step::WriteDisk(_) => Verdict::DoOver(
            "the write was interrupted: the disk cannot boot before its first MiB, which comes last",
        ),
        Step::EraseDisk { .. } => Verdict::DoOver("erasing was interrupted"),
        Step::Reboot { .. } => Verdict::DoOver("the node is power-cycled instead"),
    }
}

fn power(seen: Option<&PowerSeen>, wanted: &PowerSeen) -> Verdict {
    match seen {
        Some(PowerSeen::Unknown(why)) => Verdict::Unknown(why.clone()),
        Some(found) if found == wanted => Verdict::Done,
        Some(_) => Verdict::NotDone("the BMC says so"),
        None => Verdict::Unknown("the BMC was not asked".to_owned()),
    }
}

/// State changes that follow: those of the live run, when the step was done.
pub fn changes(
    step: &PlannedStep,
    verdict: &Verdict,
    state: &BTreeMap<Addr, Resource>,
) -> Vec<StateChange> {
    match verdict {
        Verdict::Done => lifecycle::effects(&step.step, None, state),
        Verdict::NotDone(_) | Verdict::DoOver(_) | Verdict::Unknown(_) => {
            lifecycle::after_failure(&step.step, state)
        }
    }
}
