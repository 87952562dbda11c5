//! Steps: the closed list of things apply can do. A step is data, complete in itself: performing it needs nothing but the
//! step and the store (which holds sealed credentials under the addresses named here).

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use crate::ids::Addr;
use crate::model::{
    BiosLoader, Check, Erase, ExistingData, Firmware, Gate, ImageFacts, ImageType, InstanceRecord,
    PowerSeen, Resource, RootDevice,
};
use crate::units::{BmcEndpoint, Hostname, Iqn, Mac, Sha256, TableId};

/// A step's place in its plan, from 0.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct StepId(pub u32);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlannedStep {
    pub id: StepId,
    /// The resource whose change it belongs to.
    pub subject: Addr,
    /// The node it acts on; steps on one node never overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Addr>,
    /// Steps that must have ended well before this one starts.
    pub after: Vec<StepId>,
    pub expect: Condition,
    pub goal: Condition,
    /// Seconds after which it has failed.
    pub limit_s: u32,
    pub step: Step,
}

/// Where a node's BMC is and who logs in. The password is in the store, sealed, under `node`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Bmc {
    pub node: Addr,
    pub endpoint: BmcEndpoint,
    pub user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher_suite: Option<u8>,
    /// Milliseconds from the end of one exchange to the beginning of the next.
    #[serde(default, skip_serializing_if = "is_no_rest")]
    pub interval_ms: u32,
}

fn is_no_rest(ms: &u32) -> bool {
    *ms == 0
}

/// What is looked at before and after an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Nothing to look at before; the act itself tells.
    Nothing,
    RecordedInState,
    ForgottenByState,
    NodeUnclaimedOrOurs,
    NodeClaimedByInstance,
    NodeReleased,
    ImageMatchesDigest,
    BootFilesForDeployment,
    BootFilesForInstance,
    BootFilesAbsent,
    PowerKnown,
    PowerOff,
    PowerOn,
    BootDeviceAccepted,
    RamdiskReported,
    DiskMatchesPlan,
    DiskVerified,
    DiskErased,
    RamdiskLeft,
    PhonedHome,
    GatePassed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BootDevice {
    Pxe,
    Disk,
}

/// How a machine is powered off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "manner", rename_all = "lowercase")]
pub enum Manner {
    /// At once: nothing on the machine is to be kept.
    Hard,
    /// By the ACPI button, so that the system ends in order; hard after the grace.
    Soft { grace_s: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Persistence {
    Once,
    Always,
}

/// What a node's boot files make it start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "boot", rename_all = "snake_case")]
pub enum InstanceBoot {
    /// Kernel and initrd by the site, root on the disk.
    Network {
        kernel: String,
        kernel_sha256: Sha256,
        initrd: String,
        initrd_sha256: Sha256,
        args: String,
    },
    /// The boot files say: start from the disk.
    LocalDisk,
}

/// A site's part in a boot, as far as boot files need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BootTarget {
    pub site: Addr,
    pub server: Ipv4Addr,
    pub http_port: u16,
    pub bios_loader: BiosLoader,
    pub firmware: Firmware,
    pub macs: Vec<Mac>,
    /// The address DHCP gives to the first of `macs`; `None` means one of the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
}

/// The disk, as far as it can be known before the ramdisk has reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DiskTarget {
    pub root_device: RootDevice,
    /// Bytes; a range around `local_gb`, since makers count in powers of ten.
    pub size_min: u64,
    pub size_max: u64,
    /// The disk that was written before, when there is one: another is a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

/// Login to logout: one resumable step, because a session does not outlive its process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WriteDisk {
    pub instance: Addr,
    pub node: Addr,
    pub disk: DiskTarget,
    pub iqn: Iqn,
    pub image_type: ImageType,
    pub image: Addr,
    pub source: String,
    pub facts: ImageFacts,
    pub layout: Layout,
    pub config_drive: ConfigDrive,
    pub existing: ExistingData,
    /// Tables that bmctl wrote on this disk before; they may be overwritten.
    pub known_tables: Vec<TableId>,
    pub stall_s: u32,
}

/// What a deployed instance is asked, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PassGate {
    pub instance: Addr,
    pub node: Addr,
    pub gate: Gate,
    pub hostname: Hostname,
    /// Its address as it is seen from outside, when the plan knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
}

