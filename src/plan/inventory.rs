//! Everything but instances: recorded, renamed and forgotten, no machine touched.

use std::collections::BTreeMap;

use super::decide::unfinished_adoption;
use super::make::Maker;
use super::{Action, AttributeChange, Change, Risk, Step, StepId, diff, moves, steps};
use crate::diag::Diagnostic;
use crate::ids::{Addr, Kind};
use crate::model::{InstancePhase, InstanceRecord, Resource};

impl<'a> Maker<'a> {
    /// The step that gives other addresses; whatever comes after it uses them.
    pub(super) fn rename(&mut self) {
        let Some(subject) = self.moves.values().next() else {
            return;
        };
        let step = Step::Move {
            moves: self.moves.clone(),
        };
        self.builder
            .push(subject, None, step, &[], steps::LOCAL_LIMIT_S);
        self.builder.first = Some(StepId(0));
    }

    /// Says of each change that its resource has moved, and makes one for what has only moved.
    pub(super) fn tell_moves(&mut self) {
        let mut from_of: BTreeMap<&Addr, &Addr> =
            self.moves.iter().map(|(from, to)| (to, from)).collect();
        for change in &mut self.changes {
            if let Some(from) = from_of.remove(&change.addr) {
                change
                    .reasons
                    .insert(0, format!("is {from} under another address"));
                change.steps.insert(0, StepId(0));
            }
        }
        for (to, from) in from_of {
            self.changes.push(Change {
                addr: to.clone(),
                action: Action::Move,
                risk: Risk::InPlace,
                node: None,
                disk: None,
                reasons: vec![format!("is {from} under another address")],
                attributes: Vec::new(),
                unchanged: 0,
                steps: vec![StepId(0)],
            });
        }
    }

    /// An instance that the configuration says to forget: its system goes on as it is.
    pub(super) fn leave(&mut self, addr: &Addr, record: &InstanceRecord) {
        if is_half_done(record) {
            self.half_done(addr, record);
            return;
        }
        let step = Step::Forget { addr: addr.clone() };
        let id = self
            .builder
            .push(addr, None, step, &[], steps::LOCAL_LIMIT_S);
        self.vacated.insert(record.node.clone(), id);
        let (attributes, unchanged) = diff::attributes(Some(&diff::instance_view(record)), None);
        self.changes.push(Change {
            addr: addr.clone(),
            action: Action::Forget,
            risk: Risk::InPlace,
            node: Some(record.node.clone()),
            disk: None,
            reasons: vec![format!("{} and its disk are left as they are", record.node)],
            attributes,
            unchanged,
            steps: vec![id],
        });
    }

    /// A machine that may still run the ramdisk would be nobody's to switch off.
    fn half_done(&mut self, addr: &Addr, record: &InstanceRecord) {
        let text = format!(
            "{addr} is to be left as it is, and no run has come to its end with it: {} may be running the ramdisk",
            record.node
        );
        let d = Diagnostic::error("E0620", text).help(
            "apply with its block, or take the `removed` block out and destroy it; `bmctl state rm` forgets it as it stands",
        );
        let removed = &self.input.fleet.removed;
        self.diagnostics
            .push(match removed.iter().find(|r| moves::about(&r.from, addr)) {
                Some(removed) => d.at(removed.span, "said here"),
                None => d,
            });
    }

    /// Everything but instances: recorded, no machine touched.
    pub(super) fn resources(&mut self) {
        let fleet = self.fleet;
        let desired = fleet
            .networks
            .iter()
            .map(|(a, r)| (a, Resource::Network(r.clone())))
            .chain(
                fleet
                    .sites
                    .iter()
                    .map(|(a, r)| (a, Resource::Site(r.clone()))),
            )
            .chain(
                fleet
                    .flavors
                    .iter()
                    .map(|(a, r)| (a, Resource::Flavor(r.clone()))),
            )
            .chain(
                fleet
                    .images
                    .iter()
                    .map(|(a, r)| (a, Resource::Image(r.clone()))),
            )
            .chain(
                fleet
                    .nodes
                    .iter()
                    .map(|(a, r)| (a, Resource::Node(Box::new(r.clone())))),
            )
            .chain(
                fleet
                    .nics
                    .iter()
                    .map(|(a, r)| (a, Resource::Nic(r.clone()))),
            );
        for (addr, resource) in desired {
            let before = self.input.recorded.resources.get(addr);
            if before == Some(&resource) || !self.wants(addr) {
                continue;
            }
            let (attributes, unchanged) = resource_attributes(before, Some(&resource));
            let action = if before.is_some() {
                Action::Update
            } else {
                Action::Create
            };
            let step = Step::Record {
                addr: addr.clone(),
                resource: Box::new(resource),
            };
            let id = self.builder.push(addr, None, step, &[], 60);
            self.recorded_by.insert(addr.clone(), id);
            self.changes.push(Change {
                addr: addr.clone(),
                action,
                risk: Risk::InPlace,
                node: None,
                disk: None,
                reasons: Vec::new(),
                attributes,
                unchanged,
                steps: vec![id],
            });
        }
    }

