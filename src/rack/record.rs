//! `rack.json`: what is up, for every later command.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::RackError;
use super::files::{Home, write_private};
use super::process::ProcessId;
use super::spec::Firmware;

pub const RECORD_VERSION: u32 = 1;

/// A rack that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rack {
    pub version: u32,
    /// The root module's directory, absolute.
    pub dir: PathBuf,
    /// Name of the network namespace, as `ip netns` knows it.
    pub namespace: String,
    pub bridge: String,
    /// The bridge's address with its prefix length: where BMCs answer and a site's services listen.
    pub address: String,
    /// The router advertiser.
    pub advertiser: Option<ProcessId>,
    pub nodes: Vec<NodeRecord>,
}

/// One machine of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    pub name: String,
    pub firmware: Firmware,
    pub mac: String,
    /// Of its disk.
    pub serial: String,
    /// UDP port of its BMC on the bridge's address.
    pub bmc_port: u16,
    /// TCP port on 127.0.0.1 inside the namespace: the serial port, over telnet, while the machine is on.
    pub console_port: u16,
    /// Holds the disk, `console.log`, `firmware.log`, `qmp.log` and `qemu.err`.
    pub dir: PathBuf,
    pub bmc: Option<ProcessId>,
}

impl Rack {
    /// The record of the rack in `dir`; nothing when there is none.
    pub fn load(dir: &Path) -> Result<Option<Self>, RackError> {
        let path = Home::new(dir).record();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(RackError::Io {
                    operation: "read",
                    path,
                    source,
                });
            }
        };
        let rack: Self = serde_json::from_slice(&text).map_err(|e| RackError::Record {
            path: path.clone(),
            said: e.to_string(),
        })?;
        if rack.version != RECORD_VERSION {
            let said = format!("expected version {RECORD_VERSION}, found {}", rack.version);
            return Err(RackError::Record { path, said });
        }
        Ok(Some(rack))
    }

    pub(super) fn save(&self) -> Result<(), RackError> {
        let path = Home::new(&self.dir).record();
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| RackError::Record {
            path: path.clone(),
            said: e.to_string(),
        })?;
        text.push(b'\n');
        write_private(&path, &text)
    }
}
