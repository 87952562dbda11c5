//! Rules over a whole fleet: mistakes no single block shows. Each names both places.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::Ipv4Addr;

use super::{Fleet, ImageFacts, ImageType, Instance};
use crate::diag::{Diagnostic, Span};
use crate::ids::Addr;
use crate::units::{GIB, human_bytes};

/// Everything that is wrong with the fleet as a whole.
pub fn check(fleet: &Fleet, facts: &BTreeMap<Addr, ImageFacts>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    unique_hardware(fleet, &mut found);
    unique_addresses(fleet, &mut found);
    networks(fleet, &mut found);
    flavors(fleet, &mut found);
    images(fleet, facts, &mut found);
    instances(fleet, facts, &mut found);
    found
}

fn at(d: Diagnostic, fleet: &Fleet, addr: &Addr, attribute: &str, text: &str) -> Diagnostic {
    match span(fleet, addr, attribute) {
        Some(span) => d.at(span, text),
        None => d,
    }
}

fn span(fleet: &Fleet, addr: &Addr, attribute: &str) -> Option<Span> {
    fleet.origins.get(addr).map(|o| o.attribute(attribute))
}

/// Remembers who used a value first and complains about the second.
struct Once<'a, K> {
    what: &'static str,
    code: &'static str,
    help: &'static str,
    seen: BTreeMap<K, (&'a Addr, &'static str)>,
}

impl<'a, K: Ord + Display> Once<'a, K> {
    fn new(code: &'static str, what: &'static str, help: &'static str) -> Self {
        Once {
            what,
            code,
            help,
            seen: BTreeMap::new(),
        }
    }

    fn add(
        &mut self,
        fleet: &Fleet,
        key: K,
        addr: &'a Addr,
        attribute: &'static str,
        found: &mut Vec<Diagnostic>,
    ) {
        let Some((first, first_attribute)) = self.seen.get(&key).copied() else {
            self.seen.insert(key, (addr, attribute));
            return;
        };
        let message = format!("{} {key} is used by both {first} and {addr}", self.what);
        let mut d = Diagnostic::error(self.code, message).help(self.help);
        d = at(d, fleet, addr, attribute, &format!("again for {addr}"));
        if let Some(place) = span(fleet, first, first_attribute) {
            d = d.also(place, format!("first for {first}"));
        }
        found.push(d);
    }
}

/// The seed's own example gave two nodes one MAC (row S1.24); a schema alone would have let a shared BMC pass.
fn unique_hardware(fleet: &Fleet, found: &mut Vec<Diagnostic>) {
    let mut macs = Once::new(
        "E0501",
        "MAC",
        "a MAC belongs to one NIC in a fleet: correct one of them",
    );
    for (addr, nic) in &fleet.nics {
        macs.add(fleet, nic.mac, addr, "mac", found);
    }
    let mut bmcs = Once::new(
        "E0502",
        "BMC",
        "two nodes behind one BMC would be powered off together: correct one of them",
    );
    let mut consoles = Once::new(
        "E0503",
        "console port",
        "give each node a port of its own (row S0.15)",
    );
    for (addr, node) in &fleet.nodes {
        bmcs.add(fleet, node.power.endpoint(), addr, "power.address", found);
        if let Some(port) = node.console_port {
            consoles.add(
                fleet,
                format!("{port} at {}", node.site),
                addr,
                "serial_console.port",
                found,
            );
        }
    }
}

fn unique_addresses(fleet: &Fleet, found: &mut Vec<Diagnostic>) {
    let mut ips = Once::new(
        "E0504",
        "address",
        "an address belongs to one machine: correct one of them",
    );
    let mut names = Once::new(
        "E0505",
        "host name",
        "two systems with one name cannot be told apart: correct one of them",
    );
    for (addr, site) in &fleet.sites {
        ips.add(fleet, site.address, addr, "address", found);
    }
    for (addr, network) in &fleet.networks {
        if let Some(gateway) = network.gateway
            && !fleet.sites.values().any(|s| s.address == gateway)
        {
            ips.add(fleet, gateway, addr, "gateway", found);
        }
    }
    // Several BMCs may share an address behind different ports; no instance may share one with any.
    let mut bmcs = BTreeMap::new();
    for (addr, node) in &fleet.nodes {
        bmcs.entry(node.power.endpoint().address).or_insert(addr);
    }
    for (addr, instance) in &fleet.instances {
        for ip in instance.addresses.iter().filter_map(|r| r.ip) {
            ips.add(fleet, ip, addr, "address.ip", found);
            if let Some(node) = bmcs.get(&ip) {
                let message = format!("address {ip} is used by both the BMC of {node} and {addr}");
                let mut d = Diagnostic::error("E0504", message)
                    .help("an address belongs to one machine: correct one of them");
                d = at(d, fleet, addr, "address.ip", &format!("again for {addr}"));
                if let Some(place) = span(fleet, node, "power.address") {
                    d = d.also(place, format!("first for {node}"));
                }
                found.push(d);
            }
        }
        names.add(fleet, instance.hostname.clone(), addr, "hostname", found);
    }
}

