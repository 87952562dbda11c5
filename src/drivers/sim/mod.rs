//! The simulated rack: every driver under a virtual clock and one seed. It is for speed, scale and faults; what decides
//! whether a job works is real.

mod drivers;
mod executor;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use sha2::{Digest, Sha256};

pub use drivers::drivers;
pub use executor::Executor;

use super::FoundDisk;
use crate::ids::{Addr, ParseError};
use crate::plan::Plan;
use crate::plan::step::{DiskTarget, Step};

/// What goes wrong, and how often; each is a probability from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    pub seed: u64,
    /// An exchange with a BMC is lost; it is tried five times.
    pub loss: f64,
    /// A BMC never answers.
    pub bmc_down: f64,
    /// A node's ramdisk never reports.
    pub no_callback: f64,
    /// A write ends in an error.
    pub write_fail: f64,
    /// An instance never phones home.
    pub no_phone: f64,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            seed: 0,
            loss: 0.0,
            bmc_down: 0.0,
            no_callback: 0.0,
            write_fail: 0.0,
            no_phone: 0.0,
        }
    }
}

impl FromStr for Faults {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Faults, ParseError> {
        const FORM: &str = "seed=N and any of loss=, bmc_down=, no_callback=, write_fail=, no_phone= from 0 to 1, joined by commas";
        let bad = || ParseError::new(FORM, s);
        let mut faults = Faults::default();
        for part in s.split(',').filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(bad)?;
            let chance = || {
                value
                    .parse::<f64>()
                    .ok()
                    .filter(|p| (0.0..=1.0).contains(p))
                    .ok_or_else(bad)
            };
            match name {
                "seed" => faults.seed = value.parse().map_err(|_| bad())?,
                "loss" => faults.loss = chance()?,
                "bmc_down" => faults.bmc_down = chance()?,
                "no_callback" => faults.no_callback = chance()?,
                "write_fail" => faults.write_fail = chance()?,
                "no_phone" => faults.no_phone = chance()?,
                _ => return Err(bad()),
            }
        }
        Ok(faults)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults {
            seed,
            loss,
            bmc_down,
            no_callback,
            write_fail,
            no_phone,
        } = self;
        write!(
            f,
            "seed={seed},loss={loss},bmc_down={bmc_down},no_callback={no_callback},write_fail={write_fail},no_phone={no_phone}"
        )
    }
}

/// What is true in the simulation.
#[derive(Debug, Default)]
struct Truth {
    now_ms: i64,
    sleepers: BTreeMap<(i64, u64), Waker>,
    next_sleeper: u64,
    nodes: BTreeMap<Addr, SimNode>,
    hostnames: BTreeMap<Addr, String>,
}

#[derive(Debug, Clone, Default)]
struct SimNode {
    on: bool,
    /// Rises with every draw about this node, so that each draw is its own.
    draws: u64,
    exported: bool,
    disk: Option<FoundDisk>,
}

/// The simulated world; drivers share it.
#[derive(Debug)]
pub struct World {
    faults: Faults,
    truth: Mutex<Truth>,
}

impl World {
    pub fn new(faults: Faults, start_ms: i64) -> Arc<World> {
        let truth = Truth {
            now_ms: start_ms,
            ..Truth::default()
        };
        Arc::new(World {
            faults,
            truth: Mutex::new(truth),
        })
    }

    /// Says which nodes are on before anything happens.
    pub fn set_power(&self, node: &Addr, on: bool) {
        self.truth().nodes.entry(node.clone()).or_default().on = on;
    }

