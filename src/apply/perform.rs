//! Carries out one step: look, and if its goal does not hold, act and look again (design rule 4). The only caller of drivers.

use std::time::Duration;

use super::lifecycle::Fact;
use super::loans::Returns;
use super::machine::Performed;
use crate::drivers::{
    DiskJob, Done, DriverError, Drivers, FoundDisk, Preparation, Progress, Stop, Trouble,
    choose_disk, describe_disk,
};
use crate::ids::Addr;
use crate::model::event::Outcome;
use crate::model::{ExistingData, PowerSeen};
use crate::plan::step::{InstanceBoot, Manner, Step, WriteDisk};
use crate::plan::{Bmc, PlannedStep};
use crate::proto::disk;
use crate::secret::Secret;
use crate::store::BootEntry;
use crate::units::TableId;

/// How often a BMC is asked whether the power has changed: often enough for a fast one, seldom enough for a slow one.
const POWER_POLL: Duration = Duration::from_millis(500);
/// After this a command that changed nothing is sent once more.
const POWER_RESEND: Duration = Duration::from_secs(20);

type Ended = Result<(Outcome, Option<Fact>), DriverError>;

/// Performs the step within its limit; after a failure gives back what its deployment borrowed.
pub async fn perform(
    step: &PlannedStep,
    returns: Option<&Returns>,
    drivers: &Drivers,
    progress: &Progress<'_>,
) -> Performed {
    let limit = Duration::from_secs(u64::from(step.limit_s));
    let ended = tokio::select! {
        biased;
        ended = act(step, drivers, progress) => ended,
        () = drivers.clock.sleep(limit) => Err(DriverError::new(
            Trouble::TimedOut,
            format!("{}: no end after {} s; {}", step.step.title(), step.limit_s, next_move(&step.step)),
        )),
    };
    match ended {
        Ok((outcome, fact)) => Performed {
            outcome,
            fact,
            attention: None,
        },
        Err(error) => {
            let attention = match returns {
                Some(returns) => give_back(returns, drivers).await.err().map(|e| {
                    format!("after a failure ({error}) the node could not be left clean: {e}")
                }),
                None => None,
            };
            Performed {
                outcome: Outcome::Failed { why: error.message },
                fact: None,
                attention,
            }
        }
    }
}

fn next_move(step: &Step) -> &'static str {
    match step {
        Step::AwaitRamdisk { .. } => {
            "look at the node's console: does it get an address, does it load the ramdisk?"
        }
        Step::AwaitPhoneHome { .. } => {
            "look at the instance's console; wait_for_phone_home = false if its image cannot"
        }
        Step::PowerOn { .. } | Step::PowerOff { .. } | Step::SetBootDevice { .. } => {
            "look at the BMC"
        }
        Step::CheckDisk { .. } | Step::WriteDisk(_) | Step::EraseDisk { .. } => {
            "look at the network and the disk"
        }
        Step::Record { .. }
        | Step::Forget { .. }
        | Step::Move { .. }
        | Step::Claim { .. }
        | Step::CheckImage { .. }
        | Step::BootDeploy { .. }
        | Step::BootInstance { .. }
        | Step::Reboot { .. }
        | Step::Finish { .. }
        | Step::RemoveBoot { .. }
        | Step::Release { .. } => "apply again",
    }
}

