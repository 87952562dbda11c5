//! What a rack consists of, checked before anything is started.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::RackError;

/// Ports are `BASE + index`, index from 1; 200 machines keep the two ranges apart.
pub const NODES_MAX: usize = 200;
/// A virtio disk's serial number has 20 bytes and is `BM-<name>`.
const NAME_SIZE_MAX: usize = 17;
const MEMORY_MB_MIN: u32 = 256;
const BMC_PORT_BASE: u16 = 6230;
const CONSOLE_PORT_BASE: u16 = 6530;

/// How a machine starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    Bios,
    Uefi,
}

impl Firmware {
    /// As the configuration spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
        }
    }
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Lower-case letters, digits and dashes.
    pub name: String,
    pub firmware: Firmware,
    /// In GiB, as everywhere in the configuration. The file is sparse.
    pub disk_gb: u32,
    pub memory_mb: u32,
    pub cpus: u32,
}

impl NodeSpec {
    /// A machine of 1 CPU, 1 GiB of memory and a disk of 4 GiB.
    #[must_use]
    pub fn new(name: impl Into<String>, firmware: Firmware) -> Self {
        Self {
            name: name.into(),
            firmware,
            disk_gb: 4,
            memory_mb: 1024,
            cpus: 1,
        }
    }
}

/// A rack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RackSpec {
    /// The directory of the root module: `rack.hcl` is written here, everything else in `.bmctl/rack/`.
    pub dir: PathBuf,
    pub nodes: Vec<NodeSpec>,
    /// The bridge's own address, where BMCs answer and a site's services listen.
    pub address: Ipv4Addr,
    /// Length of its prefix.
    pub prefix: u8,
    /// Label of the machines: `rack = "r1"`.
    pub rack: String,
    /// Names of the site and the network the machines' blocks refer to.
    pub site: String,
    pub network: String,
}

impl RackSpec {
    #[must_use]
    pub fn new(dir: PathBuf, nodes: Vec<NodeSpec>) -> Self {
        Self {
            dir,
            nodes,
            address: Ipv4Addr::new(10, 99, 0, 1),
            prefix: 24,
            rack: "r1".to_owned(),
            site: "lab".to_owned(),
            network: "pxe".to_owned(),
        }
    }

    /// Refuses what could not work, before anything exists.
    pub fn check(&self) -> Result<(), RackError> {
        let wrong = |what: &str, expected, found: String| {
            Err(RackError::Spec {
                what: what.to_owned(),
                expected,
                found,
            })
        };
        if self.nodes.is_empty() || self.nodes.len() > NODES_MAX {
            return wrong("machines", "1 to 200", self.nodes.len().to_string());
        }
        if !(8..=30).contains(&self.prefix) {
            return wrong("network prefix", "8 to 30", self.prefix.to_string());
        }
        for label in [&self.rack, &self.site, &self.network] {
            if !is_name(label) {
                return wrong(
                    "labels",
                    "lower-case letters, digits and dashes, a letter first",
                    format!("{label:?}"),
                );
            }
        }
        let mut names = BTreeSet::new();
        for node in &self.nodes {
            let NodeSpec {
                name,
                firmware: _,
                disk_gb,
                memory_mb,
                cpus,
            } = node;
            if !is_name(name) || name.len() > NAME_SIZE_MAX {
                return wrong(
                    "machine names",
                    "at most 17 lower-case letters, digits and dashes, a letter first",
                    format!("{name:?}"),
                );
            }
            if !names.insert(name) {
                return wrong("machine names", "different ones", format!("{name:?} twice"));
            }
            if *disk_gb == 0 || *disk_gb > 65_536 {
                return wrong(
                    &format!("machine {name}, disk_gb"),
                    "1 to 65536",
                    disk_gb.to_string(),
                );
            }
            if *memory_mb < MEMORY_MB_MIN {
                return wrong(
                    &format!("machine {name}, memory_mb"),
                    "at least 256",
                    memory_mb.to_string(),
                );
            }
            if *cpus == 0 || *cpus > 64 {
                return wrong(
                    &format!("machine {name}, cpus"),
                    "1 to 64",
                    cpus.to_string(),
                );
            }
        }
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// What follows from a machine's place in the rack, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub mac: String,
    pub tap: String,
    pub bmc_port: u16,
    pub console_port: u16,
}

impl Place {
    /// `index` is at most [`NODES_MAX`].
    #[must_use]
    pub fn new(index: u8) -> Self {
        Self {
            mac: format!("52:54:00:99:00:{index:02x}"),
            tap: format!("tap{index}"),
            bmc_port: BMC_PORT_BASE + u16::from(index),
            console_port: CONSOLE_PORT_BASE + u16::from(index),
        }
    }
}

/// The serial number of a machine's disk: at most 20 bytes, different for each name.
#[must_use]
pub fn disk_serial(name: &str) -> String {
    format!("BM-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rack(names: &[&str]) -> RackSpec {
        let nodes = names
            .iter()
            .map(|n| NodeSpec::new(*n, Firmware::Bios))
            .collect();
        RackSpec::new("/x".into(), nodes)
    }

    #[test]
    fn good_racks_pass() {
        rack(&["r1-01", "r1-02"]).check().unwrap();
        assert!(disk_serial("abcdefghijklmnopq").len() <= 20);
    }

    #[test]
    fn bad_racks_say_what_is_wrong() {
        let mut small = rack(&["a"]);
        small.nodes[0].memory_mb = 64;
        for (spec, text) in [
            (rack(&[]), "machines: expected 1 to 200, found 0"),
            (rack(&["a", "a"]), "\"a\" twice"),
            (rack(&["A"]), "found \"A\""),
            (rack(&["-a"]), "a letter first"),
            (rack(&["abcdefghijklmnopqr"]), "at most 17"),
            (
                small,
                "machine a, memory_mb: expected at least 256, found 64",
            ),
        ] {
            let error = spec.check().unwrap_err().to_string();
            assert!(error.contains(text), "{error:?} lacks {text:?}");
        }
    }
}
