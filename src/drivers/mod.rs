//! L3, I/O. How bmctl talks to the outside: one narrow trait for each kind of talk, one file for each way of doing it, one
//! simulated. Takes steps' data and secrets; gives what was seen. Imports L0 to L2 and the store. Never decides what to do
//! next, never retries beyond its protocol's own rules, never reads the configuration.

pub mod agent;
pub mod child;
pub mod disk;
pub mod gate;
pub mod git;
pub mod image;
pub mod ledger;
pub mod power;
pub mod sim;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::ids::Addr;
use crate::model::Firmware;
use crate::model::recorded::{Phoned, WrittenDisk};
use crate::model::{BootSeen, Erase, ImageFacts, PowerSeen};
use crate::plan::Bmc;
use crate::plan::step::{BootDevice, DiskTarget, Persistence, WriteDisk};
use crate::secret::Secret;
use crate::store::BootEntry;

/// Why a talk with the outside did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DriverError {
    pub kind: Trouble,
    /// What was tried, what was expected, what was found, and the next move; no secrets.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No answer: nothing is known.
    Silent,
    /// It answered and refused us: a wrong password, a wrong key.
    Refused,
    /// What was found is not what the plan expects: nothing was done.
    Conflict,
    /// It was tried and went wrong.
    Failed,
    /// A limit was reached.
    TimedOut,
}

impl DriverError {
    pub fn new(kind: Trouble, message: impl Into<String>) -> DriverError {
        DriverError {
            kind,
            message: message.into(),
        }
    }
}

pub type Done<T> = Result<T, DriverError>;

/// How a machine is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The ACPI button; the system may refuse.
    Soft,
    Hard,
}

/// Looking at a node's power: changes nothing.
#[async_trait]
pub trait PowerLook: Send + Sync {
    /// On or off as the BMC says it; anything else is an error, never "off" (row P20).
    async fn status(&self, bmc: &Bmc, password: &Secret) -> Done<PowerSeen>;

    /// What the machine is set to start from for good. A way of talking that has no such question does not know.
    async fn boot_device(&self, bmc: &Bmc, _password: &Secret) -> Done<BootSeen> {
        Ok(BootSeen::Unknown(format!("{} cannot be asked", bmc.node)))
    }

    /// How long this BMC is still left alone before it may be spoken to; `None` when it is not, or when nobody keeps count.
    fn rest_before(&self, _bmc: &Bmc) -> Option<Duration> {
        None
    }
}

/// Acting on a node's power. Each call sends its command once; the caller looks afterwards.
#[async_trait]
pub trait PowerAct: PowerLook {
    async fn on(&self, bmc: &Bmc, password: &Secret) -> Done<()>;
    async fn off(&self, bmc: &Bmc, password: &Secret, how: Stop) -> Done<()>;
    async fn reset(&self, bmc: &Bmc, password: &Secret) -> Done<()>;
    async fn set_boot_device(
        &self,
        bmc: &Bmc,
        password: &Secret,
        device: BootDevice,
        persistence: Persistence,
        firmware: Firmware,
    ) -> Done<()>;
}

/// The deploy ramdisk on a node, from its boot files to its goodbye.
#[async_trait]
pub trait Agent: Send + Sync {
    /// Makes the token, publishes boot files that carry it, and waits until the site serves them.
    async fn prepare(&self, boot: &Preparation<'_>) -> Done<()>;
    /// The ramdisk's report of what it found; waits for it.
    async fn report(&self, node: &Addr) -> Done<Report>;
    async fn export(&self, node: &Addr, disk: &FoundDisk, iqn: &str) -> Done<IscsiTarget>;
    /// Flushes the disk and drops its caches, so that what is read next comes from it.
    async fn settle(&self, node: &Addr, disk: &FoundDisk) -> Done<()>;
    async fn unexport(&self, node: &Addr) -> Done<()>;
    async fn erase(&self, node: &Addr, disk: &FoundDisk, mode: Erase) -> Done<()>;
    async fn reboot(&self, node: &Addr) -> Done<()>;
    /// The deployment is over: its key is worth nothing from here on.
    async fn end(&self, node: &Addr) -> Done<()>;
}

/// What a node's deploy boot files are made from.
pub struct Preparation<'a> {
    pub instance: &'a Addr,
    pub node: &'a Addr,
    pub target: &'a crate::plan::step::BootTarget,
    pub ramdisk: &'a str,
    pub kernel_args: &'a str,
    pub key_lifetime_s: u32,
}