fn networks(fleet: &Fleet, found: &mut Vec<Diagnostic>) {
    let mut outside = |addr: &Addr, attribute: &str, ip: Ipv4Addr, what: &str, cidr| {
        let d = Diagnostic::error(
            "E0506",
            format!("{what} {ip} of {addr} is not a host address of {cidr}"),
        );
        found.push(
            at(d, fleet, addr, attribute, "outside the network")
                .help("correct the address or the network's cidr"),
        );
    };
    for (addr, network) in &fleet.networks {
        if let Some(ip) = network.gateway.filter(|ip| !network.is_host(*ip)) {
            outside(addr, "gateway", ip, "gateway", network.cidr);
        }
        if let Some(dhcp) = network.dhcp {
            for (ip, attribute, what) in [
                (dhcp.start, "dhcp.start", "DHCP start"),
                (dhcp.end, "dhcp.end", "DHCP end"),
            ] {
                if !network.is_host(ip) {
                    outside(addr, attribute, ip, what, network.cidr);
                }
            }
        }
    }
    for (addr, site) in &fleet.sites {
        if let Some(network) = fleet
            .networks
            .get(&site.network)
            .filter(|n| !n.is_host(site.address))
        {
            outside(addr, "address", site.address, "address", network.cidr);
        }
    }
    for (addr, instance) in &fleet.instances {
        for request in &instance.addresses {
            let network = fleet.networks.get(&request.network);
            if let (Some(ip), Some(network)) = (request.ip, network)
                && !network.is_host(ip)
            {
                outside(addr, "address.ip", ip, "address", network.cidr);
            }
        }
    }
    for (addr, network) in &fleet.networks {
        dhcp_range(fleet, addr, network, found);
    }
}

fn dhcp_range(fleet: &Fleet, addr: &Addr, network: &super::Network, found: &mut Vec<Diagnostic>) {
    let Some(dhcp) = network.dhcp else { return };
    if dhcp.start > dhcp.end {
        let d = Diagnostic::error(
            "E0507",
            format!(
                "the DHCP range of {addr} ends ({}) before it starts ({})",
                dhcp.end, dhcp.start
            ),
        );
        found.push(at(d, fleet, addr, "dhcp.start", "starts here").help("swap start and end"));
    }
    let mut covers = |other: &Addr, attribute: &str, ip: Ipv4Addr, what: &str| {
        if dhcp.contains(ip) {
            let message = format!(
                "the DHCP range {} to {} of {addr} covers {what} {ip} of {other}",
                dhcp.start, dhcp.end
            );
            let mut d = Diagnostic::error("E0508", message);
            d = at(
                d,
                fleet,
                other,
                attribute,
                "this address could be handed to another machine",
            );
            if let Some(place) = span(fleet, addr, "dhcp.start") {
                d = d.also(place, "the range");
            }
            found.push(d.help("move the address out of the range, or the range away from it"));
        }
    };
    if let Some(gateway) = network.gateway {
        covers(addr, "gateway", gateway, "gateway");
    }
    for (site_addr, site) in fleet.sites.iter().filter(|(_, s)| s.network == *addr) {
        covers(site_addr, "address", site.address, "the address");
    }
    for (instance_addr, instance) in &fleet.instances {
        for request in instance.addresses.iter().filter(|r| r.network == *addr) {
            if let Some(ip) = request.ip {
                covers(instance_addr, "address.ip", ip, "the static address");
            }
        }
    }
}

