//! Carries out one step: look, and if its goal does not hold, act and look again (design rule 4). The only caller of drivers.

mod disk;
mod gate;
mod power;

use std::time::Duration;

use super::lifecycle::Fact;
use super::loans::Returns;
use super::machine::Performed;
use crate::drivers::{Done, DriverError, Drivers, Preparation, Progress, Trouble};
use crate::ids::Addr;
use crate::model::ImageFacts;
use crate::model::event::Outcome;
use crate::plan::PlannedStep;
use crate::plan::step::{BootTarget, InstanceBoot, Manner, Step};
use crate::store::BootEntry;

pub use power::look_at_power;

type Ended = Result<(Outcome, Option<Fact>), DriverError>;

/// Who is told how a step gets on.
pub struct Words<'a> {
    pub progress: &'a Progress<'a>,
    /// What a step that has begun waits for.
    pub waits: &'a (dyn Fn(String) + Send + Sync),
}

impl Words<'_> {
    pub const NONE: Words<'static> = Words {
        progress: &|_, _, _| {},
        waits: &|_| {},
    };
}

/// Performs the step within its limit; after a failure gives back what its deployment borrowed.
pub async fn perform(
    step: &PlannedStep,
    returns: Option<&Returns>,
    drivers: &Drivers,
    words: &Words<'_>,
) -> Performed {
    // A rest of less is over before anybody has read of it.
    const TOLD: Duration = Duration::from_millis(500);
    if let Some(bmc) = step.step.nature().bmc
        && drivers
            .power
            .rest_before(bmc)
            .is_some_and(|rest| rest >= TOLD)
    {
        (words.waits)(format!(
            "its BMC, which is left alone for {} ms between two exchanges",
            bmc.interval_ms
        ));
    }
    let limit = Duration::from_secs(u64::from(step.limit_s));
    let ended = tokio::select! {
        biased;
        ended = act(step, drivers, words.progress) => ended,
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
        | Step::Gate(_)
        | Step::RemoveBoot { .. }
        | Step::Release { .. } => "apply again",
    }
}

async fn act(step: &PlannedStep, drivers: &Drivers, progress: &Progress<'_>) -> Ended {
    match &step.step {
        // Their whole effect is the change of state that is written with their end.
        Step::Record { .. } | Step::Forget { .. } | Step::Move { .. } => done("recorded"),
        Step::Claim { instance, node, .. } => claim(node, instance, drivers).await,
        Step::CheckImage { source, facts, .. } => verify(source, facts, drivers, progress).await,
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
            prepare(&boot, drivers).await
        }
        Step::PowerOff { bmc, how, seen } => power::off(bmc, *how, seen.as_ref(), drivers).await,
        Step::PowerOn { bmc } => power::on(bmc, drivers).await,
        Step::SetBootDevice {
            bmc,
            device,
            persistence,
            firmware,
        } => power::set_boot_device(bmc, *device, *persistence, *firmware, drivers).await,
        Step::AwaitRamdisk { node, .. } => hear(node, drivers).await,
        Step::CheckDisk {
            node,
            instance,
            disk,
            existing,
            known_tables,
            table: _,
        } => {
            let mine = disk::Mine {
                instance,
                node,
                existing: *existing,
                known_tables,
            };
            disk::check(&mine, disk, drivers).await
        }
        Step::WriteDisk(write) => disk::write(write, drivers, progress).await,
        Step::EraseDisk {
            node, disk, mode, ..
        } => disk::erase(node, disk, *mode, drivers).await,
        Step::BootInstance {
            instance,
            target,
            boot,
            ..
        } => publish(instance, target, boot, drivers).await,
        Step::Reboot { node, .. } => reboot(node, drivers).await,
        Step::AwaitPhoneHome {
            instance, hostname, ..
        } => gate::phone_home(instance, hostname.as_str(), drivers).await,
        Step::Gate(pass) => gate::pass(pass, drivers).await,
        Step::Finish { node, .. } => finish(node, drivers).await,
        Step::RemoveBoot { node, target } => remove_boot(node, target, drivers).await,
        Step::Release { .. } => done("released"),
    }
}

async fn prepare(boot: &Preparation<'_>, drivers: &Drivers) -> Ended {
    drivers.agent.prepare(boot).await?;
    done("published")
}

async fn claim(node: &Addr, instance: &Addr, drivers: &Drivers) -> Ended {
    drivers.ledger.claim(node, instance).await?;
    done("claimed")
}

async fn verify(
    source: &str,
    facts: &ImageFacts,
    drivers: &Drivers,
    progress: &Progress<'_>,
) -> Ended {
    drivers.images.check(source, facts, progress).await?;
    done(format!("sha256 {}", facts.sha256.short()))
}

/// Whatever channel is still open on this node has nothing more to say.
async fn finish(node: &Addr, drivers: &Drivers) -> Ended {
    drivers.agent.end(node).await?;
    done("recorded")
}

async fn remove_boot(node: &Addr, target: &BootTarget, drivers: &Drivers) -> Ended {
    drivers.boot.withdraw(target).await?;
    drivers.agent.end(node).await?;
    done("removed")
}

async fn hear(node: &Addr, drivers: &Drivers) -> Ended {
    let report = drivers.agent.report(node).await?;
    let disks = report.disks.len();
    done(format!("{node} at {}, {disks} disks", report.address))
}

async fn publish(
    instance: &Addr,
    target: &BootTarget,
    boot: &InstanceBoot,
    drivers: &Drivers,
) -> Ended {
    let entry = BootEntry::Instance {
        instance: instance.clone(),
        target: target.clone(),
        boot: boot.clone(),
    };
    drivers.boot.publish(&entry).await?;
    done(match boot {
        InstanceBoot::Network { .. } => "kernel and initrd from the site",
        InstanceBoot::LocalDisk => "from the disk",
    })
}

async fn reboot(node: &Addr, drivers: &Drivers) -> Ended {
    drivers.agent.reboot(node).await?;
    drivers.agent.end(node).await?;
    done("told the ramdisk, which agreed")
}

fn done(detail: impl Into<String>) -> Ended {
    Ok((
        Outcome::Done {
            detail: detail.into(),
        },
        None,
    ))
}

fn already(detail: &str) -> Ended {
    let detail = detail.to_owned();
    Ok((Outcome::AlreadyDone { detail }, None))
}

/// After a failure: no boot files for a deployment, no key that is worth something, no ramdisk that still runs (row P18).
pub async fn give_back(returns: &Returns, drivers: &Drivers) -> Done<()> {
    let limit = Duration::from_secs(RETURN_LIMIT_S);
    let all = async {
        let mut troubles = Vec::new();
        troubles.extend(drivers.boot.withdraw(&returns.target).await.err());
        troubles.extend(drivers.agent.end(&returns.node).await.err());
        troubles.extend(
            power::off(&returns.bmc, Manner::Hard, None, drivers)
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
