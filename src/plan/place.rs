//! Placement: which node each instance lands on. Whole nodes, best fit, stable: an instance stays where it is while it may.
//!
//! The seeds took the largest node in one place and the smallest in another, and never looked at the disk (row P23). Here
//! the smallest node that fits wins; ties go to the first address.

use std::collections::{BTreeMap, BTreeSet};

use super::{ignore, layout, specs};
use crate::diag::Diagnostic;
use crate::ids::Addr;
use crate::model::{
    Firmware, Flavor, Fleet, Image, ImageFacts, ImageType, Instance, InstanceRecord, Node, Recorded,
};
use crate::units::{GIB, human_bytes};

/// Where an instance goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub node: Addr,
    /// Why it left the node it was on; `None` when it stays or is new.
    pub moved: Option<String>,
}

#[derive(Debug, Default)]
pub struct Placement {
    pub placed: BTreeMap<Addr, Placed>,
    pub refused: Vec<Diagnostic>,
}

/// What an instance asks of a node, apart from its name: instances that ask alike share one list of candidates.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Wish<'a> {
    flavor: &'a Addr,
    image: &'a Addr,
    labels: &'a BTreeMap<String, String>,
    networks: Vec<&'a Addr>,
}

/// What an instance is made of, as far as a node has to fit it.
struct Asked<'r> {
    flavor: &'r Flavor,
    image: &'r Image,
    facts: Option<&'r ImageFacts>,
}

struct Candidates<'a> {
    /// Best fit first.
    nodes: Vec<&'a Addr>,
    /// Everything before it is taken.
    next: usize,
}

struct Seats<'a> {
    fleet: &'a Fleet,
    facts: &'a BTreeMap<Addr, ImageFacts>,
    /// The PXE networks and all networks of each node's NICs.
    nics: BTreeMap<&'a Addr, Vec<(&'a Addr, bool)>>,
    occupied: BTreeSet<&'a Addr>,
    holder: BTreeMap<&'a Addr, &'a Addr>,
    /// Instances that another may push to an equally good place: placed by this run, not pinned.
    movable: BTreeSet<&'a Addr>,
    candidates: BTreeMap<Wish<'a>, Candidates<'a>>,
}

/// Places every instance or says why not.
///
/// `chosen` names those that are planned for, when that is not all: the others stay where they are.
pub fn place<'a>(
    fleet: &'a Fleet,
    recorded: &'a Recorded,
    facts: &'a BTreeMap<Addr, ImageFacts>,
    chosen: Option<&BTreeSet<Addr>>,
) -> Placement {
    let resources = recorded.resources.iter();
    let was_on: BTreeMap<&Addr, &InstanceRecord> = resources
        .filter_map(|(addr, resource)| Some((addr, resource.as_instance()?)))
        .collect();
    let mut seats = Seats::of(fleet, facts, &was_on);
    let mut out = Placement::default();
    let mut moved = BTreeMap::new();
    for (addr, instance) in &fleet.instances {
        let Some(record) = was_on.get(addr).copied() else {
            continue;
        };
        let node = &record.node;
        let is_left_alone = chosen.is_some_and(|chosen| !chosen.contains(addr));
        let stays = match is_left_alone {
            true => Ok(()),
            false => seats.may_stay(addr, instance, record),
        };
        match stays {
            Ok(()) => drop(seats.holder.insert(node, addr)),
            Err(why) => drop(moved.insert(addr, format!("left {node}: {why}"))),
        }
    }
    let seated: BTreeSet<&Addr> = seats.holder.values().copied().collect();
    let waiting: Vec<(&Addr, &Instance)> = fleet
        .instances
        .iter()
        .filter(|(addr, _)| !seated.contains(addr))
        .collect();
    // What is taken over stands where it stands; what is recorded was taken over, or deployed.
    let imports: BTreeMap<&Addr, &Addr> = fleet
        .imports
        .iter()
        .filter(|i| !was_on.contains_key(&i.to))
        .map(|i| (&i.to, &i.node))
        .collect();
    let pin_of =
        |addr: &Addr, instance: &'a Instance| imports.get(addr).copied().or(instance.node.as_ref());
    for &(addr, instance) in &waiting {
        if let Some(pin) = pin_of(addr, instance)
            && let Err(diagnostic) = seats.seat_pinned(addr, instance, pin)
        {
            out.refused.push(*diagnostic);
        }
    }
    for &(addr, instance) in &waiting {
        if pin_of(addr, instance).is_none() && !seats.seat(addr, instance) {
            out.refused.push(seats.refusal(addr, instance));
        }
    }
    for (node, instance) in seats.holder {
        out.placed.insert(
            instance.clone(),
            Placed {
                node: node.clone(),
                moved: moved.get(instance).cloned(),
            },
        );
    }
    out
}

