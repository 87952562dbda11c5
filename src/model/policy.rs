//! What a team forbids, or wants somebody to say yes to, before a plan is carried out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How much a policy weighs when it does not hold.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// It is told.
    Warn,
    /// Somebody has to say yes to it by name.
    Approve,
    /// The plan is not carried out.
    Block,
}

/// At most `at_most` of the nodes with these labels may be down at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    pub labels: BTreeMap<String, String>,
    pub at_most: u32,
}

/// A policy that a plan does not meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    pub policy: String,
    pub weight: Weight,
    pub message: String,
    /// File and line of what does not hold.
    pub place: String,
}
