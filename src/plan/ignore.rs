//! `ignore_changes`: attributes whose recorded value is taken for the declared one.

use serde_json::Value;

use super::diff::json_name;
use crate::ids::Addr;
use crate::model::{Fleet, Ignore, Recorded, Resource};

/// The fleet as if what is ignored had not been changed; `None` when nothing is ignored.
pub fn settle(fleet: &Fleet, recorded: &Recorded) -> Option<Fleet> {
    let mut out: Option<Fleet> = None;
    for (addr, rules) in &fleet.lifecycle {
        let Some(before) = recorded.resources.get(addr) else {
            continue;
        };
        if rules.ignore_changes == Ignore::default() {
            continue;
        }
        let fleet = out.get_or_insert_with(|| fleet.clone());
        one(fleet, addr, &rules.ignore_changes, before);
    }
    out
}

/// Whether changes of an attribute are ignored: of `flavor` and `image`, changes of what is in them too.
pub fn keeps(fleet: &Fleet, addr: &Addr, attribute: &str) -> bool {
    let rules = fleet.lifecycle.get(addr);
    rules.is_some_and(|rules| rules.ignore_changes.covers(attribute))
}

fn one(fleet: &mut Fleet, addr: &Addr, ignore: &Ignore, before: &Resource) {
    match before {
        Resource::Network(was) => fleet.networks.get_mut(addr).map(|is| keep(is, was, ignore)),
        Resource::Site(was) => fleet.sites.get_mut(addr).map(|is| keep(is, was, ignore)),
        Resource::Flavor(was) => fleet.flavors.get_mut(addr).map(|is| keep(is, was, ignore)),
        Resource::Image(was) => fleet.images.get_mut(addr).map(|is| keep(is, was, ignore)),
        Resource::Nic(was) => fleet.nics.get_mut(addr).map(|is| keep(is, was, ignore)),
        Resource::Node(was) => fleet.nodes.get_mut(addr).map(|is| {
            // The BMC is reached with what is declared, whatever is ignored.
            let power = is.power.clone();
            keep(is, was, ignore);
            is.power = power;
        }),
        Resource::Instance(was) => fleet.instances.get_mut(addr).map(|is| {
            // A rule of `lifecycle` holds as it is declared, like the one that says what is ignored.
            let prevent_destroy = is.prevent_destroy;
            keep(is, &was.desired, ignore);
            is.prevent_destroy = prevent_destroy;
        }),
    };
}

/// Copies what is ignored, by its name. The names in JSON are those in HCL, but for blocks that are kept under another one.
fn keep<T>(is: &mut T, was: &T, ignore: &Ignore)
where
    T: Clone + serde::Serialize + serde::de::DeserializeOwned,
{
    let names = match ignore {
        Ignore::All => {
            *is = was.clone();
            return;
        }
        Ignore::These(names) => names,
    };
    let (Ok(mut json), Ok(from)) = (serde_json::to_value(&*is), serde_json::to_value(was)) else {
        return;
    };
    for name in names {
        let (first, rest) = match name.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (name.as_str(), None),
        };
        let first = json_name(first);
        match rest {
            None => copy(&mut json, &from, first),
            Some(rest) => {
                let empty = Value::Object(serde_json::Map::new());
                let from = from.get(first).unwrap_or(&empty);
                if let Value::Object(fields) = &mut json {
                    let inner = fields.entry(first).or_insert_with(|| empty.clone());
                    copy(inner, from, rest);
                }
            }
        }
    }
    // A resource with one of its values as it was is still a resource.
    if let Ok(kept) = serde_json::from_value(json) {
        *is = kept;
    }
}

fn copy(into: &mut Value, from: &Value, name: &str) {
    let Value::Object(fields) = into else {
        return;
    };
    match from.get(name) {
        Some(value) => {
            fields.insert(name.to_owned(), value.clone());
        }
        None => {
            fields.remove(name);
        }
    }
}
