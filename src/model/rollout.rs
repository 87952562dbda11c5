//! `rollout`: how a change goes through a fleet in turn, as it is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Gate;

/// So many, or so many of a hundred: rounded up, since a wave of nobody would never end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    Number(u32),
    Percent(u32),
}

impl Share {
    /// At least one, at most all.
    pub fn of(self, all: usize) -> usize {
        let wanted = match self {
            Share::Number(n) => usize::try_from(n).unwrap_or(usize::MAX),
            Share::Percent(p) => {
                let p = usize::try_from(p).unwrap_or(usize::MAX).min(100);
                all.saturating_mul(p).div_ceil(100)
            }
        };
        wanted.clamp(1, all.max(1))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rule {
    pub name: String,
    /// It is about instances on nodes with these labels; all of them when it names none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// The first wave, when it is to be another size than the rest.
    pub canary: Option<Share>,
    pub wave: Share,
    pub at_most_down: Option<AtMostDown>,
    /// Failed instances that do not stop it yet.
    pub failures_max: u32,
    /// Seconds between the end of a wave and the start of the next.
    pub pause_s: u32,
    /// What each instance of a wave has to pass, in this order, before the next wave begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
}

/// How many nodes with the same value of a label may be taken down at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AtMostDown {
    pub label: String,
    pub at_most: u32,
}

/// Whether a node has all the labels that are asked for.
pub fn has_labels(wanted: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(k, v)| labels.get(k) == Some(v))
}
