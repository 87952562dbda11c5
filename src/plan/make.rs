//! From what is declared, recorded, observed and known to a plan, or to reasons why there is none.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256 as Hasher};

use super::decide::{Work, fate, has_data, phase_reason, traces};
use super::diff;
use super::place::{Placed, place};
use super::step::Afterwards;
use super::steps::{self, Builder, Context, Place};
use super::{
    Action, AttributeChange, Budget, Change, MadeFrom, Plan, Risk, Step, StepId, allocate, graph,
    ignore, moves, planfile,
};
use crate::diag::{Diagnostic, Diagnostics};
use crate::ids::{Addr, Kind};
use crate::model::{
    Fleet, Ground, Ignore, ImageFacts, ImageType, InstanceRecord, Nic, Node, Observed, PowerSeen,
    PowerState, Recorded, Resource, rules,
};
use crate::units::{Sha256, TableId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    Apply,
    Destroy,
}

/// Everything a plan is made from.
pub struct PlanInput<'a> {
    pub fleet: &'a Fleet,
    pub recorded: &'a Recorded,
    pub observed: &'a Observed,
    pub facts: &'a BTreeMap<Addr, ImageFacts>,
    pub intent: Intent,
}

/// Makes the plan. `Err` holds errors and warnings, as many as there are mistakes.
pub fn make(input: &PlanInput<'_>) -> Result<Plan, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let moves = moves::resolve(input.fleet, input.recorded, &mut diagnostics);
    let renamed =
        (!moves.is_empty()).then(|| moves::renamed(input.recorded, input.observed, &moves));
    let (recorded, observed) = match &renamed {
        Some((recorded, observed)) => (recorded, observed),
        None => (input.recorded, input.observed),
    };
    let forgotten = moves::forgotten(input.fleet, recorded, &mut diagnostics);
    let settled = ignore::settle(input.fleet, recorded);
    let nothing = Fleet::default();
    let fleet = match input.intent {
        Intent::Apply => settled.as_ref().unwrap_or(input.fleet),
        Intent::Destroy => &nothing,
    };
    diagnostics.extend(rules::check(fleet, input.facts));
    diagnostics.extend(wrong_imports(fleet));
    let placement = place(fleet, recorded, input.facts);
    let (addresses, full) = allocate::allocate(fleet, recorded);
    if !diagnostics.has_errors() {
        diagnostics.extend(placement.refused);
        diagnostics.extend(full);
    }
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let input = PlanInput {
        fleet: input.fleet,
        recorded,
        observed,
        facts: input.facts,
        intent: input.intent,
    };
    let mut maker = Maker {
        input: &input,
        fleet,
        moves,
        forgotten,
        nics: fleet.nics_by_node(),
        placed: placement.placed,
        addresses,
        builder: Builder::default(),
        changes: Vec::new(),
        recorded_by: BTreeMap::new(),
        released_by: BTreeMap::new(),
        finished_by: BTreeMap::new(),
        image_checks: BTreeMap::new(),
        vacated: BTreeMap::new(),
        left_by_this_plan: BTreeMap::new(),
        diagnostics,
    };
    maker.rename();
    maker.resources();
    maker.instances();
    maker.forget();
    maker.finish()
}

/// Imports into what is not declared, or from two places.
fn wrong_imports(fleet: &Fleet) -> Vec<Diagnostic> {
    let unknown = fleet
        .imports
        .iter()
        .filter(|i| !fleet.instances.contains_key(&i.to));
    let told = unknown.map(|import| {
        let text = format!("{} is to be taken over, and is not declared", import.to);
        Diagnostic::error("E0611", text)
            .at(import.span, "said here")
            .help("declare the instance as it is to be; the plan shows what would differ")
    });
    let mut nodes: BTreeMap<&Addr, &Addr> = BTreeMap::new();
    let twice = fleet.imports.iter().filter_map(move |import| {
        let first = *nodes.entry(&import.to).or_insert(&import.node);
        (*first != import.node).then(|| {
            let text = format!(
                "{} is to be taken over from {first} and from {}",
                import.to, import.node
            );
            Diagnostic::error("E0612", text)
                .at(import.span, "said here, and before")
                .help("an instance stands on one node: take one of the `import` blocks out")
        })
    });
    told.chain(twice).collect()
}

