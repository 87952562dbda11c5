//! What was seen of the metal, at plan time or just before an act.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Addr;

/// What a look at a node's power said. "I could not tell" is an answer, and not "off" (row P20).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "power", content = "why", rename_all = "lowercase")]
pub enum PowerSeen {
    On,
    Off,
    Unknown(String),
}

/// What a BMC says it will start the machine from, until it is told otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "boot", content = "why", rename_all = "lowercase")]
pub enum BootSeen {
    Pxe,
    Disk,
    /// A device by its number in the specification, such as 5 for a CD.
    Other(u8),
    /// Nothing is set for good: the firmware's own order holds.
    Unset,
    Unknown(String),
}

/// What was read before planning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Observed {
    /// Nodes that were looked at. A node that is absent was not asked about.
    pub power: BTreeMap<Addr, PowerSeen>,
    /// Of the same nodes; absent where nobody asked.
    pub boot: BTreeMap<Addr, BootSeen>,
    /// Nodes that a run which goes on is working on: what they look like is that run's matter (row S4.13).
    pub busy: BTreeMap<Addr, String>,
}
