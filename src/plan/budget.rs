//! How much may happen at once: at each site, and among nodes that share something. All of it ends up in the plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::PlannedStep;
use crate::ids::Addr;
use crate::model::{Fleet, PerLabel};

/// How many of a kind of step may run at once at a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Budget {
    pub writes: u32,
    pub boots: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<Shared>,
}

/// Nodes of the plan with the same value of a label, and how much may happen among them at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Shared {
    /// `label = value`, for what is told.
    pub name: String,
    pub nodes: BTreeSet<Addr>,
    /// Nodes that are being powered on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_ons: Option<u32>,
    /// Nodes between power-on and the ramdisk's first word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boots: Option<u32>,
    /// Disks that are being written or erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<u32>,
    /// Nodes that an instance has begun on, and has not ended on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<u32>,
}

impl Budget {
    /// Of a site whose configuration has gone.
    pub const DEFAULT: Budget = Budget {
        writes: 8,
        boots: 16,
        shared: Vec::new(),
    };
}

/// Those of every site that is declared, with the nodes that the steps are about.
pub(super) fn all(fleet: &Fleet, steps: &[PlannedStep]) -> BTreeMap<Addr, Budget> {
    let touched: BTreeSet<&Addr> = steps.iter().filter_map(|s| s.node.as_ref()).collect();
    let budgets = fleet.sites.iter().map(|(addr, site)| {
        let limits = &site.limits;
        let shared = limits.per_label.iter();
        let budget = Budget {
            writes: limits.parallel_writes,
            boots: limits.parallel_boots,
            shared: shared
                .flat_map(|rule| by_value(rule, addr, fleet, &touched))
                .collect(),
        };
        (addr.clone(), budget)
    });
    budgets.collect()
}

/// One for each value of the label; a node without the label shares nothing.
fn by_value(rule: &PerLabel, site: &Addr, fleet: &Fleet, touched: &BTreeSet<&Addr>) -> Vec<Shared> {
    let PerLabel {
        label,
        power_ons,
        boots,
        writes,
        work,
    } = rule;
    let mut by_value: BTreeMap<&String, BTreeSet<Addr>> = BTreeMap::new();
    for addr in touched {
        let node = fleet.nodes.get(*addr).filter(|node| node.site == *site);
        if let Some(value) = node.and_then(|node| node.labels.get(label)) {
            by_value.entry(value).or_default().insert((*addr).clone());
        }
    }
    let shared = by_value.into_iter().map(|(value, nodes)| Shared {
        name: format!("{label} = {value}"),
        nodes,
        power_ons: *power_ons,
        boots: *boots,
        writes: *writes,
        work: *work,
    });
    shared.collect()
}
