//! What a plan was made from, resource by resource, and what of it is no longer so (design rule 12).
//!
//! A saved plan is not tied to one serial of the state or one text of the configuration: it remembers what it read about the
//! resources it touches and those they stand on. A merge or an apply that concerns others leaves it good.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256 as Hasher};

use super::fingerprint::Rules;
use super::moves::Moves;
use super::render::literal;
use super::select::Everything;
use super::{Change, Intent, Plan, PlannedStep, Step, diff, rollout, windows};
use crate::ids::{Addr, Kind};
use crate::model::{Fleet, PowerSeen, Recorded, Resource};
use crate::units::Sha256;

/// Everything that was read about what the plan touches. A digest of nothing is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reads {
    /// Looked at again by the first power-off of each node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub power: BTreeMap<Addr, PowerSeen>,
    /// What state had of each resource.
    pub state: BTreeMap<Addr, Option<Sha256>>,
    /// What the configuration said of it, rules of its lifecycle included.
    pub declared: BTreeMap<Addr, Option<Sha256>>,
    /// Who stood on each node that steps act on.
    pub holders: BTreeMap<Addr, Option<Addr>>,
}

/// One thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    pub addr: Addr,
    pub what: String,
}

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.addr, self.what)
    }
}

/// `recorded` is the state as it is, under the names from before what this plan moves.
pub(super) fn of(
    everything: &Everything<'_>,
    written: &Fleet,
    recorded: &Recorded,
    moves: &Moves,
    changes: &[Change],
    steps: &[PlannedStep],
) -> Reads {
    let nodes: BTreeSet<&Addr> = steps.iter().filter_map(|s| s.node.as_ref()).collect();
    let start = changes.iter().map(|c| &c.addr).chain(nodes.iter().copied());
    let about = everything.grounds(start.cloned().collect());
    let old: BTreeMap<&Addr, &Addr> = moves.iter().map(|(from, to)| (to, from)).collect();
    let names = about
        .iter()
        .chain(about.iter().filter_map(|to| old.get(to).copied()));
    let (holders, rules) = (holders(recorded), Rules::of(written));
    let held = nodes.into_iter().map(|node| {
        let node = old.get(node).copied().unwrap_or(node);
        (node.clone(), holders.get(node).map(|h| (*h).clone()))
    });
    Reads {
        power: BTreeMap::new(),
        state: names
            .map(|addr| (addr.clone(), recorded.resources.get(addr).map(digest)))
            .collect(),
        declared: about
            .iter()
            .map(|addr| (addr.clone(), declared(written, &rules, addr)))
            .collect(),
        holders: held.collect(),
    }
}

fn holders(recorded: &Recorded) -> BTreeMap<&Addr, &Addr> {
    let instances = recorded.resources.iter();
    instances
        .filter_map(|(addr, r)| Some((&r.as_instance()?.node, addr)))
        .collect()
}

fn digest<T: Serialize>(of: &T) -> Sha256 {
    // Values of the model always serialize; were one not to, its digest would equal no other.
    let bytes = serde_json::to_vec(of).unwrap_or_default();
    Sha256(Hasher::digest(bytes).into())
}

fn declared(fleet: &Fleet, rules: &Rules<'_>, addr: &Addr) -> Option<Sha256> {
    let body = match fleet.instances.get(addr) {
        Some(instance) => serde_json::to_vec(instance),
        None => serde_json::to_vec(&fleet.resource(addr)?),
    };
    let mut hash = Hasher::new();
    hash.update(body.unwrap_or_default());
    for rule in rules.about(addr) {
        hash.update(rule);
    }
    Some(Sha256(hash.finalize().into()))
}

/// What of the state is not as the plan found it.
pub fn stale_in_state(plan: &Plan, recorded: &Recorded) -> Vec<Stale> {
    let mut out = Vec::new();
    let stale = |addr: &Addr, what: String| Stale {
        addr: addr.clone(),
        what,
    };
    // An instance of state tells of itself; that its node is taken then needs no line of its own.
    let mut told: BTreeSet<&Addr> = BTreeSet::new();
    for (addr, was) in &plan.reads.state {
        let is = recorded.resources.get(addr);
        let what = match (was, is) {
            (None, None) => continue,
            (None, Some(_)) => "was not in the state, and is".to_owned(),
            (Some(_), None) => "was in the state, and is not".to_owned(),
            (Some(was), Some(is)) if digest(is) == *was => continue,
            (Some(_), Some(is)) => format!("its record has changed{}", differences(plan, addr, is)),
        };
        told.insert(addr);
        out.push(stale(addr, what));
    }
    let holders = holders(recorded);
    for (node, was) in &plan.reads.holders {
        let is = holders.get(node).copied();
        if was.as_ref() == is || is.is_some_and(|i| told.contains(i)) {
            continue;
        }
        let name =
            |who: Option<&Addr>| who.map_or_else(|| "free".to_owned(), |w| format!("taken by {w}"));
        out.push(stale(
            node,
            format!("was {}, is {}", name(was.as_ref()), name(is)),
        ));
    }
    out.extend(taken_addresses(plan, recorded));
    out
}

