//! A plan as conditions of a `policy` see it: docs/language.md lists its fields.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Action, Change, Intent, Plan, Risk};
use crate::ids::{Addr, Kind};
use crate::model::{Fleet, Node, Recorded, Resource};

impl Action {
    /// As it is written in conditions and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Update => "update",
            Action::Redeploy => "redeploy",
            Action::Replace => "replace",
            Action::Resume => "resume",
            Action::Adopt => "adopt",
            Action::Move => "move",
            Action::Forget => "forget",
            Action::Delete => "delete",
        }
    }

    pub const ALL: [Action; 9] = [
        Action::Create,
        Action::Update,
        Action::Redeploy,
        Action::Replace,
        Action::Resume,
        Action::Adopt,
        Action::Move,
        Action::Forget,
        Action::Delete,
    ];
}

impl Risk {
    pub fn name(self) -> &'static str {
        match self {
            Risk::InPlace => "in_place",
            Risk::Reboots => "reboots",
            Risk::Redeploys => "redeploys",
            Risk::DestroysData => "destroys_data",
            Risk::ReplacesElsewhere => "replaces_elsewhere",
        }
    }
}

impl Change {
    /// Whether data on a disk may be lost by it, or a system is gone afterwards.
    pub fn is_destructive(&self) -> bool {
        let gone = self.addr.kind == Kind::Instance && self.action == Action::Delete;
        match self.risk {
            Risk::Redeploys | Risk::DestroysData | Risk::ReplacesElsewhere => true,
            Risk::InPlace | Risk::Reboots => gone,
        }
    }

    /// Whether the machine is down for a while.
    pub fn takes_down(&self) -> bool {
        self.risk != Risk::InPlace && self.action != Action::Create
    }
}

impl Plan {
    /// How many changes lose data or a system.
    pub fn destructive(&self) -> usize {
        self.changes.iter().filter(|c| c.is_destructive()).count()
    }
}

/// The value of `plan` in a condition.
pub fn for_conditions(plan: &Plan, fleet: &Fleet, recorded: &Recorded) -> Value {
    let mut actions: BTreeMap<&str, usize> = Action::ALL.map(|a| (a.name(), 0)).into();
    let mut risks: BTreeMap<&str, usize> = Risk::ALL.map(|r| (r.name(), 0)).into();
    for change in &plan.changes {
        *actions.entry(change.action.name()).or_default() += 1;
        *risks.entry(change.risk.name()).or_default() += 1;
    }
    let changes: Vec<Value> = plan
        .changes
        .iter()
        .map(|change| one(change, plan, fleet, recorded))
        .collect();
    json!({
        "intent": match plan.intent { Intent::Apply => "apply", Intent::Destroy => "destroy", Intent::Refresh => "refresh" },
        "confined": plan.confined.is_some(),
        "actions": actions,
        "risks": risks,
        "destructive": plan.destructive(),
        "steps": plan.steps.len(),
        "changes": changes,
    })
}

fn one(change: &Change, plan: &Plan, fleet: &Fleet, recorded: &Recorded) -> Value {
    let on = change.node.as_ref().unwrap_or(&change.addr);
    let labels = node(on, fleet, recorded).map(|n| n.labels.clone());
    let attributes: serde_json::Map<String, Value> = change
        .attributes
        .iter()
        .filter(|a| !a.sensitive)
        .map(|a| {
            (
                a.name.clone(),
                json!({ "before": a.before, "after": a.after }),
            )
        })
        .collect();
    let steps: Vec<&str> = change
        .steps
        .iter()
        .filter_map(|id| Some(plan.step(*id)?.step.title()))
        .collect();
    json!({
        "address": change.addr.to_string(),
        "kind": change.addr.kind.as_str(),
        "name": change.addr.name.as_str(),
        "action": change.action.name(),
        "risk": change.risk.name(),
        "destructive": change.is_destructive(),
        "node": change.node.as_ref().map(ToString::to_string),
        "labels": labels.unwrap_or_default(),
        "disk": change.disk,
        "reasons": change.reasons,
        "attributes": attributes,
        "steps": steps,
    })
}

/// As declared or, when it has left the configuration, as recorded.
pub fn node<'a>(addr: &Addr, fleet: &'a Fleet, recorded: &'a Recorded) -> Option<&'a Node> {
    let known = recorded.resources.get(addr);
    let declared = fleet.nodes.get(addr);
    declared.or_else(|| known.and_then(Resource::as_node))
}
