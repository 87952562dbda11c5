//! The simulated drivers themselves. Times are those of ordinary machines: minutes of POST, a gigabit link.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::World;
use crate::drivers::{
    Agent, Boot, Clock, Disk, DiskJob, Done, DriverError, Drivers, FoundDisk, Images, IscsiTarget,
    Ledger, PowerAct, PowerLook, Preparation, Progress, Report, Stop, Trouble,
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
/// Milliseconds until the relay has moved.
const RELAY_MS: i64 = 2_000;
/// Milliseconds from power-on to the ramdisk's report.
const POST_MS: i64 = 120_000;
/// Milliseconds from reboot to the instance's call.
const BOOT_MS: i64 = 90_000;
/// Bytes a millisecond over a gigabit link.
const BYTES_PER_MS: u64 = 110_000;
/// Tries of one exchange.
const TRIES: u32 = 5;

struct Sim(Arc<World>);

/// A full set of simulated drivers over one world. Claims and secrets are the world's own.
pub fn drivers(world: &Arc<World>) -> Drivers {
    let sim = Arc::new(Sim(world.clone()));
    Drivers {
        power: sim.clone(),
        agent: sim.clone(),
        boot: sim.clone(),
        disk: sim.clone(),
        images: sim.clone(),
        ledger: sim.clone(),
        clock: sim,
    }
}

impl Sim {
    async fn exchange(&self, node: &Addr) -> Done<()> {
        let world = &self.0;
        let silent = || {
            DriverError::new(
                Trouble::Silent,
                format!("{node}: the BMC does not answer ({TRIES} tries)"),
            )
        };
        if world.draw(node, "bmc_down", 0) < world.faults.bmc_down {
            world.sleep(i64::from(TRIES) * 1000).await;
            return Err(silent());
        }
        for _ in 0..TRIES {
            if world.draw_next(node, "loss") >= world.faults.loss {
                world.sleep(BMC_MS).await;
                return Ok(());
            }
            world.sleep(1000).await;
        }
        Err(silent())
    }

    async fn set_power(&self, node: &Addr, on: bool) -> Done<()> {
        self.exchange(node).await?;
        self.0.sleep(RELAY_MS).await;
        self.0.truth().nodes.entry(node.clone()).or_default().on = on;
        Ok(())
    }

    fn fails(&self, node: &Addr, what: &str, chance: f64) -> bool {
        self.0.draw_next(node, what) < chance
    }
}

#[async_trait]
impl PowerLook for Sim {
    async fn status(&self, bmc: &Bmc, _password: &Secret) -> Done<PowerSeen> {
        self.exchange(&bmc.node).await?;
        let on = self.0.truth().nodes.get(&bmc.node).is_some_and(|n| n.on);
        Ok(if on { PowerSeen::On } else { PowerSeen::Off })
    }
}

#[async_trait]
impl PowerAct for Sim {
    async fn on(&self, bmc: &Bmc, _password: &Secret) -> Done<()> {
        self.set_power(&bmc.node, true).await
    }

    async fn off(&self, bmc: &Bmc, _password: &Secret, _how: Stop) -> Done<()> {
        self.set_power(&bmc.node, false).await
    }

    async fn reset(&self, bmc: &Bmc, _password: &Secret) -> Done<()> {
        self.exchange(&bmc.node).await
    }

    async fn set_boot_device(
        &self,
        bmc: &Bmc,
        _password: &Secret,
        _device: BootDevice,
        _persistence: Persistence,
        _firmware: Firmware,
    ) -> Done<()> {
        self.exchange(&bmc.node).await
    }
}

#[async_trait]
impl Agent for Sim {
    async fn prepare(&self, _boot: &Preparation<'_>) -> Done<()> {
        Ok(())
    }

    async fn report(&self, node: &Addr) -> Done<Report> {
        let world = &self.0;
        if world.draw(node, "no_callback", 0) < world.faults.no_callback {
            // For ever: the step's own limit ends it.
            world.sleep(i64::from(u32::MAX)).await;
        }
        let exported = world.truth().nodes.get(node).is_some_and(|n| n.exported);
        if !exported {
            world.sleep(POST_MS).await;
            world
                .truth()
                .nodes
                .entry(node.clone())
                .or_default()
                .exported = true;
        }
        let disks = world
            .truth()
            .nodes
            .get(node)
            .and_then(|n| n.disk.clone())
            .into_iter()
            .collect();
        Ok(Report {
            address: std::net::Ipv4Addr::LOCALHOST,
            memory_mb: 0,
            cpus: 0,
            disks,
        })
    }

    async fn export(&self, _node: &Addr, _disk: &FoundDisk, iqn: &str) -> Done<IscsiTarget> {
        Ok(IscsiTarget {
            portal: std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 3260),
            iqn: iqn.to_owned(),
            initiator_user: String::new(),
            initiator_secret: Secret::default(),
            target_user: String::new(),
            target_secret: Secret::default(),
        })
    }

    async fn settle(&self, _node: &Addr, _disk: &FoundDisk) -> Done<()> {
        Ok(())
    }

    async fn unexport(&self, _node: &Addr) -> Done<()> {
        Ok(())
    }

    async fn erase(&self, node: &Addr, _disk: &FoundDisk, _mode: Erase) -> Done<()> {
        self.0.sleep(1000).await;
        self.0
            .truth()
            .nodes
            .entry(node.clone())
            .or_default()
            .exported = false;
        Ok(())
    }

    async fn reboot(&self, node: &Addr) -> Done<()> {
        self.0
            .truth()
            .nodes
            .entry(node.clone())
            .or_default()
            .exported = false;
        Ok(())
    }

    async fn end(&self, node: &Addr) -> Done<()> {
        self.0
            .truth()
            .nodes
            .entry(node.clone())
            .or_default()
            .exported = false;
        Ok(())
    }
}

#[async_trait]
impl Boot for Sim {
    async fn publish(&self, _entry: &BootEntry) -> Done<()> {
        Ok(())
    }

    async fn withdraw(&self, _target: &BootTarget) -> Done<()> {
        Ok(())
    }
}

#[async_trait]
impl Disk for Sim {
    async fn write(&self, job: &DiskJob<'_>, progress: &Progress<'_>) -> Done<WrittenDisk> {
        let plan = job.plan;
        let total = plan.facts.virtual_size;
        let whole = i64::try_from(total / BYTES_PER_MS).unwrap_or(i64::MAX);
        for tenth in 0..10u64 {
            progress("write", total * tenth / 10, total);
            self.0.sleep(whole / 10).await;
        }
        if self.fails(&plan.node, "write_fail", self.0.faults.write_fail) {
            return Err(DriverError::new(
                Trouble::Failed,
                format!("{}: simulated write error", plan.node),
            ));
        }
        let table = match &plan.layout {
            Layout::Partitions { table, .. } => Some(*table),
            Layout::WholeDisk { .. } => plan.facts.table,
        };
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
        Ok(())
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
        if self.fails(instance, "no_phone", self.0.faults.no_phone) {
            self.0.sleep(i64::from(u32::MAX)).await;
        }
        self.0.sleep(BOOT_MS).await;
        let hostname = self
            .0
            .truth()
            .hostnames
            .get(instance)
            .cloned()
            .unwrap_or_default();
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
