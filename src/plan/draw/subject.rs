//! What a picture is of: the changes of a plan, its steps, or a whole configuration.

use std::collections::BTreeMap;

use super::{Card, Instances, Picture, Sketch, Tone};
use crate::ids::Addr;
use crate::model::{Fleet, Instance, Nic, Node, Site};
use crate::plan::{Action, Change, Plan};

/// Every resource of a configuration.
pub fn configuration(fleet: &Fleet, instances: Instances) -> Picture {
    let mut sketch = Sketch::new();
    for addr in resources(fleet) {
        let card = Card {
            title: name(addr, instances),
            lines: Vec::new(),
            tone: Tone::Plain,
        };
        sketch.add(addr, card);
    }
    for (from, needed) in references(fleet) {
        needed.into_iter().for_each(|to| sketch.arrow(&from, &to));
    }
    sketch.finish()
}

/// What a plan changes. What waits for what comes from its steps, and from the configuration where there is one.
pub fn changes(plan: &Plan, fleet: Option<&Fleet>, instances: Instances) -> Picture {
    let mut sketch = Sketch::new();
    for change in &plan.changes {
        sketch.add(&change.addr, card_of(change, instances));
    }
    for step in &plan.steps {
        for before in step.after.iter().filter_map(|id| plan.step(*id)) {
            sketch.arrow(&&step.subject, &&before.subject);
        }
    }
    for (from, needed) in fleet.map(references).unwrap_or_default() {
        needed.into_iter().for_each(|to| sketch.arrow(&from, &to));
    }
    sketch.finish()
}

/// Every step of a plan, never put together: their order is what one looks for.
pub fn steps(plan: &Plan) -> Picture {
    let mut sketch = Sketch::new();
    for step in &plan.steps {
        let node = step.node.iter().map(|n| format!("on {n}"));
        let card = Card {
            title: format!("{} {}", step.id, step.step.title()),
            lines: [step.subject.to_string()].into_iter().chain(node).collect(),
            tone: match step.step.is_destructive() {
                true => Tone::Delete,
                false => Tone::Plain,
            },
        };
        sketch.add(step.id, card);
    }
    for step in &plan.steps {
        step.after.iter().for_each(|b| sketch.arrow(&step.id, b));
    }
    sketch.finish()
}

fn name(addr: &Addr, instances: Instances) -> String {
    match instances {
        Instances::Together => Addr {
            key: None,
            ..addr.clone()
        }
        .to_string(),
        Instances::Apart => addr.to_string(),
    }
}

fn card_of(change: &Change, instances: Instances) -> Card {
    let tone = match change.action {
        Action::Create | Action::Adopt => Tone::Create,
        Action::Update | Action::Resume | Action::Move | Action::Forget => Tone::Update,
        Action::Redeploy | Action::Replace => Tone::Replace,
        Action::Delete => Tone::Delete,
    };
    let node = change.node.iter().map(|n| format!("on {n}"));
    Card {
        title: format!(
            "{} {}",
            change.action.symbol(),
            name(&change.addr, instances)
        ),
        lines: node.chain([change.risk.describe().to_owned()]).collect(),
        tone,
    }
}

fn resources(fleet: &Fleet) -> Vec<&Addr> {
    let mut out: Vec<&Addr> = Vec::new();
    out.extend(fleet.networks.keys());
    out.extend(fleet.sites.keys());
    out.extend(fleet.flavors.keys());
    out.extend(fleet.images.keys());
    out.extend(fleet.nodes.keys());
    out.extend(fleet.nics.keys());
    out.extend(fleet.instances.keys());
    out
}

/// What each resource refers to, or names in `depends_on`.
fn references(fleet: &Fleet) -> BTreeMap<&Addr, Vec<&Addr>> {
    let mut out: BTreeMap<&Addr, Vec<&Addr>> = BTreeMap::new();
    for (addr, Site { network, .. }) in &fleet.sites {
        out.entry(addr).or_default().push(network);
    }
    for (addr, Node { site, .. }) in &fleet.nodes {
        out.entry(addr).or_default().push(site);
    }
    for (addr, Nic { node, network, .. }) in &fleet.nics {
        out.entry(addr).or_default().extend([node, network]);
    }
    for (addr, instance) in &fleet.instances {
        let Instance {
            flavor,
            image,
            node,
            addresses,
            ..
        } = instance;
        let needed = out.entry(addr).or_default();
        needed.extend([flavor, image]);
        needed.extend(node);
        needed.extend(addresses.iter().map(|a| &a.network));
    }
    for (addr, needed) in &fleet.depends_on {
        out.entry(addr).or_default().extend(needed);
    }
    out
}