    /// Gives every node the disk that the plan looks for, and every instance its name.
    pub fn learn(&self, plan: &Plan) {
        let mut truth = self.truth();
        for step in &plan.steps {
            match &step.step {
                Step::WriteDisk(write) => {
                    truth.nodes.entry(write.node.clone()).or_default().disk =
                        Some(disk_for(&write.disk));
                }
                Step::EraseDisk { node, disk, .. } => {
                    truth.nodes.entry(node.clone()).or_default().disk = Some(disk_for(disk));
                }
                Step::AwaitPhoneHome {
                    instance, hostname, ..
                } => {
                    truth
                        .hostnames
                        .insert(instance.clone(), hostname.to_string());
                }
                Step::Record { .. }
                | Step::Forget { .. }
                | Step::Move { .. }
                | Step::Claim { .. }
                | Step::CheckImage { .. }
                | Step::BootDeploy { .. }
                | Step::PowerOff { .. }
                | Step::SetBootDevice { .. }
                | Step::PowerOn { .. }
                | Step::AwaitRamdisk { .. }
                | Step::CheckDisk { .. }
                | Step::BootInstance { .. }
                | Step::Reboot { .. }
                | Step::Finish { .. }
                | Step::RemoveBoot { .. }
                | Step::Release { .. } => {}
            }
        }
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        // A panic while it was held is a bug that has been reported already; the data is still whole.
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number from 0 to 1 that depends on the seed, the node, the question and how often it was asked: never on the order in
    /// which nodes are served.
    fn draw(&self, node: &Addr, question: &str, n: u64) -> f64 {
        let mut hash = Sha256::new();
        hash.update(self.faults.seed.to_le_bytes());
        hash.update(node.to_string());
        hash.update(question);
        hash.update(n.to_le_bytes());
        let bytes: [u8; 32] = hash.finalize().into();
        let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        f64::from(number) / f64::from(u32::MAX)
    }

    fn draw_next(&self, node: &Addr, question: &str) -> f64 {
        let n = {
            let mut truth = self.truth();
            let node = truth.nodes.entry(node.clone()).or_default();
            node.draws += 1;
            node.draws
        };
        self.draw(node, question, n)
    }

    fn sleep(self: &Arc<Self>, ms: i64) -> Sleep {
        let until = self.truth().now_ms + ms.max(0);
        Sleep {
            world: self.clone(),
            until,
            key: None,
        }
    }

    /// Lets time pass for futures that are not run by an [`Executor`]. Never ends: race it against what waits.
    pub async fn pass_time(&self) {
        loop {
            tokio::task::yield_now().await;
            self.advance();
        }
    }

    /// Moves time to the next sleeper and wakes everyone whose time has come; false when nobody sleeps.
    fn advance(&self) -> bool {
        let mut due = Vec::new();
        {
            let mut truth = self.truth();
            let Some(((until, _), _)) = truth.sleepers.first_key_value() else {
                return false;
            };
            let until = *until;
            truth.now_ms = truth.now_ms.max(until);
            while let Some(entry) = truth.sleepers.first_entry() {
                if entry.key().0 > until {
                    break;
                }
                due.push(entry.remove());
            }
        }
        for waker in due {
            waker.wake();
        }
        true
    }
}

/// A blank disk that fits every hint.
fn disk_for(target: &DiskTarget) -> FoundDisk {
    let hints = &target.root_device;
    let serial = target.serial.clone().or_else(|| hints.serial.clone());
    FoundDisk {
        name: hints.name.clone().unwrap_or_else(|| "sda".to_owned()),
        serial: serial.unwrap_or_else(|| "SIMULATED".to_owned()),
        wwn: hints.wwn.clone().unwrap_or_default(),
        model: hints.model.clone().unwrap_or_default(),
        size: target.size_min,
        rotational: hints.rotational.unwrap_or(false),
        blank: true,
        head: vec![0; 1024],
    }
}

struct Sleep {
    world: Arc<World>,
    until: i64,
    key: Option<(i64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let world = self.world.clone();
        let mut truth = world.truth();
        if let Some(key) = self.key.take() {
            truth.sleepers.remove(&key);
        }
        if truth.now_ms >= self.until {
            return Poll::Ready(());
        }
        truth.next_sleeper += 1;
        let key = (self.until, truth.next_sleeper);
        truth.sleepers.insert(key, cx.waker().clone());
        drop(truth);
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.world.truth().sleepers.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_written() {
        let faults: Faults = "seed=7,loss=0.05".parse().unwrap();
        assert_eq!((faults.seed, faults.loss), (7, 0.05));
        assert_eq!(faults.to_string().parse::<Faults>().unwrap(), faults);
        for bad in ["seed", "seed=x", "loss=2", "luck=1"] {
            assert!(bad.parse::<Faults>().is_err(), "{bad}");
        }
    }

    #[test]
    fn draws_do_not_depend_on_order() {
        let world = World::new("seed=1".parse().unwrap(), 0);
        let (a, b): (Addr, Addr) = ("node.a".parse().unwrap(), "node.b".parse().unwrap());
        let first = (world.draw(&a, "x", 1), world.draw(&b, "x", 1));
        assert_eq!(first, (world.draw(&a, "x", 1), world.draw(&b, "x", 1)));
        assert_ne!(first.0, first.1);
    }
}
