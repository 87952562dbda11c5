//! What was seen of the metal, at plan time or just before an act.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Addr;

/// What a look at a node's power said. "I could not tell" is an answer, and not "off" (row P20).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "power", content = "why", rename_all = "lowercase")]
pub enum PowerSeen {
    On,
    Off,
    Unknown(String),
}

/// What was read before planning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Nodes that were looked at. A node that is absent was not asked about.
    pub power: BTreeMap<Addr, PowerSeen>,
}
