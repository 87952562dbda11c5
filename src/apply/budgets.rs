//! PURE. What is scarce in a plan: places for writes and boots at a site, and what nodes share that have the same value of a label.

use std::collections::{BTreeMap, BTreeSet};

use super::queues::{Entry, PlaceId, Queues};
use crate::ids::Addr;
use crate::plan::step::{Lane, Step};
use crate::plan::{Budget, Plan, Shared};

pub struct Budgets<'p> {
    plan: &'p Plan,
    queues: Queues,
    /// What each place is called by those who wait for it.
    names: Vec<String>,
    site_of: BTreeMap<&'p Addr, &'p Addr>,
    /// Nodes whose site no step names share those of `None`.
    of_site: BTreeMap<Option<&'p Addr>, OfSite>,
    of_node: BTreeMap<&'p Addr, Vec<OfShared>>,
    /// What a running step gives back when it ends.
    held: BTreeMap<usize, Vec<PlaceId>>,
    /// What a node gives back when its ramdisk has spoken: it was taken at its power-on.
    booting: BTreeMap<&'p Addr, Vec<PlaceId>>,
    /// Power-ons that are followed by a wait for the ramdisk.
    goes_on_booting: BTreeSet<usize>,
    work: Work,
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
            site_of: BTreeMap::new(),
            of_site: BTreeMap::new(),
            of_node: BTreeMap::new(),
            held: BTreeMap::new(),
            booting: BTreeMap::new(),
            goes_on_booting: BTreeSet::new(),
            work: Work::default(),
        };
        for step in &plan.steps {
            if let Some((node, target)) = step.step.nature().boot {
                budgets.site_of.insert(node, &target.site);
            }
            if let Step::AwaitRamdisk { .. } = &step.step {
                let before = step.after.iter().map(|b| b.0 as usize);
                budgets.goes_on_booting.extend(before);
            }
        }
        for shared in plan.budgets.values().flat_map(|b| &b.shared) {
            budgets.share(shared);
        }
        budgets.work = Work::of(plan, &budgets.of_node);
        budgets
    }

    fn place(&mut self, limit: u32, what: &str, whose: &str) -> PlaceId {
        let limit = limit.max(1);
        self.names
            .push(format!("{what}{whose} ({limit} of {limit} taken)"));
        self.queues.add(limit)
    }

    fn share(&mut self, shared: &'p Shared) {
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
        for node in nodes {
            self.of_node.entry(node).or_default().push(of);
        }
    }

    fn of_site(&mut self, site: Option<&'p Addr>) -> OfSite {
        if let Some(of) = self.of_site.get(&site) {
            return *of;
        }
        let budget = site.and_then(|site| self.plan.budgets.get(site));
        let (writes, boots) = match budget {
            Some(budget) => (budget.writes, budget.boots),
            None => (Budget::DEFAULT.writes, Budget::DEFAULT.boots),
        };
        let whose = site.map(|s| format!(" at {s}")).unwrap_or_default();
        let of = OfSite {
            writes: self.place(writes, "a write place", &whose),
            boots: self.place(boots, "a boot place", &whose),
        };
        self.of_site.insert(site, of);
        of
    }

    fn needs(&mut self, at: usize) -> Needs {
        let step = &self.plan.steps[at];
        let mut needs = Needs::default();
        let Some(node) = &step.node else {
            return needs;
        };
        needs.work = self.work.needs(at);
        let lane = step.step.nature().lane;
        if lane == Lane::Free {
            return needs;
        }
        let of_site = self.of_site(self.site_of.get(node).copied());
        let shared = self.of_node.get(node).map_or(&[][..], Vec::as_slice);
        match lane {
            Lane::Free => {}
            Lane::Write => {
                needs.step.push(of_site.writes);
                needs.step.extend(shared.iter().filter_map(|s| s.writes));
            }
            Lane::Boot if self.booting.contains_key(node) => {}
            Lane::Boot => {
                needs.boot.push(of_site.boots);
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
            && let Some(node) = &self.plan.steps[at].node
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
            && let Some(node) = &step.node
        {
            back.extend(self.booting.remove(node).unwrap_or_default());
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
    fn of(plan: &Plan, of_node: &BTreeMap<&Addr, Vec<OfShared>>) -> Work {
        let mut work = Work::default();
        let has_budget = of_node.values().flatten().any(|s| s.work.is_some());
        if !has_budget {
            return work;
        }
        let mut chain_at: BTreeMap<(&Addr, &Addr), usize> = BTreeMap::new();
        for step in &plan.steps {
            let shared = step.node.as_ref().and_then(|n| Some((n, of_node.get(n)?)));
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
