//! Nodes and NICs: the inventory.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{Addr, ParseError};
use crate::secret::Protected;
use crate::serde_as_text;
use crate::units::{BmcEndpoint, Mac};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Node {
    pub site: Addr,
    pub arch: Arch,
    pub cpus: u32,
    pub memory_mb: u64,
    /// The size of the root disk in GiB.
    pub local_gb: u64,
    pub firmware: Firmware,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    pub root_device: RootDevice,
    pub power: PowerConfig,
    /// The TCP port of the node's console service; `None` means no console (row S0.15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_port: Option<u16>,
    /// Why nothing new may be placed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<String>,
}

/// Hints that choose the disk an instance is written to. All that are given must hold, and exactly one disk must be left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RootDevice {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The kernel's name, such as `sda`. Names move between boots: better a serial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotational: Option<bool>,
}

impl RootDevice {
    /// What a plan calls the disk before anybody has seen it.
    pub fn describe(&self) -> String {
        let RootDevice {
            serial,
            wwn,
            model,
            name,
            rotational,
        } = self;
        let mut words = Vec::new();
        words.extend(serial.iter().map(|s| format!("serial {s}")));
        words.extend(wwn.iter().map(|w| format!("wwn {w}")));
        words.extend(model.iter().map(|m| format!("model {m}")));
        words.extend(name.iter().map(|n| format!("name {n}")));
        words.extend(rotational.iter().map(|r| {
            if *r {
                "rotational".to_owned()
            } else {
                "not rotational".to_owned()
            }
        }));
        if words.is_empty() {
            "the only disk".to_owned()
        } else {
            words.join(", ")
        }
    }
}

/// How the node's power is controlled. One way is built; others become variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub enum PowerConfig {
    Ipmi {
        address: Ipv4Addr,
        port: u16,
        user: String,
        /// Never written: state and plan hold its fingerprint.
        password: Protected,
        /// 17 or 3; `None` tries 17, then 3.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cipher_suite: Option<u8>,
    },
}

impl PowerConfig {
    pub fn endpoint(&self) -> BmcEndpoint {
        match self {
            PowerConfig::Ipmi { address, port, .. } => BmcEndpoint {
                address: *address,
                port: *port,
            },
        }
    }

    pub fn password(&self) -> &Protected {
        match self {
            PowerConfig::Ipmi { password, .. } => password,
        }
    }

    pub fn password_mut(&mut self) -> &mut Protected {
        match self {
            PowerConfig::Ipmi { password, .. } => password,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Nic {
    pub node: Addr,
    pub network: Addr,
    pub mac: Mac,
    pub pxe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    X86_64,
    Aarch64,
    Tilepro64,
}

impl Arch {
    const ALL: [Arch; 3] = [Arch::X86_64, Arch::Aarch64, Arch::Tilepro64];

    pub fn as_str(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
            Arch::Tilepro64 => "tilepro64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Arch {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Arch, ParseError> {
        Arch::ALL
            .into_iter()
            .find(|a| a.as_str() == s)
            .ok_or_else(|| ParseError::new("x86_64, aarch64 or tilepro64", s))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Firmware {
    Bios,
    Uefi,
}

impl Firmware {
    pub fn as_str(self) -> &'static str {
        match self {
            Firmware::Bios => "bios",
            Firmware::Uefi => "uefi",
        }
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Firmware {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Firmware, ParseError> {
        match s {
            "bios" => Ok(Firmware::Bios),
            "uefi" => Ok(Firmware::Uefi),
            other => Err(ParseError::new("bios or uefi", other)),
        }
    }
}

serde_as_text!(Arch, Firmware);
