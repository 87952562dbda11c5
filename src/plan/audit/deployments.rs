//! What is done to one node, from its first step to its last: for whom, in which order, and to its end.

use super::filed::Filed;
use crate::ids::Addr;
use crate::plan::step::Step;

/// Nothing is done to a node for one instance while another has it: between two there is a release by the first.
pub(super) fn one_instance_per_node(filed: &Filed<'_>, found: &mut Vec<String>) {
    for (node, steps) in filed.by_node() {
        let mut holder: Option<&Addr> = None;
        for step in steps {
            let held_by = *holder.get_or_insert(&step.subject);
            if held_by != &step.subject {
                found.push(format!(
                    "step {} acts on {node} for {}, but {held_by} has not released it",
                    step.id, step.subject
                ));
            }
            if matches!(step.step, Step::Release { .. }) {
                holder = None;
            }
        }
    }
}

/// From the deploy boot files on, in this order: the power comes back from off, the ramdisk reports, a disk is written or erased,
/// and only then is the node handed over; and what was begun has its end in state.
pub(super) fn deployments_are_whole(filed: &Filed<'_>, found: &mut Vec<String>) {
    for (node, steps) in filed.by_node() {
        // One, or two where an instance takes the place of another.
        let mut chains: Vec<(&Addr, Chain)> = Vec::new();
        for step in steps {
            let known = chains.iter().position(|(s, _)| *s == &step.subject);
            let at = known.unwrap_or_else(|| {
                chains.push((&step.subject, Chain::default()));
                chains.len() - 1
            });
            let broken = chains
                .get_mut(at)
                .and_then(|(_, chain)| chain.broken_by(&step.step));
            if let Some(what) = broken {
                found.push(format!("step {}: {node} {what}", step.id));
            }
        }
        for (subject, _) in chains.iter().filter(|(_, chain)| chain.open) {
            found.push(format!(
                "{node}: what is done for {subject} has no end in state"
            ));
        }
    }
}

/// What has been done to a node for somebody, as far as a plan's steps go.
#[derive(Default)]
struct Chain {
    off: bool,
    deploying: bool,
    booted: bool,
    heard: bool,
    checked: bool,
    on_disk: bool,
    open: bool,
}

impl Chain {
    /// What is wrong with this step coming next.
    fn broken_by(&mut self, step: &Step) -> Option<&'static str> {
        match step {
            Step::PowerOff { .. } => {
                self.off = true;
                None
            }
            Step::BootDeploy { .. } => {
                self.deploying = true;
                (!self.off).then_some("is made ready while it may still be running")
            }
            Step::PowerOn { .. } => {
                self.booted = true;
                self.off = false;
                None
            }
            Step::AwaitRamdisk { .. } => {
                self.heard = true;
                (!self.booted || !self.deploying).then_some("is not started into its ramdisk")
            }
            Step::CheckDisk { .. } => {
                self.checked = true;
                (!self.heard).then_some("has its disk checked before its ramdisk was heard")
            }
            Step::WriteDisk(_) if !self.checked => {
                self.on_disk = true;
                Some("has its disk written without a look at what it carries")
            }
            Step::WriteDisk(_) | Step::EraseDisk { .. } => {
                self.on_disk = true;
                (!self.heard).then_some("has its disk written before its ramdisk was heard")
            }
            Step::BootInstance { .. } | Step::Reboot { .. } => (self.deploying && !self.on_disk)
                .then_some("is handed over before its disk is written and verified"),
            Step::Claim { .. } => {
                self.open = true;
                None
            }
            Step::Finish { .. } => {
                self.open = false;
                None
            }
            Step::Release { .. } => {
                self.open = false;
                (!self.off).then_some("is released while it may still be running")
            }
            Step::Record { .. } => {
                self.open = true;
                None
            }
            Step::Gate(_) => self
                .open
                .then_some("is asked at its gate before what is done for it has its end in state"),
            Step::Forget { .. }
            | Step::Move { .. }
            | Step::CheckImage { .. }
            | Step::SetBootDevice { .. }
            | Step::AwaitPhoneHome { .. }
            | Step::RemoveBoot { .. } => None,
        }
    }
}
