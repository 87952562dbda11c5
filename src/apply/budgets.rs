//! PURE. What is scarce in a plan: places for writes and boots at a site, and what nodes share that have the same value of a label.

use std::collections::{BTreeMap, BTreeSet};

use super::queues::{Entry, PlaceId, Queues};
use crate::ids::Addr;
use crate::plan::step::{Lane, Step};
use crate::plan::{Budget, Plan, Shared};

/// A node's place among those of the plan: its address is looked up once, not at every step.
type NodeId = usize;

pub struct Budgets<'p> {
    plan: &'p Plan,
    queues: Queues,
    /// What each place is called by those who wait for it.
    names: Vec<String>,
    /// For each step the node it is done to.
    node_of: Vec<Option<NodeId>>,
    of_node: Vec<OfNode>,
    /// What a running step gives back when it ends.
    held: BTreeMap<usize, Vec<PlaceId>>,
    /// What a node gives back when its ramdisk has spoken: it was taken at its power-on.
    booting: BTreeMap<NodeId, Vec<PlaceId>>,
    /// Power-ons that are followed by a wait for the ramdisk.
    goes_on_booting: BTreeSet<usize>,
    work: Work,
}

struct OfNode {
    site: OfSite,
    shared: Vec<OfShared>,
}

#[derive(Clone, Copy)]
struct OfSite {
    writes: PlaceId,
    boots: PlaceId,
}

/// The places of nodes that share a label's value.
#[derive(Clone, Copy)]
struct OfShared {
    power_ons: Option<PlaceId>,
    boots: Option<PlaceId>,
    writes: Option<PlaceId>,
    work: Option<PlaceId>,
}

/// What an instance does on a node, from its first step there to its last.
#[derive(Default)]
struct Work {
    /// For each step the chain it belongs to, when its node has a budget for work.
    chain_of: Vec<Option<usize>>,
    chains: Vec<Chain>,
}

#[derive(Default)]
struct Chain {
    open: usize,
    needs: Vec<PlaceId>,
    has_begun: bool,
}

/// What a step needs, by when it is given back.
#[derive(Default)]
struct Needs {
    step: Vec<PlaceId>,
    boot: Vec<PlaceId>,
    work: Vec<PlaceId>,
}

