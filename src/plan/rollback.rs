//! The inverse of a run: what state was before it, as a fleet to plan for, and what of it cannot be had again.
//!
//! A wiped disk has no undo: an instance that was written anew is written anew once more, with the image it had. What was on the disk
//! between is gone, and is said to be.

use std::collections::BTreeMap;

use super::{Pattern, Plan, Selection, Step, planfile};
use crate::ids::Addr;
use crate::model::{Fleet, ImageFacts, InstanceRecord, Recorded, Resource};

/// What a run found: the record each address had before it; `None` where there was none.
pub type Before = BTreeMap<Addr, Option<Resource>>;

/// Everything that a plan of the inverse is made from.
pub struct Inverse {
    pub fleet: Fleet,
    pub facts: BTreeMap<Addr, ImageFacts>,
    pub selection: Selection,
    /// What has no inverse, a sentence each.
    pub lost: Vec<String>,
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
    let mut resources = recorded.resources.clone();
    let mut lost = Vec::new();
    for (addr, was) in before {
        match was {
            None => {
                resources.remove(addr);
            }
            Some(Resource::Instance(was)) => {
                let is = recorded.resources.get(addr).and_then(Resource::as_instance);
                let again = put_back(addr, was, is, &mut lost);
                resources.insert(addr.clone(), Resource::Instance(Box::new(again)));
            }
            Some(was) => {
                resources.insert(addr.clone(), was.clone());
            }
        }
    }
    lost.extend(ran.into_iter().flat_map(|plan| gone(plan, before)));
    let mut fleet = Fleet {
        rollouts: declared.rollouts.clone(),
        windows: declared.windows.clone(),
        ..Fleet::default()
    };
    let mut facts = BTreeMap::new();
    for (addr, resource) in &resources {
        declare(&mut fleet, &mut facts, addr, resource);
    }
    let targets = before.keys().map(|addr| Pattern::Address(addr.to_string()));
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

/// On the node it was on; with the user data it had, when that is still what is sealed.
fn put_back(
    addr: &Addr,
    was: &InstanceRecord,
    is: Option<&InstanceRecord>,
    lost: &mut Vec<String>,
) -> InstanceRecord {
    let mut again = was.clone();
    if is.map(|i| &i.node) != Some(&was.node) {
        again.desired.node = Some(was.node.clone());
    }
    let sealed = is.and_then(|i| i.desired.user_data.as_ref());
    if was.desired.user_data.is_some() && was.desired.user_data.as_ref() != sealed {
        lost.push(format!(
            "{addr}: the user data it had is not kept; it is planned without any"
        ));
        again.desired.user_data = None;
    }
    again
}

/// Steps of the run that lost something.
fn gone(plan: &Plan, before: &Before) -> Vec<String> {
    let lost = plan.steps.iter().filter_map(|step| {
        let had = before.get(&step.subject)?.as_ref()?.as_instance()?;
        let disk = had.disk.as_ref()?;
        let written = matches!(step.step, Step::WriteDisk(_)).then_some("was written over");
        let erased = matches!(step.step, Step::EraseDisk { .. }).then_some("was erased");
        let what = written.or(erased)?;
        Some(format!(
            "{}: disk {} on {} {what} in step {}: what was on it is gone",
            step.subject, disk.serial, had.node, step.id
        ))
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
