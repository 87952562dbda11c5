//! Addresses: what every request gets. Stable: what was given before is kept while it is still allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::diag::Diagnostic;
use crate::ids::Addr;
use crate::model::{Fleet, Recorded};

/// What each instance got, in the order of its requests.
pub type Addresses = BTreeMap<Addr, Vec<Ipv4Addr>>;

/// A request: whose it is, and which of its own.
type Request<'a> = (&'a Addr, usize);

/// Gives every request an address or says that the network is full.
pub fn allocate(fleet: &Fleet, recorded: &Recorded) -> (Addresses, Vec<Diagnostic>) {
    let held = held(recorded);
    let mut room = Room {
        fleet,
        taken: taken(fleet),
        next: BTreeMap::new(),
    };
    let kept = room.kept(&held);
    // What instances hold now is theirs until they have let go of it, whatever becomes of them in this plan.
    for (network, ip) in held.values() {
        room.taken.entry(network).or_default().insert(*ip);
    }
    let mut out = Addresses::new();
    let mut refused = Vec::new();
    for (addr, instance) in &fleet.instances {
        let mut got = Vec::new();
        for (n, request) in instance.addresses.iter().enumerate() {
            let fixed = request.ip.or_else(|| kept.get(&(addr, n)).copied());
            match fixed.or_else(|| room.free(&request.network)) {
                Some(ip) => got.push(ip),
                None => refused.push(full(fleet, addr, &request.network)),
            }
        }
        out.insert(addr.clone(), got);
    }
    (out, refused)
}

/// What nobody may be given: addresses of sites, of what else lives in a network, and those that are asked for by name.
fn taken(fleet: &Fleet) -> BTreeMap<&Addr, BTreeSet<Ipv4Addr>> {
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
    for request in fleet.instances.values().flat_map(|i| &i.addresses) {
        let taken = taken.entry(&request.network).or_default();
        taken.extend(request.ip);
    }
    taken
}

/// What each request has got by an earlier plan.
fn held(recorded: &Recorded) -> BTreeMap<Request<'_>, (&Addr, Ipv4Addr)> {
    let mut held = BTreeMap::new();
    for (addr, resource) in &recorded.resources {
        let Some(record) = resource.as_instance() else {
            continue;
        };
        let requests = record.desired.addresses.iter();
        for (n, (request, ip)) in requests.zip(&record.addresses).enumerate() {
            held.insert((addr, n), (&request.network, *ip));
        }
    }
    held
}

struct Room<'a> {
    fleet: &'a Fleet,
    taken: BTreeMap<&'a Addr, BTreeSet<Ipv4Addr>>,
    /// Where the search in each network goes on: what is before it is taken.
    next: BTreeMap<&'a Addr, u32>,
}

impl<'a> Room<'a> {
    /// Addresses that stay: of the same network, still allowed there, and asked for by nobody else.
    fn kept(
        &self,
        held: &BTreeMap<Request<'a>, (&'a Addr, Ipv4Addr)>,
    ) -> BTreeMap<Request<'a>, Ipv4Addr> {
        let mut kept = BTreeMap::new();
        for (addr, instance) in &self.fleet.instances {
            let open = instance.addresses.iter().enumerate();
            for (n, request) in open.filter(|(_, request)| request.ip.is_none()) {
                let Some((network, ip)) = held.get(&(addr, n)) else {
                    continue;
                };
                let declared = self.fleet.networks.get(&request.network);
                let is_taken = self
                    .taken
                    .get(&request.network)
                    .is_some_and(|t| t.contains(ip));
                if **network == request.network
                    && declared.is_some_and(|net| net.is_allocatable(*ip))
                    && !is_taken
                {
                    kept.insert((addr, n), *ip);
                }
            }
        }
        kept
    }

    fn free(&mut self, addr: &'a Addr) -> Option<Ipv4Addr> {
        let network = self.fleet.networks.get(addr)?;
        let used = self.taken.entry(addr).or_default();
        let first = || network.cidr.network().to_bits();
        let at = self.next.entry(addr).or_insert_with(first);
        let last = network.cidr.broadcast().to_bits();
        while *at <= last {
            let ip = Ipv4Addr::from_bits(*at);
            if network.is_allocatable(ip) && used.insert(ip) {
                return Some(ip);
            }
            *at = at.checked_add(1)?;
        }
        None
    }
}

fn full(fleet: &Fleet, addr: &Addr, network: &Addr) -> Diagnostic {
    let text = format!("{network} has no free address for {addr}");
    let d = Diagnostic::error("E0603", text)
        .help("widen the network's cidr, shorten its DHCP range, or give `ip`");
    match fleet.origins.get(addr) {
        Some(origin) => d.at(origin.attribute("address.network"), "asked for here"),
        None => d,
    }
}
