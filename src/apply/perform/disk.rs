//! The disk of a node that runs its deploy ramdisk: what it carries, and what is written to it.

use super::super::lifecycle::Fact;
use super::{Ended, done};
use crate::drivers::{
    DiskJob, Done, DriverError, Drivers, FoundDisk, Progress, Trouble, choose_disk, describe_disk,
};
use crate::ids::Addr;
use crate::model::event::Outcome;
use crate::model::{Erase, ExistingData};
use crate::plan::step::{DiskTarget, WriteDisk};
use crate::proto::disk;
use crate::secret::Secret;
use crate::units::TableId;

/// What may be lost by a write, and what may not.
pub(super) struct Mine<'a> {
    pub instance: &'a Addr,
    pub node: &'a Addr,
    pub existing: ExistingData,
    pub known_tables: &'a [TableId],
}

/// The disk is the one the plan means, and may be written.
pub(super) async fn check(mine: &Mine<'_>, disk: &DiskTarget, drivers: &Drivers) -> Ended {
    let report = drivers.agent.report(mine.node).await?;
    let found = choose_disk(&report, disk)?;
    may_overwrite(mine, found)?;
    done(describe_disk(found))
}

pub(super) async fn erase(node: &Addr, disk: &DiskTarget, mode: Erase, drivers: &Drivers) -> Ended {
    let report = drivers.agent.report(node).await?;
    let found = choose_disk(&report, disk)?;
    drivers.agent.erase(node, found, mode).await?;
    drivers.agent.end(node).await?;
    done(describe_disk(found))
}

/// Login to logout. Whatever happens in between, the export is ended; that failing is louder than the write failing.
pub(super) async fn write(write: &WriteDisk, drivers: &Drivers, progress: &Progress<'_>) -> Ended {
    let report = drivers.agent.report(&write.node).await?;
    let found = choose_disk(&report, &write.disk)?;
    let mine = Mine {
        instance: &write.instance,
        node: &write.node,
        existing: write.existing,
        known_tables: &write.known_tables,
    };
    may_overwrite(&mine, found)?;
    // Hours may lie between the run's check of the image and this write: what is written is what was planned.
    drivers
        .images
        .check(&write.source, &write.facts, progress)
        .await?;
    let config_drive = config_drive(write, drivers).await?;
    let target = drivers
        .agent
        .export(&write.node, found, write.iqn.as_str())
        .await?;
    let job = DiskJob {
        plan: write,
        found,
        target: &target,
        config_drive: &config_drive,
        agent: drivers.agent.as_ref(),
    };
    let written = drivers.disk.write(&job, progress).await;
    let returned = drivers.agent.unexport(&write.node).await;
    let written = written?;
    returned?;
    let detail = format!("{} written and verified", describe_disk(found));
    Ok((Outcome::Done { detail }, Some(Fact::Written(written))))
}

/// What bmctl did not write is somebody's data, unless the plan has said otherwise.
fn may_overwrite(mine: &Mine<'_>, found: &FoundDisk) -> Done<()> {
    let Mine {
        instance,
        node,
        existing,
        known_tables,
    } = mine;
    let what = match (disk::table_of(&found.head), found.blank) {
        (disk::Table::None, true) => return Ok(()),
        (disk::Table::Known(id), _) if known_tables.contains(&id) => return Ok(()),
        (disk::Table::Known(id), _) => format!("a partition table that bmctl did not write ({id})"),
        // A file system over the whole disk, a RAID member: none of them shows in the first sectors.
        (disk::Table::None, false) => {
            "data that bmctl did not write, without a partition table".to_owned()
        }
        (disk::Table::Damaged(why), _) => format!("data that bmctl did not write ({why})"),
    };
    match existing {
        ExistingData::Overwrite => Ok(()),
        ExistingData::Refuse => Err(DriverError::new(
            Trouble::Conflict,
            format!(
                "disk {} of {node} carries {what}: nothing was written; if its data may be lost, set \
                 on_existing_data = \"overwrite\" on {instance}",
                describe_disk(found),
            ),
        )),
    }
}

async fn config_drive(write: &WriteDisk, drivers: &Drivers) -> Done<Vec<(String, Vec<u8>)>> {
    let user_data = drivers.ledger.user_data(&write.instance).await?;
    let phone_home = match &write.config_drive.phone_home {
        Some(base) => {
            let token = drivers
                .ledger
                .phone_token(&write.instance, PHONE_LIFETIME_S)
                .await?;
            Some(Secret::new(format!(
                "{base}/v1/phone-home/{}",
                token.expose()
            )))
        }
        None => None,
    };
    let drive = &write.config_drive;
    let interfaces = drive
        .interfaces
        .iter()
        .map(|nic| disk::nocloud::Interface {
            mac: nic.mac.to_string(),
            address: nic.address.to_string(),
            gateway: nic.gateway.map(|ip| ip.to_string()),
            dns: nic.dns.iter().map(ToString::to_string).collect(),
        })
        .collect();
    let facts = disk::nocloud::Facts {
        instance_id: &drive.instance_id,
        hostname: drive.hostname.as_str(),
        ssh_keys: &drive.ssh_keys,
        interfaces,
    };
    Ok(disk::nocloud::files(
        &facts,
        user_data.as_ref(),
        phone_home.as_ref(),
    ))
}

/// Seconds an instance has for its first word. Long, because a deployment may be resumed days later with the same disk; the
/// token is one-shot and on that disk alone.
const PHONE_LIFETIME_S: u32 = 30 * 24 * 3600;
