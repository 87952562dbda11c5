//! Addresses: what every request gets. Stable: what was given before is kept while it is still allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::diag::Diagnostic;
use crate::ids::Addr;
use crate::model::{Fleet, Recorded, Resource};

/// What each instance got, in the order of its requests.
pub type Addresses = BTreeMap<Addr, Vec<Ipv4Addr>>;

/// Gives every request an address or says that the network is full.
pub fn allocate(fleet: &Fleet, recorded: &Recorded) -> (Addresses, Vec<Diagnostic>) {
    let mut taken: BTreeMap<&Addr, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    for site in fleet.sites.values() {
        taken.entry(&site.network).or_default().insert(site.address);
    }
    // What the network's own machines have: BMCs often live beside the nodes, name servers always do somewhere.
    for (addr, network) in &fleet.networks {
        let bmcs = fleet.nodes.values().map(|n| n.power.endpoint().address);
        let others = network.dns.iter().copied().chain(bmcs);
        let inside = others.filter(|ip| network.cidr.contains(ip));
        taken.entry(addr).or_default().extend(inside);
    }
    for instance in fleet.instances.values() {
        for request in &instance.addresses {
            taken
                .entry(&request.network)
                .or_default()
                .extend(request.ip);
        }
    }
    // What instances hold now is theirs until they have let go of it, whatever becomes of them in this plan.
    let mut held: BTreeMap<(&Addr, usize), (&Addr, Ipv4Addr)> = BTreeMap::new();
    for (addr, resource) in &recorded.resources {
        if let Resource::Instance(record) = resource {
            for (n, (request, ip)) in record
                .desired
                .addresses
                .iter()
                .zip(&record.addresses)
                .enumerate()
            {
                held.insert((addr, n), (&request.network, *ip));
            }
        }
    }
    let mut out = Addresses::new();
    let mut refused = Vec::new();
    let mut kept: BTreeMap<(&Addr, usize), Ipv4Addr> = BTreeMap::new();
    for (addr, instance) in &fleet.instances {
        for (n, request) in instance.addresses.iter().enumerate() {
            if request.ip.is_some() {
                continue;
            }
            if let Some((network, ip)) = held.get(&(addr, n))
                && **network == request.network
                && fleet
                    .networks
                    .get(&request.network)
                    .is_some_and(|net| net.is_allocatable(*ip))
                && !taken.get(&request.network).is_some_and(|t| t.contains(ip))
            {
                kept.insert((addr, n), *ip);
            }
        }
    }
    for (network, ip) in held.values() {
        taken.entry(network).or_default().insert(*ip);
    }
    let mut cursor: BTreeMap<&Addr, u32> = BTreeMap::new();
    for (addr, instance) in &fleet.instances {
        let mut got = Vec::new();
        for (n, request) in instance.addresses.iter().enumerate() {
            let fixed = request.ip.or_else(|| kept.get(&(addr, n)).copied());
            let ip = fixed.or_else(|| {
                let network = fleet.networks.get(&request.network)?;
                let used = taken.entry(&request.network).or_default();
                let at = cursor
                    .entry(&request.network)
                    .or_insert_with(|| network.cidr.network().to_bits());
                let last = network.cidr.broadcast().to_bits();
                while *at <= last {
                    let ip = Ipv4Addr::from_bits(*at);
                    if network.is_allocatable(ip) && used.insert(ip) {
                        return Some(ip);
                    }
                    *at = at.checked_add(1)?;
                }
                None
            });
            match ip {
                Some(ip) => got.push(ip),
                None => {
                    let d = Diagnostic::error(
                        "E0603",
                        format!("{} has no free address for {addr}", request.network),
                    )
                    .help("widen the network's cidr, shorten its DHCP range, or give `ip`");
                    refused.push(match fleet.origins.get(addr) {
                        Some(origin) => d.at(origin.attribute("address.network"), "asked for here"),
                        None => d,
                    });
                }
            }
        }
        out.insert(addr.clone(), got);
    }
    (out, refused)
}