/// What the instance reads about itself from its config drive (NoCloud). Keys and user data come from the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConfigDrive {
    pub instance_id: String,
    pub hostname: Hostname,
    pub ssh_keys: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data_fingerprint: Option<String>,
    /// `http://address:port`, where to phone home; `None` when the plan does not wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_home: Option<String>,
    pub interfaces: Vec<InterfaceConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InterfaceConfig {
    pub mac: Mac,
    #[schemars(with = "String")]
    pub address: ipnet::Ipv4Net,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<Ipv4Addr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Step {
    /// Put a declared resource into state; no machine is touched.
    Record {
        addr: Addr,
        resource: Box<Resource>,
    },
    /// Take a resource out of state; no machine is touched.
    Forget {
        addr: Addr,
    },
    /// Give recorded resources other addresses, all at once; no machine is touched.
    Move {
        moves: BTreeMap<Addr, Addr>,
    },
    /// Compare-and-set of the node's owner (row P19).
    Claim {
        instance: Addr,
        node: Addr,
        record: Box<InstanceRecord>,
    },
    /// The image's bytes have the digest the plan pinned.
    CheckImage {
        image: Addr,
        source: String,
        facts: ImageFacts,
    },
    /// Boot files with a one-shot token for the deploy ramdisk.
    BootDeploy {
        instance: Addr,
        node: Addr,
        target: BootTarget,
        ramdisk: String,
        kernel_args: String,
        key_lifetime_s: u32,
    },
    PowerOff {
        bmc: Bmc,
        how: Manner,
        /// What the plan saw, for the node's first power-off: a node that was off and is on is somebody's by now (design rule
        /// 12).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<PowerSeen>,
    },
    SetBootDevice {
        bmc: Bmc,
        device: BootDevice,
        persistence: Persistence,
        firmware: Firmware,
    },
    PowerOn {
        bmc: Bmc,
    },
    AwaitRamdisk {
        instance: Addr,
        node: Addr,
    },
    /// The disk is the one the plan means and carries nobody else's data. Only when this has ended well is the table that
    /// will be written taken for ours by a later plan.
    CheckDisk {
        instance: Addr,
        node: Addr,
        disk: DiskTarget,
        existing: ExistingData,
        known_tables: Vec<TableId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        table: Option<TableId>,
    },
    WriteDisk(Box<WriteDisk>),
    EraseDisk {
        instance: Addr,
        node: Addr,
        disk: DiskTarget,
        mode: Erase,
    },
    BootInstance {
        instance: Addr,
        node: Addr,
        target: BootTarget,
        boot: InstanceBoot,
    },
    /// The ramdisk is told to reboot, authenticated.
    Reboot {
        instance: Addr,
        node: Addr,
    },
    AwaitPhoneHome {
        instance: Addr,
        node: Addr,
        hostname: Hostname,
    },
    /// The deployment is over: what was borrowed is given back and the record says so.
    Finish {
        instance: Addr,
        node: Addr,
        record: Box<InstanceRecord>,
    },
    /// A look at the deployed instance, until it is as its rollout asks. It changes nothing, and its failing undoes nothing.
    Gate(Box<PassGate>),
    RemoveBoot {
        node: Addr,
        target: BootTarget,
    },
    /// Addresses and the claim are free again; the instance is on this node no more.
    Release {
        instance: Addr,
        node: Addr,
        then: Afterwards,
    },
}

/// What becomes of an instance that has left a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Afterwards {
    /// Nothing: what state keeps for it is dropped.
    Gone,
    /// It is deployed on another node by the same plan, and needs what is sealed for it there.
    Deployed,
}

/// What a step competes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// State and control traffic: no budget.
    Free,
    Write,
    Boot,
}

impl Step {
    pub fn gate(&self) -> Option<&PassGate> {
        if let Step::Gate(pass) = self {
            Some(pass)
        } else {
            None
        }
    }