impl<'a> Seats<'a> {
    fn of(
        fleet: &'a Fleet,
        facts: &'a BTreeMap<Addr, ImageFacts>,
        was_on: &BTreeMap<&'a Addr, &'a InstanceRecord>,
    ) -> Seats<'a> {
        let mut nics: BTreeMap<&Addr, Vec<(&Addr, bool)>> = BTreeMap::new();
        for nic in fleet.nics.values() {
            let of_node = nics.entry(&nic.node).or_default();
            of_node.push((&nic.network, nic.pxe));
        }
        Seats {
            fleet,
            facts,
            nics,
            occupied: was_on.values().map(|record| &record.node).collect(),
            holder: BTreeMap::new(),
            movable: BTreeSet::new(),
            candidates: BTreeMap::new(),
        }
    }

    fn may_stay(
        &self,
        addr: &Addr,
        instance: &Instance,
        record: &InstanceRecord,
    ) -> Result<(), String> {
        let node = &record.node;
        if let Some(pin) = instance.node.as_ref().filter(|pin| *pin != node) {
            return Err(format!("pinned to {pin}"));
        }
        let declared = self
            .fleet
            .nodes
            .get(node)
            .ok_or_else(|| "the node is no longer declared".to_owned())?;
        let mut asked = self.asked(instance)?;
        if ignore::keeps(self.fleet, addr, "flavor") {
            asked.flavor = &record.flavor;
        }
        if ignore::keeps(self.fleet, addr, "image") {
            asked.image = &record.image;
            asked.facts = Some(&record.image_facts);
        }
        self.suits(&asked, instance, node, declared)
    }

    fn asked(&self, instance: &Instance) -> Result<Asked<'a>, String> {
        let Some(flavor) = self.fleet.flavors.get(&instance.flavor) else {
            return Err(format!(
                "{}, which ignore_changes keeps, is not declared",
                instance.flavor
            ));
        };
        let Some(image) = self.fleet.images.get(&instance.image) else {
            return Err(format!(
                "{}, which ignore_changes keeps, is not declared",
                instance.image
            ));
        };
        Ok(Asked {
            flavor,
            image,
            facts: self.facts.get(&instance.image),
        })
    }

    /// Whether the node could carry the instance, whoever is on it.
    fn fits(&self, instance: &Instance, addr: &Addr, node: &Node) -> Result<(), String> {
        self.suits(&self.asked(instance)?, instance, addr, node)
    }

    fn suits(
        &self,
        asked: &Asked<'_>,
        instance: &Instance,
        addr: &Addr,
        node: &Node,
    ) -> Result<(), String> {
        let Asked {
            flavor,
            image,
            facts,
        } = *asked;
        for (key, value) in &instance.match_labels {
            match node.labels.get(key) {
                Some(found) if found == value => {}
                Some(found) => return Err(format!("label {key} is {found}, wanted {value}")),
                None => return Err(format!("has no label {key} (wanted {value})")),
            }
        }
        carries(&instance.flavor, flavor, node)?;
        if node.arch != image.arch {
            return Err(format!(
                "is {}, {} is for {}",
                node.arch, instance.image, image.arch
            ));
        }
        if !image.firmware.contains(&node.firmware) {
            return Err(format!(
                "boots by {}, which {} cannot",
                node.firmware, instance.image
            ));
        }
        let mut needed = layout::bytes_needed(flavor);
        if image.kind == ImageType::Partition
            && node.firmware == Firmware::Bios
            && needed > layout::MBR_BYTES_MAX
        {
            return Err(format!(
                "boots by bios, whose partition table ends at 2 TiB, and the partitions of {} do not",
                instance.flavor
            ));
        }
        if image.kind == ImageType::Disk {
            let image_size = facts.map_or(0, |f| f.virtual_size);
            needed = needed.max(image_size.saturating_add(layout::CONFIG_DRIVE_BYTES * 2));
        }
        if node.local_gb.saturating_mul(GIB) < needed {
            return Err(format!(
                "has a disk of {} GB, the partitions need {}",
                node.local_gb,
                human_bytes(needed)
            ));
        }
        self.has_nics(instance, addr, node)
    }

    fn has_nics(&self, instance: &Instance, addr: &Addr, node: &Node) -> Result<(), String> {
        let none = Vec::new();
        let nics = self.nics.get(addr).unwrap_or(&none);
        let boot_network = self.fleet.sites.get(&node.site).map(|site| &site.network);
        if !nics
            .iter()
            .any(|(network, pxe)| *pxe && Some(*network) == boot_network)
        {
            return Err("has no NIC with pxe = true on its site's network".to_owned());
        }
        // Each requested address takes a NIC of its own (row P24).
        for request in &instance.addresses {
            let asked = instance
                .addresses
                .iter()
                .filter(|r| r.network == request.network)
                .count();
            let free = nics
                .iter()
                .filter(|(network, _)| **network == request.network)
                .count();
            if free < asked {
                return Err(format!(
                    "has {free} NICs on {}, {asked} are needed",
                    request.network
                ));
            }
        }
        Ok(())
    }

    fn seat_pinned(
        &mut self,
        addr: &'a Addr,
        instance: &'a Instance,
        pin: &'a Addr,
    ) -> Result<(), Box<Diagnostic>> {
        let refuse = |why: String| {
            let d = Diagnostic::error("E0601", format!("{addr} cannot be on {pin}: {why}"));
            Box::new(match self.fleet.origins.get(addr) {
                Some(origin) => d.at(origin.attribute("node"), "pinned here"),
                None => d,
            })
        };
        let Some((pin, node)) = self.fleet.nodes.get_key_value(pin) else {
            return Err(refuse("it is not declared".to_owned()));
        };
        if let Some(why) = &node.maintenance {
            return Err(refuse(format!("it is in maintenance ({why})")));
        }
        if let Some(other) = self.holder.get(pin) {
            return Err(refuse(format!(
                "{other} is on it; a node carries one instance"
            )));
        }
        self.fits(instance, pin, node).map_err(refuse)?;
        self.holder.insert(pin, addr);
        Ok(())
    }

    fn seat(&mut self, addr: &'a Addr, instance: &'a Instance) -> bool {
        let wish = self.wish(instance);
        if let Some(list) = self.candidates.get_mut(&wish) {
            while let Some(node) = list.nodes.get(list.next).copied() {
                if self.holder.contains_key(node) {
                    list.next += 1;
                    continue;
                }
                self.holder.insert(node, addr);
                self.movable.insert(addr);
                return true;
            }
        }
        self.push_aside(addr, instance, &mut BTreeSet::new(), 0)
    }

    /// Kuhn's augmenting path: somebody less picky moves over. Bounded, so that a hopeless case stays cheap.
    fn push_aside(
        &mut self,
        addr: &'a Addr,
        instance: &'a Instance,
        visited: &mut BTreeSet<&'a Addr>,
        depth: u32,
    ) -> bool {
        const DEPTH_MAX: u32 = 32;
        const VISITED_MAX: usize = 2_000;
        let wish = self.wish(instance);
        let nodes = match self.candidates.get(&wish) {
            Some(list) => list.nodes.clone(),
            None => return false,
        };
        for node in nodes {
            if visited.len() > VISITED_MAX || depth > DEPTH_MAX {
                return false;
            }
            if !visited.insert(node) {
                continue;
            }
            let free = match self.holder.get(node).copied() {
                None => true,
                Some(other) if self.movable.contains(other) => self
                    .fleet
                    .instances
                    .get(other)
                    .is_some_and(|i| self.push_aside(other, i, visited, depth + 1)),
                Some(_) => false,
            };
            if free {
                self.holder.insert(node, addr);
                self.movable.insert(addr);
                return true;
            }
        }
        false
    }

    fn wish(&mut self, instance: &'a Instance) -> Wish<'a> {
        let make = || Wish {
            flavor: &instance.flavor,
            image: &instance.image,
            labels: &instance.match_labels,
            networks: instance.addresses.iter().map(|r| &r.network).collect(),
        };
        let wish = make();
        if !self.candidates.contains_key(&wish) {
            let mut nodes: Vec<(&Addr, &Node)> = self
                .fleet
                .nodes
                .iter()
                .filter(|(addr, node)| {
                    node.maintenance.is_none() && self.fits(instance, addr, node).is_ok()
                })
                .collect();
            nodes.sort_by_key(|(addr, node)| {
                let busy = self.occupied.contains(addr);
                (busy, node.cpus, node.memory_mb, node.local_gb, *addr)
            });
            let nodes = nodes.into_iter().map(|(addr, _)| addr).collect();
            self.candidates.insert(wish, Candidates { nodes, next: 0 });
            return make();
        }
        wish
    }

    /// Says for every node why not, alike reasons together.
    fn refusal(&self, addr: &Addr, instance: &Instance) -> Diagnostic {
        const REASONS_MAX: usize = 12;
        let mut reasons: BTreeMap<String, Vec<&Addr>> = BTreeMap::new();
        for (node_addr, node) in &self.fleet.nodes {
            let why = match (&node.maintenance, self.fits(instance, node_addr, node)) {
                (Some(why), _) => format!("in maintenance ({why})"),
                (None, Err(why)) => why,
                (None, Ok(())) => match self.holder.get(node_addr) {
                    Some(other) => format!("taken by {other}"),
                    None => "free, but another instance needs it more".to_owned(),
                },
            };
            reasons.entry(why).or_default().push(node_addr);
        }
        let mut d = Diagnostic::error("E0602", format!("{addr} fits no node"));
        if let Some(origin) = self.fleet.origins.get(addr) {
            d = d.at(origin.block, "nowhere to put this instance");
        }
        if reasons.is_empty() {
            d = d.note("no node is declared");
        }
        let more = reasons.len().saturating_sub(REASONS_MAX);
        for (why, nodes) in reasons.into_iter().take(REASONS_MAX) {
            let who = match nodes.as_slice() {
                [one] => one.to_string(),
                many => format!("{} nodes ({}, ...)", many.len(), many[0]),
            };
            d = d.note(format!("{who}: {why}"));
        }
        if more > 0 {
            d = d.note(format!("and {more} other reasons"));
        }
        d.help("add a node, loosen match_labels or the flavor, or free a node")
    }
}

/// Whether a node has what a flavor asks for, its disk apart.
pub(super) fn carries(name: &Addr, flavor: &Flavor, node: &Node) -> Result<(), String> {
    if node.cpus < flavor.cpus {
        let (has, needs) = (node.cpus, flavor.cpus);
        return Err(format!("has {has} cpus, {name} needs {needs}"));
    }
    if node.memory_mb < flavor.memory_mb {
        let (has, needs) = (node.memory_mb, flavor.memory_mb);
        return Err(format!("has {has} MB of memory, {name} needs {needs}"));
    }
    match specs::mismatch(&flavor.extra_specs, node) {
        Some(why) => Err(why),
        None => Ok(()),
    }
}
