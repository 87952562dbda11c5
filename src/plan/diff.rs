//! What differs between a resource as declared and as recorded, and what that costs.
//!
//! Every field is unpacked by name: a new field does not compile until somebody has decided what changing it means. The
//! classes are those of the table at the end of parity.md.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{AttributeChange, Risk};
use crate::model::{Flavor, Ground, Image, ImageFacts, Instance, InstanceRecord, UserDataChange};

/// What one difference asks for, beyond being recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    pub attribute: &'static str,
    pub risk: Risk,
    pub reason: String,
    pub what: Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Recorded, nothing else.
    Note,
    /// The node's boot files are written anew; the system sees it at its next boot.
    BootFiles,
    Power,
    Redeploy,
}

/// Compares two resources attribute by attribute, by the names they have in HCL. Returns the changes and how many attributes
/// are alike.
pub fn attributes<T: Serialize>(
    before: Option<&T>,
    after: Option<&T>,
) -> (Vec<AttributeChange>, usize) {
    let (before, after) = (flat(before), flat(after));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let mut changes = Vec::new();
    let mut unchanged = 0;
    for name in names {
        let (b, a) = (before.get(name), after.get(name));
        if b == a {
            unchanged += 1;
            continue;
        }
        changes.push(AttributeChange {
            name: name.clone(),
            before: b.cloned(),
            after: a.cloned(),
            forces: None,
            sensitive: is_sensitive(name),
        });
    }
    (changes, unchanged)
}

/// The name in JSON of an attribute or block in HCL; but for these, they are the same.
pub fn json_name(name: &str) -> &str {
    match name {
        "address" => "addresses",
        "serial_console" => "console_port",
        name => name,
    }
}

fn is_sensitive(name: &str) -> bool {
    matches!(name, "user_data" | "power.password")
}

/// The object's fields; nested blocks (`power`, `root_device`, `limits`, `dhcp`) as `block.field`.
fn flat<T: Serialize>(value: Option<&T>) -> Map<String, Value> {
    let mut out = Map::new();
    let Some(Ok(Value::Object(fields))) = value.map(serde_json::to_value) else {
        return out;
    };
    for (name, value) in fields {
        match value {
            Value::Object(inner)
                if matches!(
                    name.as_str(),
                    "power" | "root_device" | "limits" | "dhcp" | "drift"
                ) =>
            {
                for (field, value) in inner {
                    out.insert(format!("{name}.{field}"), value);
                }
            }
            Value::Null => {}
            other @ (Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_)) => {
                out.insert(name, other);
            }
        }
    }
    out
}

/// What a change of the instance's own attributes asks for.
pub fn instance_needs(before: &Instance, after: &Instance) -> Vec<Need> {
    let Instance {
        // Their contents are compared, not their names: see `flavor_needs`, `image_needs` and placement.
        flavor: _,
        image: _,
        node: _,
        match_labels: _,
        hostname,
        ssh_keys,
        user_data,
        addresses,
        power_state,
        // What they say matters at the next deployment or destruction.
        erase: _,
        on_existing_data: _,
        on_user_data_change,
        drift: _,
        preserve_ephemeral: _,
        prevent_destroy: _,
        wait_for_phone_home: _,
    } = after;
    let mut needs = Vec::new();
    let mut metadata = |attribute, changed: bool| {
        if changed {
            needs.push(Need {
                attribute,
                risk: Risk::InPlace,
                reason: format!("{attribute} takes effect at the next deployment"),
                what: Effect::Note,
            });
        }
    };
    metadata("hostname", *hostname != before.hostname);
    metadata("ssh_keys", *ssh_keys != before.ssh_keys);
    let user_data_changed = *user_data != before.user_data;
    let redeploys = *on_user_data_change == UserDataChange::Redeploy;
    metadata("user_data", user_data_changed && !redeploys);
    if user_data_changed && redeploys {
        needs.push(Need {
            attribute: "user_data",
            risk: Risk::Redeploys,
            reason: "user_data changed (on_user_data_change = redeploy), which forces redeploy"
                .to_owned(),
            what: Effect::Redeploy,
        });
    }
    if *addresses != before.addresses {
        needs.push(Need {
            attribute: "addresses",
            risk: Risk::InPlace,
            reason: "DHCP hands the address out at the next boot".to_owned(),
            what: Effect::BootFiles,
        });
    }
    if *power_state != before.power_state {
        needs.push(Need {
            attribute: "power_state",
            risk: Risk::Reboots,
            reason: "power state changes: the system is down or comes up".to_owned(),
            what: Effect::Power,
        });
    }
    needs
}