fn flavors(fleet: &Fleet, found: &mut Vec<Diagnostic>) {
    for (addr, flavor) in &fleet.flavors {
        if flavor.root_gb == 0 {
            let d = Diagnostic::error("E0509", format!("{addr} has a root of 0 GB"));
            found.push(at(d, fleet, addr, "root_gb", "expected at least 1"));
        }
        if flavor.cpus == 0 || flavor.memory_mb == 0 {
            let d = Diagnostic::error("E0510", format!("{addr} asks for no cpus or no memory"));
            found.push(at(d, fleet, addr, "cpus", "expected at least 1 of each"));
        }
    }
}

fn images(fleet: &Fleet, facts: &BTreeMap<Addr, ImageFacts>, found: &mut Vec<Diagnostic>) {
    for (addr, image) in &fleet.images {
        if image.kind == ImageType::Partition && (image.kernel.is_none() || image.initrd.is_none())
        {
            let d = Diagnostic::error(
                "E0511",
                format!("{addr} is a partition image without kernel and initrd"),
            );
            let d = at(
                d,
                fleet,
                addr,
                "type",
                "such an image has no boot loader: its kernel comes over the network",
            );
            found.push(d.help(
                "give `kernel` and `initrd`, or use a whole-disk image with type = \"disk\"",
            ));
        }
        let Some(fact) = facts.get(addr) else {
            continue;
        };
        if let Some(expected) = image.sha256.filter(|s| *s != fact.sha256) {
            let d = Diagnostic::error(
                "E0512",
                format!(
                    "{addr}: the digest of {} is not the declared one",
                    image.source
                ),
            )
            .note(format!("expected {expected}"))
            .note(format!("found    {}", fact.sha256));
            let d = at(d, fleet, addr, "sha256", "declared here");
            found.push(
                d.help("fetch the image again, or review the new one and declare its digest"),
            );
        }
        if image.kind == ImageType::Partition && fact.fs_uuid.is_none() {
            let d = Diagnostic::error(
                "E0513",
                format!(
                    "{addr}: {} holds no file system that can be told by its UUID",
                    image.source
                ),
            )
            .note("expected an ext2/3/4, XFS or Btrfs file system from the first byte on");
            found.push(
                at(d, fleet, addr, "source", "this file")
                    .help("a file with a partition table is a whole-disk image: type = \"disk\""),
            );
        }
    }
}

fn instances(fleet: &Fleet, facts: &BTreeMap<Addr, ImageFacts>, found: &mut Vec<Diagnostic>) {
    let mut checked = std::collections::BTreeSet::new();
    for (addr, instance) in &fleet.instances {
        if checked.insert((&instance.flavor, &instance.image)) {
            root_holds_image(fleet, facts, addr, instance, found);
        }
        let pinned = instance
            .node
            .as_ref()
            .and_then(|n| Some((n, fleet.nodes.get(n)?)));
        let image = fleet.images.get(&instance.image);
        if let (Some((node_addr, node)), Some(image)) = (pinned, image)
            && node.arch != image.arch
        {
            let message = format!(
                "{addr}: {} is for {}, {node_addr} is {}",
                instance.image, image.arch, node.arch
            );
            let mut d = at(
                Diagnostic::error("E0515", message),
                fleet,
                addr,
                "image",
                "this image",
            );
            if let Some(place) = span(fleet, node_addr, "arch") {
                d = d.also(place, "the node's architecture");
            }
            found.push(d.help("choose an image for the node's architecture"));
        }
    }
}

fn root_holds_image(
    fleet: &Fleet,
    facts: &BTreeMap<Addr, ImageFacts>,
    addr: &Addr,
    instance: &Instance,
    found: &mut Vec<Diagnostic>,
) {
    let (Some(flavor), Some(image)) = (
        fleet.flavors.get(&instance.flavor),
        fleet.images.get(&instance.image),
    ) else {
        return;
    };
    let size = facts.get(&instance.image).map_or(0, |f| f.virtual_size);
    let needs = size.max(image.min_disk_gb.saturating_mul(GIB));
    if needs <= flavor.root_gb.saturating_mul(GIB) {
        return;
    }
    let message = format!(
        "{} needs {}, the root of {} has {} GiB",
        instance.image,
        human_bytes(needs),
        instance.flavor,
        flavor.root_gb
    );
    let mut d = at(
        Diagnostic::error("E0514", message),
        fleet,
        addr,
        "image",
        "this image",
    );
    if let Some(place) = span(fleet, &instance.flavor, "root_gb") {
        d = d.also(place, "the flavor's root");
    }
    found.push(d.help("choose a flavor with a larger root or a smaller image"));
}
