//! From changes and steps to the finished plan: order, numbers, what was read, and its id.

use std::collections::{BTreeMap, BTreeSet};

use super::fingerprint::fingerprint;
use super::make::Maker;
use super::reads::{self, Reads};
use super::select::Everything;
use super::{
    Confined, Intent, MadeFrom, Plan, PlannedStep, Step, budget, graph, planfile, rollout, windows,
};
use crate::diag::Diagnostics;
use crate::ids::Addr;
use crate::model::{ImageType, PowerSeen, PowerState};
use crate::units::Sha256;

impl<'a> Maker<'a> {
    /// The first power-off of each node carries what was seen, so that apply can tell a node somebody has switched on since.
    pub(super) fn note_seen_power(&self, steps: &mut [PlannedStep]) {
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
                | Step::Gate(_)
                | Step::RemoveBoot { .. }
                | Step::Release { .. } => {}
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<Plan, Diagnostics> {
        if self.diagnostics.has_errors() {
            return Err(self.diagnostics);
        }
        self.tell_moves();
        let (mut steps, new_id) = match graph::order(std::mem::take(&mut self.builder.steps)) {
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
        self.note_seen_power(&mut steps);
        let alerts = self.alerts();
        let (rollouts, aside) = match self.input.intent {
            Intent::Apply => rollout::all(self.written, &self.changes, &steps),
            // Everything is to go, or nothing is touched: there is no turn to wait for.
            Intent::Destroy | Intent::Refresh => Default::default(),
        };
        let windows = match self.input.intent {
            Intent::Apply | Intent::Destroy => windows::all(self.written, &self.changes),
            Intent::Refresh => Vec::new(),
        };
        let mut plan = Plan {
            format: planfile::FORMAT,
            id: String::new(),
            intent: self.input.intent,
            confined: self.confined(),
            inverse_of: None,
            made_from: self.made_from(),
            reads: self.reads(&steps),
            images: self.digests_of_images(),
            changes: std::mem::take(&mut self.changes),
            budgets: budget::all(self.written, &steps),
            steps,
            warnings: self.diagnostics.iter().map(|d| d.message.clone()).collect(),
            findings: Vec::new(),
            rollouts,
            windows,
        };
        plan.warnings.extend(aside);
        plan.warnings.extend(network_boot_warning(&plan));
        plan.warnings.extend(alerts);
        // A node that is not touched is spoken of too: not knowing is not the same as nothing to do.
        for (node, seen) in &self.input.observed.power {
            if let PowerSeen::Unknown(why) = seen {
                plan.warnings
                    .push(format!("power of {node} is unknown: {why}"));
            }
        }
        plan.warnings.extend(busy(&self.input.observed.busy));
        Ok(plan)
    }

    fn confined(&self) -> Option<Confined> {
        let resources = self.selected.clone()?;
        let recorded = &self.input.recorded.resources;
        let was_on = |addr| Some(&recorded.get(addr)?.as_instance()?.node);
        let is_on = |addr| Some(&self.placed.get(addr)?.node);
        let nodes = resources.iter().flat_map(|a| [was_on(a), is_on(a)]);
        Some(Confined {
            to: self.input.selection.clone(),
            nodes: nodes.flatten().cloned().collect(),
            resources,
        })
    }

    fn made_from(&self) -> MadeFrom {
        MadeFrom {
            lineage: self.input.recorded.lineage.clone(),
            workspace: self.input.recorded.workspace.clone(),
            serial: self.input.recorded.serial,
            configuration: match self.input.intent {
                Intent::Apply => fingerprint(self.input.fleet),
                Intent::Destroy | Intent::Refresh => fingerprint(self.fleet),
            },
        }
    }

    fn reads(&self, steps: &[PlannedStep]) -> Reads {
        let everything = Everything::of(self.fleet, self.input.recorded, self.written);
        Reads {
            power: self.power_of_touched(steps),
            ..reads::of(
                &everything,
                self.written,
                self.unmoved,
                &self.moves,
                &self.changes,
                steps,
            )
        }
    }

    fn power_of_touched(&self, steps: &[PlannedStep]) -> BTreeMap<Addr, PowerSeen> {
        let stretches = steps.chunk_by(|a, b| a.node == b.node);
        let nodes = stretches.filter_map(|s| s.first()?.node.as_ref());
        let touched: BTreeSet<&Addr> = nodes.collect();
        let power = &self.input.observed.power;
        let seen = touched
            .into_iter()
            .filter_map(|node| Some((node.clone(), power.get(node)?.clone())));
        seen.collect()
    }

    fn digests_of_images(&self) -> BTreeMap<Addr, Sha256> {
        let facts = self.input.facts.iter();
        facts.map(|(a, f)| (a.clone(), f.sha256)).collect()
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
        .filter(|s| boots_over_network(&s.step) && started.contains(&s.subject))
        .count();
    (count > 0).then(|| {
        format!("{count} of the instances load their kernel over the network at every boot: keep `bmctl serve` running at their site")
    })
}

/// Nodes that are named of those that one run works on.
const BUSY_MAX: usize = 3;

/// One line for each run, however many nodes it works on.
fn busy(seen: &BTreeMap<Addr, String>) -> Vec<String> {
    let mut by_run: BTreeMap<&str, Vec<&Addr>> = BTreeMap::new();
    for (node, run) in seen {
        by_run.entry(run).or_default().push(node);
    }
    let told = by_run.into_iter().map(|(run, nodes)| match nodes.as_slice() {
        [one] => format!("{one} is being worked on by {run}: how it looks does not count"),
        all => {
            let first: Vec<String> = all.iter().take(BUSY_MAX).map(ToString::to_string).collect();
            let more = match all.len().saturating_sub(BUSY_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!(
                "{} nodes are being worked on by {run} ({}{more}): how they look does not count",
                all.len(),
                first.join(", ")
            )
        }
    });
    told.collect()
}
