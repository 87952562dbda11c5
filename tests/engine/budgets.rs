//! What is scarce at a site is queued for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bmctl::apply::schedule::{Action, Schedule};
use bmctl::config::Loaded;
use bmctl::drivers::power::paced::Paced;
use bmctl::drivers::{Clock, Done, PowerAct, PowerLook, Stop};
use bmctl::ids::Addr;
use bmctl::model::event::Event;
use bmctl::model::{BootSeen, Firmware, Observed, PowerSeen};
use bmctl::plan::step::{BootDevice, Persistence};
use bmctl::plan::{Bmc, Intent, Step, StepId};
use bmctl::secret::Secret;
use bmctl::units::BmcEndpoint;

use super::racks::{BASE, fleet, nodes};
use super::rig::{Applied, Rig, count};
use crate::fleet::{facts_of, first_plan, load, plan, without_mistakes};

/// A rack that somebody switched off does not come back all at once: power-ons without boot files queue too.
#[test]
fn power_ons_of_drift_have_a_budget() {
    let wanted = fleet(&format!(
        "{}instance \"i\" {{\n  count = 40\n  flavor = flavor.small\n  image = image.disk\n}}\n",
        nodes(40)
    ));
    let facts = facts_of(&wanted.fleet);
    let (mut memory, first) = first_plan(&wanted.fleet);
    memory.apply(&first, |_| false);
    let mut off = Observed::default();
    for node in wanted.fleet.nodes.keys() {
        off.power.insert(node.clone(), PowerSeen::Off);
    }
    let drift = plan(&wanted.fleet, &memory.recorded, &off, &facts, Intent::Apply).unwrap();
    assert_eq!(count(&drift, |s| matches!(s, Step::PowerOn { .. })), 40);

    let mut schedule = Schedule::new(&drift, &Default::default());
    let mut actions = schedule.begin();
    let (mut running, mut most, mut ended, mut waited) = (Vec::new(), 0, 0, 0);
    while !schedule.is_over() {
        for action in actions {
            match action {
                Action::Start(id) => running.push(id),
                Action::End(id, outcome) => panic!("{id}: {outcome:?}"),
                Action::Wait(_, reason) => {
                    assert_eq!(reason, "a boot place (16 of 16 taken)");
                    waited += 1;
                }
                Action::Wake(pause) => panic!("{pause:?}"),
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
    assert_eq!(waited, 40 - 16, "each that queues is told once");
}

/// So many instances on a site with these limits; four nodes to a rack, and each on one of two power strips.
fn limited(many: usize, limits: &str, more: &str) -> Loaded {
    let base = BASE.replace(
        "site \"lab\" {",
        &format!("site \"lab\" {{\n  limits {{\n{limits}}}"),
    );
    let nodes = nodes(many).replace(
        "  root_device {",
        "  labels = { rack = \"r${floor(count.index / 4)}\", pdu = \"p${count.index % 2}\" }\n  root_device {",
    );
    let instances = format!(
        "instance \"i\" {{\n  count = {many}\n  flavor = flavor.small\n  image = image.disk\n  node = node.n[count.index]\n  erase = \"metadata\"\n}}\n"
    );
    without_mistakes(load(&[
        ("base.hcl", &base),
        ("main.hcl", &format!("{nodes}{instances}{more}")),
    ]))
}

/// The most instances of one group that were at it at once, for each group; `opens` and `closes` say from where to where.
fn most_at_once(
    applied: &Applied,
    group: impl Fn(usize) -> usize,
    opens: &str,
    closes: &str,
) -> BTreeMap<usize, usize> {
    let (mut now, mut most): (BTreeMap<usize, BTreeSet<Addr>>, _) = Default::default();
    for event in &applied.events {
        match event {
            Event::StepStarted { subject, title, .. } if title == opens => {
                let group = group(number(subject));
                let at_it = now.entry(group).or_default();
                at_it.insert(subject.clone());
                let many = at_it.len();
                let before: &mut BTreeMap<usize, usize> = &mut most;
                let entry = before.entry(group).or_default();
                *entry = (*entry).max(many);
            }
            Event::StepFinished { subject, title, .. } if title == closes => {
                let group = group(number(subject));
                now.entry(group).or_default().remove(subject);
            }
            _ => {}
        }
    }
    most
}

fn number(instance: &Addr) -> usize {
    let text = instance.to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

fn waited_for(applied: &Applied) -> BTreeSet<String> {
    let reasons = applied.events.iter().filter_map(|event| match event {
        Event::Waiting { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    reasons.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nodes_share_is_shared_and_told() {
    let limits = "    parallel_boots = 3\n    per_label \"pdu\" {\n      power_ons = 1\n    }\n    per_label \"rack\" {\n      work   = 3\n      writes = 1\n      boots  = 2\n    }\n";
    let mut rig = Rig::new("seed=1").await;
    let applied = rig.apply(&limited(16, limits, "")).await;
    assert_eq!(applied.summary().failures, []);
    let all = |most: BTreeMap<usize, usize>| most.values().copied().collect::<BTreeSet<_>>();
    let (pdu, rack) = (|n: usize| n % 2, |n: usize| n / 4);
    assert_eq!(
        all(most_at_once(&applied, pdu, "power on", "power on")),
        [1].into()
    );
    assert_eq!(
        all(most_at_once(&applied, rack, "write disk", "write disk")),
        [1].into()
    );
    assert_eq!(
        all(most_at_once(&applied, rack, "power on", "wait for ramdisk")),
        [2].into()
    );
    assert_eq!(
        all(most_at_once(&applied, rack, "claim node", "finish")),
        [3].into()
    );
    assert_eq!(
        most_at_once(&applied, |_| 0, "power on", "wait for ramdisk"),
        [(0, 3)].into(),
        "the site's own budget holds beside the others"
    );
    let told = waited_for(&applied);
    for reason in [
        "a power-on place of pdu = p0 (1 of 1 taken)",
        "a work place of rack = r1 (3 of 3 taken)",
        "a boot place at site.lab (3 of 3 taken)",
    ] {
        assert!(told.contains(reason), "{reason} is not among {told:?}");
    }
    // Taking it all down keeps to the same.
    let gone = rig
        .apply_until(&limited(16, limits, ""), Intent::Destroy, |_| {
            super::rig::Then::GoOn
        })
        .await;
    assert_eq!(gone.summary().failures, []);
    assert_eq!(
        all(most_at_once(&gone, rack, "erase disk", "erase disk")),
        [1].into()
    );
    assert_eq!(
        all(most_at_once(&gone, rack, "record", "release node")),
        [3].into()
    );
}

/// Narrow budgets, waves and failures together: everything comes to an end, and nothing waits for what nobody will give back.
#[tokio::test(flavor = "multi_thread")]
async fn narrow_budgets_let_every_run_come_to_its_end() {
    let limits = "    parallel_boots = 1\n    parallel_writes = 1\n    per_label \"pdu\" {\n      power_ons = 1\n      work = 2\n    }\n    per_label \"rack\" {\n      work = 1\n      boots = 1\n    }\n";
    let rollout = "rollout \"all\" {\n  wave = 5\n  failures = 3\n  at_most_down {\n    label = \"rack\"\n    n = 2\n  }\n}\n";
    for (seed, more) in (1..=6).flat_map(|seed| [(seed, ""), (seed, rollout)]) {
        let weather = format!("seed={seed},write_fail=0.2,no_callback=0.1,no_phone=0.1,loss=0.1");
        let mut rig = Rig::new(&weather).await;
        let applied = rig.apply(&limited(12, limits, more)).await;
        let summary = applied.summary();
        let ended = summary.done + summary.already_done + summary.failed + summary.blocked;
        assert_eq!(ended, applied.plan.steps.len(), "seed {seed}");
        assert_eq!(summary.not_started, 0, "seed {seed}");
    }
}

/// When which BMC was spoken to.
#[derive(Default)]
struct Heard(Mutex<BTreeMap<BmcEndpoint, Vec<(i64, i64)>>>);

/// A BMC's ear: notes when each exchange began and ended.
struct Ear {
    inner: Arc<dyn PowerAct>,
    clock: Arc<dyn Clock>,
    heard: Arc<Heard>,
}

impl Ear {
    async fn note<T>(&self, bmc: &Bmc, exchange: impl Future<Output = T>) -> T {
        let begun = self.clock.now_ms();
        let said = exchange.await;
        let mut heard = self.heard.0.lock().unwrap();
        let spoken = heard.entry(bmc.endpoint).or_default();
        spoken.push((begun, self.clock.now_ms()));
        said
    }
}

#[async_trait]
impl PowerLook for Ear {
    async fn status(&self, bmc: &Bmc, password: &Secret) -> Done<PowerSeen> {
        self.note(bmc, self.inner.status(bmc, password)).await
    }

    async fn boot_device(&self, bmc: &Bmc, password: &Secret) -> Done<BootSeen> {
        self.note(bmc, self.inner.boot_device(bmc, password)).await
    }
}

#[async_trait]
impl PowerAct for Ear {
    async fn on(&self, bmc: &Bmc, password: &Secret) -> Done<()> {
        self.note(bmc, self.inner.on(bmc, password)).await
    }

    async fn off(&self, bmc: &Bmc, password: &Secret, how: Stop) -> Done<()> {
        self.note(bmc, self.inner.off(bmc, password, how)).await
    }

    async fn reset(&self, bmc: &Bmc, password: &Secret) -> Done<()> {
        self.note(bmc, self.inner.reset(bmc, password)).await
    }

    async fn set_boot_device(
        &self,
        bmc: &Bmc,
        password: &Secret,
        device: BootDevice,
        persistence: Persistence,
        firmware: Firmware,
    ) -> Done<()> {
        let set = self
            .inner
            .set_boot_device(bmc, password, device, persistence, firmware);
        self.note(bmc, set).await
    }
}

/// Steps, the looks before and after them, and what gives back after a failure: each BMC hears one thing at a time, and is left
/// alone in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_is_left_alone_between_two_exchanges() {
    let heard = Arc::new(Heard::default());
    let mut rig = Rig::new("seed=3,write_fail=0.5,no_callback=0.2,loss=0.2").await;
    let clock = rig.drivers.clock.clone();
    let ear = Ear {
        inner: rig.drivers.power.clone(),
        clock: clock.clone(),
        heard: heard.clone(),
    };
    rig.drivers.power = Arc::new(Paced::over(Arc::new(ear), clock));
    let applied = rig
        .apply(&limited(8, "    bmc_interval_ms = 1500\n", ""))
        .await;
    assert!(applied.summary().failed > 0 && applied.summary().done > 0);
    let heard = heard.0.lock().unwrap();
    assert_eq!(heard.len(), 8);
    for (bmc, spoken) in heard.iter() {
        assert!(spoken.len() > 8, "{bmc}: {spoken:?}");
        for pair in spoken.windows(2) {
            let [(_, ended), (begun, _)] = pair else {
                continue;
            };
            assert!(begun - ended >= 1500, "{bmc}: {pair:?}");
        }
    }
    let told = waited_for(&applied);
    let reason = "its BMC, which is left alone for 1500 ms between two exchanges";
    assert!(told.contains(reason), "{told:?}");
}
