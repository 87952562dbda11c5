//! Random histories under one seed: configurations change, runs fail and die, somebody presses a power button. A small model
//! says after every operation what must be true, whatever has happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bmctl::config::Loaded;
use bmctl::drivers::sim::metal::{Act, Content, Metal, Power, Running};
use bmctl::drivers::sim::{Mischief, Trick};
use bmctl::model::event::{Event, Outcome};
use bmctl::model::{InstancePhase, Observed, PowerSeen};
use bmctl::plan::{Intent, Plan, Step, StepId};

use super::racks::{fleet, nodes};
use super::rig::{Applied, Rig, Then, instances};
use crate::fleet::CANARY;

/// The next number of a seed: splitmix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// What a configuration wants: the model's whole knowledge of it.
#[derive(Clone, Debug, PartialEq)]
struct Wish {
    image: &'static str,
    erase: &'static str,
    power: &'static str,
    has_data: bool,
    waits: bool,
    /// Pinned to this node.
    node: Option<usize>,
}

type Wishes = BTreeMap<String, Wish>;

fn text_of(many: usize, wishes: &Wishes) -> String {
    let mut text = nodes(many);
    for (name, wish) in wishes {
        let data = if wish.has_data {
            format!("  user_data = \"password: {CANARY}\"\n")
        } else {
            String::new()
        };
        let pin = wish
            .node
            .map_or(String::new(), |n| format!("  node = node.n[{n}]\n"));
        text.push_str(&format!(
            "\ninstance \"{name}\" {{\n  flavor = flavor.small\n  image = image.{}\n  erase = \"{}\"\n  power_state = \"{}\"\n  wait_for_phone_home = {}\n{data}{pin}}}\n",
            wish.image, wish.erase, wish.power, wish.waits
        ));
    }
    text
}

fn change(wishes: &mut Wishes, many: usize, chance: &mut Chance) {
    let name = format!("i{}", chance.below(many + 1));
    if wishes.contains_key(&name) && chance.one_in(4) {
        wishes.remove(&name);
        return;
    }
    let pin = chance.one_in(3).then(|| chance.below(many));
    let free_pin = pin.filter(|pin| wishes.values().all(|w| w.node != Some(*pin)));
    let fresh = Wish {
        image: chance.of(&["part", "disk"]),
        erase: chance.of(&["none", "metadata", "zero"]),
        power: chance.of(&["on", "on", "off"]),
        has_data: chance.one_in(2),
        waits: !chance.one_in(4),
        node: free_pin,
    };
    let has_room = wishes.len() < many;
    match wishes.get_mut(&name) {
        None if has_room => {
            wishes.insert(name, fresh);
        }
        None => {}
        Some(wish) => match chance.below(4) {
            0 => wish.power = fresh.power,
            1 => wish.image = fresh.image,
            2 => wish.has_data = fresh.has_data,
            _ => *wish = fresh,
        },
    }
}

/// A deployment, as far as another of the same would be one too many.
#[derive(Clone, Debug, PartialEq)]
struct Deployed {
    machine: String,
    image: &'static str,
    has_data: bool,
}

/// One history: a rack, what is wanted of it, and the dice.
struct History {
    rig: Rig,
    chance: Chance,
    many: usize,
    wishes: Wishes,
    /// What was written and verified, on which machine, and not taken down since: it may not be written again.
    written: BTreeMap<String, Deployed>,
    /// Instances of which a warning or a failure was told.
    excused: BTreeSet<String>,
    refused: usize,
}

/// A history that is replayed is told as it goes.
fn note(text: String) {
    if std::env::var_os("BMCTL_SEED").is_some() {
        eprintln!("{text}");
    }
}

const OPERATIONS: usize = 9;
const ROUNDS_MAX: usize = 6;

impl History {
    async fn new(seed: u64) -> History {
        let mut chance = Chance(seed);
        let many = 2 + chance.below(4);
        History {
            rig: Rig::new(&format!("seed={seed}")).await,
            chance,
            many,
            wishes: Wishes::new(),
            written: BTreeMap::new(),
            excused: BTreeSet::new(),
            refused: 0,
        }
    }

    fn fleet(&self) -> Loaded {
        fleet(&text_of(self.many, &self.wishes))
    }

    /// What a look at every machine would say, some of it not at all.
    fn look(&mut self, blind_one_in: usize) -> Observed {
        let metal = self.rig.world.metal();
        let mut observed = Observed::default();
        for n in 0..self.many {
            let machine = metal.machines.get(&format!("10.98.0.{}:623", n + 1));
            let seen = match machine.is_some_and(|m| m.is_on) {
                _ if blind_one_in > 0 && self.chance.one_in(blind_one_in) => {
                    PowerSeen::Unknown("silent".to_owned())
                }
                true => PowerSeen::On,
                false => PowerSeen::Off,
            };
            observed
                .power
                .insert(format!("node.n[{n}]").parse().unwrap(), seen);
        }
        observed
    }

