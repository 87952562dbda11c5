//! What is to be done about one instance, and why: the step from two records to one decision.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256 as Hasher};

use super::diff::{self, Effect, Need};
use super::drift::{self, What};
use super::make::Maker;
use super::steps::InPlace;
use super::{Action, AttributeChange, Risk, write};
use crate::ids::{Addr, Kind};
use crate::model::{
    Erase, ExistingData, ImageType, InstancePhase, InstanceRecord, OnDrift, PowerSeen, Resource,
    Traces, Trigger,
};
use crate::units::Sha256;

pub(super) struct Decision {
    pub action: Action,
    pub risk: Risk,
    pub reasons: Vec<String>,
    pub work: Work,
    pub attributes: Vec<AttributeChange>,
    pub unchanged: usize,
}

#[derive(Clone, Copy)]
pub(super) enum Work {
    Deploy,
    ResumeWritten,
    Adopt,
    InPlace(InPlace),
}

/// What differs between two records, attribute by attribute.
struct Difference {
    attributes: Vec<AttributeChange>,
    unchanged: usize,
}

impl Difference {
    fn between(before: Option<&InstanceRecord>, record: &InstanceRecord) -> Difference {
        let view = diff::instance_view(record);
        let before_view = before.map(diff::instance_view);
        let (attributes, unchanged) = diff::attributes(before_view.as_ref(), Some(&view));
        Difference {
            attributes,
            unchanged,
        }
    }

    fn decided(self, action: Action, risk: Risk, reasons: Vec<String>, work: Work) -> Decision {
        Decision {
            action,
            risk,
            reasons,
            work,
            attributes: self.attributes,
            unchanged: self.unchanged,
        }
    }
}

/// An earlier deployment or destruction that did not come to its end. A disk that was written and verified is not written again only
/// because a person has to look.
fn resumed(
    before: &InstanceRecord,
    record: &InstanceRecord,
    redeploys: bool,
    mut reasons: Vec<String>,
    difference: Difference,
) -> Decision {
    let destroying = before.phase == InstancePhase::Destroying;
    let written = !destroying && before.disk.is_some() && !redeploys;
    reasons.splice(0..0, phase_reason(&before.phase));
    if written {
        let what = "the disk is written and verified; what is left is to boot from it";
        reasons.push(what.to_owned());
        let (action, risk) = (Action::Resume, Risk::Reboots);
        return difference.decided(action, risk, reasons, Work::ResumeWritten);
    }
    reasons.push(existing_data(record));
    difference.decided(Action::Resume, Risk::DestroysData, reasons, Work::Deploy)
}

