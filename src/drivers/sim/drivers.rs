//! The simulated drivers themselves. Times are those of ordinary machines: minutes of POST, a gigabit link.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::faults::{Call, Mischief};
use super::metal::{Act, Power, RELAY_MS, Written};
use super::{World, machine_id};
use crate::drivers::power::paced::Paced;
use crate::drivers::{
    Agent, Asked, Boot, Clock, Disk, DiskJob, Done, DriverError, Drivers, FoundDisk, Gates, Images,
    IscsiTarget, Ledger, PowerAct, PowerLook, Preparation, Progress, Report, Stop, Trouble,
};
use crate::ids::Addr;
use crate::model::recorded::{Phoned, WrittenDisk};
use crate::model::{Erase, Firmware, ImageFacts, PowerSeen};
use crate::plan::Bmc;
use crate::plan::layout::Layout;
use crate::plan::step::{BootDevice, BootTarget, Persistence};
use crate::secret::Secret;
use crate::store::BootEntry;

/// Milliseconds a BMC takes for one command.
const BMC_MS: i64 = 40;
/// Milliseconds between two looks at what comes by itself.
const POLL_MS: i64 = 5_000;
/// Milliseconds to erase a disk.
const ERASE_MS: i64 = 1_000;
/// Milliseconds a service takes to answer.
const GATE_MS: i64 = 20;
/// Bytes a millisecond over a gigabit link.
const BYTES_PER_MS: u64 = 110_000;
/// Tries of one exchange.
const TRIES: u32 = 5;

struct Sim(Arc<World>);

/// A full set of simulated drivers over one world. Claims and secrets are the world's own.
pub fn drivers(world: &Arc<World>) -> Drivers {
    let sim = Arc::new(Sim(world.clone()));
    Drivers {
        power: Arc::new(Paced::over(sim.clone(), sim.clone())),
        agent: sim.clone(),
        boot: sim.clone(),
        disk: sim.clone(),
        images: sim.clone(),
        gates: sim.clone(),
        ledger: sim.clone(),
        clock: sim,
    }
}

pub(super) fn silent(what: &str) -> DriverError {
    DriverError::new(
        Trouble::Silent,
        format!("{what}: no answer; nothing is known"),
    )
}

impl Sim {
    async fn exchange(&self, node: &Addr) -> Done<()> {
        let world = &self.0;
        let faults = world.faults();
        let mute = || {
            DriverError::new(
                Trouble::Silent,
                format!("{node}: the BMC does not answer ({TRIES} tries)"),
            )
        };
        if world.is_so(node, "bmc_down", faults.bmc_down) {
            world.sleep(i64::from(TRIES) * 1000).await;
            return Err(mute());
        }
        for _ in 0..TRIES {
            if !world.happens(node, "loss", faults.loss) {
                world.sleep(BMC_MS).await;
                return Ok(());
            }
            world.sleep(1000).await;
        }
        Err(mute())
    }

    fn act(&self, what: &str, call: Call, act: Act) -> Done<()> {
        self.0.troubled(what, call, || self.0.befall(act.clone()))
    }

    fn look(&self, what: &str) -> Done<()> {
        match self.0.mischief(Call::Look) {
            None => Ok(()),
            Some(_) => Err(silent(what)),
        }
    }

    /// For ever: the step's own limit ends it.
    async fn never(&self) {
        self.0.sleep(i64::from(u32::MAX)).await;
    }

    /// A command to the ramdisk reaches it only when it runs and its channel is open.
    fn ramdisk(&self, node: &Addr) -> Done<()> {
        match self.0.machine(node).ramdisk() {
            Some(from_ms) if from_ms <= self.now_ms() => Ok(()),
            Some(_) | None => Err(silent(&format!("ramdisk of {node}"))),
        }
    }
}

#[async_trait]
impl PowerLook for Sim {
    async fn status(&self, bmc: &Bmc, _password: &Secret) -> Done<PowerSeen> {
        self.exchange(&bmc.node).await?;
        let metal = |world: &World| {
            let mut truth = world.truth();
            let now_ms = truth.now_ms;
            truth.metal.machine(&machine_id(bmc), now_ms).is_on
        };
        let is_on = match self.0.mischief(Call::LookAtPower) {
            None => metal(&self.0),
            Some(Mischief::LiePower) => !metal(&self.0),
            Some(_) => return Err(silent("power status")),
        };
        Ok(if is_on { PowerSeen::On } else { PowerSeen::Off })
    }
}

