//! What state remembers: the resources as they were last applied.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::{
    BiosLoader, Firmware, Flavor, Gate, Image, ImageFacts, Instance, Network, Nic, Node,
    RootDevice, Site,
};
use crate::ids::{Addr, Kind};
use crate::units::{Mac, Sha256, TableId};

/// A snapshot of state. `serial` rises with every transaction; `lineage` names the state itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    pub lineage: String,
    /// Where the state is one of several on a server.
    pub workspace: Option<String>,
    pub serial: u64,
    pub resources: BTreeMap<Addr, Resource>,
    /// Partition tables that bmctl left on the disk of each node whose instance is gone.
    pub left_behind: BTreeMap<Addr, BTreeSet<TableId>>,
}

/// One resource as state holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", content = "is", rename_all = "lowercase")]
pub enum Resource {
    Network(Network),
    Site(Site),
    Flavor(Flavor),
    Image(Image),
    Node(Box<Node>),
    Nic(Nic),
    Instance(Box<InstanceRecord>),
}

impl Resource {
    pub fn kind(&self) -> Kind {
        match self {
            Resource::Network(_) => Kind::Network,
            Resource::Site(_) => Kind::Site,
            Resource::Flavor(_) => Kind::Flavor,
            Resource::Image(_) => Kind::Image,
            Resource::Node(_) => Kind::Node,
            Resource::Nic(_) => Kind::Nic,
            Resource::Instance(_) => Kind::Instance,
        }
    }
}

/// A new field that names a resource must be renamed here.
impl Resource {
    /// Puts new addresses into the place of old ones.
    pub fn rename(&mut self, moves: &BTreeMap<Addr, Addr>) {
        let one = |addr: &mut Addr| {
            if let Some(to) = moves.get(addr) {
                addr.clone_from(to);
            }
        };
        match self {
            Resource::Network(_) | Resource::Flavor(_) | Resource::Image(_) => {}
            Resource::Site(site) => one(&mut site.network),
            Resource::Node(node) => one(&mut node.site),
            Resource::Nic(nic) => {
                one(&mut nic.node);
                one(&mut nic.network);
            }
            Resource::Instance(record) => {
                one(&mut record.node);
                one(&mut record.ground.site);
                let desired = &mut record.desired;
                one(&mut desired.flavor);
                one(&mut desired.image);
                desired.node.iter_mut().for_each(one);
                desired
                    .addresses
                    .iter_mut()
                    .for_each(|a| one(&mut a.network));
            }
        }
    }
}

macro_rules! narrow {
    ($($name:ident: $variant:ident => $of:ty),+) => {$(
        pub fn $name(&self) -> Option<&$of> {
            if let Resource::$variant(is) = self { Some(is) } else { None }
        }
    )+};
}

impl Resource {
    narrow!(
        as_network: Network => Network,
        as_site: Site => Site,
        as_node: Node => Node,
        as_instance: Instance => InstanceRecord
    );
}

/// An instance as it stands on a node, self-contained: destroying it needs nothing of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InstanceRecord {
    pub desired: Instance,
    pub flavor: Flavor,
    pub image: Image,
    pub image_facts: ImageFacts,
    pub node: Addr,
    pub ground: Ground,
    /// The MACs of the node's PXE NICs, whose boot files belong to this instance.
    pub macs: Vec<Mac>,
    /// What each request of `desired.addresses` got, in the same order.
    pub addresses: Vec<Ipv4Addr>,
    pub phase: InstancePhase,
    /// The disk that was written: serial and size in bytes; `None` before the first write.
    pub disk: Option<WrittenDisk>,
    #[serde(default, skip_serializing_if = "Traces::is_none")]
    pub traces: Traces,
    /// What the system said when it phoned home.
    pub phoned: Option<Phoned>,
    /// Gates of its rollout that it has not passed: the next plan asks again, before anybody else begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unproven: Vec<Gate>,
    /// The SHA-256 of what each trigger of `replace_triggered_by` was when this was deployed. It is kept here, and not read from
    /// the trigger's own record: a run that stops after recording the trigger must not make the instance look as if it had
    /// followed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub triggers: BTreeMap<String, Sha256>,
}

/// What an instance was given by the node and the site it stands on. It is kept with the instance, not read from the node's
/// own record: a run that stops after recording the node must not make the instance look as if it had followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Ground {
    pub firmware: Firmware,
    pub root_device: RootDevice,
    pub site: Addr,
    pub server: Ipv4Addr,
    pub http_port: u16,
    pub bios_loader: BiosLoader,
}

impl Ground {
    pub fn of(node: &Node, site: &Site) -> Ground {
        let Node {
            site: site_addr,
            firmware,
            root_device,
            // Placement asks for these; the BMC is asked by whoever acts; the console is not the instance's.
            arch: _,
            cpus: _,
            memory_mb: _,
            local_gb: _,
            labels: _,
            power: _,
            console_port: _,
            maintenance: _,
        } = node;
        let Site {
            address,
            http_port,
            bios_loader,
            // The network decides NICs and addresses; the rest is the deployment's, not the instance's.
            network: _,
            dhcp: _,
            ramdisk: _,
            kernel_args: _,
            limits: _,
        } = site;
        Ground {
            firmware: *firmware,
            root_device: root_device.clone(),
            site: site_addr.clone(),
            server: *address,
            http_port: *http_port,
            bios_loader: *bios_loader,
        }
    }
}

/// What deployments of this instance have left, or may have left, on the disk of its node before the present one has written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Traces {
    /// Partition tables they wrote or set out to write: these may be overwritten.
    pub tables: Vec<TableId>,
    /// The disk itself, when one of them came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<WrittenDisk>,
    /// GiB of the ephemeral partition that is there as an earlier deployment made it; 0 means none.
    pub ephemeral_gb: u64,
}

impl Traces {
    /// One more table of ours; the oldest are forgotten.
    pub fn add(&mut self, table: Option<TableId>) {
        self.tables.extend(table);
        let surplus = self.tables.len().saturating_sub(Traces::TABLES_MAX);
        self.tables.drain(..surplus);
    }

    /// Enough for a deployment that is tried again and again; older tables have been overwritten by then.
    pub const TABLES_MAX: usize = 16;

    fn is_none(&self) -> bool {
        *self == Traces::default()
    }
}

impl InstanceRecord {
    /// The partition tables it wrote, or set out to write; none after its disk was erased.
    pub fn tables(&self) -> impl Iterator<Item = TableId> {
        let written = self.disk.as_ref().and_then(|d| d.table);
        self.traces.tables.iter().copied().chain(written)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WrittenDisk {
    pub serial: String,
    pub size: u64,
    pub table: Option<TableId>,
}

/// What an instance said of itself when it came up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Phoned {
    pub hostname: String,
    pub address: String,
    pub root: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "phase", content = "why", rename_all = "snake_case")]
pub enum InstancePhase {
    /// The node is claimed; the deployment has not come to its end.
    Deploying,
    Running,
    Off,
    /// Being taken down; what is left is to be done by the next apply.
    Destroying,
    /// A person has to look; the text says at what.
    NeedsAttention(String),
}