impl Maker<'_> {
    pub(super) fn decide(
        &self,
        addr: &Addr,
        before: Option<&InstanceRecord>,
        record: &InstanceRecord,
    ) -> Option<Decision> {
        // Looked for once something is to be done: of most instances of a large fleet, nothing is.
        let difference = || Difference::between(before, record);
        let Some(before) = before else {
            return Some(self.first(addr, record, difference()));
        };
        if let Some(why) = self.placed.get(addr).and_then(|p| p.moved.clone()) {
            let (action, risk) = (Action::Replace, Risk::ReplacesElsewhere);
            return Some(difference().decided(action, risk, vec![why], Work::Deploy));
        }
        let needs = self.needs(addr, before, record);
        let mut reasons: Vec<String> = needs.iter().map(|n| n.reason.clone()).collect();
        // With its `import` block or without: what the node carries is not bmctl's to write over.
        if before.disk.is_none() && unfinished_adoption(&before.phase) {
            reasons.splice(0..0, phase_reason(&before.phase));
            return Some(difference().decided(Action::Adopt, Risk::InPlace, reasons, Work::Adopt));
        }
        let redeploys = needs.iter().any(|n| n.what == Effect::Redeploy);
        match &before.phase {
            InstancePhase::Deploying
            | InstancePhase::Destroying
            | InstancePhase::NeedsAttention(_) => {
                Some(resumed(before, record, redeploys, reasons, difference()))
            }
            InstancePhase::Running | InstancePhase::Off if redeploys => {
                let (action, risk) = (Action::Redeploy, Risk::Redeploys);
                let mut decision = difference().decided(action, risk, reasons, Work::Deploy);
                mark_forcing(&mut decision.attributes, &needs);
                Some(decision)
            }
            InstancePhase::Running | InstancePhase::Off => {
                self.in_place(before, record, &needs, difference)
            }
        }
    }

    fn first(&self, addr: &Addr, record: &InstanceRecord, difference: Difference) -> Decision {
        if self.imported.contains(addr) {
            let reasons = vec![format!(
                "what {} carries is taken for it: nothing is written, the machine is not touched",
                record.node
            )];
            return difference.decided(Action::Adopt, Risk::InPlace, reasons, Work::Adopt);
        }
        let mut reasons = vec![existing_data(record)];
        if self.input.observed.power.get(&record.node) == Some(&PowerSeen::On) {
            reasons.push(format!("{} is on and is switched off, hard", record.node));
        }
        difference.decided(Action::Create, Risk::DestroysData, reasons, Work::Deploy)
    }

    /// What can be done without writing the disk; `None` when there is nothing to do.
    fn in_place(
        &self,
        before: &InstanceRecord,
        record: &InstanceRecord,
        needs: &[Need],
        difference: impl Fn() -> Difference,
    ) -> Option<Decision> {
        let mut reasons: Vec<String> = needs.iter().map(|n| n.reason.clone()).collect();
        // A power state that is asked for anew is a change, not drift from the one before.
        let same_power = before.desired.power_state == record.desired.power_state;
        let phase = same_power.then_some(&before.phase);
        let drift = drift::of(record, phase, self.input.observed);
        let corrected = |what| {
            let mut found = drift.iter();
            found.any(|d| d.what == what && d.on == OnDrift::Correct)
        };
        let told = drift.iter().filter(|d| d.on != OnDrift::Adopt);
        reasons.extend(told.map(|d| d.text.clone()));
        reasons.extend(self.asked_again(before));
        let work = InPlace {
            boot_files: needs.iter().any(|n| n.what == Effect::BootFiles),
            power: corrected(What::Power) || needs.iter().any(|n| n.what == Effect::Power),
            boot_device: corrected(What::BootDevice),
        };
        let mut unfinished = record.clone();
        unfinished.phase = before.phase.clone();
        let is_proven = before.unproven.is_empty();
        let is_settled = !work.power && !work.boot_device && is_proven && unfinished == *before;
        if needs.is_empty() && is_settled {
            return None;
        }
        let difference = difference();
        if difference.attributes.is_empty() && reasons.is_empty() {
            reasons.push(
                "what state keeps of its flavor, image, node or triggers is brought up to date"
                    .to_owned(),
            );
        }
        let risk = match work.power {
            true => Risk::Reboots,
            false => Risk::InPlace,
        };
        Some(difference.decided(Action::Update, risk, reasons, Work::InPlace(work)))
    }

    fn needs(&self, addr: &Addr, before: &InstanceRecord, record: &InstanceRecord) -> Vec<Need> {
        let mut needs = diff::instance_needs(&before.desired, &record.desired);
        needs.extend(diff::flavor_needs(&before.flavor, &record.flavor));
        needs.extend(diff::image_needs(
            (&before.image, &before.image_facts),
            (&record.image, &record.image_facts),
        ));
        needs.extend(diff::ground_needs(&before.ground, &record.ground));
        needs.extend(self.triggered(addr, before));
        if self.replace.contains(addr) {
            needs.push(Need {
                attribute: "",
                risk: Risk::Redeploys,
                reason: "asked for with --replace, which forces redeploy".to_owned(),
                what: Effect::Redeploy,
            });
        }
        if before.macs != record.macs || before.addresses != record.addresses {
            needs.push(Need {
                attribute: "addresses",
                risk: Risk::InPlace,
                reason: "NICs or addresses changed: boot files are written anew".to_owned(),
                what: Effect::BootFiles,
            });
        }
        needs
    }

    /// `replace_triggered_by`: what it names is not what it was when the instance was deployed; or, for a trigger that is new,
    /// not what state has.
    fn triggered(&self, addr: &Addr, before: &InstanceRecord) -> Vec<Need> {
        let Some(rules) = self.input.fleet.lifecycle.get(addr) else {
            return Vec::new();
        };
        let changed = rules.replace_triggered_by.iter().filter_map(|trigger| {
            let name = trigger_name(trigger);
            let after = part(&self.declared_view(&trigger.addr)?, trigger);
            let differs = match before.triggers.get(&name) {
                Some(was) => *was != digest(&after),
                None => part(&self.recorded_view(&trigger.addr)?, trigger) != after,
            };
            differs.then(|| Need {
                attribute: "lifecycle",
                risk: Risk::Redeploys,
                reason: format!("{name} changed (replace_triggered_by), which forces redeploy"),
                what: Effect::Redeploy,
            })
        });
        changed.collect()
    }

    /// What each trigger is, as the instance's record keeps it.
    pub(super) fn triggers(&self, addr: &Addr) -> BTreeMap<String, Sha256> {
        let rules = self.input.fleet.lifecycle.get(addr);
        let triggers = rules.into_iter().flat_map(|r| &r.replace_triggered_by);
        let kept = triggers.filter_map(|trigger| {
            let view = self.declared_view(&trigger.addr)?;
            Some((trigger_name(trigger), digest(&part(&view, trigger))))
        });
        kept.collect()
    }

    fn recorded_view(&self, addr: &Addr) -> Option<Value> {
        let resource = self.input.recorded.resources.get(addr)?;
        match resource.as_instance() {
            Some(before) => Some(diff::instance_view(before)),
            None => resource_view(resource),
        }
    }

    fn declared_view(&self, addr: &Addr) -> Option<Value> {
        if addr.kind == Kind::Instance {
            return Some(diff::instance_view(&self.bare_record(addr)?));
        }
        resource_view(&self.fleet.resource(addr)?)
    }
}

