//! What is true of an instance when its change has ended well, and where it stands.

use std::collections::BTreeMap;

use super::ignore;
use super::make::Maker;
use super::steps::{self, Place};
use crate::ids::Addr;
use crate::model::{Ground, InstanceRecord, Resource};

impl<'a> Maker<'a> {
    /// What will be true of the instance when its change has ended well, unless it is deployed.
    pub(super) fn desired_record(&self, addr: &Addr) -> Option<InstanceRecord> {
        let mut record = self.bare_record(addr)?;
        record.triggers = self.triggers(addr);
        Some(record)
    }

    /// What will be true of the instance when it has been deployed: nothing is ignored then.
    pub(super) fn deployed_record(&self, addr: &Addr) -> Option<InstanceRecord> {
        let mut record = self.declared_record(addr)?;
        record.triggers = self.triggers(addr);
        Some(record)
    }

    /// The same as of one that is not deployed, but for its triggers, which may be instances themselves.
    pub(super) fn bare_record(&self, addr: &Addr) -> Option<InstanceRecord> {
        let mut record = self.declared_record(addr)?;
        if let Some(Resource::Instance(before)) = self.input.recorded.resources.get(addr)
            && before.node == record.node
        {
            if ignore::keeps(self.fleet, addr, "flavor") {
                record.flavor = before.flavor.clone();
            }
            if ignore::keeps(self.fleet, addr, "image") {
                record.image = before.image.clone();
                record.image_facts = before.image_facts.clone();
            }
        }
        Some(record)
    }

    /// The same, of what is declared alone.
    pub(super) fn declared_record(&self, addr: &Addr) -> Option<InstanceRecord> {
        let desired = self.fleet.instances.get(addr)?;
        let node = &self.placed.get(addr)?.node;
        let declared = self.fleet.nodes.get(node)?;
        let before = match self.input.recorded.resources.get(addr) {
            Some(Resource::Instance(before)) if before.node == *node => Some(before),
            _ => None,
        };
        let site = self.fleet.sites.get(&declared.site)?;
        let macs = self
            .nics
            .get(node)
            .into_iter()
            .flatten()
            .filter(|nic| nic.pxe && nic.network == site.network)
            .map(|nic| nic.mac)
            .collect();
        let ground = Ground::of(declared, site);
        // A node that was given another root device has nothing of the instance on it.
        let same_disk = before.filter(|b| b.ground.root_device == ground.root_device);
        Some(InstanceRecord {
            desired: desired.clone(),
            flavor: self.fleet.flavors.get(&desired.flavor)?.clone(),
            image: self.fleet.images.get(&desired.image)?.clone(),
            image_facts: self.input.facts.get(&desired.image)?.clone(),
            node: node.clone(),
            ground,
            macs,
            addresses: self.addresses.get(addr)?.clone(),
            phase: steps::phase_of(desired.power_state),
            disk: same_disk.and_then(|b| b.disk.clone()),
            traces: before.map(|b| b.traces.clone()).unwrap_or_default(),
            phoned: before.and_then(|b| b.phoned.clone()),
            unproven: before.map(|b| b.unproven.clone()).unwrap_or_default(),
            triggers: BTreeMap::new(),
        })
    }

    pub(super) fn declared_place(&self, node: &Addr) -> Option<Place<'a>> {
        let (addr, node) = self.fleet.nodes.get_key_value(node)?;
        let (site_addr, site) = self.fleet.sites.get_key_value(&node.site)?;
        Some(Place {
            addr,
            node,
            site_addr,
            site,
        })
    }

    /// The node as state knows it; the configuration's BMC wins when it still declares the node.
    pub(super) fn recorded_place(&self, node: &Addr) -> Option<Place<'a>> {
        if let Some(place) = self.declared_place(node) {
            return Some(place);
        }
        let recorded = self.input.recorded;
        let (addr, Resource::Node(node)) = recorded.resources.get_key_value(node)? else {
            return None;
        };
        let (site_addr, Resource::Site(site)) = recorded.resources.get_key_value(&node.site)?
        else {
            return None;
        };
        Some(Place {
            addr,
            node,
            site_addr,
            site,
        })
    }
}
