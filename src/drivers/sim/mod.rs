//! The simulated rack: every driver under a virtual clock and one seed. It is for speed, scale and faults; what decides
//! whether a job works is real.
//!
//! What is true of its machines is a fold of the acts that befell them (`metal`), never of what anybody noted: that is what
//! the engine's journal is checked against. With a file behind it (`record`) the truth outlives the process, as metal does.

mod drivers;
mod executor;
mod faults;
pub mod metal;
mod record;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sha2::{Digest, Sha256};

pub use drivers::drivers;
pub use executor::Executor;
pub use faults::{Call, Faults, Mischief, Trick};

use super::{Done, DriverError, FoundDisk, Trouble, choose_disk};
use crate::ids::Addr;
use crate::model::PowerSeen;
use crate::plan::step::{DiskTarget, Step};
use crate::plan::{Bmc, Plan, StepId};
use metal::{Act, Content, MachineId, Metal, SimDisk};
use record::Record;

/// What is true in the simulation.
#[derive(Debug, Default)]
struct Truth {
    faults: Faults,
    now_ms: i64,
    sleepers: BTreeMap<(i64, u64), Waker>,
    next_sleeper: u64,
    metal: Metal,
    record: Option<Record>,
    /// Rises with every draw about a node, so that each draw is its own.
    draws: BTreeMap<Addr, u64>,
    /// What the last plan calls the machines.
    machine_of: BTreeMap<Addr, MachineId>,
    node_of: BTreeMap<Addr, Addr>,
    /// The step whose future is being polled.
    current: Option<StepId>,
    trick: Option<Trick>,
}

/// The simulated world; drivers share it.
#[derive(Debug)]
pub struct World {
    truth: Mutex<Truth>,
}

impl World {
    pub fn new(faults: Faults, start_ms: i64) -> Arc<World> {
        World::of(Truth {
            faults,
            now_ms: start_ms,
            ..Truth::default()
        })
    }

    /// A world that goes on from the file, and writes every act into it before anybody is told of it.
    pub fn open(faults: Faults, file: &Path) -> std::io::Result<Arc<World>> {
        let (record, acts) = Record::open(file)?;
        let mut truth = Truth {
            faults,
            record: Some(record),
            ..Truth::default()
        };
        for (at_ms, act) in acts {
            truth.now_ms = truth.now_ms.max(at_ms);
            truth.metal.fold(&act, at_ms);
        }
        Ok(World::of(truth))
    }

    fn of(truth: Truth) -> Arc<World> {
        Arc::new(World {
            truth: Mutex::new(truth),
        })
    }

    /// Other weather over the same machines.
    pub fn set_faults(&self, faults: Faults) {
        self.truth().faults = faults;
    }

    /// One thing that will go wrong; `false` from [`World::was_played`] means that it met nothing.
    pub fn play(&self, trick: Trick) {
        self.truth().trick = Some(trick);
    }

    pub fn forget_trick(&self) {
        self.truth().trick = None;
    }

    pub fn was_played(&self) -> bool {
        self.truth().trick.is_none()
    }

    /// Everything as it is, once what is due has happened.
    pub fn metal(&self) -> Metal {
        let mut truth = self.truth();
        let now_ms = truth.now_ms;
        let ids: Vec<MachineId> = truth.metal.machines.keys().cloned().collect();
        for id in ids {
            truth.metal.machine(&id, now_ms);
        }
        truth.metal.clone()
    }

    /// Whether a machine is on, as its BMC would say after the time an answer takes.
    pub fn power(&self, bmc: &Bmc) -> PowerSeen {
        let mut truth = self.truth();
        let now_ms = truth.now_ms;
        match truth.metal.machine(&machine_id(bmc), now_ms).is_on {
            true => PowerSeen::On,
            false => PowerSeen::Off,
        }
    }

    /// An act on a machine, by a driver or by somebody in the aisle.
    pub fn befall(&self, act: Act) -> Done<()> {
        let mut truth = self.truth();
        let now_ms = truth.now_ms;
        if let Some(record) = &mut truth.record {
            let written = record.write(now_ms, &act);
            written.map_err(|e| {
                DriverError::new(
                    Trouble::Failed,
                    format!("the file of the simulated rack cannot be written: {e}"),
                )
            })?;
        }
        truth.metal.fold(&act, now_ms);
        Ok(())
    }

