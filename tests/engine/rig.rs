//! A real store, a simulated rack that outlives a process, and a run that can be made to die.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use bmctl::apply::lifecycle::{password_secret, user_data_secret};
use bmctl::apply::machine::BATCH_NOTES_MAX;
use bmctl::apply::{self, Run, Summary};
use bmctl::config::Loaded;
use bmctl::drivers::ledger::StoreLedger;
use bmctl::drivers::sim::metal::{Content, Metal, Running};
use bmctl::drivers::sim::{self, Call, Faults, World};
use bmctl::drivers::{Done, Drivers, Ledger};
use bmctl::ids::Addr;
use bmctl::model::event::{Event, Outcome};
use bmctl::model::recorded::Phoned;
use bmctl::model::{Fleet, Observed, Recorded, Resource};
use bmctl::plan::{Intent, Plan, Step};
use bmctl::secret::{Key32, Secret};
use bmctl::store::{Sealer, Store};
use tempfile::TempDir;

use crate::fleet::{facts_of, plan, rendered};

/// The simulated ledger, but claims and secrets are the store's: a claim is unique because the database says so, and a secret
/// that was dropped too early is missed.
struct RigLedger {
    simulated: Arc<dyn Ledger>,
    real: StoreLedger,
    cut: Arc<AtomicBool>,
    world: Arc<World>,
}

impl RigLedger {
    /// The store's answer; the simulated one after it was cut off, so that acts go on when nothing can be noted any more.
    fn answer<T>(
        &self,
        real: impl Future<Output = Done<T>>,
        cut: impl Future<Output = Done<T>>,
    ) -> Done<T> {
        if self.cut.load(Ordering::Relaxed) {
            at_once(cut)
        } else {
            at_once(real)
        }
    }
}

/// The simulated executor polls without a runtime behind it, so what waits for the database waits here.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

#[async_trait]
impl Ledger for RigLedger {
    async fn claim(&self, node: &Addr, instance: &Addr) -> Done<()> {
        self.world.troubled("claim", Call::Act, || {
            self.answer(
                self.real.claim(node, instance),
                self.simulated.claim(node, instance),
            )
        })
    }

    async fn bmc_password(&self, node: &Addr) -> Done<Secret> {
        self.answer(
            self.real.bmc_password(node),
            self.simulated.bmc_password(node),
        )
    }

    async fn user_data(&self, instance: &Addr) -> Done<Option<Secret>> {
        self.answer(
            self.real.user_data(instance),
            self.simulated.user_data(instance),
        )
    }

    async fn phone_token(&self, instance: &Addr, lifetime_s: u32) -> Done<Secret> {
        self.simulated.phone_token(instance, lifetime_s).await
    }

    async fn phoned(&self, instance: &Addr) -> Done<Phoned> {
        self.simulated.phoned(instance).await
    }
}

pub struct Rig {
    pub dir: TempDir,
    pub store: Store,
    pub world: Arc<World>,
    pub drivers: Drivers,
    pub cut: Arc<AtomicBool>,
    pub runs: u32,
    pub notes_max: usize,
    /// What the next plan is told of the machines.
    pub observed: Observed,
}

/// How a run goes on after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    GoOn,
    /// The process dies: nothing is done after it.
    Die,
    /// The process dies before it notes anything more; what is under way comes to its end.
    NoteNothing,
}

/// What ends a run that dies.
pub struct Died;

/// In memory where there is such a place: a test of an engine is no test of a disk.
pub fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

pub async fn open(dir: &Path) -> Store {
    Store::open(dir, Sealer::new(Key32::new([7; 32])))
        .await
        .unwrap()
}

impl Rig {
    pub async fn new(faults: &str) -> Rig {
        Rig::within(directory(), faults).await
    }

    pub async fn within(dir: TempDir, faults: &str) -> Rig {
        let store = open(dir.path()).await;
        let cut = Arc::new(AtomicBool::new(false));
        let (world, drivers) = world(faults, dir.path(), &store, &cut);
        Rig {
            cut,
            dir,
            store,
            world,
            drivers,
            runs: 0,
            notes_max: BATCH_NOTES_MAX,
            observed: Observed::default(),
        }
    }

    /// The process is gone, its connections with it; another one opens what it has left.
    pub async fn reopen(&mut self) {
        self.store.close().await;
        self.store = open(self.dir.path()).await;
        self.cut = Arc::new(AtomicBool::new(false));
        let faults = self.world.faults().to_string();
        (self.world, self.drivers) = world(&faults, self.dir.path(), &self.store, &self.cut);
    }

