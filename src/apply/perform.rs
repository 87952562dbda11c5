//! Carries out one step: look, and if its goal does not hold, act and look again (design rule 4). The only caller of drivers.

use std::time::Duration;

use super::lifecycle::{Fact, Returns};
use crate::drivers::{
    DiskJob, Done, DriverError, Drivers, Preparation, Progress, Report, Stop, Trouble, choose_disk,
    describe_disk,
};
use crate::ids::Addr;
use crate::model::event::Outcome;
use crate::model::{ExistingData, PowerSeen};
use crate::plan::step::{InstanceBoot, Step, WriteDisk};
use crate::plan::{Bmc, PlannedStep};
use crate::proto::disk;
use crate::secret::Secret;
use crate::store::BootEntry;

/// What became of a step.
#[derive(Debug)]
pub struct Performed {
    pub outcome: Outcome,
    pub fact: Option<Fact>,
    /// Something borrowed could not be given back: a person has to look.
    pub attention: Option<String>,
}

/// How often a BMC is asked whether the power has changed: often enough for a fast one, seldom enough for a slow one.
const POWER_POLL: Duration = Duration::from_millis(500);
/// Seconds after which a command that changed nothing is sent once more (row P20: boards are upset by more).
const POWER_RESEND_S: i64 = 20;

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
        Step::WriteDisk(_) | Step::EraseDisk { .. } => "look at the network and the disk",
        Step::Record { .. }
        | Step::Forget { .. }
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
        Step::Record { .. } | Step::Forget { .. } => done("recorded"),
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
        Step::PowerOff { bmc } => change_power(bmc, drivers, PowerSeen::Off).await,
        Step::PowerOn { bmc } => change_power(bmc, drivers, PowerSeen::On).await,
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
        Step::Finish { .. } => done("recorded"),
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

/// Look; when it is not so, send the command once, and look until it is. Sent a second time only after a long silence: boards
/// are upset by a stream of them (row P20). A hard stop: the data that matters is on no disk of this node, or is to be lost.
async fn change_power(bmc: &Bmc, drivers: &Drivers, wanted: PowerSeen) -> Ended {
    let password = drivers.ledger.bmc_password(&bmc.node).await?;
    if known(bmc, drivers, &password).await? == wanted {
        return Ok((
            Outcome::AlreadyDone {
                detail: word(&wanted).to_owned(),
            },
            None,
        ));
    }
    let clock = drivers.clock.as_ref();
    send_power(bmc, drivers, &password, &wanted).await?;
    let mut sent = clock.now_ms();
    loop {
        clock.sleep(POWER_POLL).await;
        if known(bmc, drivers, &password).await? == wanted {
            return done(word(&wanted));
        }
        if clock.now_ms().saturating_sub(sent) > POWER_RESEND_S * 1000 {
            send_power(bmc, drivers, &password, &wanted).await?;
            sent = clock.now_ms();
        }
    }
}

async fn send_power(
    bmc: &Bmc,
    drivers: &Drivers,
    password: &Secret,
    wanted: &PowerSeen,
) -> Done<()> {
    match wanted {
        PowerSeen::On => drivers.power.on(bmc, password).await,
        PowerSeen::Off => drivers.power.off(bmc, password, Stop::Hard).await,
        PowerSeen::Unknown(why) => Err(DriverError::new(Trouble::Failed, why.clone())),
    }
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

fn word(power: &PowerSeen) -> &'static str {
    match power {
        PowerSeen::On => "on",
        PowerSeen::Off => "off",
        PowerSeen::Unknown(_) => "unknown",
    }
}

/// Login to logout. Whatever happens in between, the export is ended; that failing is louder than the write failing.
async fn write_disk(write: &WriteDisk, drivers: &Drivers, progress: &Progress<'_>) -> Ended {
    let report = drivers.agent.report(&write.node).await?;
    let found = choose_disk(&report, &write.disk)?;
    may_overwrite(write, &report, found)?;
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

/// A table that bmctl did not write is somebody's data, unless the plan has said otherwise.
fn may_overwrite(
    write: &WriteDisk,
    report: &Report,
    found: &crate::drivers::FoundDisk,
) -> Done<()> {
    debug_assert!(report.disks.contains(found));
    let table = match disk::table_of(&found.head) {
        disk::Table::None => return Ok(()),
        disk::Table::Known(id) if write.known_tables.contains(&id) => return Ok(()),
        disk::Table::Known(id) => id.to_string(),
        disk::Table::Damaged(why) => why,
    };
    match write.existing {
        ExistingData::Overwrite => Ok(()),
        ExistingData::Refuse => Err(DriverError::new(
            Trouble::Conflict,
            format!(
                "disk {} of {} carries a partition table that bmctl did not write ({table}): nothing was written; \
                 if its data may be lost, set on_existing_data = \"overwrite\" on {}",
                describe_disk(found),
                write.node,
                write.instance
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
async fn give_back(returns: &Returns, drivers: &Drivers) -> Done<()> {
    let limit = Duration::from_secs(RETURN_LIMIT_S);
    let all = async {
        let mut troubles = Vec::new();
        troubles.extend(drivers.boot.withdraw(&returns.target).await.err());
        troubles.extend(drivers.agent.end(&returns.node).await.err());
        troubles.extend(
            change_power(&returns.bmc, drivers, PowerSeen::Off)
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
