//! The engine on the simulated rack, with a real store: whole fleets, faults, and a run that dies at every point there is.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bmctl::apply::lifecycle::{password_secret, user_data_secret};
use bmctl::apply::schedule::{Action, Schedule};
use bmctl::apply::{self, Run, Summary};
use bmctl::config::Loaded;
use bmctl::drivers::ledger::StoreLedger;
use bmctl::drivers::sim::{self, Executor, Faults, World};
use bmctl::drivers::{Done, Drivers, Ledger};
use bmctl::ids::Addr;
use bmctl::model::event::{Event, Outcome};
use bmctl::model::recorded::Phoned;
use bmctl::model::{Fleet, InstancePhase, Observed, PowerSeen, Recorded, Resource};
use bmctl::plan::{Intent, Plan, Step, StepId};
use bmctl::secret::{Key32, Secret};
use bmctl::store::{Actor, NewRun, Sealer, Store, StoreError};
use tempfile::TempDir;

use crate::fleet::{addr, facts_of, load, plan, rendered, without_mistakes};

/// The simulated ledger, but claims and secrets are the store's: a claim is unique because the database says so, and a secret
/// that was dropped too early is missed.
struct RigLedger {
    simulated: Arc<dyn Ledger>,
    real: StoreLedger,
    cut: Arc<AtomicBool>,
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
fn at_once<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

#[async_trait]
impl Ledger for RigLedger {
    async fn claim(&self, node: &Addr, instance: &Addr) -> Done<()> {
        self.answer(
            self.real.claim(node, instance),
            self.simulated.claim(node, instance),
        )
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

struct Rig {
    dir: TempDir,
    store: Store,
    world: Arc<World>,
    drivers: Drivers,
    cut: Arc<AtomicBool>,
    runs: u32,
}

/// How a run goes on after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    /// The process dies: nothing is done after it.
    Die,
    /// The process dies before it notes anything more; what is under way comes to its end.
    NoteNothing,
}

/// What ends a run that dies.
struct Died;

/// In memory where there is such a place: a test of an engine is no test of a disk.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

async fn open(dir: &Path) -> Store {
    Store::open(dir, Sealer::new(Key32::new([7; 32])))
        .await
        .unwrap()
}

async fn begin(store: &Store, id: &str, plan: &Plan) {
    let run = NewRun {
        id,
        plan,
        at_ms: 0,
        by: Actor::here(),
    };
    store.begin_run(run).await.unwrap();
}

impl Rig {
    async fn new(faults: &str) -> Rig {
        Rig::within(directory(), faults).await
    }

    async fn within(dir: TempDir, faults: &str) -> Rig {
        let store = open(dir.path()).await;
        let cut = Arc::new(AtomicBool::new(false));
        let (world, drivers) = world(faults, &store, &cut);
        Rig {
            cut,
            dir,
            store,
            world,
            drivers,
            runs: 0,
        }
    }

    /// The same state, other weather; every node is as it was left, or as a new world has it: off.
    fn weather(&mut self, faults: &str) {
        (self.world, self.drivers) = world(faults, &self.store, &self.cut);
    }

    async fn recorded(&self) -> Recorded {
        self.store.recorded().await.unwrap()
    }

    async fn plan(&self, fleet: &Loaded, intent: Intent) -> Plan {
        let facts = match intent {
            Intent::Apply => facts_of(&fleet.fleet),
            Intent::Destroy => BTreeMap::new(),
        };
        let recorded = self.recorded().await;
        let made = plan(
            &fleet.fleet,
            &recorded,
            &Observed::default(),
            &facts,
            intent,
        );
        made.unwrap_or_else(|d| panic!("{}", rendered(d.iter(), fleet)))
    }