    /// Other weather over the same machines.
    pub fn weather(&mut self, faults: &str) {
        self.world.set_faults(faults.parse().unwrap());
    }

    pub async fn recorded(&self) -> Recorded {
        self.store.recorded().await.unwrap()
    }

    pub async fn plan(&self, fleet: &Loaded, intent: Intent) -> Plan {
        let made = self.try_plan(fleet, intent).await;
        made.unwrap_or_else(|why| panic!("{why}"))
    }

    /// A plan from what is recorded and what was observed, or why there is none.
    pub async fn try_plan(&self, fleet: &Loaded, intent: Intent) -> Result<Plan, String> {
        let facts = match intent {
            Intent::Apply => facts_of(&fleet.fleet),
            Intent::Destroy | Intent::Refresh => BTreeMap::new(),
        };
        let recorded = self.recorded().await;
        let made = plan(&fleet.fleet, &recorded, &self.observed, &facts, intent);
        made.map_err(|d| rendered(d.iter(), fleet))
    }

    pub async fn seal(&self, fleet: &Fleet) {
        let mut secrets: Vec<(String, Secret)> = Vec::new();
        for (node, is) in &fleet.nodes {
            secrets.push((password_secret(node), is.power.password().text.clone()));
        }
        for (instance, is) in &fleet.instances {
            let data = is.user_data.iter().map(|d| d.text.clone());
            secrets.extend(data.map(|d| (user_data_secret(instance), d)));
        }
        self.store.put_secrets(&secrets).await.unwrap();
    }

    pub fn run<'a>(&'a self, plan: &'a Plan, number: u32) -> Run<'a> {
        Run {
            id: format!("r-{number}"),
            plan,
            store: &self.store,
            drivers: self.drivers.clone(),
            notes_max: self.notes_max,
        }
    }

    /// Plans and applies. `then` is asked after every event, which is after what it tells of was made durable.
    pub async fn apply_until(
        &mut self,
        fleet: &Loaded,
        intent: Intent,
        then: impl FnMut(&Event) -> Then + Send,
    ) -> Applied {
        let made = self.plan(fleet, intent).await;
        self.carry_out(made, fleet, intent, then).await
    }

    pub async fn carry_out(
        &mut self,
        made: Plan,
        fleet: &Loaded,
        intent: Intent,
        mut then: impl FnMut(&Event) -> Then + Send,
    ) -> Applied {
        if intent == Intent::Apply {
            self.seal(&fleet.fleet).await;
        }
        self.world.learn(&made).unwrap();
        self.runs += 1;
        let mut events = Vec::new();
        let mut report = |event: Event| {
            let next = then(&event);
            events.push(event);
            match next {
                Then::GoOn => {}
                Then::Die => std::panic::resume_unwind(Box::new(Died)),
                Then::NoteNothing => {
                    self.cut.store(true, Ordering::Relaxed);
                    at_once(self.store.close());
                }
            }
        };
        let run = self.run(&made, self.runs);
        let mut running = Box::pin(apply::simulate(&run, &self.world, &mut report));
        let summary = std::future::poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)));
            match polled {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(Ok(summary))) => Poll::Ready(Some(summary)),
                Ok(Poll::Ready(Err(error))) => {
                    assert!(self.cut.load(Ordering::Relaxed), "{error}");
                    Poll::Ready(None)
                }
                Err(panic) if panic.is::<Died>() => Poll::Ready(None),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
        .await;
        drop(running);
        Applied {
            plan: made,
            events,
            summary,
        }
    }

    pub async fn apply(&mut self, fleet: &Loaded) -> Applied {
        self.apply_until(fleet, Intent::Apply, |_| Then::GoOn).await
    }

    /// Settles what a run that died has left; how many steps there were.
    pub async fn settle(&self) -> usize {
        let settling = apply::settle(&self.store, &self.drivers);
        let lines = pump(&self.world, settling).await;
        lines.unwrap().len()
    }

    /// Claims are those of the recorded instances, and every secret that is needed opens.
    pub async fn check(&self) {
        let recorded = self.recorded().await;
        let expected: BTreeMap<Addr, Addr> = instances(&recorded)
            .map(|(a, r)| (r.node.clone(), a.clone()))
            .collect();
        assert_eq!(self.store.claims().await.unwrap(), expected);
        for node in expected.keys() {
            self.store.secret(&password_secret(node)).await.unwrap();
        }
    }
}