    fn weather(&mut self) {
        let seed = self.chance.next() % 1_000_000;
        let kinds = ["write_fail", "no_callback", "no_phone", "bmc_down", "loss"];
        let mut text = format!("seed={seed}");
        for kind in kinds {
            if self.chance.one_in(4) {
                text.push_str(&format!(",{kind}=0.{}", 1 + self.chance.below(4)));
            }
        }
        note(text.clone());
        self.rig.weather(&text);
    }

    async fn operate(&mut self) {
        match self.chance.below(10) {
            0 => {
                self.press();
                let time = Duration::from_secs(self.chance.next() % 600);
                self.rig.world.wait(time);
            }
            1 => {
                self.rig.weather("seed=0");
                self.run(Intent::Apply, None).await;
            }
            2 => {
                self.weather();
                self.run(Intent::Destroy, None).await;
            }
            3..=5 => {
                self.mutate();
                self.weather();
                self.run(Intent::Apply, None).await;
            }
            6..=8 => {
                self.mutate();
                let way = self.chance.of(&[Then::Die, Then::NoteNothing]);
                let intent = if self.chance.one_in(6) {
                    Intent::Destroy
                } else {
                    Intent::Apply
                };
                self.run(intent, Some(way)).await;
                self.rig.reopen().await;
                self.rig.settle().await;
            }
            _ => {
                self.mutate();
                self.trick().await;
            }
        }
    }

    fn mutate(&mut self) {
        for _ in 0..1 + self.chance.below(3) {
            change(&mut self.wishes, self.many, &mut self.chance);
        }
        note(format!("want {:?}", self.wishes));
    }

    /// Somebody in the aisle.
    fn press(&mut self) {
        let machine = format!("10.98.0.{}:623", 1 + self.chance.below(self.many));
        let to = self.chance.of(&[Power::On, Power::Off]);
        note(format!("somebody: {machine} {to:?}"));
        self.rig.world.befall(Act::Switch { machine, to }).unwrap();
    }

    async fn trick(&mut self) {
        let trick = Trick {
            step: StepId(u32::try_from(self.chance.below(30)).unwrap()),
            mischief: self.chance.of(&Mischief::ALL),
        };
        note(format!("{trick:?}"));
        self.rig.world.play(trick);
        self.run(Intent::Apply, None).await;
        self.rig.world.forget_trick();
    }

    /// One run, and what must hold after it.
    async fn run(&mut self, intent: Intent, death: Option<Then>) {
        let loaded = self.fleet();
        let observed = self.look(8);
        self.rig.notes_max = self.chance.of(&[1, 3, 1000]);
        self.rig.observed = observed;
        let made = match self.rig.try_plan(&loaded, intent).await {
            Ok(made) => made,
            Err(why) => {
                self.refused += 1;
                self.wish_less(&why);
                return;
            }
        };
        note(format!("{intent:?} {} steps, {death:?}", made.steps.len()));
        let before = self.rig.world.metal();
        let die_at = 1 + self.chance.below(2 * made.steps.len() + 2);
        let press_at = self.chance.below(8 * made.steps.len() + 8);
        let pressed = format!("10.98.0.{}:623", 1 + self.chance.below(self.many));
        let to = self.chance.of(&[Power::On, Power::Off]);
        let world = self.rig.world.clone();
        let mut seen = 0;
        let then = move |_: &Event| {
            seen += 1;
            if seen == press_at {
                let machine = pressed.clone();
                world.befall(Act::Switch { machine, to }).unwrap();
            }
            match death {
                Some(way) if seen == die_at => way,
                Some(_) | None => Then::GoOn,
            }
        };
        let applied = self.rig.carry_out(made, &loaded, intent, then).await;
        if let Some(summary) = &applied.summary {
            note(format!("failed: {:?}", summary.failures));
        }
        self.judge(&before, &applied);
        if death.is_none() {
            self.judge_loans().await;
        }
    }

    /// A run that came to its end has given back what it borrowed, or says that a person has to look. A disk that was written by
    /// a run that died may have its system running: its machine is left alone until the next power-off.
    async fn judge_loans(&self) {
        let recorded = self.rig.recorded().await;
        let excused: BTreeSet<u64> = instances(&recorded)
            .filter(|(_, r)| match r.phase {
                InstancePhase::NeedsAttention(_) => true,
                InstancePhase::Deploying => r.disk.is_some(),
                InstancePhase::Destroying | InstancePhase::Running | InstancePhase::Off => false,
            })
            .map(|(_, r)| node_number(&r.node.to_string()) + 1)
            .collect();
        for (id, machine) in &self.rig.world.metal().machines {
            // A key without a ramdisk opens nothing; it is void when the instance is finished or gone.
            let is_lent = matches!(machine.running, Running::Ramdisk { .. }) || machine.is_exported;
            let is_excused = excused.iter().any(|n| *id == format!("10.98.0.{n}:623"));
            assert!(!is_lent || is_excused, "{id} is lent after the run's end");
        }
    }

