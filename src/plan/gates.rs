//! Which gates an instance has to pass after its change: those of its rollout, and those that it has not passed before.

use super::decide::{Decision, Work};
use super::make::Maker;
use super::rollout::{self, Rule};
use super::steps::Place;
use crate::diag::Diagnostic;
use crate::ids::Addr;
use crate::model::{Check, Gate, InstanceRecord, PowerState};

impl Maker<'_> {
    /// The rollout by which a change on this node goes.
    pub(super) fn rule_on(&self, node: &Addr) -> Option<&Rule> {
        let declared = self.written.nodes.get(node)?;
        rollout::rule_about(&declared.labels, self.written)
    }

    /// What it has to show when its change has ended. A system that is switched off shows nothing; one that nothing is done to
    /// is asked only for what it has not shown.
    pub(super) fn to_prove(
        &self,
        decision: &Decision,
        before: Option<&InstanceRecord>,
        record: &InstanceRecord,
    ) -> Vec<Gate> {
        let open = before.map_or(&[][..], |b| &b.unproven);
        let is_asked = !open.is_empty() || rollout::goes_in_turn(decision.action, decision.risk);
        let is_adopted = matches!(decision.work, Work::Adopt);
        if !is_asked || is_adopted || record.desired.power_state == PowerState::Off {
            return Vec::new();
        }
        // An instance calls once in its life: after its disk was written, and only when it was given a number to call.
        let calls = matches!(decision.work, Work::Deploy)
            || open.iter().any(|gate| gate.check == Check::PhoneHome);
        let gates = self.rule_on(&record.node).map_or(&[][..], |r| &r.gates);
        let may_be_asked = |gate: &&Gate| calls || gate.check != Check::PhoneHome;
        gates.iter().filter(may_be_asked).cloned().collect()
    }

    /// Why an instance is asked that nothing else is done to.
    pub(super) fn asked_again(&self, before: &InstanceRecord) -> Option<String> {
        let open: Vec<String> = before.unproven.iter().map(|g| format!("`{g}`")).collect();
        if open.is_empty() {
            return None;
        }
        let open = open.join(", ");
        let rule = self.rule_on(&before.node).filter(|r| !r.gates.is_empty());
        Some(match rule {
            Some(rule) => format!(
                "has not passed {open} of an earlier run: rollout {} asks again before anybody else begins",
                rule.name
            ),
            None => format!("has not passed {open}, and no rollout asks for it any more"),
        })
    }

    /// A gate that asks at an address wants one that the plan knows.
    pub(super) fn check_gates(&mut self, addr: &Addr, place: Place<'_>, record: &InstanceRecord) {
        let mut gates = record.unproven.iter();
        let Some(gate) = gates.find(|g| g.check.needs_address()) else {
            return;
        };
        if place.asked_at(record).is_some() {
            return;
        }
        let d = Diagnostic::error(
            "E0619",
            format!("gate `{gate}` asks {addr} at its address, and the plan knows none"),
        )
        .help(
            "give it an `address` block in the network of its site, or use a gate \"phone_home\" or \"command\"",
        );
        let origin = self.input.fleet.origins.get(addr);
        self.diagnostics.push(match origin {
            Some(origin) => d.at(origin.block, "this instance"),
            None => d,
        });
    }
}
