//! What is written to a disk, and what is erased of it: everything a step needs, decided here.

use ipnet::Ipv4Net;
use sha2::{Digest, Sha256};

use super::layout::{self, Layout, Role};
use super::step::{ConfigDrive, DiskTarget, InterfaceConfig, WriteDisk};
use super::steps::{Context, Place};
use crate::ids::Addr;
use crate::model::{Check, Erase, ImageType, InstanceRecord, Network};
use crate::units::{Iqn, Mac, TableId};

/// What is erased when the instance goes, and on which disk: the one that was written, whatever the node has been given
/// since. A first deployment that did not come to the end of its write has nothing that is known to be its own.
pub fn erasure(record: &InstanceRecord) -> Option<(Erase, DiskTarget)> {
    let disk = record.disk.as_ref().or(record.traces.disk.as_ref())?;
    let mode = match record.desired.erase {
        Erase::None => return None,
        mode @ (Erase::Metadata | Erase::Zero) => mode,
    };
    let target = DiskTarget {
        root_device: record.ground.root_device.clone(),
        size_min: disk.size,
        size_max: disk.size,
        serial: Some(disk.serial.clone()),
    };
    Some((mode, target))
}

pub(super) fn write_disk(
    ctx: &Context<'_>,
    instance: &Addr,
    place: Place<'_>,
    record: &InstanceRecord,
) -> WriteDisk {
    let seed = seed(ctx, instance, place.addr, record);
    let id = format!("i-{}", hex::encode(&seed[..8]));
    let layout = match record.image.kind {
        ImageType::Partition => {
            let mut layout =
                layout::for_partition_image(&record.flavor, place.node.firmware, &seed);
            if keeps_ephemeral(record) {
                mark_kept(&mut layout);
            }
            layout
        }
        ImageType::Disk => Layout::WholeDisk {
            config_drive_size: layout::CONFIG_DRIVE_BYTES,
        },
    };
    // `seed` makes a name of hex digits, so it is always a valid one; the fallback only satisfies the types.
    let iqn: Iqn = match format!("iqn.2026-11.org.bmctl:{id}").parse() {
        Ok(iqn) => iqn,
        Err(_) => unreachable!("hex digits make a valid iSCSI name"),
    };
    let calls = record.unproven.iter().any(|g| g.check == Check::PhoneHome);
    let phone_home = (record.desired.wait_for_phone_home || calls)
        .then(|| format!("http://{}:{}", place.site.address, place.site.http_port));
    WriteDisk {
        instance: instance.clone(),
        node: place.addr.clone(),
        disk: place.disk(record),
        iqn,
        image_type: record.image.kind,
        image: record.desired.image.clone(),
        source: record.image.source.clone(),
        facts: record.image_facts.clone(),
        layout,
        config_drive: ConfigDrive {
            instance_id: id,
            hostname: record.desired.hostname.clone(),
            ssh_keys: record.desired.ssh_keys.clone(),
            user_data_fingerprint: record
                .desired
                .user_data
                .as_ref()
                .map(|u| u.fingerprint.clone()),
            phone_home,
            interfaces: interfaces(ctx, place.addr, record),
        },
        existing: record.desired.on_existing_data,
        known_tables: record.traces.tables.clone(),
        stall_s: place.site.limits.write_stall_s,
    }
}

/// Whether the ephemeral partition survives the write: it was asked for, and is where the new layout has it (row P12). It
/// comes first on the disk, so its size alone says where it is.
pub fn keeps_ephemeral(record: &InstanceRecord) -> bool {
    record.desired.preserve_ephemeral
        && record.image.kind == ImageType::Partition
        && record.flavor.ephemeral_gb > 0
        && record.traces.ephemeral_gb == record.flavor.ephemeral_gb
}

fn mark_kept(layout: &mut Layout) {
    if let Layout::Partitions { partitions, .. } = layout {
        for partition in partitions.iter_mut().filter(|p| p.role == Role::Ephemeral) {
            partition.keep = true;
        }
    }
}

pub(super) fn written_table(write: &WriteDisk) -> Option<TableId> {
    match &write.layout {
        Layout::Partitions { table, .. } => Some(*table),
        Layout::WholeDisk { .. } => write.facts.table,
    }
}

/// Bytes that are the same for the same deployment and differ between any two.
fn seed(ctx: &Context<'_>, instance: &Addr, node: &Addr, record: &InstanceRecord) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [
        ctx.lineage,
        &ctx.serial.to_string(),
        &instance.to_string(),
        &node.to_string(),
        &record.image_facts.sha256.to_string(),
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

/// Each address on a NIC of its network, no NIC twice (row P24).
fn interfaces(ctx: &Context<'_>, node: &Addr, record: &InstanceRecord) -> Vec<InterfaceConfig> {
    let mut used: Vec<Mac> = Vec::new();
    let mut out = Vec::new();
    for (request, ip) in record.desired.addresses.iter().zip(&record.addresses) {
        let mut nics = ctx.nics.get(node).into_iter().flatten();
        let nic = nics.find(|nic| nic.network == request.network && !used.contains(&nic.mac));
        let (Some(nic), Some(network)) = (nic, ctx.fleet.networks.get(&request.network)) else {
            continue;
        };
        let Network {
            cidr,
            gateway,
            dns,
            vlan: _,
            dhcp: _,
        } = network;
        let Ok(address) = Ipv4Net::new(*ip, cidr.prefix_len()) else {
            continue;
        };
        used.push(nic.mac);
        out.push(InterfaceConfig {
            mac: nic.mac,
            address,
            gateway: *gateway,
            dns: dns.clone(),
        });
    }
    out
}
