//! The inverse of a run: what state was before it, as a fleet to plan for, and what of it cannot be had again.
//!
//! A wiped disk has no undo: an instance that was written anew is written anew once more, with the image it had. What was on the disk
//! between is gone, and is said to be.

use std::collections::BTreeMap;
use std::fmt;

use super::moves::Moves;
use super::{Pattern, Plan, Selection, Step, planfile};
use crate::ids::Addr;
use crate::model::{Fleet, ImageFacts, InstanceRecord, Moved, Recorded, Resource, Subject};

/// What a run found.
#[derive(Debug, Default)]
pub struct Before {
    /// The record each address had before it; `None` where there was none.
    pub records: BTreeMap<Addr, Option<Resource>>,
    /// Addresses that the run gave, and what was called so before it.
    pub moved: Moves,
}

/// Everything that a plan of the inverse is made from.
pub struct Inverse {
    pub fleet: Fleet,
    pub facts: BTreeMap<Addr, ImageFacts>,
    /// What the run touched; without a target, nothing of it is left to take back.
    pub selection: Selection,
    pub lost: Vec<Lost>,
}

/// What has no inverse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    pub addr: Addr,
    pub what: String,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.addr, self.what)
    }
}

/// State as it is, with what the run touched as it was.
///
/// `declared` says how a change goes through the fleet: its rollouts and windows hold for this one too.
pub fn inverse(
    recorded: &Recorded,
    before: &Before,
    ran: Option<&Plan>,
    declared: &Fleet,
) -> Inverse {
    let mut lost = Vec::new();
    let resources = as_before(recorded, before, &mut lost);
    lost.extend(ran.into_iter().flat_map(|plan| gone(plan, before)));
    let mut fleet = Fleet {
        rollouts: declared.rollouts.clone(),
        windows: declared.windows.clone(),
        moved: back(before),
        ..Fleet::default()
    };
    let mut facts = BTreeMap::new();
    for (addr, resource) in &resources {
        declare(&mut fleet, &mut facts, addr, resource);
    }
    let made = before.moved.iter().filter(|(_, was)| before.is_new(was));
    let touched = before.records.keys().chain(made.map(|(is, _)| is));
    // What the run made and somebody has taken down since is as it was before the run.
    let stands =
        |addr: &&Addr| resources.contains_key(*addr) || recorded.resources.contains_key(*addr);
    let targets = touched
        .filter(stands)
        .map(|addr| Pattern::Address(addr.to_string()));
    Inverse {
        fleet,
        facts,
        selection: Selection {
            targets: targets.collect(),
            ..Selection::default()
        },
        lost,
    }
}

/// What the run touched, or of it what was asked for. What the run did not touch is planned for as it is recorded.
pub fn narrowed(of_run: Selection, asked: Selection) -> Selection {
    match asked.targets.is_empty() {
        true => Selection {
            targets: of_run.targets,
            ..asked
        },
        false => asked,
    }
}

impl Before {
    /// What the run has made; were it to have another name since, that name means nothing.
    fn is_new(&self, was: &Addr) -> bool {
        matches!(self.records.get(was), Some(None))
    }
}

/// The records as they were, under the names that they had.
fn as_before(
    recorded: &Recorded,
    before: &Before,
    lost: &mut Vec<Lost>,
) -> BTreeMap<Addr, Resource> {
    let mut resources = recorded.resources.clone();
    // What has come since the run may speak of what the run renamed.
    resources
        .values_mut()
        .for_each(|resource| resource.rename(&before.moved));
    for is in before.moved.keys() {
        resources.remove(is);
    }
    let is_called: BTreeMap<&Addr, &Addr> =
        before.moved.iter().map(|(is, was)| (was, is)).collect();
    for (addr, was) in &before.records {
        let is = is_called.get(addr).copied().unwrap_or(addr);
        match was {
            None => {
                resources.remove(addr);
            }
            Some(Resource::Instance(was)) => {
                let is = recorded.resources.get(is).and_then(Resource::as_instance);
                let again = put_back(addr, was, is, &before.moved, lost);
                resources.insert(addr.clone(), Resource::Instance(Box::new(again)));
            }
            Some(was) => {
                resources.insert(addr.clone(), was.clone());
            }
        }
    }
    resources
}