async fn act(step: &PlannedStep, drivers: &Drivers, progress: &Progress<'_>) -> Ended {
    match &step.step {
        // Their whole effect is the change of state that is written with their end.
        Step::Record { .. } | Step::Forget { .. } | Step::Move { .. } => done("recorded"),
        Step::Claim {
            instance,
            node,
            record: _,
        } => {
            drivers.ledger.claim(node, instance).await?;
            done("claimed")
        }
        Step::CheckImage { source, facts, .. } => {
            drivers.images.check(source, facts, progress).await?;
            done(format!("sha256 {}", facts.sha256.short()))
        }
        Step::BootDeploy {
            instance,
            node,
            target,
            ramdisk,
            kernel_args,
            key_lifetime_s,
        } => {
            let boot = Preparation {
                instance,
                node,
                target,
                ramdisk,
                kernel_args,
                key_lifetime_s: *key_lifetime_s,
            };
            drivers.agent.prepare(&boot).await?;
            done("published")
        }
        Step::PowerOff { bmc, how, seen } => power_off(bmc, *how, seen.as_ref(), drivers).await,
        Step::PowerOn { bmc } => power_on(bmc, drivers).await,
        Step::SetBootDevice {
            bmc,
            device,
            persistence,
            firmware,
        } => {
            let password = drivers.ledger.bmc_password(&bmc.node).await?;
            drivers
                .power
                .set_boot_device(bmc, &password, *device, *persistence, *firmware)
                .await?;
            done("accepted")
        }
        Step::AwaitRamdisk { node, .. } => {
            let report = drivers.agent.report(node).await?;
            done(format!(
                "{} at {}, {} disks",
                node,
                report.address,
                report.disks.len()
            ))
        }
        Step::CheckDisk {
            node,
            instance,
            disk,
            existing,
            known_tables,
            table: _,
        } => {
            let report = drivers.agent.report(node).await?;
            let found = choose_disk(&report, disk)?;
            may_overwrite(instance, node, *existing, known_tables, found)?;
            done(describe_disk(found))
        }
        Step::WriteDisk(write) => write_disk(write, drivers, progress).await,
        Step::EraseDisk {
            node, disk, mode, ..
        } => {
            let report = drivers.agent.report(node).await?;
            let found = choose_disk(&report, disk)?;
            drivers.agent.erase(node, found, *mode).await?;
            drivers.agent.end(node).await?;
            done(describe_disk(found))
        }
        Step::BootInstance {
            instance,
            node: _,
            target,
            boot,
        } => {
            drivers
                .boot
                .publish(&BootEntry::Instance {
                    instance: instance.clone(),
                    target: target.clone(),
                    boot: boot.clone(),
                })
                .await?;
            done(match boot {
                InstanceBoot::Network { .. } => "kernel and initrd from the site",
                InstanceBoot::LocalDisk => "from the disk",
            })
        }
        Step::Reboot { node, .. } => {
            drivers.agent.reboot(node).await?;
            drivers.agent.end(node).await?;
            done("told the ramdisk, which agreed")
        }
        Step::AwaitPhoneHome {
            instance, hostname, ..
        } => phone_home(instance, hostname.as_str(), drivers).await,
        Step::Finish { node, .. } => {
            // Whatever channel is still open on this node has nothing more to say.
            drivers.agent.end(node).await?;
            done("recorded")
        }
        Step::RemoveBoot { node, target } => {
            drivers.boot.withdraw(target).await?;
            drivers.agent.end(node).await?;
            done("removed")
        }
        Step::Release { .. } => done("released"),
    }
}

fn done(detail: impl Into<String>) -> Ended {
    Ok((
        Outcome::Done {
            detail: detail.into(),
        },
        None,
    ))
}

/// The BMC's word on a node's power; a failed question is "unknown", with its reason.
pub async fn look_at_power(drivers: &Drivers, bmc: &Bmc) -> PowerSeen {
    let seen = async {
        let password = drivers.ledger.bmc_password(&bmc.node).await?;
        drivers.power.status(bmc, &password).await
    };
    seen.await.unwrap_or_else(|e| PowerSeen::Unknown(e.message))
}

/// Look, and only when the node is off, send the command and look until it is on.
async fn power_on(bmc: &Bmc, drivers: &Drivers) -> Ended {
    let password = drivers.ledger.bmc_password(&bmc.node).await?;
    if is_surely(bmc, drivers, &password, &PowerSeen::On).await? {
        return already("on");
    }
    switch(bmc, drivers, &password, Switch::On).await?;
    done("on")
}

/// Look first: a node that was off when the plan was made and is on by now is in somebody's use, and stays as it is.
async fn power_off(
    bmc: &Bmc,
    how: Manner,
    planned: Option<&PowerSeen>,
    drivers: &Drivers,
) -> Ended {
    let password = drivers.ledger.bmc_password(&bmc.node).await?;
    if is_surely(bmc, drivers, &password, &PowerSeen::Off).await? {
        return already("off");
    }
    if planned == Some(&PowerSeen::Off) {
        return Err(DriverError::new(
            Trouble::Conflict,
            format!(
                "{} was off when the plan was made and is on: somebody has switched it on since; nothing was done, plan again",
                bmc.node
            ),
        ));
    }
    if let Manner::Soft { grace_s } = how {
        let grace = Duration::from_secs(u64::from(grace_s));
        // A BMC or a system that knows no button has the same end: the grace passes.
        let asked = drivers.power.off(bmc, &password, Stop::Soft).await.is_ok();
        if asked {
            tokio::select! {
                biased;
                () = reach(bmc, drivers, &password, &PowerSeen::Off) => {
                    return done("off, in order");
                }
                () = drivers.clock.sleep(grace) => {}
            }
        }
    }
    switch(bmc, drivers, &password, Switch::Off).await?;
    done(match how {
        Manner::Hard => "off",
        Manner::Soft { .. } => "switched off: the system did not end by itself",
    })
}