impl Needs {
    fn all(&self) -> Vec<PlaceId> {
        let mut all = [&self.step[..], &self.boot, &self.work].concat();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl<'p> Budgets<'p> {
    pub fn of(plan: &'p Plan) -> Budgets<'p> {
        let mut budgets = Budgets {
            plan,
            queues: Queues::default(),
            names: Vec::new(),
            node_of: Vec::with_capacity(plan.steps.len()),
            of_node: Vec::new(),
            held: BTreeMap::new(),
            booting: BTreeMap::new(),
            goes_on_booting: BTreeSet::new(),
            work: Work::default(),
        };
        let nodes = budgets.number_nodes();
        // Nodes whose site no step names share those of `None`.
        let mut site_of: Vec<Option<&Addr>> = vec![None; nodes.len()];
        for (at, step) in plan.steps.iter().enumerate() {
            if let (Some(node), Some((_, target))) = (budgets.node_of[at], step.step.nature().boot)
            {
                site_of[node] = Some(&target.site);
            }
            if let Step::AwaitRamdisk { .. } = &step.step {
                let before = step.after.iter().map(|b| b.0 as usize);
                budgets.goes_on_booting.extend(before);
            }
        }
        let mut of_site: BTreeMap<Option<&Addr>, OfSite> = BTreeMap::new();
        for site in site_of {
            let of = *of_site.entry(site).or_insert_with(|| budgets.site(site));
            budgets.of_node.push(OfNode {
                site: of,
                shared: Vec::new(),
            });
        }
        for shared in plan.budgets.values().flat_map(|b| &b.shared) {
            budgets.share(shared, &nodes);
        }
        budgets.work = Work::of(plan, &budgets.node_of, &budgets.of_node);
        budgets
    }

    /// What is done to one node stands together in a plan: most steps have the node of the step before.
    fn number_nodes(&mut self) -> BTreeMap<&'p Addr, NodeId> {
        let mut nodes: BTreeMap<&Addr, NodeId> = BTreeMap::new();
        let mut last: Option<(&Addr, NodeId)> = None;
        for step in &self.plan.steps {
            let id = step.node.as_ref().map(|node| match last {
                Some((same, id)) if same == node => id,
                _ => {
                    let next = nodes.len();
                    let id = *nodes.entry(node).or_insert(next);
                    last = Some((node, id));
                    id
                }
            });
            self.node_of.push(id);
        }
        nodes
    }

    fn place(&mut self, limit: u32, what: &str, whose: &str) -> PlaceId {
        let limit = limit.max(1);
        self.names
            .push(format!("{what}{whose} ({limit} of {limit} taken)"));
        self.queues.add(limit)
    }

    fn share(&mut self, shared: &'p Shared, ids: &BTreeMap<&Addr, NodeId>) {
        let Shared {
            name,
            nodes,
            power_ons,
            boots,
            writes,
            work,
        } = shared;
        let whose = format!(" of {name}");
        let mut place = |limit: &Option<u32>, what| limit.map(|n| self.place(n, what, &whose));
        let of = OfShared {
            power_ons: place(power_ons, "a power-on place"),
            boots: place(boots, "a boot place"),
            writes: place(writes, "a write place"),
            work: place(work, "a work place"),
        };
        for id in nodes.iter().filter_map(|node| ids.get(node)) {
            self.of_node[*id].shared.push(of);
        }
    }

    fn site(&mut self, site: Option<&Addr>) -> OfSite {
        let budget = site.and_then(|site| self.plan.budgets.get(site));
        let (writes, boots) = match budget {
            Some(budget) => (budget.writes, budget.boots),
            None => (Budget::DEFAULT.writes, Budget::DEFAULT.boots),
        };
        let whose = site.map(|s| format!(" at {s}")).unwrap_or_default();
        OfSite {
            writes: self.place(writes, "a write place", &whose),
            boots: self.place(boots, "a boot place", &whose),
        }
    }

    fn needs(&mut self, at: usize) -> Needs {
        let step = &self.plan.steps[at];
        let mut needs = Needs::default();
        let Some(node) = self.node_of[at] else {
            return needs;
        };
        needs.work = self.work.needs(at);
        let OfNode { site, shared } = &self.of_node[node];
        match step.step.nature().lane {
            Lane::Free => return needs,
            Lane::Write => {
                needs.step.push(site.writes);
                needs.step.extend(shared.iter().filter_map(|s| s.writes));
            }
            Lane::Boot if self.booting.contains_key(&node) => {}
            Lane::Boot => {
                needs.boot.push(site.boots);
                needs.boot.extend(shared.iter().filter_map(|s| s.boots));
            }
        }
        if matches!(step.step, Step::PowerOn { .. }) {
            needs.step.extend(shared.iter().filter_map(|s| s.power_ons));
        }
        needs
    }

    /// Takes everything that the step needs, or puts it into the queue and says what it waits for.
    pub fn take(&mut self, at: usize, entry: Entry) -> Result<(), &str> {
        let needs = self.needs(at);
        let all = needs.all();
        if let Err(full) = self.queues.take(&all) {
            self.queues.wait(entry, all, full);
            return Err(self.names.get(full).map_or("", String::as_str));
        }
        if !needs.step.is_empty() {
            self.held.insert(at, needs.step);
        }
        if !needs.boot.is_empty()
            && let Some(node) = self.node_of[at]
        {
            self.booting.insert(node, needs.boot);
        }
        self.work.begins(at);
        Ok(())
    }

    /// A step that held what it needed has ended.
    pub fn finished(&mut self, at: usize, good: bool) {
        let mut back = self.held.remove(&at).unwrap_or_default();
        let step = &self.plan.steps[at];
        let keeps_booting = good && self.goes_on_booting.contains(&at);
        if step.step.nature().lane == Lane::Boot
            && !keeps_booting
            && let Some(node) = self.node_of[at]
        {
            back.extend(self.booting.remove(&node).unwrap_or_default());
        }
        back.extend(self.work.ended(at));
        back.into_iter().for_each(|p| self.queues.give_back(p));
    }

    /// A step will not be started.
    pub fn never(&mut self, at: usize) {
        let back = self.work.ended(at);
        back.into_iter().for_each(|p| self.queues.give_back(p));
    }

    /// Somebody who waited and finds what it needs free.
    pub fn let_in(&mut self) -> Option<Entry> {
        self.queues.let_in()
    }

    pub fn stop(&mut self) {
        self.queues.clear();
    }
}

impl Work {
    fn of(plan: &Plan, node_of: &[Option<NodeId>], of_node: &[OfNode]) -> Work {
        let mut work = Work::default();
        let is_scarce = |node: &OfNode| node.shared.iter().any(|s| s.work.is_some());
        if !of_node.iter().any(is_scarce) {
            return work;
        }
        let mut chain_at: BTreeMap<(NodeId, &Addr), usize> = BTreeMap::new();
        for (step, node) in plan.steps.iter().zip(node_of) {
            let shared = node.map(|node| (node, &of_node[node].shared));
            let shared = shared.filter(|(_, shared)| !shared.is_empty());
            let chain = shared.map(|(node, shared)| {
                *chain_at.entry((node, &step.subject)).or_insert_with(|| {
                    work.chains.push(Chain {
                        needs: shared.iter().filter_map(|s| s.work).collect(),
                        ..Chain::default()
                    });
                    work.chains.len() - 1
                })
            });
            if let Some(chain) = chain {
                work.chains[chain].open += 1;
            }
            work.chain_of.push(chain);
        }
        work
    }

    fn chain(&mut self, at: usize) -> Option<&mut Chain> {
        let chain = self.chain_of.get(at).copied().flatten()?;
        self.chains.get_mut(chain)
    }

    fn needs(&mut self, at: usize) -> Vec<PlaceId> {
        let fresh = self.chain(at).filter(|chain| !chain.has_begun);
        fresh.map(|chain| chain.needs.clone()).unwrap_or_default()
    }

    fn begins(&mut self, at: usize) {
        if let Some(chain) = self.chain(at) {
            chain.has_begun = true;
        }
    }

    /// What is given back by the last step of a chain that has begun.
    fn ended(&mut self, at: usize) -> Vec<PlaceId> {
        let Some(chain) = self.chain(at) else {
            return Vec::new();
        };
        chain.open = chain.open.saturating_sub(1);
        match chain.open == 0 && chain.has_begun {
            true => std::mem::take(&mut chain.needs),
            false => Vec::new(),
        }
    }
}