/// Boot files of nodes that run their own system.
#[async_trait]
pub trait Boot: Send + Sync {
    /// Publishes an entry and waits until the site serves it.
    async fn publish(&self, entry: &BootEntry) -> Done<()>;
    async fn withdraw(&self, target: &crate::plan::step::BootTarget) -> Done<()>;
}

/// Writing an image to an exported disk: from login to logout.
#[async_trait]
pub trait Disk: Send + Sync {
    async fn write(&self, job: &DiskJob<'_>, progress: &Progress<'_>) -> Done<WrittenDisk>;
}

/// Everything a write needs.
pub struct DiskJob<'a> {
    pub plan: &'a WriteDisk,
    pub found: &'a FoundDisk,
    pub target: &'a IscsiTarget,
    /// The config drive's files: name and content.
    pub config_drive: &'a [(String, Vec<u8>)],
    pub agent: &'a dyn Agent,
}

/// Says the phase, the bytes done and the bytes there are.
pub type Progress<'a> = dyn Fn(&str, u64, u64) + Send + Sync + 'a;

/// The bytes of images.
#[async_trait]
pub trait Images: Send + Sync {
    /// Reads the file again and compares it with what the plan pinned.
    async fn check(&self, source: &str, facts: &ImageFacts, progress: &Progress<'_>) -> Done<()>;
}

/// Looking at instances from outside.
#[async_trait]
pub trait Gates: Send + Sync {
    /// One look, within its limit: what was found, when it is as asked, else an error that tells what was found instead. A
    /// conflict is what asking again will not change.
    async fn look(&self, asked: &Asked<'_>) -> Done<String>;
}

/// What a gate asks, and of whom.
pub struct Asked<'a> {
    pub instance: &'a Addr,
    pub node: &'a Addr,
    pub hostname: &'a str,
    pub address: Option<Ipv4Addr>,
    pub look: Look<'a>,
    pub limit: Duration,
}

#[derive(Debug, Clone, Copy)]
pub enum Look<'a> {
    Tcp {
        at: SocketAddrV4,
    },
    Http {
        at: SocketAddrV4,
        path: &'a str,
        status: u16,
    },
    Command {
        argv: &'a [String],
    },
}

/// What the engine itself keeps: claims, secrets, calls of instances.
#[async_trait]
pub trait Ledger: Send + Sync {
    async fn claim(&self, node: &Addr, instance: &Addr) -> Done<()>;
    async fn bmc_password(&self, node: &Addr) -> Done<Secret>;
    async fn user_data(&self, instance: &Addr) -> Done<Option<Secret>>;
    /// Makes a one-shot token with which the instance may phone home.
    async fn phone_token(&self, instance: &Addr, lifetime_s: u32) -> Done<Secret>;
    /// What the instance said, once it has said it; waits for it.
    async fn phoned(&self, instance: &Addr) -> Done<Phoned>;
}

/// Time, so that a simulation can have its own.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
    async fn sleep(&self, time: Duration);
}

/// One of each. Cloning is cheap.
#[derive(Clone)]
pub struct Drivers {
    pub power: Arc<dyn PowerAct>,
    pub agent: Arc<dyn Agent>,
    pub boot: Arc<dyn Boot>,
    pub disk: Arc<dyn Disk>,
    pub images: Arc<dyn Images>,
    pub gates: Arc<dyn Gates>,
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<dyn Clock>,
}

/// What a ramdisk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub address: std::net::Ipv4Addr,
    pub memory_mb: u64,
    pub cpus: u32,
    pub disks: Vec<FoundDisk>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDisk {
    /// The kernel's name in the ramdisk, such as `vda`.
    pub name: String,
    pub serial: String,
    pub wwn: String,
    pub model: String,
    pub size: u64,
    pub rotational: bool,
    /// Nothing but zeroes in the first and the last MiB; false when the ramdisk did not say.
    pub blank: bool,
    /// The first 1,024 bytes: enough to tell whose partition table it carries.
    pub head: Vec<u8>,
}

/// Where an exported disk is, and both CHAP secrets.
#[derive(Debug, Clone)]
pub struct IscsiTarget {
    pub portal: std::net::SocketAddrV4,
    pub iqn: String,
    pub initiator_user: String,
    pub initiator_secret: Secret,
    pub target_user: String,
    pub target_secret: Secret,
}