#[derive(Clone, Copy)]
enum Switch {
    On,
    Off,
}

/// Sends the command once, and a second time only after a long silence: boards are upset by a stream of them (row P20).
async fn switch(bmc: &Bmc, drivers: &Drivers, password: &Secret, to: Switch) -> Done<()> {
    let wanted = match to {
        Switch::On => PowerSeen::On,
        Switch::Off => PowerSeen::Off,
    };
    loop {
        match to {
            Switch::On => drivers.power.on(bmc, password).await?,
            Switch::Off => drivers.power.off(bmc, password, Stop::Hard).await?,
        }
        tokio::select! {
            biased;
            () = reach(bmc, drivers, password, &wanted) => return Ok(()),
            () = drivers.clock.sleep(POWER_RESEND) => {}
        }
    }
}

/// Looks until it is so. BMCs are often mute while the power changes: silence here is waited out, within the step's limit.
async fn reach(bmc: &Bmc, drivers: &Drivers, password: &Secret, wanted: &PowerSeen) {
    loop {
        drivers.clock.sleep(POWER_POLL).await;
        if is_surely(bmc, drivers, password, wanted).await == Ok(true) {
            return;
        }
    }
}

/// Two looks that agree: boards have been seen to say what was, or what will be, while the relay moves, and nobody looks again
/// at a node that is said to be off already.
async fn is_surely(
    bmc: &Bmc,
    drivers: &Drivers,
    password: &Secret,
    wanted: &PowerSeen,
) -> Done<bool> {
    if known(bmc, drivers, password).await? != *wanted {
        return Ok(false);
    }
    drivers.clock.sleep(POWER_POLL).await;
    Ok(known(bmc, drivers, password).await? == *wanted)
}

fn already(detail: &str) -> Ended {
    let detail = detail.to_owned();
    Ok((Outcome::AlreadyDone { detail }, None))
}

async fn known(bmc: &Bmc, drivers: &Drivers, password: &Secret) -> Done<PowerSeen> {
    match drivers.power.status(bmc, password).await? {
        PowerSeen::Unknown(why) => Err(DriverError::new(
            Trouble::Silent,
            format!(
                "power of {}: the BMC at {} cannot say ({why}); nothing was done",
                bmc.node, bmc.endpoint
            ),
        )),
        seen @ (PowerSeen::On | PowerSeen::Off) => Ok(seen),
    }
}

/// Login to logout. Whatever happens in between, the export is ended; that failing is louder than the write failing.
async fn write_disk(write: &WriteDisk, drivers: &Drivers, progress: &Progress<'_>) -> Ended {
    let report = drivers.agent.report(&write.node).await?;
    let found = choose_disk(&report, &write.disk)?;
    may_overwrite(
        &write.instance,
        &write.node,
        write.existing,
        &write.known_tables,
        found,
    )?;
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
fn may_overwrite(
    instance: &Addr,
    node: &Addr,
    existing: ExistingData,
    known_tables: &[TableId],
    found: &FoundDisk,
) -> Done<()> {
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

async fn phone_home(instance: &Addr, hostname: &str, drivers: &Drivers) -> Ended {
    let said = drivers.ledger.phoned(instance).await?;
    if said.hostname != hostname {
        return Err(DriverError::new(
            Trouble::Conflict,
            format!(
                "{instance} phoned home as {}, expected {hostname}; is another system on its disk?",
                said.hostname
            ),
        ));
    }
    let detail = format!("{} at {}, root {}", said.hostname, said.address, said.root);
    Ok((Outcome::Done { detail }, Some(Fact::Phoned(said))))
}

/// After a failure: no boot files for a deployment, no key that is worth something, no ramdisk that still runs (row P18).
pub async fn give_back(returns: &Returns, drivers: &Drivers) -> Done<()> {
    let limit = Duration::from_secs(RETURN_LIMIT_S);
    let all = async {
        let mut troubles = Vec::new();
        troubles.extend(drivers.boot.withdraw(&returns.target).await.err());
        troubles.extend(drivers.agent.end(&returns.node).await.err());
        troubles.extend(
            power_off(&returns.bmc, Manner::Hard, None, drivers)
                .await
                .err(),
        );
        match troubles.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    };
    tokio::select! {
        biased;
        returned = all => returned,
        () = drivers.clock.sleep(limit) => Err(DriverError::new(
            Trouble::TimedOut,
            format!("{} could not be powered off within {RETURN_LIMIT_S} s; look at its BMC", returns.node),
        )),
    }
}

const RETURN_LIMIT_S: u64 = 60;
