//! L2, PURE. What will be done, decided whole before anything is done: place, allocate, diff, steps, graph, audit.
//!
//! Takes the fleet a configuration declares, the state recorded of it, what was seen of the metal and the facts of the
//! images; gives a [`Plan`], an immutable value, or diagnostics. Never reads a clock, a file or a socket; never leaves a
//! choice to apply. The same input gives the same plan, byte for byte.

pub mod allocate;
pub mod audit;
mod budget;
mod chain;
mod decide;
pub mod diff;
pub mod draw;
mod drift;
mod fingerprint;
mod finish;
pub mod forecast;
mod gates;
pub mod graph;
pub mod groups;
mod ignore;
mod instances;
mod inventory;
pub mod layout;
pub mod make;
mod meant;
mod moves;
pub mod nature;
pub mod place;
pub mod planfile;
pub mod quorum;
pub mod reads;
mod records;
pub mod render;
pub mod report;
pub mod rollback;
pub mod rollout;
pub mod schema;
pub mod select;
pub mod specs;
pub mod step;
pub mod steps;
pub mod surgery;
pub mod takeover;
mod terms;
pub mod view;
mod waves;
pub mod windows;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::Addr;
use crate::model::Finding;
use crate::units::Sha256;

pub use budget::{Budget, Shared};
pub use decide::unfinished_adoption;
pub use fingerprint::fingerprint;
pub use make::{Intent, PlanInput, draft, make};
pub use reads::Reads;
pub use select::{Pattern, Selection};
pub use step::{Bmc, PlannedStep, Step, StepId};

/// A finished plan. Its `id` is the SHA-256 of everything else in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plan {
    pub format: u32,
    pub id: String,
    pub intent: Intent,
    /// What the plan was confined to, when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confined: Option<Confined>,
    /// The run that it undoes; such a plan belongs to no configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse_of: Option<String>,
    pub made_from: MadeFrom,
    /// What was read about whatever the plan touches; it has to be so still when the plan is carried out.
    pub reads: Reads,
    pub images: BTreeMap<Addr, Sha256>,
    pub changes: Vec<Change>,
    /// In an order in which they could be done one after another.
    pub steps: Vec<PlannedStep>,
    pub budgets: BTreeMap<Addr, Budget>,
    pub warnings: Vec<String>,
    /// Policies that the plan does not meet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Changes that go through the fleet in turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollouts: Vec<rollout::Rollout>,
    /// When changes may begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<windows::Kept>,
}

/// What was asked for, and the resources that came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Confined {
    pub to: Selection,
    pub resources: BTreeSet<Addr>,
    /// The nodes that instances among them stand on, before or after: acted on, not changed as resources.
    pub nodes: BTreeSet<Addr>,
}

/// The state a plan was made from, and the configuration's fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MadeFrom {
    pub lineage: String,
    /// Of a state on a server: what was pushed from one workspace into another has the same lineage there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    pub serial: u64,
    pub configuration: Sha256,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Create,
    Update,
    /// The same instance on the same node, written anew.
    Redeploy,
    /// Destroyed on one node, created on another.
    Replace,
    /// A deployment or a destruction that an earlier run did not finish.
    Resume,
    /// The system that stands on a node is taken as the instance, as it is.
    Adopt,
    /// The same under another address.
    Move,
    /// Out of state, and left as it is.
    Forget,
    Delete,
}

impl Action {
    /// The sign a Terraform user knows.
    pub fn symbol(self) -> &'static str {
        match self {
            Action::Create => "+",
            Action::Update => "~",
            Action::Redeploy | Action::Replace => "-/+",
            Action::Resume => ">",
            Action::Adopt => "<=",
            Action::Move => "=>",
            Action::Forget => ".",
            Action::Delete => "-",
        }
    }
}

/// What a change costs, from nothing to everything (design rule 13).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    InPlace,
    Reboots,
    Redeploys,
    DestroysData,
    ReplacesElsewhere,
}

impl Risk {
    pub const ALL: [Risk; 5] = [
        Risk::InPlace,
        Risk::Reboots,
        Risk::Redeploys,
        Risk::DestroysData,
        Risk::ReplacesElsewhere,
    ];

    pub fn describe(self) -> &'static str {
        match self {
            Risk::InPlace => "in place",
            Risk::Reboots => "powers off or reboots",
            Risk::Redeploys => "re-deploys, root data lost",
            Risk::DestroysData => "destroys all data on the named disk",
            Risk::ReplacesElsewhere => "replaces elsewhere",
        }
    }
}

/// One resource that differs, why, and what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Change {
    pub addr: Addr,
    pub action: Action,
    pub risk: Risk,
    /// The node an instance is on after the change (before it, for a deletion).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Addr>,
    /// The disk whose data is lost: by serial and size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    pub reasons: Vec<String>,
    pub attributes: Vec<AttributeChange>,
    /// Attributes that stay as they are.
    pub unchanged: usize,
    /// The steps that carry it out, in order.
    pub steps: Vec<StepId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttributeChange {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<serde_json::Value>,
    /// `redeploy` or `replacement`, when this attribute makes it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forces: Option<String>,
    /// Its values are not shown; `before` and `after` hold keyed fingerprints.
    #[serde(default)]
    pub sensitive: bool,
}

impl AttributeChange {
    /// Both values as HCL, as far as they may be seen.
    pub fn shown(&self) -> (Option<String>, Option<String>) {
        let show = |value: &Option<serde_json::Value>| match (value, self.sensitive) {
            (None, _) => None,
            (Some(_), true) => Some("(sensitive value)".to_owned()),
            (Some(value), false) => Some(render::literal(value)),
        };
        (show(&self.before), show(&self.after))
    }
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether the plan is about this resource.
    pub fn is_about(&self, addr: &Addr) -> bool {
        let confined = self.confined.as_ref();
        confined.is_none_or(|c| c.resources.contains(addr))
    }

    pub fn step(&self, id: StepId) -> Option<&PlannedStep> {
        self.steps.get(id.0 as usize)
    }
}