    /// Gives every node the disk that the plan looks for, unless it has one that fits, and learns what the plan calls things.
    pub fn learn(&self, plan: &Plan) -> Done<()> {
        let mut wanted: BTreeMap<&Addr, &DiskTarget> = BTreeMap::new();
        {
            let mut truth = self.truth();
            truth.machine_of.clear();
            for step in &plan.steps {
                if let Some(bmc) = step.step.nature().bmc {
                    truth.machine_of.insert(bmc.node.clone(), machine_id(bmc));
                }
                if let Step::AwaitPhoneHome { instance, node, .. } = &step.step {
                    truth.node_of.insert(instance.clone(), node.clone());
                }
                if let Some(pass) = step.step.gate() {
                    let (instance, node) = (pass.instance.clone(), pass.node.clone());
                    truth.node_of.insert(instance, node);
                }
                if let Step::WriteDisk(write) = &step.step {
                    wanted.insert(&write.node, &write.disk);
                }
                if let Step::EraseDisk { node, disk, .. } = &step.step {
                    wanted.insert(node, disk);
                }
            }
        }
        self.recognize(plan);
        for (node, target) in wanted {
            let machine = self.machine_of(node);
            let fits = self
                .report_of(node)
                .is_some_and(|report| choose_disk(&report, target).is_ok());
            if !fits {
                let disk = disk_for(target);
                self.befall(Act::Disk { machine, disk })?;
            }
        }
        Ok(())
    }

    /// A plan that only asks says nothing of BMCs: its machines are told by what runs on them.
    fn recognize(&self, plan: &Plan) {
        let mut truth = self.truth();
        let gates = plan.steps.iter().filter_map(|s| s.step.gate());
        let strange: Vec<_> = gates
            .filter(|pass| !truth.machine_of.contains_key(&pass.node))
            .collect();
        if strange.is_empty() {
            return;
        }
        let machines = truth.metal.machines.iter();
        let named = machines.filter_map(|(id, machine)| Some((machine.says()?.0.to_owned(), id)));
        let by_name: BTreeMap<String, MachineId> = named.map(|(n, id)| (n, id.clone())).collect();
        for pass in strange {
            if let Some(id) = by_name.get(pass.hostname.as_str()) {
                truth.machine_of.insert(pass.node.clone(), id.clone());
            }
        }
    }

    /// A node without a BMC in the plan is called by its own name.
    fn machine_of(&self, node: &Addr) -> MachineId {
        let truth = self.truth();
        let known = truth.machine_of.get(node).cloned();
        known.unwrap_or_else(|| node.to_string())
    }

    fn machine(&self, node: &Addr) -> metal::Machine {
        let id = self.machine_of(node);
        let mut truth = self.truth();
        let now_ms = truth.now_ms;
        truth.metal.machine(&id, now_ms).clone()
    }

    fn report_of(&self, node: &Addr) -> Option<super::Report> {
        let disk = self.machine(node).disk?;
        Some(super::Report {
            address: std::net::Ipv4Addr::LOCALHOST,
            memory_mb: 0,
            cpus: 0,
            disks: vec![found(&disk)],
        })
    }

    /// Takes the trick that is meant for this call, when there is one.
    fn mischief(&self, call: Call) -> Option<Mischief> {
        let mut truth = self.truth();
        let trick = truth.trick.filter(|t| Some(t.step) == truth.current)?;
        trick.mischief.befalls(call).then(|| {
            truth.trick = None;
            trick.mischief
        })
    }