#[async_trait]
impl PowerAct for Sim {
    async fn on(&self, bmc: &Bmc, _password: &Secret) -> Done<()> {
        self.exchange(&bmc.node).await?;
        let act = Act::Switch {
            machine: machine_id(bmc),
            to: Power::On,
        };
        self.act("power on", Call::ToBmc, act)
    }

    async fn off(&self, bmc: &Bmc, _password: &Secret, how: Stop) -> Done<()> {
        self.exchange(&bmc.node).await?;
        let machine = machine_id(bmc);
        let act = match how {
            Stop::Soft => Act::Button { machine },
            Stop::Hard => Act::Switch {
                machine,
                to: Power::Off,
            },
        };
        self.act("power off", Call::ToBmc, act)
    }

    async fn reset(&self, bmc: &Bmc, password: &Secret) -> Done<()> {
        self.off(bmc, password, Stop::Hard).await?;
        self.0.sleep(RELAY_MS).await;
        self.on(bmc, password).await
    }

    async fn set_boot_device(
        &self,
        bmc: &Bmc,
        _password: &Secret,
        device: BootDevice,
        persistence: Persistence,
        _firmware: Firmware,
    ) -> Done<()> {
        self.exchange(&bmc.node).await?;
        let act = Act::BootDevice {
            machine: machine_id(bmc),
            device,
            persistence,
        };
        self.act("boot device", Call::ToBmc, act)
    }
}

#[async_trait]
impl Agent for Sim {
    async fn prepare(&self, boot: &Preparation<'_>) -> Done<()> {
        let act = Act::Prepare {
            machine: self.0.machine_of(boot.node),
            macs: boot.target.macs.clone(),
        };
        self.act("boot files (deploy)", Call::Act, act)
    }

    async fn report(&self, node: &Addr) -> Done<Report> {
        let world = &self.0;
        if world.is_so(node, "no_callback", world.faults().no_callback) {
            self.never().await;
        }
        loop {
            match world.machine(node).ramdisk() {
                Some(from_ms) if from_ms <= self.now_ms() => break,
                Some(from_ms) => world.sleep(from_ms - self.now_ms()).await,
                None => world.sleep(POLL_MS).await,
            }
        }
        self.look("the ramdisk's report")?;
        world
            .report_of(node)
            .ok_or_else(|| silent("the ramdisk's report"))
    }

    async fn export(&self, node: &Addr, _disk: &FoundDisk, iqn: &str) -> Done<IscsiTarget> {
        self.ramdisk(node)?;
        let machine = self.0.machine_of(node);
        self.act("export", Call::Act, Act::Export { machine })?;
        Ok(IscsiTarget {
            portal: std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 3260),
            iqn: iqn.to_owned(),
            initiator_user: String::new(),
            initiator_secret: Secret::default(),
            target_user: String::new(),
            target_secret: Secret::default(),
        })
    }

    async fn settle(&self, node: &Addr, _disk: &FoundDisk) -> Done<()> {
        self.ramdisk(node)
    }

    async fn unexport(&self, node: &Addr) -> Done<()> {
        self.ramdisk(node)?;
        let machine = self.0.machine_of(node);
        self.0.befall(Act::Unexport { machine })
    }

    async fn erase(&self, node: &Addr, _disk: &FoundDisk, _mode: Erase) -> Done<()> {
        self.ramdisk(node)?;
        self.0.sleep(ERASE_MS).await;
        self.ramdisk(node)?;
        let machine = self.0.machine_of(node);
        self.act("erase", Call::Act, Act::Erase { machine })
    }

    async fn reboot(&self, node: &Addr) -> Done<()> {
        self.ramdisk(node)?;
        let machine = self.0.machine_of(node);
        self.act("reboot", Call::Act, Act::Reboot { machine })
    }

    async fn end(&self, node: &Addr) -> Done<()> {
        let machine = self.0.machine_of(node);
        self.act("end of the deployment", Call::Act, Act::End { machine })
    }
}

#[async_trait]
impl Boot for Sim {
    async fn publish(&self, entry: &BootEntry) -> Done<()> {
        let act = match entry {
            BootEntry::Deploy { .. } => return Ok(()),
            BootEntry::Instance { target, boot, .. } => Act::Publish {
                macs: target.macs.clone(),
                boot: boot.clone(),
            },
        };
        self.act("boot files", Call::Act, act)
    }

    async fn withdraw(&self, target: &BootTarget) -> Done<()> {
        let macs = target.macs.clone();
        self.act("boot files", Call::Act, Act::Withdraw { macs })
    }
}

