//! The simulated machines as they are, whatever anybody has noted of them: every act on them in order, and what follows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::ImageType;
use crate::plan::step::{BootDevice, InstanceBoot, Persistence};
use crate::units::{Mac, Sha256, TableId};

/// Milliseconds until the relay has moved.
pub const RELAY_MS: i64 = 2_000;
/// Milliseconds a system takes to end in order.
const SHUTDOWN_MS: i64 = 10_000;
/// Milliseconds from power-on to the ramdisk's report.
const POST_MS: i64 = 120_000;
/// Milliseconds from power-on or reboot to the instance's call.
const BOOT_MS: i64 = 90_000;

/// A machine is known by where its BMC is: its address in a configuration may change.
pub type MachineId = String;

/// One act, as it befell the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// A disk was put in.
    Disk {
        machine: MachineId,
        disk: SimDisk,
    },
    /// The BMC has taken a command; the relay moves later.
    Switch {
        machine: MachineId,
        to: Power,
    },
    /// The ACPI button was pressed.
    Button {
        machine: MachineId,
    },
    BootDevice {
        machine: MachineId,
        device: BootDevice,
        persistence: Persistence,
    },
    /// Boot files of the deploy ramdisk, and a key for its channel.
    Prepare {
        machine: MachineId,
        macs: Vec<Mac>,
    },
    Publish {
        macs: Vec<Mac>,
        boot: InstanceBoot,
    },
    Withdraw {
        macs: Vec<Mac>,
    },
    Export {
        machine: MachineId,
    },
    Unexport {
        machine: MachineId,
    },
    BeginWrite {
        machine: MachineId,
    },
    EndWrite {
        machine: MachineId,
        image: Written,
    },
    Erase {
        machine: MachineId,
    },
    Reboot {
        machine: MachineId,
    },
    /// The key of the deploy channel is void.
    End {
        machine: MachineId,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    On,
    Off,
}

/// A disk and what is on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimDisk {
    pub name: String,
    pub serial: String,
    pub wwn: String,
    pub model: String,
    pub size: u64,
    pub rotational: bool,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "content", rename_all = "snake_case")]
pub enum Content {
    Blank,
    /// A write has begun and has not come to its end: nothing that could boot.
    Interrupted,
    Image(Written),
    /// Somebody's data, under a partition table of theirs.
    Foreign {
        table: TableId,
    },
}

/// A deployment's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub image: Sha256,
    pub kind: ImageType,
    pub hostname: String,
    pub table: Option<TableId>,
}

/// What a MAC is given when it asks for its boot script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Deploy,
    Instance(InstanceBoot),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Running {
    #[default]
    Nothing,
    /// The deploy ramdisk; it reports from this time on.
    Ramdisk { from_ms: i64 },
    /// The system on its disk; it phones home at this time.
    System { hostname: String, from_ms: i64 },
    /// It was switched on and found nothing to start.
    Stuck,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Machine {
    pub is_on: bool,
    /// What the relay will do, and when.
    switch: Option<(Power, i64)>,
    pub device: Option<(BootDevice, Persistence)>,
    pub running: Running,
    pub disk: Option<SimDisk>,
    pub macs: Vec<Mac>,
    pub is_exported: bool,
    /// Whether the channel to a ramdisk is open.
    pub has_key: bool,
    /// Acts that cannot be taken back.
    pub writes_begun: u32,
    pub writes_ended: u32,
    pub erased: u32,
}

/// All machines, and the boot files of their site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metal {
    pub machines: BTreeMap<MachineId, Machine>,
    pub boot: BTreeMap<Mac, Entry>,
}

impl Metal {
    pub fn machine(&mut self, id: &MachineId, now_ms: i64) -> &mut Machine {
        self.pass(id, now_ms);
        self.machines.entry(id.clone()).or_default()
    }

    /// What an act does. Time comes with it: what was due before has happened.
    pub fn fold(&mut self, act: &Act, now_ms: i64) {
        match act {
            Act::Publish { macs, boot, .. } => {
                for mac in macs {
                    self.boot.insert(*mac, Entry::Instance(boot.clone()));
                }
            }
            Act::Withdraw { macs } => macs.iter().for_each(|mac| {
                self.boot.remove(mac);
            }),
            Act::Prepare { machine, macs } => {
                for mac in macs {
                    self.boot.insert(*mac, Entry::Deploy);
                }
                let machine = self.machine(machine, now_ms);
                machine.macs.clone_from(macs);
                machine.has_key = true;
            }
            Act::Reboot { machine } => {
                self.pass(machine, now_ms);
                self.start(machine, now_ms);
            }
            Act::Disk { machine, .. }
            | Act::Switch { machine, .. }
            | Act::Button { machine }
            | Act::BootDevice { machine, .. }
            | Act::Export { machine }
            | Act::Unexport { machine }
            | Act::BeginWrite { machine }
            | Act::EndWrite { machine, .. }
            | Act::Erase { machine }
            | Act::End { machine } => self.machine(machine, now_ms).fold(act, now_ms),
        }
    }