pub fn flavor_needs(before: &Flavor, after: &Flavor) -> Vec<Need> {
    let Flavor {
        // They decide placement, which has been asked whether the node still fits.
        cpus: _,
        memory_mb: _,
        extra_specs: _,
        root_gb,
        ephemeral_gb,
        swap_mb,
    } = after;
    let mut needs = Vec::new();
    let mut size = |name: &'static str, before: u64, after: u64| {
        if before != after {
            needs.push(Need {
                attribute: "flavor",
                risk: Risk::Redeploys,
                reason: format!("flavor {name} {before} -> {after} forces redeploy"),
                what: Effect::Redeploy,
            });
        }
    };
    size("root_gb", before.root_gb, *root_gb);
    size("ephemeral_gb", before.ephemeral_gb, *ephemeral_gb);
    size("swap_mb", before.swap_mb, *swap_mb);
    needs
}

pub fn image_needs(before: (&Image, &ImageFacts), after: (&Image, &ImageFacts)) -> Vec<Need> {
    let (was, was_facts) = before;
    let (image, facts) = after;
    let Image {
        kind,
        // A path or a declared digest may change while the bytes stay: the facts decide.
        source: _,
        sha256: _,
        format: _,
        kernel: _,
        initrd: _,
        kernel_args,
        // Placement has been asked.
        arch: _,
        firmware: _,
        min_disk_gb: _,
    } = image;
    let ImageFacts {
        sha256,
        format: _,
        file_size: _,
        virtual_size: _,
        fs_uuid: _,
        table: _,
        kernel_sha256,
        initrd_sha256,
    } = facts;
    let mut needs = Vec::new();
    if *sha256 != was_facts.sha256 || *kind != was.kind {
        needs.push(Need {
            attribute: "image",
            risk: Risk::Redeploys,
            reason: format!(
                "image {} -> {} forces redeploy",
                was_facts.sha256.short(),
                sha256.short()
            ),
            what: Effect::Redeploy,
        });
    } else if *kernel_sha256 != was_facts.kernel_sha256
        || *initrd_sha256 != was_facts.initrd_sha256
        || *kernel_args != was.kernel_args
    {
        needs.push(Need {
            attribute: "image",
            risk: Risk::InPlace,
            reason: "kernel, initrd or its arguments change at the next boot (pending reboot)"
                .to_owned(),
            what: Effect::BootFiles,
        });
    }
    needs
}

/// What a change of the node or the site under an instance asks of the instance.
pub fn ground_needs(before: &Ground, after: &Ground) -> Vec<Need> {
    let Ground {
        firmware,
        root_device,
        site,
        server,
        http_port,
        bios_loader,
    } = after;
    let mut needs = Vec::new();
    let mut redeploy = |name: &str| {
        needs.push(Need {
            attribute: "node",
            risk: Risk::Redeploys,
            reason: format!("{name} of the node changed, which forces redeploy"),
            what: Effect::Redeploy,
        });
    };
    if *firmware != before.firmware {
        redeploy("firmware");
    }
    if *root_device != before.root_device {
        redeploy("root_device");
    }
    let place = (site, server, http_port, bios_loader);
    let was = (
        &before.site,
        &before.server,
        &before.http_port,
        &before.bios_loader,
    );
    if place != was {
        needs.push(Need {
            attribute: "node",
            risk: Risk::InPlace,
            reason: "the site it boots from changed: boot files are written anew (pending reboot)"
                .to_owned(),
            what: Effect::BootFiles,
        });
    }
    needs
}

/// What the plan shows of an instance: its own attributes, and what its flavor, image, node and addresses come to.
pub fn instance_view(record: &InstanceRecord) -> Value {
    let mut view = serde_json::to_value(&record.desired).unwrap_or_default();
    if let Value::Object(fields) = &mut view {
        fields.insert("node".to_owned(), Value::String(record.node.to_string()));
        fields.insert(
            "image".to_owned(),
            Value::String(format!(
                "{} ({})",
                record.desired.image,
                record.image_facts.sha256.short()
            )),
        );
        let addresses = record
            .desired
            .addresses
            .iter()
            .zip(&record.addresses)
            .map(|(request, ip)| Value::String(format!("{ip} on {}", request.network)))
            .collect();
        fields.insert("addresses".to_owned(), Value::Array(addresses));
    }
    view
}