    /// Resources that state has and the configuration has not, after all instances that used them.
    pub(super) fn forget(&mut self) {
        let mut gone: Vec<(&Addr, &Resource)> = self
            .input
            .recorded
            .resources
            .iter()
            .filter(|(addr, _)| addr.kind != Kind::Instance && !self.fleet.declares(addr))
            .filter(|(addr, _)| self.wants(addr))
            .collect();
        gone.sort_by_key(|(addr, _)| std::cmp::Reverse(addr.kind));
        for (addr, resource) in gone {
            if self.input.fleet.prevent_destroy.contains(addr) {
                self.prevented(addr, "forgotten");
                continue;
            }
            let step = Step::Forget { addr: addr.clone() };
            let after = self.users_of(addr, resource);
            let id = self.builder.push(addr, None, step, &after, 60);
            let (attributes, unchanged) = resource_attributes(Some(resource), None);
            self.changes.push(Change {
                addr: addr.clone(),
                action: Action::Delete,
                risk: Risk::InPlace,
                node: None,
                disk: None,
                reasons: Vec::new(),
                attributes,
                unchanged,
                steps: vec![id],
            });
        }
    }

    /// The ends of destructions that need what is forgotten, should they have to be tried again: the node, its site and that
    /// site's network. An instance's own record holds its flavor and image.
    pub(super) fn users_of(&self, gone: &Addr, resource: &Resource) -> Vec<StepId> {
        let recorded = &self.input.recorded.resources;
        let site_of = |node: &Addr| {
            recorded
                .get(node)
                .and_then(Resource::as_node)
                .map(|n| &n.site)
        };
        let network_of = |site: &Addr| {
            recorded
                .get(site)
                .and_then(Resource::as_site)
                .map(|s| &s.network)
        };
        let every = |uses: &dyn Fn(&Addr) -> bool| {
            let vacated = self.vacated.iter().filter(|(node, _)| uses(node));
            vacated.map(|(_, last)| *last).collect()
        };
        let one = |node: &Addr| self.vacated.get(node).copied().into_iter().collect();
        match resource {
            // Of these there are thousands: nobody is asked but their own node.
            Resource::Node(_) => one(gone),
            Resource::Nic(nic) => one(&nic.node),
            Resource::Site(_) => every(&|node| site_of(node) == Some(gone)),
            Resource::Network(_) => every(&|node| site_of(node).and_then(network_of) == Some(gone)),
            Resource::Flavor(_) | Resource::Image(_) | Resource::Instance(_) => Vec::new(),
        }
    }
}

pub(super) fn resource_attributes(
    before: Option<&Resource>,
    after: Option<&Resource>,
) -> (Vec<AttributeChange>, usize) {
    let inner = |r: Option<&Resource>| -> Option<serde_json::Value> {
        r.and_then(|r| serde_json::to_value(r).ok())
            .and_then(|mut v| v.get_mut("is").map(serde_json::Value::take))
    };
    diff::attributes(inner(before).as_ref(), inner(after).as_ref())
}

/// It was begun, or is being taken down; a system on its disk may not have been booted yet.
fn is_half_done(record: &InstanceRecord) -> bool {
    match record.phase {
        InstancePhase::Deploying | InstancePhase::Destroying => true,
        // A system that is being taken over was never in its ramdisk.
        InstancePhase::NeedsAttention(_) => {
            record.disk.is_none() && !unfinished_adoption(&record.phase)
        }
        InstancePhase::Running | InstancePhase::Off => false,
    }
}