/// Picks the one disk the plan means, or says why it cannot (rows P3, "two candidates or none").
pub fn choose_disk<'a>(report: &'a Report, wanted: &DiskTarget) -> Done<&'a FoundDisk> {
    let hints = &wanted.root_device;
    let matches = |disk: &&FoundDisk| {
        hints.serial.as_ref().is_none_or(|s| *s == disk.serial)
            && hints.wwn.as_ref().is_none_or(|w| *w == disk.wwn)
            && hints.model.as_ref().is_none_or(|m| *m == disk.model)
            && hints.name.as_ref().is_none_or(|n| *n == disk.name)
            && hints.rotational.is_none_or(|r| r == disk.rotational)
    };
    let list = || {
        let lines: Vec<String> = report.disks.iter().map(describe_disk).collect();
        if lines.is_empty() {
            "no disk".to_owned()
        } else {
            lines.join("; ")
        }
    };
    let conflict = |message: String| Err(DriverError::new(Trouble::Conflict, message));
    let found: Vec<&FoundDisk> = report.disks.iter().filter(matches).collect();
    let disk = match found.as_slice() {
        [one] => *one,
        [] => {
            return conflict(format!(
                "root_device: expected one disk with {}, found none among: {}; correct root_device",
                hints.describe(),
                list()
            ));
        }
        many => {
            return conflict(format!(
                "root_device: expected one disk with {}, found {} among: {}; name it by serial or wwn",
                hints.describe(),
                many.len(),
                list()
            ));
        }
    };
    if !(wanted.size_min..=wanted.size_max).contains(&disk.size) {
        return conflict(format!(
            "root_device: expected a disk of {} to {} bytes (local_gb), found {}; correct local_gb or root_device",
            wanted.size_min,
            wanted.size_max,
            describe_disk(disk)
        ));
    }
    if let Some(serial) = wanted.serial.as_ref().filter(|s| **s != disk.serial) {
        return conflict(format!(
            "expected the disk with serial {serial} that was written before, found {}; plan again",
            describe_disk(disk)
        ));
    }
    Ok(disk)
}

pub fn describe_disk(disk: &FoundDisk) -> String {
    let id = match (disk.serial.as_str(), disk.wwn.as_str()) {
        ("", "") => "no serial".to_owned(),
        ("", wwn) => format!("wwn {wwn}"),
        (serial, _) => format!("serial {serial}"),
    };
    format!("{} ({id}, {} bytes)", disk.name, disk.size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RootDevice;

    fn disk(name: &str, serial: &str, size: u64) -> FoundDisk {
        FoundDisk {
            name: name.to_owned(),
            serial: serial.to_owned(),
            wwn: String::new(),
            model: "M".to_owned(),
            size,
            rotational: false,
            blank: true,
            head: vec![0; 1024],
        }
    }

    fn choose(disks: &[FoundDisk], hints: RootDevice) -> Done<String> {
        let report = Report {
            address: std::net::Ipv4Addr::LOCALHOST,
            memory_mb: 0,
            cpus: 0,
            disks: disks.to_vec(),
        };
        let wanted = DiskTarget {
            root_device: hints,
            size_min: 90,
            size_max: 110,
            serial: None,
        };
        choose_disk(&report, &wanted).map(|d| d.name.clone())
    }

    #[test]
    fn exactly_one_disk_may_match() {
        let two = [disk("sda", "A", 100), disk("sdb", "B", 100)];
        let by_serial = RootDevice {
            serial: Some("B".to_owned()),
            ..RootDevice::default()
        };
        assert_eq!(choose(&two, by_serial.clone()).unwrap(), "sdb");
        assert_eq!(choose(&two[..1], RootDevice::default()).unwrap(), "sda");
        let many = choose(&two, RootDevice::default()).unwrap_err();
        assert!(
            many.message.contains("found 2") && many.message.contains("serial A"),
            "{many}"
        );
        let none = choose(&two[..1], by_serial).unwrap_err();
        assert!(
            none.message.contains("found none among: sda (serial A"),
            "{none}"
        );
        let empty = choose(&[], RootDevice::default()).unwrap_err();
        assert!(empty.message.contains("no disk"), "{empty}");
        assert!(
            [many, none, empty]
                .iter()
                .all(|e| e.kind == Trouble::Conflict)
        );
    }

    #[test]
    fn the_size_must_be_in_range() {
        for size in [89, 111] {
            let wrong = choose(&[disk("sda", "A", size)], RootDevice::default()).unwrap_err();
            assert!(wrong.message.contains("local_gb"), "{wrong}");
        }
    }
}