    async fn seal(&self, fleet: &Fleet) {
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

    fn run<'a>(&'a self, plan: &'a Plan, number: u32) -> Run<'a> {
        Run {
            id: format!("r-{number}"),
            plan,
            store: &self.store,
            drivers: self.drivers.clone(),
        }
    }

    /// Plans and applies. `then` is asked after every event, which is after what it tells of was made durable.
    async fn apply_until(
        &mut self,
        fleet: &Loaded,
        intent: Intent,
        mut then: impl FnMut(&Event) -> Then + Send,
    ) -> Applied {
        let made = self.plan(fleet, intent).await;
        if intent == Intent::Apply {
            self.seal(&fleet.fleet).await;
        }
        self.world.learn(&made);
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

    async fn apply(&mut self, fleet: &Loaded) -> Applied {
        self.apply_until(fleet, Intent::Apply, |_| Then::GoOn).await
    }

    /// Settles what a run that died has left; how many steps there were.
    async fn settle(&self) -> usize {
        let settling = apply::settle(&self.store, &self.drivers);
        let lines = pump(&self.world, &self.drivers, settling).await;
        lines.unwrap().len()
    }

    /// Claims are those of the recorded instances, and every secret that is needed opens.
    async fn check(&self) {
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

fn world(faults: &str, store: &Store, cut: &Arc<AtomicBool>) -> (Arc<World>, Drivers) {
    let world = World::new(faults.parse::<Faults>().unwrap(), 0);
    let mut drivers = sim::drivers(&world);
    drivers.ledger = Arc::new(RigLedger {
        simulated: drivers.ledger.clone(),
        real: StoreLedger {
            store: store.clone(),
            clock: drivers.clock.clone(),
        },
        cut: cut.clone(),
    });
    (world, drivers)
}

/// Drives a future that waits for the database and for simulated time, which goes on by a tick whenever all have had their turn.
async fn pump<T>(world: &Arc<World>, drivers: &Drivers, future: impl Future<Output = T>) -> T {
    const TICK: Duration = Duration::from_millis(100);
    let mut future = std::pin::pin!(future);
    loop {
        tokio::select! {
            biased;
            done = &mut future => return done,
            () = tokio::task::yield_now() => {
                let clock = drivers.clock.clone();
                let mut ticking = Executor::new(world.clone());
                ticking.add(Box::pin(async move { clock.sleep(TICK).await }));
                ticking.run_to_next();
            }
        }
    }
}

struct Applied {
    plan: Plan,
    events: Vec<Event>,
    /// `None` when the run died.
    summary: Option<Summary>,
}

impl Applied {
    fn summary(&self) -> &Summary {
        self.summary.as_ref().unwrap()
    }

    /// The instances whose disk was written to the end.
    fn written(&self) -> Vec<Addr> {
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

fn instances(recorded: &Recorded) -> impl Iterator<Item = (&Addr, &bmctl::model::InstanceRecord)> {
    let all = recorded.resources.iter();
    all.filter_map(|(a, r)| Some((a, r.as_instance()?)))
}

fn count(plan: &Plan, wanted: impl Fn(&Step) -> bool) -> usize {
    plan.steps.iter().filter(|s| wanted(&s.step)).count()
}

fn writes(plan: &Plan) -> usize {
    count(plan, |s| matches!(s, Step::WriteDisk(_)))
}

const BASE: &str = include_str!("plan/base.hcl");

fn fleet(rest: &str) -> Loaded {
    without_mistakes(load(&[("base.hcl", BASE), ("main.hcl", rest)]))
}

fn nodes(many: usize) -> String {
    format!(
        r#"
node "n" {{
  count     = {many}
  site      = site.lab
  arch      = "x86_64"
  cpus      = 2
  memory_mb = 2048
  local_gb  = 20
  root_device {{ serial = "S${{count.index}}" }}
  power "ipmi" {{
    address  = cidrhost("10.98.0.0/24", count.index + 1)
    user     = "admin"
    password = "hunter2"
  }}
}}

nic "n" {{
  count   = {many}
  node    = node.n[count.index]
  network = network.pxe
  mac     = format("52:54:00:00:00:%02x", count.index)
  pxe     = true
}}
"#
    )
}

/// Thirty systems on thirty-two machines.
fn thirty() -> Loaded {
    fleet(&format!(
        r#"{}
instance "web" {{
  count     = 20
  flavor    = flavor.small
  image     = image.part
  user_data = "password: hunter2"
  address {{ network = network.pxe }}
}}

instance "db" {{
  count       = 10
  flavor      = flavor.small
  image       = image.disk
  erase       = "metadata"
  power_state = count.index < 5 ? "on" : "off"
}}
"#,
        nodes(32)
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_deployed_and_nothing_is_left_to_do() {
    let wanted = thirty();
    let mut times = Vec::new();
    for seed in [1, 2, 3] {
        let mut rig = Rig::new(&format!("seed={seed},loss=0.02")).await;
        let first = rig.apply(&wanted).await;
        let summary = first.summary();
        assert_eq!(
            (summary.failed, summary.blocked, summary.not_started),
            (0, 0, 0)
        );
        assert_eq!(summary.done + summary.already_done, first.plan.steps.len());
        assert_eq!(first.written().len(), 30);
        let rest = rig.plan(&wanted, Intent::Apply).await;
        assert!(rest.is_empty(), "{:#?}", rest.changes);
        rig.check().await;
        let recorded = rig.recorded().await;
        let off = instances(&recorded).filter(|(_, r)| r.phase == InstancePhase::Off);
        assert_eq!(off.count(), 5);
        for (_, record) in instances(&recorded) {
            let phoned = record.phoned.as_ref().unwrap();
            assert_eq!(phoned.hostname, record.desired.hostname.as_str());
        }
        times.push(last_elapsed(&first));

        let gone = rig
            .apply_until(&wanted, Intent::Destroy, |_| Then::GoOn)
            .await;
        assert_eq!(gone.summary().failed, 0, "{:?}", gone.summary().failures);
        assert_eq!(rig.recorded().await.resources, BTreeMap::new());
        assert_eq!(rig.store.claims().await.unwrap(), BTreeMap::new());
    }
    // Thirty deployments in parallel: the slowest chain and its queueing, not their sum (over three hours).
    assert!(times.iter().all(|ms| *ms < 30 * 60 * 1000), "{times:?}");
}

fn last_elapsed(applied: &Applied) -> u64 {
    match applied.events.last() {
        Some(Event::RunFinished { elapsed_ms, .. }) => *elapsed_ms,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_seed_is_one_run_event_by_event() {
    let wanted = thirty();
    let mut told = Vec::new();
    for _ in 0..2 {
        let mut rig = Rig::new("seed=5,loss=0.2,write_fail=0.3").await;
        let mut first = rig.apply(&wanted).await;
        // The lineage of a store is random, and plan and partition tables follow it.
        let Event::RunStarted { plan, .. } = &mut first.events[0] else {
            panic!("a run begins with its start");
        };
        plan.clear();
        told.push(first.events);
    }
    assert!(told[0].len() > 500);
    assert_eq!(told[0], told[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_stops_nobody_else_and_what_is_written_is_not_written_again() {
    let wanted = thirty();
    let mut seen = BTreeMap::new();
    for (seed, faults) in [
        (1, "write_fail=0.3"),
        (2, "no_callback=0.3"),
        (3, "no_phone=0.3"),
        (4, "bmc_down=0.2"),
        (
            5,
            "write_fail=0.2,no_callback=0.2,no_phone=0.2,bmc_down=0.1,loss=0.1",
        ),
        (6, "loss=0.45"),
    ] {
        let mut rig = Rig::new(&format!("seed={seed},{faults}")).await;
        let first = rig.apply(&wanted).await;
        let summary = first.summary();
        let total = summary.done
            + summary.already_done
            + summary.failed
            + summary.blocked
            + summary.not_started;
        assert_eq!(total, first.plan.steps.len(), "every step ends once");
        assert!(summary.failed > 0, "{faults} broke nothing");
        for (_, step, _) in &summary.failures {
            *seen.entry(step.clone()).or_insert(0) += 1;
        }
        let failed: std::collections::BTreeSet<&Addr> = summary
            .failures
            .iter()
            .map(|(subject, _, _)| subject)
            .collect();
        let recorded = rig.recorded().await;
        for instance in wanted.fleet.instances.keys() {
            let phase = recorded.resources[instance].as_instance().map(|r| &r.phase);
            let good = matches!(phase, Some(InstancePhase::Running | InstancePhase::Off));
            assert_eq!(
                good,
                !failed.contains(instance),
                "{instance} {phase:?} {faults}"
            );
        }
        rig.check().await;

        rig.weather("seed=0");
        let second = rig.apply(&wanted).await;
        assert_eq!(
            second.summary().failed,
            0,
            "{:?}",
            second.summary().failures
        );
        let attention =
            |r: &bmctl::model::InstanceRecord| matches!(r.phase, InstancePhase::NeedsAttention(_));
        for (instance, record) in instances(&recorded) {
            let again = second.written().contains(instance);
            let needed = record.disk.is_none() || attention(record);
            assert_eq!(again, needed, "{instance} {:?} {faults}", record.phase);
        }
        let rest = rig.plan(&wanted, Intent::Apply).await;
        assert!(rest.is_empty(), "{:#?}", rest.changes);
    }
    for step in [
        "write disk",
        "wait for ramdisk",
        "wait for phone home",
        "power off",
    ] {
        assert!(
            seen.contains_key(step),
            "no fault reached `{step}`: {seen:?}"
        );
    }
}

fn before_the_crash() -> Loaded {
    fleet(&format!(
        r#"{}
instance "written-anew" {{
  flavor    = flavor.small
  image     = image.part
  user_data = "password: hunter2"
  node      = node.n[0]
}}

instance "goes" {{
  flavor = flavor.small
  image  = image.disk
  erase  = "zero"
  node   = node.n[1]
}}

instance "moves" {{
  flavor    = flavor.small
  image     = image.disk
  erase     = "metadata"
  user_data = "password: hunter2"
  node      = node.n[2]
}}

instance "off" {{
  flavor = flavor.small
  image  = image.disk
  node   = node.n[3]
}}
"#,
        nodes(5)
    ))
}

/// Every kind of change at once: written anew, removed, moved onto the removed one's node, switched off, created.
fn after_the_crash() -> Loaded {
    fleet(&format!(
        r#"{}
instance "written-anew" {{
  flavor    = flavor.small
  image     = image.disk
  user_data = "password: hunter2"
  node      = node.n[0]
}}

instance "moves" {{
  flavor    = flavor.small
  image     = image.disk
  erase     = "metadata"
  user_data = "password: hunter2"
  node      = node.n[1]
}}

instance "off" {{
  flavor      = flavor.small
  image       = image.disk
  node        = node.n[3]
  power_state = "off"
}}

instance "new" {{
  flavor = flavor.small
  image  = image.part
  node   = node.n[4]
  address {{ network = network.pxe }}
}}
"#,
        nodes(5)
    ))
}

/// All that changes addresses at once: nodes and instances with keys, the site, an instance left to itself and another that takes
/// over its node; beside them one that is taken down, and one that is created on the node it leaves.
fn after_the_moves() -> Loaded {
    let renamed = nodes(5)
        .replace("node \"n\"", "node \"m\"")
        .replace("node.n[", "node.m[");
    fleet(&format!(
        r#"{renamed}
moved {{
  from = node.n
  to   = node.m
}}

moved {{
  from = instance.moves
  to   = instance.moved["a"]
}}

removed {{
  from = instance.off
  lifecycle {{ destroy = false }}
}}

import {{
  to = instance.adopted
  id = node.m[3]
}}

instance "written-anew" {{
  count     = 1
  hostname  = "written-anew"
  flavor    = flavor.small
  image     = image.part
  user_data = "password: hunter2"
  node      = node.m[0]
}}

instance "new" {{
  flavor = flavor.small
  image  = image.part
  node   = node.m[1]
}}

instance "moved" {{
  for_each  = toset(["a"])
  hostname  = "moves"
  flavor    = flavor.small
  image     = image.disk
  erase     = "metadata"
  user_data = "password: hunter2"
  node      = node.m[4]
}}

instance "adopted" {{
  flavor = flavor.small
  image  = image.disk
}}
"#
    ))
}

/// State without what a repeated deployment may have otherwise: the identity of partition tables.
fn settled(mut recorded: Recorded) -> BTreeMap<Addr, Resource> {
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

/// A state directory, as a process that died leaves it: copied while nobody has it open.
fn copy_of(template: &Path) -> TempDir {
    let dir = directory();
    for entry in std::fs::read_dir(template).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    dir
}

/// The run dies after each `started` and after each `finished`; then: settle, plan, apply.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_may_die_at_any_point_and_the_next_one_ends_where_it_would_have() {
    dies_everywhere(
        Then::Die,
        &after_the_crash(),
        ["moves", "new", "written-anew"],
    )
    .await;
}

/// The run dies when the next thing after each of these points is to be noted: what was under way was done, and nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_may_die_between_an_act_and_its_note_and_the_next_one_ends_where_it_would_have() {
    dies_everywhere(
        Then::NoteNothing,
        &after_the_crash(),
        ["moves", "new", "written-anew"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_moves_and_takes_over_may_die_between_an_act_and_its_note() {
    let written = ["moved[\"a\"]", "new"];
    dies_everywhere(Then::NoteNothing, &after_the_moves(), written).await;
}

async fn dies_everywhere<const N: usize>(way: Then, after: &Loaded, writes: [&str; N]) {
    let before = before_the_crash();
    let mut first = Rig::new("seed=1").await;
    assert_eq!(first.apply(&before).await.summary().failed, 0);
    first.store.close().await;
    let template = first.dir;

    let mut whole = Rig::within(copy_of(template.path()), "seed=1").await;
    whole.runs = 10;
    let undisturbed = whole.apply(after).await;
    assert_eq!(
        undisturbed.summary().failed,
        0,
        "{:?}",
        undisturbed.summary().failures
    );
    let goal = settled(whole.recorded().await);
    let points = undisturbed.events.len();
    assert!(points > 60, "{points}");
    let mut unknown = 0;
    for point in 1..points {
        let mut rig = Rig::within(copy_of(template.path()), "seed=1").await;
        rig.runs = 10;
        let died = rig
            .apply_until(after, Intent::Apply, at_event(point, way))
            .await;
        // The last of all can be noted, or there is nothing to note after it.
        assert!(
            died.summary.is_none() || point + 1 == points,
            "point {point} {way:?}"
        );
        // The process is gone: its connections with it.
        rig.store.close().await;
        let runs = rig.runs;
        let mut rig = Rig::within(rig.dir, "seed=1").await;
        rig.runs = runs;
        unknown += rig.settle().await;
        assert_eq!(
            rig.store.unfinished().await.unwrap(),
            [],
            "point {point} {way:?}"
        );

        let second = rig.apply(after).await;
        let failures = &second.summary().failures;
        assert!(failures.is_empty(), "point {point}: {failures:?}");
        assert_eq!(settled(rig.recorded().await), goal, "point {point}");
        rig.check().await;
        let rest = rig.plan(after, Intent::Apply).await;
        assert!(rest.is_empty(), "point {point}: {:#?}", rest.changes);
        // Destructive once: no write that was seen to its end is done again.
        let mut written = died.written();
        written.extend(second.written());
        written.sort();
        let expected = writes.map(|n| addr(&format!("instance.{n}"))).to_vec();
        assert_eq!(written, expected, "point {point}");
    }
    assert!(unknown > points / 2, "no step was ever left in doubt");
}

fn at_event(point: usize, way: Then) -> impl FnMut(&Event) -> Then + Send {
    let mut left = point;
    move |_| {
        left = left.saturating_sub(1);
        if left == 0 { way } else { Then::GoOn }
    }
}

/// A run dies in the middle of a change that is then taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_may_die_and_the_change_be_taken_back() {
    let (before, after) = (before_the_crash(), after_the_crash());
    let mut first = Rig::new("seed=1").await;
    first.apply(&before).await;
    let goal: Vec<(Addr, Addr)> = places(&first.recorded().await);
    first.store.close().await;
    for point in (1..100).step_by(3) {
        let mut rig = Rig::within(copy_of(first.dir.path()), "seed=1").await;
        rig.runs = 10;
        rig.apply_until(&after, Intent::Apply, at_event(point, Then::NoteNothing))
            .await;
        rig.store.close().await;
        let mut rig = Rig::within(rig.dir, "seed=1").await;
        rig.runs = 20;
        rig.settle().await;
        let back = rig.apply(&before).await;
        let failures = &back.summary().failures;
        assert!(failures.is_empty(), "point {point}: {failures:?}");
        assert_eq!(places(&rig.recorded().await), goal, "point {point}");
        rig.check().await;
        assert!(
            rig.plan(&before, Intent::Apply).await.is_empty(),
            "point {point}"
        );
    }
}

fn places(recorded: &Recorded) -> Vec<(Addr, Addr)> {
    instances(recorded)
        .map(|(a, r)| (a.clone(), r.node.clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_carries_one_instance_and_an_instance_is_on_one_node() {
    let rig = Rig::new("seed=1").await;
    let (n1, n2) = (addr("node.n[1]"), addr("node.n[2]"));
    let (a, b) = (addr("instance.a"), addr("instance.b"));
    rig.store.claim(&n1, &a).await.unwrap();
    rig.store.claim(&n1, &a).await.unwrap();
    match rig.store.claim(&n1, &b).await {
        Err(StoreError::Claimed { node, holder }) => {
            assert_eq!((node, holder), (n1.clone(), a.to_string()));
        }
        other => panic!("{other:?}"),
    }
    assert!(rig.store.claim(&n2, &a).await.is_err());
    assert_eq!(rig.store.claims().await.unwrap(), BTreeMap::from([(n1, a)]));

    // Thirty at once: one has it.
    let mut tasks = Vec::new();
    for n in 0..30 {
        let (store, node) = (rig.store.clone(), n2.clone());
        let instance = addr(&format!("instance.many[{n}]"));
        tasks.push(tokio::spawn(async move {
            store.claim(&node, &instance).await.is_ok()
        }));
    }
    let mut winners = 0;
    for task in tasks {
        winners += usize::from(task.await.unwrap());
    }
    assert_eq!(winners, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_node_stops_a_deployment_before_anything_is_touched() {
    let mut rig = Rig::new("seed=1").await;
    rig.store
        .claim(&addr("node.n[0]"), &addr("instance.other"))
        .await
        .unwrap();
    let one = fleet(&format!(
        "{}instance \"a\" {{\n  flavor = flavor.small\n  image = image.disk\n}}\n",
        nodes(1)
    ));
    let applied = rig.apply(&one).await;
    let summary = applied.summary();
    assert_eq!(summary.failures.len(), 1);
    let (subject, step, why) = &summary.failures[0];
    assert_eq!(
        (subject.to_string().as_str(), step.as_str()),
        ("instance.a", "claim node")
    );
    assert!(why.contains("claimed by instance.other"), "{why}");
    assert!(!applied.events.iter().any(|e| matches!(
        e,
        Event::StepStarted { title, .. } if title == "power off"
    )));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_another_state_or_of_an_older_one_is_refused() {
    let mut rig = Rig::new("seed=1").await;
    let wanted = before_the_crash();
    let old = rig.plan(&wanted, Intent::Apply).await;
    rig.apply(&wanted).await;
    let refused = apply::simulate(&rig.run(&old, 90), &rig.world, &mut |_| {}).await;
    assert!(
        matches!(refused, Err(apply::ApplyError::Stale { .. })),
        "{refused:?}"
    );
    let other = Rig::new("seed=1").await;
    let refused = apply::simulate(&other.run(&old, 91), &other.world, &mut |_| {}).await;
    assert!(
        matches!(refused, Err(apply::ApplyError::OtherState { .. })),
        "{refused:?}"
    );
    let mut forged = old.clone();
    forged
        .steps
        .retain(|s| !matches!(s.step, Step::Claim { .. }));
    let refused = apply::simulate(&other.run(&forged, 92), &other.world, &mut |_| {}).await;
    assert!(
        matches!(refused, Err(apply::ApplyError::Audit(_))),
        "{refused:?}"
    );
    assert_eq!(
        other.store.runs().await.unwrap(),
        [],
        "a refused plan is no run"
    );
}

/// The live engine, with its tasks and channels, under simulated time; and a request to stop in its middle.
#[tokio::test]
async fn the_live_engine_does_the_same_and_stops_when_asked() {
    let wanted = thirty();
    let rig = Rig::new("seed=1").await;
    let made = rig.plan(&wanted, Intent::Apply).await;
    rig.seal(&wanted.fleet).await;
    rig.world.learn(&made);
    let mut live = rig.run(&made, 1);
    live.drivers = sim::drivers(&rig.world);
    let (ask, requests) = tokio::sync::mpsc::channel(1);
    let mut finished = 0;
    let mut report = |event: Event| {
        if matches!(event, Event::StepFinished { .. }) {
            finished += 1;
            if finished == 150 {
                ask.try_send(apply::Request::Stop).unwrap();
            }
        }
    };
    let summary = pump(
        &rig.world,
        &live.drivers,
        live.execute(requests, &mut report),
    )
    .await
    .unwrap();
    assert_eq!(
        (summary.failed, summary.blocked),
        (0, 0),
        "{:?}",
        summary.failures
    );
    assert!(summary.not_started > 0);
    let all = summary.done + summary.already_done + summary.not_started;
    assert_eq!(all, made.steps.len());
    assert_eq!(rig.store.unfinished().await.unwrap(), []);

    let rest = rig.plan(&wanted, Intent::Apply).await;
    assert!(writes(&rest) > 0 && !rest.is_empty());
    rig.world.learn(&rest);
    let mut live = rig.run(&rest, 2);
    live.drivers = sim::drivers(&rig.world);
    let (_ask, requests) = tokio::sync::mpsc::channel(1);
    let summary = pump(
        &rig.world,
        &live.drivers,
        live.execute(requests, &mut |_| {}),
    )
    .await
    .unwrap();
    assert_eq!(
        (summary.failed, summary.not_started),
        (0, 0),
        "{:?}",
        summary.failures
    );
    assert!(rig.plan(&wanted, Intent::Apply).await.is_empty());
}

/// The claim is in the store, its step's end is not: nobody may be left holding the node. A claim that has its record stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_was_never_noted_is_given_back() {
    let wanted = before_the_crash();
    let mut rig = Rig::new("seed=1").await;
    let first = rig.plan(&wanted, Intent::Apply).await;
    let is_claim = |s: &&bmctl::plan::PlannedStep| matches!(s.step, Step::Claim { .. });
    let claim = first.steps.iter().find(is_claim).unwrap();
    begin(&rig.store, "died", &first).await;
    rig.store.started("died", claim, 0).await.unwrap();
    let node = claim.node.as_ref().unwrap();
    rig.store.claim(node, &claim.subject).await.unwrap();
    assert_eq!(rig.settle().await, 1);
    assert_eq!(rig.store.claims().await.unwrap(), BTreeMap::new());

    rig.apply(&wanted).await;
    begin(&rig.store, "died too", &first).await;
    rig.store.started("died too", claim, 0).await.unwrap();
    assert_eq!(rig.settle().await, 1);
    rig.check().await;
}

/// A rack that somebody switched off does not come back all at once: power-ons without boot files queue too.
#[test]
fn power_ons_of_drift_have_a_budget() {
    let wanted = fleet(&format!(
        "{}instance \"i\" {{\n  count = 40\n  flavor = flavor.small\n  image = image.disk\n}}\n",
        nodes(40)
    ));
    let facts = facts_of(&wanted.fleet);
    let mut memory = crate::fleet::Memory::new();
    let seen = Observed::default();
    let first = plan(
        &wanted.fleet,
        &memory.recorded,
        &seen,
        &facts,
        Intent::Apply,
    )
    .unwrap();
    memory.seal(&wanted.fleet);
    memory.apply(&first, |_| false);
    let mut off = Observed::default();
    for node in wanted.fleet.nodes.keys() {
        off.power.insert(node.clone(), PowerSeen::Off);
    }
    let drift = plan(&wanted.fleet, &memory.recorded, &off, &facts, Intent::Apply).unwrap();
    assert_eq!(count(&drift, |s| matches!(s, Step::PowerOn { .. })), 40);

    let mut schedule = Schedule::new(&drift);
    let mut actions = schedule.begin();
    let (mut running, mut most, mut ended) = (Vec::new(), 0, 0);
    while !schedule.is_over() {
        for action in actions {
            match action {
                Action::Start(id) => running.push(id),
                Action::End(id, outcome) => panic!("{id}: {outcome:?}"),
            }
        }
        let is_on = |id: &&StepId| {
            matches!(
                drift.step(**id).map(|s| &s.step),
                Some(Step::PowerOn { .. })
            )
        };
        most = most.max(running.iter().filter(is_on).count());
        // What is no power-on ends first, so that as many of these as may be run at once.
        let at = running.iter().position(|id| !is_on(&id)).unwrap_or(0);
        actions = schedule.finished(running.remove(at), true);
        ended += 1;
    }
    assert_eq!((most, ended), (16, drift.steps.len()));
}
