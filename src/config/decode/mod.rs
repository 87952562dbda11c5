//! Blocks to typed resources. Takes a block and the scope of one instance; gives a value of `model`, the places of its
//! attributes and what references to it see. May import `eval` and `model`. Never decides anything about the fleet as a whole.

mod field;
mod flavor;
mod image;
mod instance;
mod nested;
mod network;
mod nic;
mod node;
mod reader;
mod site;

use std::collections::BTreeMap;

pub use reader::{Reader, addresses};

use super::value::Entries;
use crate::ids::{Addr, Kind};
use crate::model::{Fleet, Origin};

/// Reads one resource into the fleet. Gives what its attributes are for others, or `None` after a mistake.
pub fn resource(mut reader: Reader<'_>, addr: &Addr, fleet: &mut Fleet) -> Option<Entries> {
    match addr.kind {
        Kind::Network => {
            let read = network::read(&mut reader);
            keep(reader, addr, read, &mut fleet.networks, &mut fleet.origins)
        }
        Kind::Site => {
            let read = site::read(&mut reader);
            keep(reader, addr, read, &mut fleet.sites, &mut fleet.origins)
        }
        Kind::Flavor => {
            let read = flavor::read(&mut reader);
            keep(reader, addr, read, &mut fleet.flavors, &mut fleet.origins)
        }
        Kind::Image => {
            let read = image::read(&mut reader);
            keep(reader, addr, read, &mut fleet.images, &mut fleet.origins)
        }
        Kind::Node => {
            let read = node::read(&mut reader);
            keep(reader, addr, read, &mut fleet.nodes, &mut fleet.origins)
        }
        Kind::Nic => {
            let read = nic::read(&mut reader);
            keep(reader, addr, read, &mut fleet.nics, &mut fleet.origins)
        }
        Kind::Instance => {
            let prevent_destroy = fleet.prevent_destroy.contains(addr);
            let read = instance::read(&mut reader, addr, prevent_destroy);
            keep(reader, addr, read, &mut fleet.instances, &mut fleet.origins)
        }
    }
}

/// Instances of one block stand next to each other, and nearly all of them have their places in common.
fn shared(mut origin: Origin, addr: &Addr, others: &BTreeMap<Addr, Origin>) -> Origin {
    if let Some((_, before)) = others.range(..addr).next_back()
        && *before == origin
    {
        origin.attributes = before.attributes.clone();
    }
    origin
}

fn keep<T>(
    reader: Reader<'_>,
    addr: &Addr,
    read: Option<T>,
    all: &mut BTreeMap<Addr, T>,
    origins: &mut BTreeMap<Addr, Origin>,
) -> Option<Entries> {
    let (effective, origin) = reader.finish();
    origins.insert(addr.clone(), shared(origin, addr, origins));
    let (read, effective) = read.zip(effective)?;
    all.insert(addr.clone(), read);
    Some(effective)
}