/// Attributes whose value is not what the plan says it was.
fn differences(plan: &Plan, addr: &Addr, is: &Resource) -> String {
    let Some(change) = plan.changes.iter().find(|c| c.addr == *addr) else {
        return String::new();
    };
    let found = match is {
        Resource::Instance(record) => diff::attributes(None, Some(&diff::instance_view(record))).0,
        Resource::Network(_)
        | Resource::Site(_)
        | Resource::Flavor(_)
        | Resource::Image(_)
        | Resource::Node(_)
        | Resource::Nic(_) => super::inventory::resource_attributes(None, Some(is)).0,
    };
    let mut out = Vec::new();
    for attribute in &change.attributes {
        let now = found.iter().find(|f| f.name == attribute.name);
        let now = now.and_then(|f| f.after.as_ref());
        if now == attribute.before.as_ref() {
            continue;
        }
        out.push(if attribute.sensitive {
            format!("{} is another", attribute.name)
        } else {
            let show = |v: Option<&serde_json::Value>| v.map_or_else(|| "null".to_owned(), literal);
            let (was, is) = (show(attribute.before.as_ref()), show(now));
            format!("{} was {was}, is {is}", attribute.name)
        });
    }
    if out.is_empty() {
        return String::new();
    }
    format!(": {}", out.join(", "))
}

/// Two plans from one state give new instances the same free addresses; the second one has to give way.
fn taken_addresses(plan: &Plan, recorded: &Recorded) -> Vec<Stale> {
    let mut held: BTreeMap<(&Addr, Ipv4Addr), &Addr> = BTreeMap::new();
    for (addr, resource) in &recorded.resources {
        if let Some(record) = resource.as_instance() {
            let requests = record.desired.addresses.iter().zip(&record.addresses);
            held.extend(requests.map(|(r, ip)| ((&r.network, *ip), addr)));
        }
    }
    let mut out = Vec::new();
    for step in &plan.steps {
        let (Step::Claim { record, .. } | Step::Finish { record, .. }) = &step.step else {
            continue;
        };
        for (request, ip) in record.desired.addresses.iter().zip(&record.addresses) {
            let Some(other) = held.get(&(&request.network, *ip)).copied() else {
                continue;
            };
            let leaves = plan.reads.state.contains_key(other);
            if *other != step.subject && !leaves {
                out.push(Stale {
                    addr: step.subject.clone(),
                    what: format!("was to get {ip}, which {other} has by now"),
                });
            }
        }
    }
    out.dedup();
    out
}

/// What of the configuration is not as the plan found it.
pub fn stale_in_configuration(plan: &Plan, fleet: &Fleet) -> Vec<Stale> {
    let rules = Rules::of(fleet);
    let mut out = Vec::new();
    for (addr, was) in &plan.reads.declared {
        let what = match (was, declared(fleet, &rules, addr)) {
            (None, None) => continue,
            (Some(was), Some(is)) if *was == is => continue,
            (None, Some(_)) => "was not declared, and is",
            (Some(_), None) => "was declared, and is not",
            (Some(_), Some(_)) => "is declared in another way than the plan was made from",
        };
        out.push(Stale {
            addr: addr.clone(),
            what: what.to_owned(),
        });
    }
    if plan.intent != Intent::Refresh {
        let moved_on = windows::moved_on(plan, fleet).into_iter();
        out.extend(moved_on.map(|addr| Stale {
            addr,
            what: "keeps to other windows than the plan was made with".to_owned(),
        }));
    }
    if plan.intent == Intent::Apply {
        let moved_on = rollout::moved_on(plan, fleet).into_iter();
        out.extend(moved_on.map(|(addr, what)| Stale {
            addr: addr.clone(),
            what,
        }));
    }
    out
}

/// Nodes and what else a resource stands on, for [`Everything::grounds`].
pub(super) fn is_ground(kind: Kind) -> bool {
    match kind {
        Kind::Network | Kind::Site | Kind::Flavor | Kind::Image | Kind::Node | Kind::Nic => true,
        // What it depends on is put in order by the steps; its own change is its own matter.
        Kind::Instance => false,
    }
}
