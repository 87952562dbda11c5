//! A whole configuration as typed values, with the places they were written at.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Flavor, Image, Import, Instance, Lifecycle, Moved, Network, Nic, Node, Removed, Resource, Site,
};
use super::{rollout, window};
use crate::diag::Span;
use crate::ids::{Addr, Kind};

/// Everything a configuration declares. References between resources are addresses that the decoder has checked to exist.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    pub networks: BTreeMap<Addr, Network>,
    pub sites: BTreeMap<Addr, Site>,
    pub flavors: BTreeMap<Addr, Flavor>,
    pub images: BTreeMap<Addr, Image>,
    pub nodes: BTreeMap<Addr, Node>,
    pub nics: BTreeMap<Addr, Nic>,
    pub instances: BTreeMap<Addr, Instance>,
    /// `depends_on` of each resource that has one.
    pub depends_on: BTreeMap<Addr, Vec<Addr>>,
    /// `lifecycle.prevent_destroy` of resources other than instances is kept here too.
    pub prevent_destroy: std::collections::BTreeSet<Addr>,
    /// The other rules of `lifecycle`, of each resource that has some.
    pub lifecycle: BTreeMap<Addr, Lifecycle>,
    pub moved: Vec<Moved>,
    pub removed: Vec<Removed>,
    pub imports: Vec<Import>,
    /// Of the root module, by name.
    pub rollouts: Vec<rollout::Rule>,
    /// Of the root module, by name.
    pub windows: Vec<window::Window>,
    /// Of the root module.
    pub outputs: BTreeMap<String, Output>,
    pub origins: BTreeMap<Addr, Origin>,
}

/// Where a resource was written: its block's header, and the value of each attribute. Attributes of nested blocks are named
/// with a dot, such as `power.address`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub block: Span,
    /// Of one block's many instances, most have theirs in common.
    pub attributes: Arc<BTreeMap<String, Span>>,
}

impl Origin {
    /// The attribute's place, or the block's when it was left to its default.
    pub fn attribute(&self, name: &str) -> Span {
        self.attributes.get(name).copied().unwrap_or(self.block)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub value: serde_json::Value,
    pub sensitive: bool,
    pub description: Option<String>,
}

impl Fleet {
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
            && self.sites.is_empty()
            && self.flavors.is_empty()
            && self.images.is_empty()
            && self.nodes.is_empty()
            && self.nics.is_empty()
            && self.instances.is_empty()
    }

    pub fn declares(&self, addr: &Addr) -> bool {
        match addr.kind {
            Kind::Network => self.networks.contains_key(addr),
            Kind::Site => self.sites.contains_key(addr),
            Kind::Flavor => self.flavors.contains_key(addr),
            Kind::Image => self.images.contains_key(addr),
            Kind::Node => self.nodes.contains_key(addr),
            Kind::Nic => self.nics.contains_key(addr),
            Kind::Instance => self.instances.contains_key(addr),
        }
    }

    /// What is declared under an address, in the form that state keeps; an instance is recorded in another form.
    pub fn resource(&self, addr: &Addr) -> Option<Resource> {
        Some(match addr.kind {
            Kind::Network => Resource::Network(self.networks.get(addr)?.clone()),
            Kind::Site => Resource::Site(self.sites.get(addr)?.clone()),
            Kind::Flavor => Resource::Flavor(self.flavors.get(addr)?.clone()),
            Kind::Image => Resource::Image(self.images.get(addr)?.clone()),
            Kind::Node => Resource::Node(Box::new(self.nodes.get(addr)?.clone())),
            Kind::Nic => Resource::Nic(self.nics.get(addr)?.clone()),
            Kind::Instance => return None,
        })
    }

    /// The NICs of every node, in the order of their addresses: asked once, because asking node by node reads all of them
    /// each time.
    pub fn nics_by_node(&self) -> BTreeMap<&Addr, Vec<&Nic>> {
        let mut out: BTreeMap<&Addr, Vec<&Nic>> = BTreeMap::new();
        for nic in self.nics.values() {
            out.entry(&nic.node).or_default().push(nic);
        }
        out
    }
}