#[async_trait]
impl Disk for Sim {
    async fn write(&self, job: &DiskJob<'_>, progress: &Progress<'_>) -> Done<WrittenDisk> {
        let (plan, world) = (job.plan, &self.0);
        let gone = || {
            DriverError::new(
                Trouble::Failed,
                format!("{}: the session broke off", plan.node),
            )
        };
        let machine = world.machine_of(&plan.node);
        if !world.machine(&plan.node).is_exported {
            return Err(gone());
        }
        world.befall(Act::BeginWrite {
            machine: machine.clone(),
        })?;
        let total = plan.facts.virtual_size;
        let whole = i64::try_from(total / BYTES_PER_MS).unwrap_or(i64::MAX);
        for tenth in 0..10u64 {
            progress("write", total * tenth / 10, total);
            world.sleep(whole / 10).await;
        }
        if !world.machine(&plan.node).is_exported {
            return Err(gone());
        }
        if world.happens(&plan.node, "write_fail", world.faults().write_fail) {
            return Err(DriverError::new(
                Trouble::Failed,
                format!("{}: simulated write error", plan.node),
            ));
        }
        let table = match &plan.layout {
            Layout::Partitions { table, .. } => Some(*table),
            Layout::WholeDisk { .. } => plan.facts.table,
        };
        let image = Written {
            image: plan.facts.sha256,
            kind: plan.image_type,
            hostname: plan.config_drive.hostname.to_string(),
            table,
        };
        self.act("write", Call::Act, Act::EndWrite { machine, image })?;
        Ok(WrittenDisk {
            serial: job.found.serial.clone(),
            size: job.found.size,
            table,
        })
    }
}

#[async_trait]
impl Images for Sim {
    async fn check(
        &self,
        _source: &str,
        _facts: &ImageFacts,
        _progress: &Progress<'_>,
    ) -> Done<()> {
        self.look("image")
    }
}

#[async_trait]
impl Gates for Sim {
    /// A system that has come up serves whatever it is asked for, unless the weather is against it.
    async fn look(&self, asked: &Asked<'_>) -> Done<String> {
        let world = &self.0;
        let faults = world.faults();
        let limit_ms = i64::try_from(asked.limit.as_millis()).unwrap_or(i64::MAX);
        if world.is_so(asked.instance, "gate_hang", faults.gate_hang) {
            world.sleep(limit_ms).await;
            return Err(silent("the simulated service"));
        }
        world.sleep(GATE_MS.min(limit_ms)).await;
        self.look("the simulated service")?;
        let machine = world.machine(asked.node);
        let is_up = machine
            .says()
            .is_some_and(|(_, from_ms)| from_ms <= self.now_ms());
        if !is_up || world.is_so(asked.instance, "gate_fail", faults.gate_fail) {
            let found = "simulated: connection refused";
            return Err(DriverError::new(Trouble::Failed, found));
        }
        Ok("simulated".to_owned())
    }
}

#[async_trait]
impl Ledger for Sim {
    /// Always: who owns a node is the plan's and the store's to get right, and their tests do not use this.
    async fn claim(&self, _node: &Addr, _instance: &Addr) -> Done<()> {
        Ok(())
    }

    async fn bmc_password(&self, _node: &Addr) -> Done<Secret> {
        Ok(Secret::default())
    }

    async fn user_data(&self, _instance: &Addr) -> Done<Option<Secret>> {
        Ok(None)
    }

    async fn phone_token(&self, _instance: &Addr, _lifetime_s: u32) -> Done<Secret> {
        Ok(Secret::default())
    }

    async fn phoned(&self, instance: &Addr) -> Done<Phoned> {
        let world = &self.0;
        if world.happens(instance, "no_phone", world.faults().no_phone) {
            self.never().await;
        }
        let node = world.truth().node_of.get(instance).cloned();
        let node = node.ok_or_else(|| silent("an instance that no plan waits for"))?;
        let hostname = loop {
            let machine = world.machine(&node);
            match machine.says() {
                Some((hostname, from_ms)) if from_ms <= self.now_ms() => {
                    break hostname.to_owned();
                }
                Some((_, from_ms)) => world.sleep(from_ms - self.now_ms()).await,
                None => world.sleep(POLL_MS).await,
            }
        };
        self.look("the instance's call")?;
        Ok(Phoned {
            hostname,
            address: "simulated".to_owned(),
            root: "simulated".to_owned(),
        })
    }
}

#[async_trait]
impl Clock for Sim {
    fn now_ms(&self) -> i64 {
        self.0.truth().now_ms
    }

    async fn sleep(&self, time: Duration) {
        self.0
            .sleep(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
            .await;
    }
}
