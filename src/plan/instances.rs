//! What becomes of each instance: taken down, deployed, changed in place, taken over.

use std::collections::BTreeSet;

use super::decide::{Decision, Work, fate, has_data, phase_reason, traces};
use super::make::Maker;
use super::step::Afterwards;
use super::steps::{self, Context, Place};
use super::{Action, Change, Risk, Step, StepId, diff, write};
use crate::diag::Diagnostic;
use crate::ids::Addr;
use crate::model::{InstanceRecord, Node, Resource};

impl<'a> Maker<'a> {
    pub(super) fn instances(&mut self) {
        let recorded = self.input.recorded;
        // Destructions first: what they free may be given away in the same plan.
        for (addr, resource) in &recorded.resources {
            let Resource::Instance(record) = resource else {
                continue;
            };
            if !self.wants(addr) {
                continue;
            }
            let stays = self.placed.get(addr).is_some_and(|p| p.node == record.node);
            if !stays && self.forgotten.contains(addr) {
                self.leave(addr, record);
            } else if !stays {
                self.destroy(addr, record);
            }
        }
        for addr in self.in_dependency_order() {
            if self.wants(addr) {
                self.instance(addr);
            }
        }
    }

    /// Instances so that what `depends_on` names comes first. The configuration refuses loops; a fleet from elsewhere may
    /// have one, and then there is no such order.
    pub(super) fn in_dependency_order(&mut self) -> Vec<&'a Addr> {
        if self.fleet.depends_on.is_empty() {
            return self.fleet.instances.keys().collect();
        }
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
                    out.push(addr);
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

    pub(super) fn circle(&mut self, members: &str) {
        self.diagnostics.push(
            Diagnostic::error("E0606", format!("depends_on goes in a circle: {members}"))
                .help("take one of these dependencies away"),
        );
    }

    pub(super) fn destroy(&mut self, addr: &Addr, record: &InstanceRecord) {
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
        if write::erasure(record).is_none() {
            self.left_by_this_plan
                .insert(record.node.clone(), record.tables().collect());
        }
        if moved.is_some() {
            // One half of a replacement: `instance` shows both as one change.
            self.departures.insert(addr.clone(), ids);
            return;
        }
        let disk = disk_name(place.node, record);
        let mut reasons = vec![format!("the disk {}", fate(record))];
        reasons.extend(phase_reason(&record.phase));
        let (attributes, unchanged) = diff::attributes(Some(&diff::instance_view(record)), None);
        self.changes.push(Change {
            addr: addr.clone(),
            action: Action::Delete,
            risk: match write::erasure(record) {
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

    pub(super) fn prevented(&mut self, addr: &Addr, what: &str) {
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

    pub(super) fn instance(&mut self, addr: &Addr) {
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
        let Some(decision) = self.decide_finally(addr, before, &mut record) else {
            return;
        };
        let deploys = matches!(decision.work, Work::Deploy);
        if deploys && before.is_some_and(has_data) && record.desired.prevent_destroy {
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
        if deploys {
            record.traces = traces(before, &record);
            let left = self.input.recorded.left_behind.get(&record.node);
            record.traces.tables.extend(left.into_iter().flatten());
            let leaves = self.left_by_this_plan.get(&record.node);
            record.traces.tables.extend(leaves.into_iter().flatten());
            disk = Some(disk_name(place.node, &record));
            self.image_check(&record);
        }
        record.unproven = self.to_prove(&decision, before, &record);
        self.check_gates(addr, place, &record);
        let ids = self.carry_out(addr, decision.work, place, &record);
        let mut reasons = decision.reasons;
        if deploys && write::keeps_ephemeral(&record) {
            reasons.push("the ephemeral partition is kept (preserve_ephemeral)".to_owned());
        }
        let mut all = Vec::new();
        if decision.action == Action::Replace {
            reasons.extend(self.left_elsewhere(before));
            all = self.departures.remove(addr).unwrap_or_default();
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

    /// What is written is what is declared; what was ignored is a change of its own then, and is shown.
    fn decide_finally(
        &self,
        addr: &Addr,
        before: Option<&InstanceRecord>,
        record: &mut InstanceRecord,
    ) -> Option<Decision> {
        let decision = self.decide(addr, before, record)?;
        if matches!(decision.work, Work::Deploy)
            && self.fleet.lifecycle.contains_key(addr)
            && let Some(fresh) = self.deployed_record(addr)
            && fresh != *record
        {
            *record = fresh;
            return self.decide(addr, before, record);
        }
        Some(decision)
    }

    fn carry_out(
        &mut self,
        addr: &Addr,
        work: Work,
        place: Place<'a>,
        record: &InstanceRecord,
    ) -> Vec<StepId> {
        let after = self.waits_for(addr, place, record);
        let ctx = Context {
            fleet: self.fleet,
            nics: &self.nics,
            lineage: &self.input.recorded.lineage,
            serial: self.input.recorded.serial,
            image_checks: &self.image_checks,
        };
        let builder = &mut self.builder;
        let mut ids = match work {
            Work::Deploy => steps::deploy(builder, &ctx, addr, place, record, after),
            Work::ResumeWritten => steps::resume_written(builder, addr, place, record, after),
            Work::Adopt => steps::adopt(builder, addr, place, record, after),
            Work::InPlace(work) => steps::in_place(builder, addr, place, record, work, after),
        };
        if let Some(last) = ids.last().copied() {
            self.finished_by.insert(addr.clone(), last);
            // Whoever depends on it waits for what it is, not for what it shows: gates hold back its rollout.
            let after = vec![last];
            ids.extend(steps::gates(&mut self.builder, addr, place, record, after));
        }
        ids
    }

    /// Records of what it stands on, the end of who was on its node or of itself elsewhere, and what it depends on.
    fn waits_for(&self, addr: &Addr, place: Place<'_>, record: &InstanceRecord) -> Vec<StepId> {
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
            let finished = self.finished_by.get(other);
            after.extend(finished.or_else(|| self.recorded_by.get(other)));
        }
        after
    }

    /// What becomes of the disk that an instance leaves for another node.
    fn left_elsewhere(&self, before: Option<&InstanceRecord>) -> Option<String> {
        let was = before?;
        let left = self.recorded_place(&was.node)?;
        let disk = disk_name(left.node, was);
        let fate = fate(was);
        Some(format!(
            "the disk it leaves on {} ({disk}) {fate}",
            left.addr
        ))
    }

    /// The instance that this plan takes down on a node.
    pub(super) fn destroyed_on(&self, node: &Addr) -> Option<Addr> {
        let last = self.vacated.get(node)?;
        let destroyed = self.released_by.iter().find(|(_, step)| *step == last);
        destroyed.map(|(addr, _)| addr.clone())
    }

    pub(super) fn occupied(&mut self, addr: &Addr, node: &Addr, other: &Addr) {
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

    pub(super) fn image_check(&mut self, record: &InstanceRecord) {
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
