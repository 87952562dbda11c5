//! A plan's steps by node, and what comes before what.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::Addr;
use crate::plan::step::StepId;
use crate::plan::{Plan, PlannedStep};

/// A plan's steps by the node they act on.
pub(super) struct Filed<'a> {
    pub(super) plan: &'a Plan,
    pub(super) nodes: Vec<(&'a Addr, Vec<StepId>)>,
    number_of: BTreeMap<&'a Addr, usize>,
}

impl<'a> Filed<'a> {
    /// A node is looked up once for each stretch of steps about it: of a hundred thousand steps, most are of the node before.
    pub(super) fn of(plan: &'a Plan) -> Filed<'a> {
        let mut nodes: Vec<(&Addr, Vec<StepId>)> = Vec::new();
        let mut number_of: BTreeMap<&Addr, usize> = BTreeMap::new();
        for stretch in plan.steps.chunk_by(|a, b| a.node == b.node) {
            let Some(node) = stretch.first().and_then(|s| s.node.as_ref()) else {
                continue;
            };
            let number = *number_of.entry(node).or_insert_with(|| {
                nodes.push((node, Vec::new()));
                nodes.len() - 1
            });
            if let Some((_, steps)) = nodes.get_mut(number) {
                steps.extend(stretch.iter().map(|s| s.id));
            }
        }
        Filed {
            plan,
            nodes,
            number_of,
        }
    }

    /// The steps of each node, in the plan's order.
    pub(super) fn by_node(
        &self,
    ) -> impl Iterator<Item = (&'a Addr, impl Iterator<Item = &'a PlannedStep>)> {
        let nodes = self.nodes.iter();
        nodes.map(|(node, ids)| (*node, ids.iter().filter_map(|id| self.plan.step(*id))))
    }

    pub(super) fn steps_of(&self, node: &Addr) -> impl Iterator<Item = &'a PlannedStep> {
        let number = self.number_of.get(node);
        let ids = number.and_then(|n| self.nodes.get(*n));
        let ids = ids.into_iter().flat_map(|(_, ids)| ids);
        ids.filter_map(|id| self.plan.step(*id))
    }

    /// Whether `late` cannot start before `early` has ended.
    pub(super) fn is_before(&self, early: StepId, late: StepId) -> bool {
        let mut stack = vec![late];
        let mut seen = BTreeSet::new();
        while let Some(at) = stack.pop() {
            if at == early {
                return true;
            }
            if at < early || !seen.insert(at) {
                continue;
            }
            if let Some(step) = self.plan.step(at) {
                stack.extend(step.after.iter().filter(|b| **b >= early));
            }
        }
        false
    }
}