    /// Short, in the field's words, for a progress line.
    pub fn title(&self) -> &'static str {
        match self {
            Step::Record { .. } => "record",
            Step::Forget { .. } => "forget",
            Step::Move { .. } => "move in state",
            Step::Claim { .. } => "claim node",
            Step::CheckImage { .. } => "check image",
            Step::BootDeploy { .. } => "boot files (deploy)",
            Step::PowerOff { .. } => "power off",
            Step::SetBootDevice {
                device: BootDevice::Pxe,
                persistence: Persistence::Once,
                ..
            } => "boot device pxe once",
            Step::SetBootDevice {
                device: BootDevice::Pxe,
                persistence: Persistence::Always,
                ..
            } => "boot device pxe",
            Step::SetBootDevice {
                device: BootDevice::Disk,
                ..
            } => "boot device disk",
            Step::PowerOn { .. } => "power on",
            Step::AwaitRamdisk { .. } => "wait for ramdisk",
            Step::CheckDisk { .. } => "check disk",
            Step::WriteDisk(_) => "write disk",
            Step::EraseDisk { .. } => "erase disk",
            Step::BootInstance { .. } => "boot files (instance)",
            Step::Reboot { .. } => "reboot",
            Step::AwaitPhoneHome { .. } => "wait for phone home",
            Step::Finish { .. } => "finish",
            Step::Gate(pass) => match pass.gate.check {
                Check::PhoneHome => "gate phone home",
                Check::Tcp { .. } => "gate tcp",
                Check::Http { .. } => "gate http",
                Check::Command { .. } => "gate command",
            },
            Step::RemoveBoot { .. } => "remove boot files",
            Step::Release { .. } => "release node",
        }
    }

    /// Whether data on a disk, or a running system, is lost by it.
    pub fn is_destructive(&self) -> bool {
        match self {
            Step::WriteDisk(_) | Step::EraseDisk { .. } | Step::PowerOff { .. } => true,
            Step::Record { .. }
            | Step::Forget { .. }
            | Step::Move { .. }
            | Step::Claim { .. }
            | Step::CheckImage { .. }
            | Step::BootDeploy { .. }
            | Step::SetBootDevice { .. }
            | Step::PowerOn { .. }
            | Step::AwaitRamdisk { .. }
            | Step::CheckDisk { .. }
            | Step::BootInstance { .. }
            | Step::Reboot { .. }
            | Step::AwaitPhoneHome { .. }
            | Step::Finish { .. }
            | Step::Gate(_)
            | Step::RemoveBoot { .. }
            | Step::Release { .. } => false,
        }
    }

    /// What must hold before the act, else it is a conflict; and what holds after it, else it has failed (design rule 4).
    pub fn conditions(&self) -> (Condition, Condition) {
        use Condition as C;
        match self {
            Step::Record { .. } => (C::Nothing, C::RecordedInState),
            Step::Forget { .. } => (C::Nothing, C::ForgottenByState),
            Step::Move { .. } => (C::Nothing, C::RecordedInState),
            Step::Claim { .. } => (C::NodeUnclaimedOrOurs, C::NodeClaimedByInstance),
            Step::CheckImage { .. } => (C::Nothing, C::ImageMatchesDigest),
            Step::BootDeploy { .. } => (C::NodeClaimedByInstance, C::BootFilesForDeployment),
            Step::PowerOff { .. } => (C::PowerKnown, C::PowerOff),
            Step::SetBootDevice { .. } => (C::PowerKnown, C::BootDeviceAccepted),
            Step::PowerOn { .. } => (C::PowerKnown, C::PowerOn),
            Step::AwaitRamdisk { .. } => (C::BootFilesForDeployment, C::RamdiskReported),
            Step::CheckDisk { .. } => (C::RamdiskReported, C::DiskMatchesPlan),
            Step::WriteDisk(_) => (C::DiskMatchesPlan, C::DiskVerified),
            Step::EraseDisk { .. } => (C::DiskMatchesPlan, C::DiskErased),
            Step::BootInstance { .. } => (C::NodeClaimedByInstance, C::BootFilesForInstance),
            Step::Reboot { .. } => (C::RamdiskReported, C::RamdiskLeft),
            Step::AwaitPhoneHome { .. } => (C::Nothing, C::PhonedHome),
            Step::Finish { .. } => (C::NodeClaimedByInstance, C::RecordedInState),
            Step::Gate(_) => (C::Nothing, C::GatePassed),
            Step::RemoveBoot { .. } => (C::Nothing, C::BootFilesAbsent),
            Step::Release { .. } => (C::NodeUnclaimedOrOurs, C::NodeReleased),
        }
    }
}