/// The machines stand in a file beside the state: they are what they are, whichever process looks.
fn world(faults: &str, dir: &Path, store: &Store, cut: &Arc<AtomicBool>) -> (Arc<World>, Drivers) {
    let faults = faults.parse::<Faults>().unwrap();
    let world = World::open(faults, &dir.join("metal")).unwrap();
    let mut drivers = sim::drivers(&world);
    drivers.ledger = Arc::new(RigLedger {
        simulated: drivers.ledger.clone(),
        real: StoreLedger {
            store: store.clone(),
            clock: drivers.clock.clone(),
        },
        cut: cut.clone(),
        world: world.clone(),
    });
    (world, drivers)
}

/// Drives a future that waits for the database and for simulated time, which goes on whenever all have had their turn.
pub async fn pump<T>(world: &Arc<World>, future: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        done = future => done,
        () = world.pass_time() => unreachable!("time never ends"),
    }
}

pub struct Applied {
    pub plan: Plan,
    pub events: Vec<Event>,
    /// `None` when the run died.
    pub summary: Option<Summary>,
}

impl Applied {
    pub fn summary(&self) -> &Summary {
        self.summary.as_ref().unwrap()
    }

    /// The instances whose disk was written to the end.
    pub fn written(&self) -> Vec<Addr> {
        let written = |event: &Event| match event {
            Event::StepFinished {
                subject,
                title,
                outcome: Outcome::Done { .. },
                ..
            } if title == "write disk" => Some(subject.clone()),
            _ => None,
        };
        self.events.iter().filter_map(written).collect()
    }
}

pub fn instances(
    recorded: &Recorded,
) -> impl Iterator<Item = (&Addr, &bmctl::model::InstanceRecord)> {
    let all = recorded.resources.iter();
    all.filter_map(|(a, r)| Some((a, r.as_instance()?)))
}

pub fn count(plan: &Plan, wanted: impl Fn(&Step) -> bool) -> usize {
    plan.steps.iter().filter(|s| wanted(&s.step)).count()
}

pub fn writes(plan: &Plan) -> usize {
    count(plan, |s| matches!(s, Step::WriteDisk(_)))
}

/// A state directory, as a process that died leaves it: copied while nobody has it open.
pub fn copy_of(template: &Path) -> TempDir {
    let dir = directory();
    for entry in std::fs::read_dir(template).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    dir
}

/// State without what a repeated deployment may have otherwise: the identity of partition tables.
pub fn settled(mut recorded: Recorded) -> BTreeMap<Addr, Resource> {
    for resource in recorded.resources.values_mut() {
        if let Resource::Instance(record) = resource {
            record.traces = Default::default();
            if let Some(disk) = &mut record.disk {
                disk.table = None;
            }
        }
    }
    recorded.resources
}

/// What of a machine a person would call the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    pub is_on: bool,
    /// Host name and image on its disk, or what else is there.
    pub disk: String,
    pub runs: String,
    pub is_lent: bool,
    pub boots: Vec<String>,
}

/// The metal without its times.
pub fn face(metal: &Metal) -> BTreeMap<String, Face> {
    let faces = metal.machines.iter().map(|(id, machine)| {
        let disk = machine.disk.as_ref().map(|disk| match &disk.content {
            Content::Image(written) => format!("{} {}", written.hostname, written.image.short()),
            other => format!("{other:?}"),
        });
        let runs = match &machine.running {
            Running::Nothing => "nothing".to_owned(),
            Running::Ramdisk { .. } => "ramdisk".to_owned(),
            Running::System { hostname, .. } => hostname.clone(),
            Running::Stuck => "stuck".to_owned(),
        };
        let entries = machine.macs.iter().filter_map(|mac| metal.boot.get(mac));
        let face = Face {
            is_on: machine.is_on,
            disk: disk.unwrap_or_default(),
            runs,
            is_lent: machine.is_exported || machine.has_key,
            boots: entries.map(|entry| format!("{entry:?}")).collect(),
        };
        (id.clone(), face)
    });
    faces.collect()
}

/// What was destroyed, and how often: writes and erasures that were seen to their end.
pub fn tally(events: &[Event]) -> BTreeMap<(Addr, String), usize> {
    let mut out = BTreeMap::new();
    for event in events {
        if let Event::StepFinished {
            subject,
            title,
            outcome: Outcome::Done { .. },
            ..
        } = event
            && ["write disk", "erase disk"].contains(&title.as_str())
        {
            *out.entry((subject.clone(), title.clone())).or_default() += 1;
        }
    }
    out
}