pub(super) struct Maker<'a> {
    pub(super) input: &'a PlanInput<'a>,
    pub(super) fleet: &'a Fleet,
    /// Recorded resources that go by another address: old and new.
    moves: moves::Moves,
    /// What leaves state without being taken down.
    forgotten: BTreeSet<Addr>,
    nics: BTreeMap<&'a Addr, Vec<&'a Nic>>,
    pub(super) placed: BTreeMap<Addr, Placed>,
    addresses: allocate::Addresses,
    builder: Builder,
    changes: Vec<Change>,
    /// The step that puts a resource into state.
    recorded_by: BTreeMap<Addr, StepId>,
    /// The last step of an instance's destruction.
    released_by: BTreeMap<Addr, StepId>,
    /// The last step of an instance's change.
    finished_by: BTreeMap<Addr, StepId>,
    image_checks: BTreeMap<Addr, StepId>,
    /// Nodes that an instance leaves in this plan, and the step after which they are free.
    vacated: BTreeMap<Addr, StepId>,
    /// The tables that instances which leave in this plan leave on their nodes' disks.
    left_by_this_plan: BTreeMap<Addr, Vec<TableId>>,
    diagnostics: Diagnostics,
}

impl<'a> Maker<'a> {
    /// The step that gives other addresses; whatever comes after it uses them.
    fn rename(&mut self) {
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
    fn tell_moves(&mut self) {
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
    fn leave(&mut self, addr: &Addr, record: &InstanceRecord) {
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

    /// Everything but instances: recorded, no machine touched.
    fn resources(&mut self) {
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
            if before == Some(&resource) {
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

    fn instances(&mut self) {
        let recorded = self.input.recorded;
        // Destructions first: what they free may be given away in the same plan.
        for (addr, resource) in &recorded.resources {
            let Resource::Instance(record) = resource else {
                continue;
            };
            let stays = self.placed.get(addr).is_some_and(|p| p.node == record.node);
            if !stays && self.forgotten.contains(addr) {
                self.leave(addr, record);
            } else if !stays {
                self.destroy(addr, record);
            }
        }
        let order: Vec<Addr> = self.in_dependency_order();
        for addr in order {
            self.instance(&addr);
        }
    }

    /// Instances so that what `depends_on` names comes first. The configuration refuses loops; a fleet from elsewhere may
    /// have one, and then there is no such order.
    fn in_dependency_order(&mut self) -> Vec<Addr> {
        let mut done: BTreeSet<&Addr> = BTreeSet::new();
        let mut out = Vec::new();
        let mut knot: Option<Vec<&Addr>> = None;
        for start in self.fleet.instances.keys() {
            let mut stack = vec![(start, false)];
            // Those whose dependencies are being put in order, outermost first.
            let mut open: Vec<&Addr> = Vec::new();
            while let Some((addr, ready)) = stack.pop() {
                if ready {
                    open.pop();
                    done.insert(addr);
                    out.push(addr.clone());
                    continue;
                }
                if done.contains(addr) {
                    continue;
                }
                if let Some(at) = open.iter().position(|o| *o == addr) {
                    knot.get_or_insert_with(|| open[at..].to_vec());
                    continue;
                }
                open.push(addr);
                let before = self
                    .fleet
                    .depends_on
                    .get(addr)
                    .map_or(&[][..], Vec::as_slice);
                stack.push((addr, true));
                let instances = before
                    .iter()
                    .filter(|a| self.fleet.instances.contains_key(a));
                stack.extend(instances.map(|a| (a, false)));
            }
        }
        if let Some(knot) = knot {
            let names: Vec<String> = knot.iter().map(ToString::to_string).collect();
            self.circle(&names.join(" -> "));
        }
        out
    }

    fn circle(&mut self, members: &str) {
        self.diagnostics.push(
            Diagnostic::error("E0606", format!("depends_on goes in a circle: {members}"))
                .help("take one of these dependencies away"),
        );
    }

    fn destroy(&mut self, addr: &Addr, record: &InstanceRecord) {
        let moved = self.placed.get(addr);
        // What is declared counts for `destroy` too, and before it has ever been applied.
        let declared = self.input.fleet.instances.get(addr);
        if record.desired.prevent_destroy || declared.is_some_and(|i| i.prevent_destroy) {
            self.prevented(
                addr,
                if moved.is_some() {
                    "moved to another node"
                } else {
                    "destroyed"
                },
            );
            return;
        }
        let Some(place) = self.recorded_place(&record.node) else {
            self.diagnostics.push(
                Diagnostic::error(
                    "E0604",
                    format!("{addr}: state has no record of {}", record.node),
                )
                .help("restore the state from a copy, or declare the node again"),
            );
            return;
        };
        let after: Vec<StepId> = self
            .recorded_by
            .get(&record.node)
            .copied()
            .into_iter()
            .collect();
        let then = match moved {
            Some(_) => Afterwards::Deployed,
            None => Afterwards::Gone,
        };
        let ids = steps::destroy(&mut self.builder, addr, place, record, then, after);
        let Some(last) = ids.last().copied() else {
            return;
        };
        self.released_by.insert(addr.clone(), last);
        self.vacated.insert(record.node.clone(), last);
        if steps::erasure(record).is_none() {
            self.left_by_this_plan
                .insert(record.node.clone(), record.tables().collect());
        }
        if moved.is_some() {
            // One half of a replacement: `instance` shows both as one change.
            return;
        }
        let disk = disk_name(place.node, record);
        let mut reasons = vec![format!("the disk {}", fate(record))];
        reasons.extend(phase_reason(&record.phase));
        let (attributes, unchanged) = diff::attributes(Some(&diff::instance_view(record)), None);
        self.changes.push(Change {
            addr: addr.clone(),
            action: Action::Delete,
            risk: match steps::erasure(record) {
                Some(_) => Risk::DestroysData,
                None => Risk::Reboots,
            },
            node: Some(record.node.clone()),
            disk: Some(disk),
            reasons,
            attributes,
            unchanged,
            steps: ids,
        });
    }

    fn prevented(&mut self, addr: &Addr, what: &str) {
        let d = Diagnostic::error(
            "E0605",
            format!("{addr} would be {what}, and its lifecycle says prevent_destroy"),
        )
        .help("take prevent_destroy away in a change of its own, or undo what asks for this");
        let d = match self.input.fleet.origins.get(addr) {
            Some(origin) => d.at(
                origin.attribute("lifecycle.prevent_destroy"),
                "protected here",
            ),
            None => d,
        };
        self.diagnostics.push(d);
    }

    fn instance(&mut self, addr: &Addr) {
        let Some(mut record) = self.desired_record(addr) else {
            return;
        };
        let Some(place) = self.declared_place(&record.node) else {
            return;
        };
        let before = match self.input.recorded.resources.get(addr) {
            Some(Resource::Instance(before)) => Some(before.as_ref()),
            _ => None,
        };
        let mut after: Vec<StepId> = Vec::new();
        for needed in [
            &record.node,
            place.site_addr,
            &record.desired.image,
            &record.desired.flavor,
        ] {
            after.extend(self.recorded_by.get(needed));
        }
        after.extend(self.vacated.get(&record.node));
        after.extend(self.released_by.get(addr));
        for other in self.fleet.depends_on.get(addr).into_iter().flatten() {
            after.extend(
                self.finished_by
                    .get(other)
                    .or_else(|| self.recorded_by.get(other)),
            );
        }
        let Some(mut decision) = self.decide(addr, before, &record) else {
            return;
        };
        // What is written is what is declared; what was ignored is a change of its own then, and is shown.
        if matches!(decision.work, Work::Deploy)
            && let Some(fresh) = self.deployed_record(addr)
            && fresh != record
        {
            record = fresh;
            let Some(shown) = self.decide(addr, before, &record) else {
                return;
            };
            decision = shown;
        }
        let loses_data = matches!(decision.work, Work::Deploy) && before.is_some_and(has_data);
        if loses_data && record.desired.prevent_destroy {
            self.prevented(addr, "written anew");
            return;
        }
        if matches!(decision.work, Work::Adopt)
            && let Some(other) = self.destroyed_on(&record.node)
        {
            self.occupied(addr, &record.node, &other);
            return;
        }
        let mut disk = None;
        if matches!(decision.work, Work::Deploy) {
            record.traces = traces(before, &record);
            let left = self.input.recorded.left_behind.get(&record.node);
            record.traces.tables.extend(left.into_iter().flatten());
            let leaves = self.left_by_this_plan.get(&record.node);
            record.traces.tables.extend(leaves.into_iter().flatten());
            disk = Some(disk_name(place.node, &record));
            self.image_check(&record);
        }
        let ctx = Context {
            fleet: self.fleet,
            nics: &self.nics,
            lineage: &self.input.recorded.lineage,
            serial: self.input.recorded.serial,
            image_checks: &self.image_checks,
        };
        let ids = match decision.work {
            Work::Deploy => steps::deploy(&mut self.builder, &ctx, addr, place, &record, after),
            Work::ResumeWritten => {
                steps::resume_written(&mut self.builder, addr, place, &record, after)
            }
            Work::Adopt => steps::adopt(&mut self.builder, addr, place, &record, after),
            Work::InPlace(work) => {
                steps::in_place(&mut self.builder, addr, place, &record, work, after)
            }
        };
        if let Some(last) = ids.last() {
            self.finished_by.insert(addr.clone(), *last);
        }
        let mut all = Vec::new();
        let mut reasons = decision.reasons;
        if matches!(decision.work, Work::Deploy) && steps::keeps_ephemeral(&record) {
            reasons.push("the ephemeral partition is kept (preserve_ephemeral)".to_owned());
        }
        if decision.action == Action::Replace
            && let Some(last) = self.released_by.get(addr)
        {
            if let Some((was, left)) = before.zip(before.and_then(|b| self.recorded_place(&b.node)))
            {
                let disk = disk_name(left.node, was);
                reasons.push(format!(
                    "the disk it leaves on {} ({disk}) {}",
                    left.addr,
                    fate(was)
                ));
            }
            all.extend(
                self.builder
                    .steps
                    .iter()
                    .filter(|s| s.subject == *addr && s.id <= *last)
                    .map(|s| s.id),
            );
        }
        all.extend(ids);
        self.changes.push(Change {
            addr: addr.clone(),
            action: decision.action,
            risk: decision.risk,
            node: Some(record.node.clone()),
            disk,
            reasons,
            attributes: decision.attributes,
            unchanged: decision.unchanged,
            steps: all,
        });
    }

    /// The instance that this plan takes down on a node.
    fn destroyed_on(&self, node: &Addr) -> Option<Addr> {
        let last = self.vacated.get(node)?;
        let destroyed = self.released_by.iter().find(|(_, step)| *step == last);
        destroyed.map(|(addr, _)| addr.clone())
    }

    fn occupied(&mut self, addr: &Addr, node: &Addr, other: &Addr) {
        let text = format!("{addr} cannot be taken over: this plan takes down {other} on {node}");
        let d = Diagnostic::error("E0612", text).help(format!(
            "if it is {other} by another name, write moved {{ from = {other}, to = {addr} }} instead of the import; if bmctl is to forget {other}, `removed` with destroy = false"
        ));
        let import = self.input.fleet.imports.iter().find(|i| i.to == *addr);
        self.diagnostics.push(match import {
            Some(import) => d.at(import.span, "said here"),
            None => d,
        });
    }

    fn image_check(&mut self, record: &InstanceRecord) {
        let image = &record.desired.image;
        if self.image_checks.contains_key(image) {
            return;
        }
        let step = Step::CheckImage {
            image: image.clone(),
            source: record.image.source.clone(),
            facts: record.image_facts.clone(),
        };
        let after: Vec<StepId> = self.recorded_by.get(image).copied().into_iter().collect();
        let id = self
            .builder
            .push(image, None, step, &after, steps::READ_LIMIT_S);
        self.image_checks.insert(image.clone(), id);
    }

    /// What will be true of the instance when its change has ended well, unless it is deployed.
    fn desired_record(&self, addr: &Addr) -> Option<InstanceRecord> {
        let mut record = self.bare_record(addr)?;
        record.triggers = self.triggers(addr);
        Some(record)
    }

    /// What will be true of the instance when it has been deployed: nothing is ignored then.
    fn deployed_record(&self, addr: &Addr) -> Option<InstanceRecord> {
        let mut record = self.declared_record(addr)?;
        record.triggers = self.triggers(addr);
        Some(record)
    }

    /// The same as of one that is not deployed, but for its triggers, which may be instances themselves.
    pub(super) fn bare_record(&self, addr: &Addr) -> Option<InstanceRecord> {
        let mut record = self.declared_record(addr)?;
        if let Some(Resource::Instance(before)) = self.input.recorded.resources.get(addr)
            && before.node == record.node
        {
            if ignore::keeps(self.fleet, addr, "flavor") {
                record.flavor = before.flavor.clone();
            }
            if ignore::keeps(self.fleet, addr, "image") {
                record.image = before.image.clone();
                record.image_facts = before.image_facts.clone();
            }
        }
        Some(record)
    }

    /// The same, of what is declared alone.
    fn declared_record(&self, addr: &Addr) -> Option<InstanceRecord> {
        let desired = self.fleet.instances.get(addr)?;
        let node = &self.placed.get(addr)?.node;
        let declared = self.fleet.nodes.get(node)?;
        let before = match self.input.recorded.resources.get(addr) {
            Some(Resource::Instance(before)) if before.node == *node => Some(before),
            _ => None,
        };
        let site = self.fleet.sites.get(&declared.site)?;
        let macs = self
            .nics
            .get(node)
            .into_iter()
            .flatten()
            .filter(|nic| nic.pxe && nic.network == site.network)
            .map(|nic| nic.mac)
            .collect();
        let ground = Ground::of(declared, site);
        // A node that was given another root device has nothing of the instance on it.
        let same_disk = before.filter(|b| b.ground.root_device == ground.root_device);
        Some(InstanceRecord {
            desired: desired.clone(),
            flavor: self.fleet.flavors.get(&desired.flavor)?.clone(),
            image: self.fleet.images.get(&desired.image)?.clone(),
            image_facts: self.input.facts.get(&desired.image)?.clone(),
            node: node.clone(),
            ground,
            macs,
            addresses: self.addresses.get(addr)?.clone(),
            phase: steps::phase_of(desired.power_state),
            disk: same_disk.and_then(|b| b.disk.clone()),
            traces: before.map(|b| b.traces.clone()).unwrap_or_default(),
            phoned: before.and_then(|b| b.phoned.clone()),
            triggers: BTreeMap::new(),
        })
    }

    fn declared_place(&self, node: &Addr) -> Option<Place<'a>> {
        let (addr, node) = self.fleet.nodes.get_key_value(node)?;
        let (site_addr, site) = self.fleet.sites.get_key_value(&node.site)?;
        Some(Place {
            addr,
            node,
            site_addr,
            site,
        })
    }

    /// The node as state knows it; the configuration's BMC wins when it still declares the node.
    fn recorded_place(&self, node: &Addr) -> Option<Place<'a>> {
        if let Some(place) = self.declared_place(node) {
            return Some(place);
        }
        let recorded = self.input.recorded;
        let (addr, Resource::Node(node)) = recorded.resources.get_key_value(node)? else {
            return None;
        };
        let (site_addr, Resource::Site(site)) = recorded.resources.get_key_value(&node.site)?
        else {
            return None;
        };
        Some(Place {
            addr,
            node,
            site_addr,
            site,
        })
    }

    /// Resources that state has and the configuration has not, after all instances that used them.
    fn forget(&mut self) {
        let mut gone: Vec<(&Addr, &Resource)> = self
            .input
            .recorded
            .resources
            .iter()
            .filter(|(addr, _)| addr.kind != Kind::Instance && !self.declares(addr))
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
    fn users_of(&self, gone: &Addr, resource: &Resource) -> Vec<StepId> {
        let recorded = &self.input.recorded.resources;
        let uses = |node_addr: &Addr| {
            let node = recorded.get(node_addr).and_then(Resource::as_node);
            let site = node.and_then(|n| recorded.get(&n.site)?.as_site());
            match resource {
                Resource::Node(_) => node_addr == gone,
                Resource::Nic(nic) => *node_addr == nic.node,
                Resource::Site(_) => node.is_some_and(|n| n.site == *gone),
                Resource::Network(_) => site.is_some_and(|s| s.network == *gone),
                Resource::Flavor(_) | Resource::Image(_) | Resource::Instance(_) => false,
            }
        };
        self.vacated
            .iter()
            .filter(|(node, _)| uses(node))
            .map(|(_, last)| *last)
            .collect()
    }

    fn declares(&self, addr: &Addr) -> bool {
        let f = self.fleet;
        match addr.kind {
            Kind::Network => f.networks.contains_key(addr),
            Kind::Site => f.sites.contains_key(addr),
            Kind::Flavor => f.flavors.contains_key(addr),
            Kind::Image => f.images.contains_key(addr),
            Kind::Node => f.nodes.contains_key(addr),
            Kind::Nic => f.nics.contains_key(addr),
            Kind::Instance => f.instances.contains_key(addr),
        }
    }

    /// The first power-off of each node carries what was seen, so that apply can tell a node somebody has switched on since.
    fn note_seen_power(&self, steps: &mut [super::PlannedStep]) {
        let mut changed: BTreeSet<Addr> = BTreeSet::new();
        for planned in steps {
            match &mut planned.step {
                Step::PowerOff { bmc, seen, .. } => {
                    if changed.insert(bmc.node.clone()) {
                        *seen = self.input.observed.power.get(&bmc.node).cloned();
                    }
                }
                Step::PowerOn { bmc } => {
                    changed.insert(bmc.node.clone());
                }
                Step::Record { .. }
                | Step::Forget { .. }
                | Step::Move { .. }
                | Step::Claim { .. }
                | Step::CheckImage { .. }
                | Step::BootDeploy { .. }
                | Step::SetBootDevice { .. }
                | Step::AwaitRamdisk { .. }
                | Step::CheckDisk { .. }
                | Step::WriteDisk(_)
                | Step::EraseDisk { .. }
                | Step::BootInstance { .. }
                | Step::Reboot { .. }
                | Step::AwaitPhoneHome { .. }
                | Step::Finish { .. }
                | Step::RemoveBoot { .. }
                | Step::Release { .. } => {}
            }
        }
    }

    fn finish(mut self) -> Result<Plan, Diagnostics> {
        if self.diagnostics.has_errors() {
            return Err(self.diagnostics);
        }
        self.tell_moves();
        let (ordered, new_id) = match graph::order(std::mem::take(&mut self.builder.steps)) {
            Ok(ordered) => ordered,
            Err(knot) => {
                let names: BTreeSet<String> = knot.iter().map(|s| s.subject.to_string()).collect();
                self.circle(&names.into_iter().collect::<Vec<_>>().join(" -> "));
                return Err(self.diagnostics);
            }
        };
        for change in &mut self.changes {
            for id in &mut change.steps {
                *id = new_id[id.0 as usize];
            }
        }
        self.changes.sort_by(|a, b| a.addr.cmp(&b.addr));
        let mut ordered = ordered;
        self.note_seen_power(&mut ordered);
        let touched: BTreeSet<&Addr> = ordered.iter().filter_map(|s| s.node.as_ref()).collect();
        let reads = touched
            .iter()
            .filter_map(|node| {
                Some((
                    (*node).clone(),
                    self.input.observed.power.get(*node)?.clone(),
                ))
            })
            .collect();
        let mut plan = Plan {
            format: planfile::FORMAT,
            id: String::new(),
            intent: self.input.intent,
            made_from: MadeFrom {
                lineage: self.input.recorded.lineage.clone(),
                serial: self.input.recorded.serial,
                configuration: match self.input.intent {
                    Intent::Apply => fingerprint(self.input.fleet),
                    Intent::Destroy => fingerprint(self.fleet),
                },
            },
            reads,
            images: self
                .input
                .facts
                .iter()
                .map(|(a, f)| (a.clone(), f.sha256))
                .collect(),
            changes: self.changes,
            steps: ordered,
            budgets: self
                .fleet
                .sites
                .iter()
                .map(|(addr, site)| {
                    let budget = Budget {
                        writes: site.limits.parallel_writes,
                        boots: site.limits.parallel_boots,
                    };
                    (addr.clone(), budget)
                })
                .collect(),
            warnings: self.diagnostics.iter().map(|d| d.message.clone()).collect(),
        };
        plan.warnings.extend(network_boot_warning(&plan));
        // A node that is not touched is spoken of too: not knowing is not the same as nothing to do.
        for (node, seen) in &self.input.observed.power {
            if let PowerSeen::Unknown(why) = seen {
                plan.warnings
                    .push(format!("power of {node} is unknown: {why}"));
            }
        }
        plan.id = planfile::id_of(&plan);
        Ok(plan)
    }
}

fn resource_attributes(
    before: Option<&Resource>,
    after: Option<&Resource>,
) -> (Vec<AttributeChange>, usize) {
    let inner = |r: Option<&Resource>| -> Option<serde_json::Value> {
        r.and_then(|r| serde_json::to_value(r).ok())
            .and_then(|mut v| v.get_mut("is").map(serde_json::Value::take))
    };
    diff::attributes(inner(before).as_ref(), inner(after).as_ref())
}

/// The disk by what identifies it, and its size.
fn disk_name(node: &Node, record: &InstanceRecord) -> String {
    match &record.disk {
        Some(disk) => format!(
            "serial {}, {}",
            disk.serial,
            crate::units::human_bytes(disk.size)
        ),
        None => format!("{}, {} GiB", node.root_device.describe(), node.local_gb),
    }
}

fn network_boot_warning(plan: &Plan) -> Option<String> {
    let started: BTreeSet<&Addr> = plan
        .steps
        .iter()
        .filter(|s| matches!(s.step, Step::PowerOn { .. } | Step::Reboot { .. }))
        .map(|s| &s.subject)
        .collect();
    let boots_over_network = |step: &Step| {
        matches!(step, Step::Finish { record, .. }
            if record.image.kind == ImageType::Partition && record.desired.power_state == PowerState::On)
    };
    let count = plan
        .steps
        .iter()
        .filter(|s| started.contains(&s.subject) && boots_over_network(&s.step))
        .count();
    (count > 0).then(|| {
        format!("{count} of the instances load their kernel over the network at every boot: keep `bmctl serve` running at their site")
    })
}

/// The configuration's fingerprint: what is declared, secrets by their keyed fingerprints.
pub fn fingerprint(fleet: &Fleet) -> Sha256 {
    let mut hash = Hasher::new();
    let mut add = |part: Result<Vec<u8>, serde_json::Error>| hash.update(part.unwrap_or_default());
    add(serde_json::to_vec(&fleet.networks));
    add(serde_json::to_vec(&fleet.sites));
    add(serde_json::to_vec(&fleet.flavors));
    add(serde_json::to_vec(&fleet.images));
    add(serde_json::to_vec(&fleet.nodes));
    add(serde_json::to_vec(&fleet.nics));
    add(serde_json::to_vec(&fleet.instances));
    for rule in rules_of(fleet) {
        add(Ok(rule.into_bytes()));
    }
    Sha256(hash.finalize().into())
}

/// What is said about resources: a plan that was made before `removed` said to leave something alone is not to be applied after.
fn rules_of(fleet: &Fleet) -> Vec<String> {
    let mut out = Vec::new();
    for addr in &fleet.prevent_destroy {
        out.push(format!("\nprevent_destroy {addr}"));
    }
    for (addr, before) in &fleet.depends_on {
        for other in before {
            out.push(format!("\n{addr} depends_on {other}"));
        }
    }
    for (addr, rules) in &fleet.lifecycle {
        match &rules.ignore_changes {
            Ignore::All => out.push(format!("\n{addr} ignores all")),
            Ignore::These(names) => {
                out.extend(names.iter().map(|n| format!("\n{addr} ignores {n}")));
            }
        }
        for trigger in &rules.replace_triggered_by {
            let attribute = trigger.attribute.as_deref().unwrap_or("*");
            out.push(format!("\n{addr} follows {} {attribute}", trigger.addr));
        }
    }
    for moved in &fleet.moved {
        out.push(format!("\nmoved {} {}", moved.from, moved.to));
    }
    for removed in &fleet.removed {
        out.push(format!("\nremoved {} {}", removed.from, removed.destroy));
    }
    for import in &fleet.imports {
        out.push(format!("\nimport {} {}", import.to, import.node));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{FileId, Span};
    use crate::model::{Removed, Subject};

    #[test]
    fn a_plan_is_of_what_was_said_too() {
        let plain = Fleet::default();
        let mut fleet = Fleet::default();
        fleet.removed.push(Removed {
            from: Subject::Resource("instance.web".parse().unwrap()),
            destroy: false,
            span: Span::new(FileId(0), 0..0),
        });
        assert_ne!(fingerprint(&plain), fingerprint(&fleet));
        let mut taken_down = fleet.clone();
        taken_down.removed[0].destroy = true;
        assert_ne!(fingerprint(&taken_down), fingerprint(&fleet));
    }
}