    /// What is wanted has no room on the rack: somebody wants less.
    fn wish_less(&mut self, why: &str) {
        note(format!("refused: {why}"));
        if self.wishes.values().any(|w| w.node.is_some()) {
            self.wishes.values_mut().for_each(|w| w.node = None);
            return;
        }
        let first = self.wishes.keys().next().cloned();
        let first = first.unwrap_or_else(|| panic!("nothing is wanted, and refused: {why}"));
        self.wishes.remove(&first);
    }

    /// No disk is written that the plan did not name, and nothing tells a secret.
    fn judge(&mut self, before: &Metal, applied: &Applied) {
        let named = written_by(&applied.plan);
        for (id, after) in &self.rig.world.metal().machines {
            let was = before.machines.get(id);
            let touched = |m: &bmctl::drivers::sim::metal::Machine| (m.writes_begun, m.erased);
            let changed = was.map(touched).unwrap_or_default() != touched(after);
            assert!(
                !changed || named.contains(id),
                "{id} was written to, and the plan does not name it"
            );
        }
        self.judge_writes(applied);
        let told = serde_json::to_string(&applied.events).unwrap();
        assert!(!told.contains(CANARY), "an event tells a secret");
        for event in &applied.events {
            match event {
                Event::Warning {
                    subject: Some(subject),
                    ..
                }
                | Event::StepFinished {
                    subject,
                    outcome: Outcome::Failed { .. },
                    ..
                } => {
                    self.excused.insert(subject.to_string());
                }
                _ => {}
            }
        }
    }

    /// What was written to its end is not written again, unless something else is wanted by then.
    fn judge_writes(&mut self, applied: &Applied) {
        for event in &applied.events {
            let (subject, title, done) = match event {
                Event::StepStarted { subject, title, .. } => (subject, title, false),
                Event::StepFinished {
                    subject,
                    title,
                    outcome: Outcome::Done { .. },
                    ..
                } => (subject, title, true),
                _ => continue,
            };
            let name = subject.name.to_string();
            match title.as_str() {
                // It is taken down, or another deployment has begun: from here on a write is one that was asked for.
                "record" => {
                    self.written.remove(&name);
                }
                "claim node" if done => {
                    let wanted = self.deployed(&name, &applied.plan);
                    if self.written.get(&name) != Some(&wanted) {
                        self.written.remove(&name);
                    }
                }
                "write disk" => {
                    let deployed = self.deployed(&name, &applied.plan);
                    if done {
                        self.written.insert(name, deployed);
                    } else {
                        let before = self.written.get(&name);
                        assert_ne!(before, Some(&deployed), "{name} is written twice");
                        self.written.remove(&name);
                    }
                }
                _ => {}
            }
        }
    }

    fn deployed(&self, name: &str, plan: &Plan) -> Deployed {
        let write = plan.steps.iter().find_map(|step| match &step.step {
            Step::WriteDisk(write) if write.instance.name.as_str() == name => Some(write),
            _ => None,
        });
        let node = node_number(&write.unwrap().node.to_string());
        let wish = &self.wishes[name];
        Deployed {
            machine: format!("10.98.0.{}:623", node + 1),
            image: wish.image,
            has_data: wish.has_data,
        }
    }

    /// What must hold whenever nothing runs.
    async fn check(&self) {
        self.rig.check().await;
        let recorded = self.rig.recorded().await;
        let mut nodes = BTreeSet::new();
        for (addr, record) in instances(&recorded) {
            assert!(
                nodes.insert(record.node.clone()),
                "{} carries two instances",
                record.node
            );
            if let InstancePhase::NeedsAttention(why) = &record.phase {
                assert!(
                    !why.is_empty(),
                    "{addr} needs attention, and nobody says why"
                );
                assert!(
                    self.excused.contains(&addr.to_string()),
                    "{addr} needs attention, and nothing was told"
                );
            }
        }
    }