/// What leads from the names that the run gave to those that it found.
fn back(before: &Before) -> Vec<Moved> {
    let moved = before.moved.iter().filter(|(_, was)| !before.is_new(was));
    let moved = moved.map(|(is, was)| Moved {
        from: Subject::Resource(is.clone()),
        to: Subject::Resource(was.clone()),
        span: None,
    });
    moved.collect()
}

/// On the node it was on; with the user data it had, when that is still what is sealed.
fn put_back(
    addr: &Addr,
    was: &InstanceRecord,
    is: Option<&InstanceRecord>,
    moved: &Moves,
    lost: &mut Vec<Lost>,
) -> InstanceRecord {
    let mut again = was.clone();
    let stands_on = is.map(|is| moved.get(&is.node).unwrap_or(&is.node));
    if stands_on != Some(&was.node) {
        again.desired.node = Some(was.node.clone());
    }
    let sealed = is.and_then(|i| i.desired.user_data.as_ref());
    if was.desired.user_data.is_some() && was.desired.user_data.as_ref() != sealed {
        // A text that is gone is no reason to write a disk: what is sealed goes on to hold.
        again.desired.user_data = sealed.cloned();
        let holds = match sealed {
            Some(_) => "it keeps that of today, also when it is written anew for something else",
            None => "when it is written anew, it is with empty user data",
        };
        lost.push(Lost {
            addr: addr.clone(),
            what: format!(
                "the user data it had is not kept: {holds} (the earlier text is in the configuration of before the run)"
            ),
        });
    }
    again
}

/// Steps of the run that lost something.
fn gone(plan: &Plan, before: &Before) -> Vec<Lost> {
    let lost = plan.steps.iter().filter_map(|step| {
        let was = before.moved.get(&step.subject).unwrap_or(&step.subject);
        let had = before.records.get(was)?.as_ref()?.as_instance()?;
        let disk = had.disk.as_ref()?;
        let written = matches!(step.step, Step::WriteDisk(_)).then_some("was written over");
        let erased = matches!(step.step, Step::EraseDisk { .. }).then_some("was erased");
        let what = written.or(erased)?;
        let what = format!(
            "disk {} on {} {what} in step {}: what was on it is gone",
            disk.serial, had.node, step.id
        );
        Some(Lost {
            addr: was.clone(),
            what,
        })
    });
    lost.collect()
}

fn declare(
    fleet: &mut Fleet,
    facts: &mut BTreeMap<Addr, ImageFacts>,
    addr: &Addr,
    resource: &Resource,
) {
    let at = addr.clone();
    match resource {
        Resource::Network(is) => drop(fleet.networks.insert(at, is.clone())),
        Resource::Site(is) => drop(fleet.sites.insert(at, is.clone())),
        Resource::Flavor(is) => drop(fleet.flavors.insert(at, is.clone())),
        Resource::Image(is) => drop(fleet.images.insert(at, is.clone())),
        Resource::Node(is) => drop(fleet.nodes.insert(at, is.as_ref().clone())),
        Resource::Nic(is) => drop(fleet.nics.insert(at, is.clone())),
        Resource::Instance(record) => {
            // What an instance was made from is in its own record, also when its flavor or image has been forgotten.
            let desired = &record.desired;
            fleet
                .flavors
                .entry(desired.flavor.clone())
                .or_insert_with(|| record.flavor.clone());
            fleet
                .images
                .entry(desired.image.clone())
                .or_insert_with(|| record.image.clone());
            facts.insert(desired.image.clone(), record.image_facts.clone());
            fleet.instances.insert(at, desired.clone());
        }
    }
}

/// The plan belongs to no configuration: what is declared says otherwise, and is not asked.
pub fn of_no_configuration(plan: &mut Plan, run: &str) {
    plan.inverse_of = Some(run.to_owned());
    plan.reads.declared.clear();
    plan.id = planfile::id_of(plan);
}
