//! Drift: where the metal differs from what was applied, and what is to be done about each difference.
//!
//! Of what is known about an instance, some is *desired* (what is declared: only this is compared and corrected), some is
//! *observed* (power, boot device, what it said when it phoned home) and some is *volatile* (whether a BMC answers). What was not
//! seen is never drift: an unknown is told, and nothing follows from it.

use std::collections::BTreeSet;

use super::make::Maker;
use super::{Action, Change, Risk, Step, steps};
use crate::ids::Addr;
use crate::model::{
    BootSeen, ImageType, InstancePhase, InstanceRecord, Observed, OnDrift, PowerSeen, PowerState,
};

/// One difference.
pub(super) struct Found {
    pub what: What,
    pub on: OnDrift,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Power,
    BootDevice,
}

/// What of the node differs from what the instance wants of it. `phase` is what state last knew of its power.
pub(super) fn of(
    record: &InstanceRecord,
    phase: Option<&InstancePhase>,
    observed: &Observed,
) -> Vec<Found> {
    if observed.busy.contains_key(&record.node) {
        return Vec::new();
    }
    let power = power(record, phase, observed).map(|text| Found {
        what: What::Power,
        on: record.desired.drift.power,
        text,
    });
    let boot = boot_device(record, observed).map(|text| Found {
        what: What::BootDevice,
        on: record.desired.drift.boot_device,
        text,
    });
    power.into_iter().chain(boot).collect()
}

fn power(
    record: &InstanceRecord,
    phase: Option<&InstancePhase>,
    observed: &Observed,
) -> Option<String> {
    let node = &record.node;
    match (observed.power.get(node), record.desired.power_state) {
        (Some(PowerSeen::Off), PowerState::On) => Some(format!("{node} is off and should be on")),
        (Some(PowerSeen::On), PowerState::Off) => Some(format!("{node} is on and should be off")),
        // Nobody looked: what a refresh has noted holds.
        (None, PowerState::On) if phase == Some(&InstancePhase::Off) => Some(format!(
            "{node} was off when it was last looked at, and should be on"
        )),
        (None, PowerState::Off) if phase == Some(&InstancePhase::Running) => Some(format!(
            "{node} was on when it was last looked at, and should be off"
        )),
        (Some(PowerSeen::On | PowerSeen::Unknown(_)) | None, PowerState::On)
        | (Some(PowerSeen::Off | PowerSeen::Unknown(_)) | None, PowerState::Off) => None,
    }
}

fn boot_device(record: &InstanceRecord, observed: &Observed) -> Option<String> {
    let wanted = match record.image.kind {
        ImageType::Partition => BootSeen::Pxe,
        ImageType::Disk => BootSeen::Disk,
    };
    let found = match observed.boot.get(&record.node)? {
        seen if *seen == wanted => return None,
        BootSeen::Pxe => "the network".to_owned(),
        BootSeen::Disk => "the disk".to_owned(),
        BootSeen::Other(number) => format!("device {number}"),
        // A hint that is gone contradicts nothing.
        BootSeen::Unset | BootSeen::Unknown(_) => return None,
    };
    let should = match wanted {
        BootSeen::Pxe => "the network",
        BootSeen::Disk | BootSeen::Other(_) | BootSeen::Unset | BootSeen::Unknown(_) => "the disk",
    };
    Some(format!(
        "{} starts from {found} and should start from {should}",
        record.node
    ))
}

impl Maker<'_> {
    /// Differences that are told and nothing else.
    pub(super) fn alerts(&self) -> Vec<String> {
        let mut out = Vec::new();
        let changed: BTreeSet<&Addr> = self.changes.iter().map(|c| &c.addr).collect();
        for (addr, resource) in &self.input.recorded.resources {
            let Some(record) = resource.as_instance().filter(|_| self.wants(addr)) else {
                continue;
            };
            // Whoever is changed is told of in the change.
            if changed.contains(addr) {
                continue;
            }
            let found = of(record, Some(&record.phase), self.input.observed);
            let alerts = found.into_iter().filter(|f| f.on == OnDrift::Alert);
            out.extend(alerts.map(|f| format!("{addr}: {} (drift: alert)", f.text)));
        }
        out
    }

    /// `--refresh-only`: state takes note of what was seen, and no machine is touched.
    pub(super) fn observe(&mut self) {
        let seen: Vec<(Addr, InstanceRecord, &str)> = self
            .input
            .recorded
            .resources
            .iter()
            .filter(|(addr, _)| self.wants(addr))
            .filter_map(|(addr, resource)| {
                let record = resource.as_instance()?;
                let (phase, what) = self.seen_phase(record)?;
                let mut record = record.clone();
                record.phase = phase;
                Some((addr.clone(), record, what))
            })
            .collect();
        for (addr, record, what) in seen {
            let node = record.node.clone();
            let step = Step::Finish {
                instance: addr.clone(),
                node: node.clone(),
                record: Box::new(record),
            };
            let id = self
                .builder
                .push(&addr, Some(&node), step, &[], steps::LOCAL_LIMIT_S);
            self.changes.push(Change {
                addr,
                action: Action::Update,
                risk: Risk::InPlace,
                reasons: vec![format!(
                    "{node} was found {what}: state takes note of it, the machine is not touched"
                )],
                node: Some(node),
                disk: None,
                attributes: Vec::new(),
                unchanged: 0,
                steps: vec![id],
            });
        }
    }

    fn seen_phase(&self, record: &InstanceRecord) -> Option<(InstancePhase, &'static str)> {
        if self.input.observed.busy.contains_key(&record.node) {
            return None;
        }
        match (&record.phase, self.input.observed.power.get(&record.node)?) {
            (InstancePhase::Running, PowerSeen::Off) => Some((InstancePhase::Off, "off")),
            (InstancePhase::Off, PowerSeen::On) => Some((InstancePhase::Running, "on")),
            (InstancePhase::Running, PowerSeen::On | PowerSeen::Unknown(_))
            | (InstancePhase::Off, PowerSeen::Off | PowerSeen::Unknown(_))
            | (
                InstancePhase::Deploying
                | InstancePhase::Destroying
                | InstancePhase::NeedsAttention(_),
                _,
            ) => None,
        }
    }
}
