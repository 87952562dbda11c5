//! The order of steps: edges are checked for loops and the steps put into an order that respects them.

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

use super::step::{PlannedStep, StepId};

/// Sorts steps so that each comes after all it waits for, first by that, then by where they stood; numbers them anew and
/// mends the edges. `Err` holds the steps of one loop.
pub fn order(steps: Vec<PlannedStep>) -> Result<(Vec<PlannedStep>, Vec<StepId>), Vec<PlannedStep>> {
    let count = steps.len();
    let is_after_all = |step: &PlannedStep| step.after.iter().all(|before| *before < step.id);
    if steps.iter().all(is_after_all) {
        return Ok(as_they_stand(steps));
    }
    let mut waits = vec![0usize; count];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (at, step) in steps.iter().enumerate() {
        for before in &step.after {
            if let Some(list) = followers.get_mut(before.0 as usize) {
                list.push(at);
                waits[at] += 1;
            }
        }
    }
    let mut ready: std::collections::BTreeSet<usize> =
        (0..count).filter(|at| waits[*at] == 0).collect();
    let mut new_id = vec![StepId(u32::MAX); count];
    let mut sequence = Vec::with_capacity(count);
    while let Some(at) = ready.pop_first() {
        new_id[at] = StepId(u32::try_from(sequence.len()).unwrap_or(u32::MAX));
        sequence.push(at);
        for &next in &followers[at] {
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.insert(next);
            }
        }
    }
    if sequence.len() < count {
        return Err(find_loop(steps));
    }
    let mut slots: Vec<Option<PlannedStep>> = steps.into_iter().map(Some).collect();
    let ordered = sequence
        .into_iter()
        .filter_map(|at| {
            let mut step = slots[at].take()?;
            step.id = new_id[at];
            for before in &mut step.after {
                *before = new_id[before.0 as usize];
            }
            step.after.sort();
            step.after.dedup();
            Some(step)
        })
        .collect();
    Ok((ordered, new_id))
}

/// What the sort would give, without moving a hundred thousand steps twice.
fn as_they_stand(mut steps: Vec<PlannedStep>) -> (Vec<PlannedStep>, Vec<StepId>) {
    for step in &mut steps {
        step.after.sort();
        step.after.dedup();
    }
    let ids = steps.iter().map(|step| step.id).collect();
    (steps, ids)
}

fn find_loop(steps: Vec<PlannedStep>) -> Vec<PlannedStep> {
    let mut graph = DiGraph::<usize, ()>::new();
    let nodes: Vec<_> = (0..steps.len()).map(|at| graph.add_node(at)).collect();
    for (at, step) in steps.iter().enumerate() {
        for before in &step.after {
            if let Some(from) = nodes.get(before.0 as usize) {
                graph.add_edge(*from, nodes[at], ());
            }
        }
    }
    let knot: std::collections::BTreeSet<usize> = tarjan_scc(&graph)
        .into_iter()
        .find(|scc| scc.len() > 1)
        .unwrap_or_default()
        .into_iter()
        .map(|n| graph[n])
        .collect();
    steps
        .into_iter()
        .enumerate()
        .filter(|(at, _)| knot.contains(at))
        .map(|(_, step)| step)
        .collect()
}