    /// An act, with the mischief that may befall it.
    pub fn troubled(&self, what: &str, call: Call, mut act: impl FnMut() -> Done<()>) -> Done<()> {
        match self.mischief(call) {
            None | Some(Mischief::FailLook | Mischief::LiePower) => act(),
            Some(Mischief::FailAct) => Err(DriverError::new(
                Trouble::Failed,
                format!("{what}: simulated refusal"),
            )),
            Some(Mischief::LoseAnswer) => {
                act()?;
                Err(drivers::silent(what))
            }
            Some(Mischief::Repeat) => {
                act()?;
                act()
            }
            Some(Mischief::LieAct) => Ok(()),
        }
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        // A panic while it was held is a bug that has been reported already; the data is still whole.
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a chance comes true: it depends on the seed, the node, the question and how often it was asked, never on the order
    /// in which nodes are served.
    fn happens(&self, node: &Addr, question: &str, chance: f64) -> bool {
        if chance <= 0.0 {
            return false;
        }
        let (seed, n) = {
            let mut truth = self.truth();
            let draws = truth.draws.entry(node.clone()).or_default();
            *draws += 1;
            (*draws, truth.faults.seed)
        };
        draw(n, node, question, seed) < chance
    }

    /// Whether something is so of a node, for good.
    fn is_so(&self, node: &Addr, question: &str, chance: f64) -> bool {
        chance > 0.0 && draw(self.truth().faults.seed, node, question, 0) < chance
    }

    pub fn faults(&self) -> Faults {
        self.truth().faults.clone()
    }

    /// The real time that a simulated one takes; `None` when it takes none.
    pub fn real_time_of(&self, ms: i64) -> Option<Duration> {
        let pace = self.truth().faults.pace?;
        let ms = f64::from(u32::try_from(ms).unwrap_or(u32::MAX));
        Some(Duration::from_secs_f64(ms / 1000.0 / pace))
    }

    fn sleep(self: &Arc<Self>, ms: i64) -> Sleep {
        let until = self.truth().now_ms.saturating_add(ms.max(0));
        Sleep {
            world: self.clone(),
            until,
            key: None,
        }
    }

    /// A step's future: while it is polled, the world knows for whom it acts.
    pub fn during<T>(
        self: &Arc<Self>,
        step: StepId,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = T> + Send>> {
        let world = self.clone();
        let mut future = Box::pin(future);
        Box::pin(std::future::poll_fn(move |cx| {
            world.truth().current = Some(step);
            let polled = future.as_mut().poll(cx);
            world.truth().current = None;
            polled
        }))
    }

    /// Lets time pass for futures that are not run by an [`Executor`]. Never ends: race it against what waits.
    pub async fn pass_time(&self) {
        loop {
            tokio::task::yield_now().await;
            self.advance();
        }
    }

    /// Lets time pass with nobody waiting for it.
    pub fn wait(&self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let mut truth = self.truth();
        truth.now_ms = truth.now_ms.saturating_add(ms);
    }

    /// Moves time to the next sleeper and wakes everyone whose time has come. Returns the milliseconds that have passed; `None`
    /// when nobody sleeps.
    pub fn advance(&self) -> Option<i64> {
        let mut due = Vec::new();
        let passed = {
            let mut truth = self.truth();
            let ((until, _), _) = truth.sleepers.first_key_value()?;
            let until = *until;
            let before = truth.now_ms;
            truth.now_ms = before.max(until);
            while let Some(entry) = truth.sleepers.first_entry() {
                if entry.key().0 > until {
                    break;
                }
                due.push(entry.remove());
            }
            truth.now_ms - before
        };
        for waker in due {
            waker.wake();
        }
        Some(passed)
    }
}

/// How the world knows a machine: by where its BMC is.
pub fn machine_id(bmc: &Bmc) -> MachineId {
    bmc.endpoint.to_string()
}

/// A number from 0 to 1.
fn draw(seed: u64, node: &Addr, question: &str, n: u64) -> f64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(node.to_string());
    hash.update(question);
    hash.update(n.to_le_bytes());
    let bytes: [u8; 32] = hash.finalize().into();
    let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    f64::from(number) / f64::from(u32::MAX)
}

/// A blank disk that fits every hint.
fn disk_for(target: &DiskTarget) -> SimDisk {
    let hints = &target.root_device;
    let serial = target.serial.clone().or_else(|| hints.serial.clone());
    SimDisk {
        name: hints.name.clone().unwrap_or_else(|| "sda".to_owned()),
        serial: serial.unwrap_or_else(|| "SIMULATED".to_owned()),
        wwn: hints.wwn.clone().unwrap_or_default(),
        model: hints.model.clone().unwrap_or_default(),
        size: target.size_min,
        rotational: hints.rotational.unwrap_or(false),
        content: Content::Blank,
    }
}

fn found(disk: &SimDisk) -> FoundDisk {
    FoundDisk {
        name: disk.name.clone(),
        serial: disk.serial.clone(),
        wwn: disk.wwn.clone(),
        model: disk.model.clone(),
        size: disk.size,
        rotational: disk.rotational,
        blank: disk.is_blank(),
        head: disk.head(),
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
    fn draws_do_not_depend_on_order() {
        let (a, b): (Addr, Addr) = ("node.a".parse().unwrap(), "node.b".parse().unwrap());
        let first = (draw(1, &a, "x", 1), draw(1, &b, "x", 1));
        assert_eq!(first, (draw(1, &a, "x", 1), draw(1, &b, "x", 1)));
        assert_ne!(first.0, first.1);
    }

    #[test]
    fn the_truth_outlives_the_world_and_a_torn_last_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("metal");
        let act = |machine: &str| Act::Switch {
            machine: machine.to_owned(),
            to: metal::Power::On,
        };
        let world = World::open(Faults::default(), &file).unwrap();
        world.befall(act("a")).unwrap();
        world.wait(Duration::from_secs(60));
        world.befall(act("b")).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}{{\"at_ms\":70")).unwrap();
        let again = World::open(Faults::default(), &file).unwrap();
        assert_eq!(again.metal(), world.metal());
        again.befall(act("c")).unwrap();
        let third = World::open(Faults::default(), &file).unwrap();
        assert_eq!(third.metal(), again.metal());
        assert!(third.metal().machines["a"].is_on && !third.metal().machines["c"].is_on);
    }
}
