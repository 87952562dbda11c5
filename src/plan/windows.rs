//! Which windows a plan's changes keep to. A window is named with its instances, so that apply need not look at labels.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::rollout::labels_of;
use super::{Change, Plan};
use crate::ids::Addr;
use crate::model::Fleet;
use crate::model::rollout::has_labels;
use crate::model::window::Window;

/// A window as a plan holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Kept {
    pub window: Window,
    pub members: BTreeSet<Addr>,
}

/// Every window that some change keeps to. A change that keeps to several may go in any of them.
pub fn all(fleet: &Fleet, changes: &[Change]) -> Vec<Kept> {
    let turns: Vec<&Change> = changes.iter().filter(|c| c.goes_in_turn()).collect();
    let kept = fleet.windows.iter().map(|window| {
        let is_about = |c: &&&Change| has_labels(&window.match_labels, labels_of(c, fleet));
        Kept {
            window: window.clone(),
            members: turns
                .iter()
                .filter(is_about)
                .map(|c| c.addr.clone())
                .collect(),
        }
    });
    kept.filter(|k| !k.members.is_empty()).collect()
}

/// Changes of a plan that would keep to other windows than they did when it was made.
pub fn moved_on(plan: &Plan, fleet: &Fleet) -> BTreeSet<Addr> {
    let is = all(fleet, &plan.changes);
    let only_in = |these: &[Kept], those: &[Kept]| -> Vec<Addr> {
        let mut out = Vec::new();
        for kept in these {
            let other = those.iter().find(|k| k.window == kept.window);
            let is_missing = |m: &&Addr| other.is_none_or(|k| !k.members.contains(*m));
            out.extend(kept.members.iter().filter(is_missing).cloned());
        }
        out
    };
    let mut out: BTreeSet<Addr> = only_in(&is, &plan.windows).into_iter().collect();
    out.extend(only_in(&plan.windows, &is));
    out
}
