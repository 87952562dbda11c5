//! What kind of thing each step is, told once: who asks only for its site or its BMC need not know every step.

use super::step::{Bmc, BootTarget, Lane, Step};
use crate::ids::Addr;

/// A step's answers to simple questions.
#[derive(Debug, Clone, Copy)]
pub struct Nature<'a> {
    /// What it competes for at its site.
    pub lane: Lane,
    pub bmc: Option<&'a Bmc>,
    /// The boot files it writes or removes, and whose they are.
    pub boot: Option<(&'a Addr, &'a BootTarget)>,
    pub loan: Loan,
}

/// Its part in what a deployment borrows: boot files with a token, a key, a session, a machine that runs a ramdisk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loan {
    Apart,
    Starts,
    Within,
    /// It needs what is borrowed, and gives it back when it ends well.
    Ends,
    /// It gives back what may be borrowed, and needs none of it.
    Returns,
}

impl Step {
    pub fn nature(&self) -> Nature<'_> {
        let plain = Nature {
            lane: Lane::Free,
            bmc: None,
            boot: None,
            loan: Loan::Apart,
        };
        let within = Nature {
            loan: Loan::Within,
            ..plain
        };
        match self {
            Step::Record { .. }
            | Step::Forget { .. }
            | Step::Move { .. }
            | Step::Claim { .. }
            | Step::CheckImage { .. }
            | Step::AwaitPhoneHome { .. }
            | Step::Finish { .. }
            | Step::Gate(_)
            | Step::Release { .. } => plain,
            Step::BootDeploy { node, target, .. } => Nature {
                boot: Some((node, target)),
                loan: Loan::Starts,
                ..plain
            },
            Step::PowerOff { bmc, .. } => Nature {
                bmc: Some(bmc),
                ..plain
            },
            Step::SetBootDevice { bmc, .. } => Nature {
                bmc: Some(bmc),
                ..within
            },
            Step::PowerOn { bmc } => Nature {
                bmc: Some(bmc),
                lane: Lane::Boot,
                ..within
            },
            Step::AwaitRamdisk { .. } => Nature {
                lane: Lane::Boot,
                ..within
            },
            Step::CheckDisk { .. } => within,
            Step::WriteDisk(_) | Step::EraseDisk { .. } => Nature {
                lane: Lane::Write,
                ..within
            },
            Step::BootInstance { node, target, .. } => Nature {
                boot: Some((node, target)),
                ..within
            },
            Step::Reboot { .. } => Nature {
                loan: Loan::Ends,
                ..plain
            },
            Step::RemoveBoot { node, target } => Nature {
                boot: Some((node, target)),
                loan: Loan::Returns,
                ..plain
            },
        }
    }
}
