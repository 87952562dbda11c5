//! Steps being gathered, one after the other, about an instance on a node.

use std::net::Ipv4Addr;

use super::layout;
use super::step::{Bmc, BootTarget, DiskTarget, Manner, PlannedStep, Step, StepId};
use crate::ids::Addr;
use crate::model::{Fleet, InstanceRecord, Node, PowerConfig, Site};

/// Steps being gathered; their order is where they stand until `graph::order` has seen them.
#[derive(Default)]
pub struct Builder {
    pub steps: Vec<PlannedStep>,
    /// What all others wait for, when there is such a step.
    pub first: Option<StepId>,
}

/// Seconds for what only touches the store or a file.
pub const LOCAL_LIMIT_S: u32 = 60;
/// Seconds for reading an image's bytes once; a stalled disk is told apart by its own limit.
pub const READ_LIMIT_S: u32 = 3600;
/// Seconds a BMC may take over one exchange, retries included.
const BMC_LIMIT_S: u32 = 60;

impl Builder {
    /// With room for a first plan of a fleet: growing would copy a hundred thousand steps again and again.
    pub fn sized(fleet: &Fleet) -> Builder {
        const STEPS_OF_A_DEPLOYMENT: usize = 14;
        let all = fleet.origins.len() + fleet.instances.len() * STEPS_OF_A_DEPLOYMENT;
        Builder {
            steps: Vec::with_capacity(all),
            first: None,
        }
    }

    pub fn push(
        &mut self,
        subject: &Addr,
        node: Option<&Addr>,
        step: Step,
        after: &[StepId],
        limit_s: u32,
    ) -> StepId {
        let id = StepId(u32::try_from(self.steps.len()).unwrap_or(u32::MAX));
        let (expect, goal) = step.conditions();
        self.steps.push(PlannedStep {
            id,
            subject: subject.clone(),
            node: node.cloned(),
            after: match (after, self.first) {
                ([], Some(first)) => vec![first],
                _ => after.to_vec(),
            },
            expect,
            goal,
            limit_s,
            step,
        });
        id
    }
}

/// A node with what surrounds it, from the configuration or, for a node that has left it, from state.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub addr: &'a Addr,
    pub node: &'a Node,
    pub site_addr: &'a Addr,
    pub site: &'a Site,
}

impl Place<'_> {
    pub(super) fn bmc(&self) -> Bmc {
        match &self.node.power {
            PowerConfig::Ipmi {
                user,
                cipher_suite,
                address: _,
                port: _,
                password: _,
            } => Bmc {
                node: self.addr.clone(),
                endpoint: self.node.power.endpoint(),
                user: user.clone(),
                cipher_suite: *cipher_suite,
                interval_ms: self.site.limits.bmc_interval_ms,
            },
        }
    }

    /// What a step needs more than its limit, seconds, because its BMC is left alone between two exchanges.
    fn rests_s(&self) -> u32 {
        // Looks that agree, the command, and looks that agree again, with one command more.
        const EXCHANGES: u32 = 8;
        let rests_ms = self.site.limits.bmc_interval_ms.saturating_mul(EXCHANGES);
        rests_ms.div_ceil(1000)
    }

    pub(super) fn bmc_limit_s(&self) -> u32 {
        BMC_LIMIT_S.saturating_add(self.rests_s())
    }

    pub(super) fn power_limit_s(&self) -> u32 {
        let limit_s = self.site.limits.power_timeout_s;
        limit_s.saturating_add(self.rests_s())
    }

    pub(super) fn target(&self, record: &InstanceRecord) -> BootTarget {
        let address = record
            .desired
            .addresses
            .iter()
            .zip(&record.addresses)
            .find(|(request, _)| request.network == self.site.network)
            .map(|(_, ip)| *ip);
        BootTarget {
            site: self.site_addr.clone(),
            server: self.site.address,
            http_port: self.site.http_port,
            bios_loader: self.site.bios_loader,
            firmware: self.node.firmware,
            macs: record.macs.clone(),
            address,
        }
    }

    /// Where the instance is looked at from outside: its address in the site's network, else its first.
    pub(super) fn asked_at(&self, record: &InstanceRecord) -> Option<Ipv4Addr> {
        let at_site = self.target(record).address;
        at_site.or_else(|| record.addresses.first().copied())
    }

    /// The disk to write to: the one that was written before, when there is one.
    pub(super) fn disk(&self, record: &InstanceRecord) -> DiskTarget {
        let (size_min, size_max) = layout::size_range(self.node.local_gb);
        DiskTarget {
            root_device: self.node.root_device.clone(),
            size_min,
            size_max,
            serial: record.traces.disk.as_ref().map(|d| d.serial.clone()),
        }
    }
}

/// A chain of steps about one instance on one node.
pub(super) struct Chain<'a> {
    pub builder: &'a mut Builder,
    pub instance: &'a Addr,
    pub node: &'a Addr,
    pub last: Vec<StepId>,
    pub ids: Vec<StepId>,
}

impl<'a> Chain<'a> {
    pub(super) fn on(
        node: &'a Addr,
        builder: &'a mut Builder,
        instance: &'a Addr,
        after: Vec<StepId>,
    ) -> Chain<'a> {
        Chain {
            builder,
            instance,
            node,
            last: after,
            ids: Vec::new(),
        }
    }

    pub(super) fn then(&mut self, step: Step, limit_s: u32) -> StepId {
        let id = self
            .builder
            .push(self.instance, Some(self.node), step, &self.last, limit_s);
        self.last = vec![id];
        self.ids.push(id);
        id
    }

    pub(super) fn claim(&mut self, record: InstanceRecord) {
        let step = Step::Claim {
            instance: self.instance.clone(),
            node: self.node.clone(),
            record: Box::new(record),
        };
        self.then(step, LOCAL_LIMIT_S);
    }

    pub(super) fn hard_off(&mut self, bmc: &Bmc, place: Place<'_>) {
        self.power_off(bmc, Manner::Hard, place.power_limit_s());
    }

    /// For systems whose data stays.
    pub(super) fn soft_off(&mut self, bmc: &Bmc, place: Place<'_>) {
        let grace_s = place.site.limits.soft_off_timeout_s;
        let limit_s = place.power_limit_s().saturating_add(grace_s);
        self.power_off(bmc, Manner::Soft { grace_s }, limit_s);
    }

    fn power_off(&mut self, bmc: &Bmc, how: Manner, limit_s: u32) {
        let step = Step::PowerOff {
            bmc: bmc.clone(),
            how,
            seen: None,
        };
        self.then(step, limit_s);
    }
}