    /// The weather clears: applied again, everything is as it is wanted, and stays so.
    async fn converge(&mut self) {
        self.rig.weather("seed=0");
        for round in 0..=ROUNDS_MAX {
            assert!(round < ROUNDS_MAX, "it does not converge");
            let loaded = self.fleet();
            self.rig.observed = self.look(0);
            self.rig.notes_max = 1000;
            let made = match self.rig.try_plan(&loaded, Intent::Apply).await {
                Ok(made) => made,
                Err(why) => {
                    self.wish_less(&why);
                    continue;
                }
            };
            if made.is_empty() {
                break;
            }
            let before = self.rig.world.metal();
            let applied = self
                .rig
                .carry_out(made, &loaded, Intent::Apply, |_| Then::GoOn)
                .await;
            note(format!("converging: {:?}", applied.summary().failures));
            self.judge(&before, &applied);
            self.check().await;
        }
        self.compare().await;
    }

    /// State, metal and wishes say the same.
    async fn compare(&self) {
        let recorded = self.rig.recorded().await;
        let metal = self.rig.world.metal();
        let found: BTreeSet<String> = instances(&recorded)
            .map(|(addr, _)| addr.name.to_string())
            .collect();
        assert_eq!(found, self.wishes.keys().cloned().collect());
        for (addr, record) in instances(&recorded) {
            let wish = &self.wishes[addr.name.as_str()];
            let node = usize::try_from(node_number(&record.node.to_string())).unwrap();
            assert!(
                wish.node.is_none_or(|n| n == node),
                "{addr} is on node {node}"
            );
            let machine = &metal.machines[&format!("10.98.0.{}:623", node + 1)];
            let Some(Content::Image(written)) = machine.disk.as_ref().map(|d| &d.content) else {
                panic!("{addr}: its disk holds {:?}", machine.disk);
            };
            assert_eq!(written.hostname, addr.name.to_string());
            assert_eq!(written.image, record.image_facts.sha256, "{addr}");
            assert_eq!(record.image.kind.as_str(), kind_of(wish.image), "{addr}");
            assert_eq!(machine.is_on, wish.power == "on", "{addr}");
            if machine.is_on {
                assert!(
                    matches!(&machine.running, Running::System { hostname, .. } if *hostname == written.hostname),
                    "{addr} runs {:?}",
                    machine.running
                );
            }
        }
        for (id, machine) in &metal.machines {
            assert!(
                !machine.has_key && !machine.is_exported,
                "{id} is still lent"
            );
        }
    }
}

fn kind_of(image: &str) -> &str {
    match image {
        "part" => "partition",
        other => other,
    }
}

fn node_number(node: &str) -> u64 {
    let digits: String = node.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// The machines whose disks a plan names.
fn written_by(plan: &Plan) -> BTreeSet<String> {
    let named = plan.steps.iter().filter_map(|step| match &step.step {
        Step::WriteDisk(write) => Some(&write.node),
        Step::EraseDisk { node, .. } => Some(node),
        _ => None,
    });
    named
        .map(|node| format!("10.98.0.{}:623", node_number(&node.to_string()) + 1))
        .collect()
}

/// The whole of one seed; how many plans it made and how many were refused.
async fn live(seed: u64) -> (usize, usize) {
    let mut history = History::new(seed).await;
    let told = Told(seed);
    for _ in 0..OPERATIONS {
        history.operate().await;
        history.check().await;
    }
    history.converge().await;
    std::mem::forget(told);
    (OPERATIONS, history.refused)
}

/// Names the seed of a history that ends in a panic.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        eprintln!(
            "seed {0} fails: BMCTL_SEED={0} cargo test --test bmctl engine::soak::one_seed -- --ignored --nocapture",
            self.0
        );
    }
}

/// Seeds that have failed once, each with what was mended.
const CASES: &str = include_str!("seeds.txt");

fn cases() -> impl Iterator<Item = u64> {
    let lines = CASES.lines().filter(|l| !l.starts_with('#'));
    lines.filter_map(|l| l.split_whitespace().next()?.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_of_a_fixed_set_of_seeds() {
    let (mut operations, mut refused) = (0, 0);
    for seed in (1..=50).chain(cases()) {
        let (made, no) = live(seed).await;
        operations += made;
        refused += no;
    }
    assert!(
        refused * 4 < operations,
        "{refused} of {operations} plans were refused: the histories say little"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "BMCTL_SEED=n replays a history and tells it"]
async fn one_seed() {
    let seed = std::env::var("BMCTL_SEED").unwrap();
    live(seed.parse().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make soak MINUTES=n"]
async fn new_seeds() {
    let minutes: f64 = std::env::var("MINUTES").map_or(1.0, |m| m.parse().unwrap());
    let begun = Instant::now();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut seed = u64::try_from(now.unwrap().as_millis()).unwrap();
    let mut lived = 0;
    while begun.elapsed().as_secs_f64() < minutes * 60.0 {
        live(seed).await;
        seed += 1;
        lived += 1;
    }
    eprintln!("{lived} histories, no failure");
}