    /// Lets what is due happen: the relay moves, and a machine that comes on starts something.
    fn pass(&mut self, id: &MachineId, now_ms: i64) {
        let Some(machine) = self.machines.get_mut(id) else {
            return;
        };
        let Some((to, at_ms)) = machine.switch.filter(|(_, at)| *at <= now_ms) else {
            return;
        };
        machine.switch = None;
        match to {
            Power::Off => machine.stop(),
            Power::On if machine.is_on => {}
            Power::On => self.start(id, at_ms),
        }
    }

    fn start(&mut self, id: &MachineId, at_ms: i64) {
        let Some(machine) = self.machines.get_mut(id) else {
            return;
        };
        let entry = machine.macs.iter().find_map(|mac| self.boot.get(mac));
        machine.start(entry, at_ms);
    }
}

impl Machine {
    fn fold(&mut self, act: &Act, now_ms: i64) {
        match act {
            Act::Disk { disk, .. } => self.disk = Some(disk.clone()),
            Act::Switch { to, .. } => self.switch = Some((*to, now_ms + RELAY_MS)),
            Act::Button { .. } => {
                if matches!(self.running, Running::System { .. }) {
                    self.switch = Some((Power::Off, now_ms + SHUTDOWN_MS));
                }
            }
            Act::BootDevice {
                device,
                persistence,
                ..
            } => self.device = Some((*device, *persistence)),
            Act::Export { .. } => self.is_exported = true,
            Act::Unexport { .. } => self.is_exported = false,
            Act::BeginWrite { .. } => {
                self.writes_begun += 1;
                self.put(Content::Interrupted);
            }
            Act::EndWrite { image, .. } => {
                self.writes_ended += 1;
                self.put(Content::Image(image.clone()));
            }
            Act::Erase { .. } => {
                self.erased += 1;
                self.put(Content::Blank);
            }
            Act::End { .. } => {
                self.has_key = false;
                self.is_exported = false;
            }
            // These are about boot files too: `Metal::fold` has them.
            Act::Prepare { .. }
            | Act::Publish { .. }
            | Act::Withdraw { .. }
            | Act::Reboot { .. } => {}
        }
    }

    fn put(&mut self, content: Content) {
        if let Some(disk) = &mut self.disk {
            disk.content = content;
        }
    }

    fn stop(&mut self) {
        self.is_on = false;
        self.is_exported = false;
        self.running = Running::Nothing;
    }

    fn start(&mut self, entry: Option<&Entry>, at_ms: i64) {
        self.is_on = true;
        self.is_exported = false;
        let device = self.device;
        if matches!(device, Some((_, Persistence::Once))) {
            self.device = None;
        }
        let over_network = matches!(device, Some((BootDevice::Pxe, _)));
        let entry = entry.filter(|_| over_network);
        let written = self.disk.as_ref().and_then(|disk| match &disk.content {
            Content::Image(written) => Some(written),
            Content::Blank | Content::Interrupted | Content::Foreign { .. } => None,
        });
        let system = |written: &Written| Running::System {
            hostname: written.hostname.clone(),
            from_ms: at_ms + BOOT_MS,
        };
        self.running = match (entry, written) {
            (Some(Entry::Deploy), _) => Running::Ramdisk {
                from_ms: at_ms + POST_MS,
            },
            (Some(Entry::Instance(InstanceBoot::Network { .. })), Some(written)) => system(written),
            // A partition image has no boot loader of its own.
            (Some(Entry::Instance(InstanceBoot::LocalDisk)) | None, Some(written))
                if written.kind != ImageType::Partition =>
            {
                system(written)
            }
            (Some(Entry::Instance(_)) | None, Some(_) | None) => Running::Stuck,
        };
    }

    /// Whether the ramdisk can be talked to, or when it will be.
    pub fn ramdisk(&self) -> Option<i64> {
        match self.running {
            Running::Ramdisk { from_ms } if self.has_key => Some(from_ms),
            Running::Ramdisk { .. }
            | Running::Nothing
            | Running::System { .. }
            | Running::Stuck => None,
        }
    }

    /// What its system says of itself, and when.
    pub fn says(&self) -> Option<(&str, i64)> {
        match &self.running {
            Running::System { hostname, from_ms } => Some((hostname, *from_ms)),
            Running::Nothing | Running::Ramdisk { .. } | Running::Stuck => None,
        }
    }
}

impl SimDisk {
    /// The first 1,024 bytes: enough to tell whose partition table it carries.
    pub fn head(&self) -> Vec<u8> {
        let table = match &self.content {
            Content::Blank | Content::Interrupted => None,
            Content::Image(written) => written.table,
            Content::Foreign { table } => Some(*table),
        };
        let mut head = vec![0; 1024];
        match table {
            None => {}
            Some(TableId::Mbr(signature)) => {
                head[440..444].copy_from_slice(&signature.to_le_bytes());
                head[510..512].copy_from_slice(&[0x55, 0xAA]);
            }
            Some(TableId::Gpt(guid)) => {
                head[512..520].copy_from_slice(b"EFI PART");
                head[568..584].copy_from_slice(&guid);
            }
        }
        head
    }

    pub fn is_blank(&self) -> bool {
        match self.content {
            Content::Blank | Content::Interrupted => true,
            Content::Image(_) | Content::Foreign { .. } => false,
        }
    }
}
