//! Changes that are alike, put together: "38 instances: image deb12 → deb13" is read, 38 blocks are skipped.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Action, AttributeChange, Change, Plan, Risk};
use crate::ids::Addr;

/// Fewer than these are shown one by one.
pub const GROUP_MIN: usize = 4;

/// Changes of one block that do the same to the same attributes.
#[derive(Debug)]
pub struct Group<'p> {
    /// What they share of their address: all but the key.
    pub of: Addr,
    pub action: Action,
    pub risk: Risk,
    pub members: Vec<&'p Change>,
    pub attributes: Vec<GroupAttribute<'p>>,
    /// Reasons that hold for all of them.
    pub reasons: Vec<&'p str>,
}

/// One attribute over all members.
#[derive(Debug)]
pub struct GroupAttribute<'p> {
    pub name: &'p str,
    pub first: &'p AttributeChange,
    /// Whether all members change it from the same to the same.
    pub is_alike: bool,
}

/// What has to be the same for two changes to be told as one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Likeness<'p> {
    of: Addr,
    action: Action,
    risk: Risk,
    names: Vec<&'p str>,
    forces: Vec<Option<&'p str>>,
    titles: Vec<&'static str>,
}

/// All changes in groups, in the order of their first members.
pub fn groups(plan: &Plan) -> Vec<Group<'_>> {
    let mut at: BTreeMap<Likeness<'_>, usize> = BTreeMap::new();
    let mut out: Vec<Vec<&Change>> = Vec::new();
    for change in &plan.changes {
        let place = *at.entry(likeness(plan, change)).or_insert_with(|| {
            out.push(Vec::new());
            out.len() - 1
        });
        if let Some(members) = out.get_mut(place) {
            members.push(change);
        }
    }
    out.into_iter().filter_map(group).collect()
}

fn likeness<'p>(plan: &Plan, change: &'p Change) -> Likeness<'p> {
    let steps = change.steps.iter().filter_map(|id| plan.step(*id));
    Likeness {
        of: without_key(&change.addr),
        action: change.action,
        risk: change.risk,
        names: change.attributes.iter().map(|a| a.name.as_str()).collect(),
        forces: change
            .attributes
            .iter()
            .map(|a| a.forces.as_deref())
            .collect(),
        titles: steps.map(|s| s.step.title()).collect(),
    }
}

fn without_key(addr: &Addr) -> Addr {
    Addr {
        key: None,
        ..addr.clone()
    }
}

fn group(members: Vec<&Change>) -> Option<Group<'_>> {
    let first: &Change = members.first()?;
    let attributes = first.attributes.iter().enumerate().map(|(n, attribute)| {
        let same = |change: &&Change| {
            change.attributes.get(n).is_some_and(|other| {
                (&other.before, &other.after) == (&attribute.before, &attribute.after)
            })
        };
        GroupAttribute {
            name: &attribute.name,
            first: attribute,
            is_alike: members.iter().all(same),
        }
    });
    let shared = |reason: &&String| members.iter().all(|c| c.reasons.contains(reason));
    Some(Group {
        of: without_key(&first.addr),
        action: first.action,
        risk: first.risk,
        attributes: attributes.collect(),
        reasons: first
            .reasons
            .iter()
            .filter(shared)
            .map(String::as_str)
            .collect(),
        members,
    })
}

impl Group<'_> {
    /// Told as one, or each by itself.
    pub fn is_told_as_one(&self) -> bool {
        self.members.len() >= GROUP_MIN
    }

    /// "38 instances: image deb12 -> deb13": what most differs, on one line.
    pub fn headline(&self) -> String {
        let count = self.members.len();
        let plural = if count == 1 { "" } else { "s" };
        let what = format!("{count} {}{plural} {}", self.of.kind, self.action.past());
        let shown: Vec<String> = self
            .attributes
            .iter()
            .filter(|a| a.is_alike && !a.first.sensitive)
            .filter_map(|a| {
                let (before, after) = (a.first.before.as_ref()?, a.first.after.as_ref()?);
                Some(format!("{} {} -> {}", a.name, plain(before), plain(after)))
            })
            .collect();
        match shown.as_slice() {
            [] => format!("{what} ({})", self.of),
            shown => format!("{what} ({}): {}", self.of, shown.join(", ")),
        }
    }
}

impl Action {
    /// What will have been done to it.
    pub fn past(self) -> &'static str {
        match self {
            Action::Create => "created",
            Action::Update => "updated in place",
            Action::Redeploy => "re-deployed",
            Action::Replace => "replaced",
            Action::Resume => "brought to their end",
            Action::Adopt => "taken over as they are",
            Action::Move => "under another address",
            Action::Forget => "forgotten, and left as they are",
            Action::Delete => "destroyed",
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => super::render::literal(other),
    }
}
