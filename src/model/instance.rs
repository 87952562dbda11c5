//! Instances: a user's system on a node.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::ids::Addr;
use crate::secret::Protected;
use crate::units::Hostname;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Instance {
    pub flavor: Addr,
    pub image: Addr,
    /// Pins the instance to one node; else placement chooses among the nodes with `match_labels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Addr>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    pub hostname: Hostname,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<String>,
    /// May hold secrets, so it is treated as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Protected>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<AddressRequest>,
    pub power_state: PowerState,
    pub erase: Erase,
    pub on_existing_data: ExistingData,
    #[serde(default, skip_serializing_if = "UserDataChange::is_default")]
    pub on_user_data_change: UserDataChange,
    #[serde(default, skip_serializing_if = "Drift::is_default")]
    pub drift: Drift,
    /// Whether a re-deployment keeps the ephemeral partition when its place on the disk stays the same (row P12).
    pub preserve_ephemeral: bool,
    pub prevent_destroy: bool,
    /// Whether apply waits for the instance to phone home; images without an agent for it cannot.
    pub wait_for_phone_home: bool,
}

/// An address the instance asks for on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AddressRequest {
    pub network: Addr,
    /// `None`: allocated at plan time and kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ipv4Addr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PowerState {
    On,
    Off,
}

/// What becomes of the data when the instance is destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Erase {
    /// The disk is left as it is.
    None,
    /// Partition tables and the heads of file systems are zeroed.
    Metadata,
    /// Every byte is written with zeroes.
    Zero,
}

/// What a change of the user data asks for. A system reads it at its first start alone, and nobody wants to lose a disk to a
/// typo in it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum UserDataChange {
    /// It is taken note of, and used by the next deployment.
    #[default]
    Update,
    /// The instance is written anew.
    Redeploy,
    /// What it was deployed with stays.
    Ignore,
}

impl UserDataChange {
    fn is_default(&self) -> bool {
        *self == UserDataChange::default()
    }
}

/// What becomes of a difference between the metal and the configuration that nobody has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Drift {
    pub power: OnDrift,
    pub boot_device: OnDrift,
}

impl Default for Drift {
    /// A boot device is a hint that many BMCs forget: it is told, not chased.
    fn default() -> Drift {
        Drift {
            power: OnDrift::Correct,
            boot_device: OnDrift::Alert,
        }
    }
}

impl Drift {
    fn is_default(&self) -> bool {
        *self == Drift::default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnDrift {
    /// What is found is taken as it is, without a word.
    Adopt,
    /// The metal is brought back to the configuration.
    Correct,
    /// It is told at every plan.
    Alert,
}

/// What to do when the disk carries a partition table that bmctl did not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExistingData {
    Refuse,
    Overwrite,
}
