//! What systems that run already would be declared as: the instance on each node, as far as anybody can tell without touching it.

use std::collections::{BTreeMap, BTreeSet};

use super::layout;
use super::place::carries;
use crate::ids::{Addr, Key, Kind, Name};
use crate::model::{Fleet, Image, Node, Observed, PowerSeen, PowerState, Recorded};
use crate::units::GIB;

/// What was asked for.
#[derive(Debug, Default)]
pub struct Asked<'a> {
    /// Instances and the nodes they stand on.
    pub pairs: Vec<(Addr, &'a Addr)>,
    /// Instead of the largest that fits.
    pub flavor: Option<&'a Addr>,
    /// Instead of the only one that the node could have been written with.
    pub image: Option<&'a Addr>,
}

/// A system as it would be declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'a> {
    pub to: Addr,
    pub node: &'a Addr,
    pub flavor: &'a Addr,
    pub image: &'a Addr,
    pub power: PowerState,
}

/// The instance that a node's system would be, when nobody says: called as the node, or as is said, with the node's key.
pub fn named_after(node: &Addr, name: Option<&Name>) -> Addr {
    let key = match &node.key {
        Some(Key::Text(text)) => Some(Key::Text(text.clone())),
        // Keys of what is not counted are texts.
        Some(Key::Index(n)) => Some(Key::Text(format!("{}-{n}", node.name).into())),
        None => name.map(|_| Key::Text(node.name.as_str().into())),
    };
    Addr::new(Kind::Instance, name.unwrap_or(&node.name).clone(), key)
}

/// What came of those that were asked for.
#[derive(Debug, Default)]
pub struct Sorted<'a> {
    pub found: Vec<Found<'a>>,
    /// Nodes whose systems cannot be declared as they stand, and why.
    pub unsure: Vec<(&'a Addr, String)>,
    /// Nodes that carry an instance of the state, and which: there is nothing to take over.
    pub managed: Vec<(&'a Addr, Addr)>,
}

/// The systems that can be declared, and what is with each of the others.
pub fn find<'a>(
    fleet: &'a Fleet,
    recorded: &Recorded,
    observed: &Observed,
    asked: Asked<'a>,
) -> Sorted<'a> {
    let mut sorted = Sorted::default();
    let stands: BTreeMap<&Addr, &Addr> = recorded
        .resources
        .iter()
        .filter_map(|(addr, resource)| Some((&resource.as_instance()?.node, addr)))
        .collect();
    let mut names = BTreeSet::new();
    for (to, node) in asked.pairs {
        if let Some(instance) = stands.get(node) {
            sorted.managed.push((node, (*instance).clone()));
            continue;
        }
        let free = match names.insert(to.clone()) {
            true => can_be_declared(fleet, &to),
            false => Err(format!(
                "another one is {to} already: give one of them a name with --as"
            )),
        };
        let one = free.and_then(|()| one(fleet, observed, (to, node), asked.flavor, asked.image));
        match one {
            Ok(one) => sorted.found.push(one),
            Err(why) => sorted.unsure.push((node, why)),
        }
    }
    sorted
}

fn can_be_declared(fleet: &Fleet, to: &Addr) -> Result<(), String> {
    if fleet.declares(to) {
        return Err(format!(
            "{to} is declared: `bmctl import '{to}' NODE` takes it over"
        ));
    }
    if !to.module.is_empty() {
        return Err(format!(
            "{to} is in a module, whose own files have to declare it"
        ));
    }
    let is_same = |other: &&Addr| other.name == to.name && other.module.is_empty();
    if let Some(other) = fleet.instances.keys().find(is_same) {
        return Err(format!(
            "{other} is declared, and two blocks cannot be instance.{}: give another name with --as",
            to.name
        ));
    }
    match to.key {
        Some(Key::Index(_)) => Err(format!(
            "{to} has a number for a key: name it with a text, as for_each does"
        )),
        Some(Key::Text(_)) | None => Ok(()),
    }
}

fn one<'a>(
    fleet: &'a Fleet,
    observed: &Observed,
    (to, addr): (Addr, &'a Addr),
    flavor: Option<&'a Addr>,
    image: Option<&'a Addr>,
) -> Result<Found<'a>, String> {
    let node = fleet.nodes.get(addr).ok_or("is not declared")?;
    let power = match observed.power.get(addr) {
        Some(PowerSeen::On) => PowerState::On,
        Some(PowerSeen::Off) => PowerState::Off,
        Some(PowerSeen::Unknown(why)) => {
            return Err(format!("whether it is on is not known: {why}"));
        }
        None => return Err("whether it is on is not known: it was not asked".to_owned()),
    };
    Ok(Found {
        to,
        node: addr,
        flavor: match flavor {
            Some(flavor) => flavor,
            None => flavor_for(fleet, node)?,
        },
        image: match image {
            Some(image) => image,
            None => image_for(fleet, node)?,
        },
        power,
    })
}

/// The largest that fits: machines are bought for what they carry.
fn flavor_for<'a>(fleet: &'a Fleet, node: &Node) -> Result<&'a Addr, String> {
    let fits = fleet.flavors.iter().filter(|(addr, flavor)| {
        let bytes = node.local_gb.saturating_mul(GIB);
        carries(addr, flavor, node).is_ok() && layout::bytes_needed(flavor) <= bytes
    });
    let largest = fits.max_by_key(|(_, flavor)| (flavor.memory_mb, flavor.cpus, flavor.root_gb));
    largest.map(|(addr, _)| addr).ok_or_else(|| {
        let Node {
            cpus,
            memory_mb,
            local_gb,
            ..
        } = node;
        format!("no flavor fits its {cpus} cpus, {memory_mb} MB and {local_gb} GB: declare one")
    })
}

/// Nothing on a disk says for sure what it was written with.
fn image_for<'a>(fleet: &'a Fleet, node: &Node) -> Result<&'a Addr, String> {
    let suits = |image: &Image| image.arch == node.arch && image.firmware.contains(&node.firmware);
    let mut all = fleet
        .images
        .iter()
        .filter(|(_, image)| suits(image))
        .map(|(addr, _)| addr);
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err("no image is declared that it could boot: declare the one that it would be written with".to_owned()),
        (Some(one), Some(other)) => Err(format!("which image it was written with is not known ({one}, {other}, …): say so with --image")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_called_as_its_node() {
        let name: Name = "web".parse().unwrap();
        for (node, named, expected) in [
            ("node.rack[\"a\"]", None, "instance.rack[\"a\"]"),
            ("node.rack[3]", None, "instance.rack[\"rack-3\"]"),
            ("node.edge", None, "instance.edge"),
            ("node.edge", Some(&name), "instance.web[\"edge\"]"),
            (
                "module.m[\"x\"].node.rack[\"a\"]",
                Some(&name),
                "instance.web[\"a\"]",
            ),
        ] {
            let node = node.parse().unwrap();
            assert_eq!(named_after(&node, named).to_string(), expected);
        }
    }
}