fn resource_view(resource: &Resource) -> Option<Value> {
    serde_json::to_value(resource).ok()?.get("is").cloned()
}

fn trigger_name(trigger: &Trigger) -> String {
    match &trigger.attribute {
        Some(name) => format!("{}.{name}", trigger.addr),
        None => trigger.addr.to_string(),
    }
}

/// The attribute that is named, or all of it.
fn part(view: &Value, trigger: &Trigger) -> Value {
    match &trigger.attribute {
        Some(name) => view.get(diff::json_name(name)).cloned().unwrap_or_default(),
        None => view.clone(),
    }
}

fn digest(value: &Value) -> Sha256 {
    Sha256(Hasher::digest(value.to_string()).into())
}

/// What an instance says of itself while it is being taken over.
pub(super) const ADOPTING: &str = "taking it over did not come to its end";

/// Whether there is something of it on its node's disk: written by bmctl, or taken over.
pub(super) fn has_data(record: &InstanceRecord) -> bool {
    record.disk.is_some()
        || matches!(record.phase, InstancePhase::Running | InstancePhase::Off)
        || unfinished_adoption(&record.phase)
}

/// Whether a system that stands on a node was being taken over, and is not yet.
pub fn unfinished_adoption(phase: &InstancePhase) -> bool {
    matches!(phase, InstancePhase::NeedsAttention(why) if why == ADOPTING)
}

fn mark_forcing(attributes: &mut [AttributeChange], needs: &[Need]) {
    for attribute in attributes {
        let forcing = needs
            .iter()
            .any(|n| n.what == Effect::Redeploy && n.attribute == attribute.name);
        if forcing {
            attribute.forces = Some("redeploy".to_owned());
        }
    }
}

pub(super) fn phase_reason(phase: &InstancePhase) -> Option<String> {
    match phase {
        InstancePhase::Deploying => {
            Some("an earlier deployment did not come to its end".to_owned())
        }
        InstancePhase::Destroying => {
            Some("an earlier destruction did not come to its end".to_owned())
        }
        InstancePhase::NeedsAttention(why) => Some(format!("needs attention: {why}")),
        InstancePhase::Running | InstancePhase::Off => None,
    }
}

fn existing_data(record: &InstanceRecord) -> String {
    match record.desired.on_existing_data {
        ExistingData::Refuse => {
            "refuses a disk with data that bmctl did not write (on_existing_data = refuse)"
                .to_owned()
        }
        ExistingData::Overwrite => {
            "whatever the disk holds is overwritten (on_existing_data = overwrite)".to_owned()
        }
    }
}

/// What the deployments before this one have left on the disk it is to write. Nothing is known of a disk that `root_device`
/// has not named before.
pub(super) fn traces(before: Option<&InstanceRecord>, record: &InstanceRecord) -> Traces {
    let Some(before) = before
        .filter(|b| b.node == record.node && b.ground.root_device == record.ground.root_device)
    else {
        return Traces::default();
    };
    let has_ephemeral = |gb: u64| match before.image.kind {
        ImageType::Partition => gb,
        ImageType::Disk => 0,
    };
    match &before.disk {
        Some(disk) => Traces {
            tables: disk.table.into_iter().collect(),
            disk: Some(disk.clone()),
            ephemeral_gb: has_ephemeral(before.flavor.ephemeral_gb),
        },
        // It may have begun to write: what it did not mean to keep may be gone.
        None => {
            let kept = write::keeps_ephemeral(before);
            Traces {
                ephemeral_gb: if kept { before.traces.ephemeral_gb } else { 0 },
                ..before.traces.clone()
            }
        }
    }
}

/// What becomes of the disk of an instance that leaves its node.
pub(super) fn fate(record: &InstanceRecord) -> &'static str {
    match (write::erasure(record), record.desired.erase) {
        (Some((Erase::Zero, _)), _) => "is zeroed, every byte",
        (Some((Erase::Metadata | Erase::None, _)), _) => "loses its partition tables",
        (None, Erase::None) => "is left as it is (erase = none)",
        (None, Erase::Metadata | Erase::Zero) => {
            "is left as it is: there is nothing on it that is known to be the instance's"
        }
    }
}
