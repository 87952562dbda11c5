//! Random histories under one seed: configurations change, runs fail and die, somebody presses a power button. A small model
//! says after every operation what must be true, whatever has happened.

mod judge;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bmctl::config::Loaded;
use bmctl::drivers::sim::metal::{Act, Power};
use bmctl::drivers::sim::{Mischief, Trick};
use bmctl::ids::{Addr, Kind};
use bmctl::model::event::Event;
use bmctl::model::{Observed, PowerSeen};
use bmctl::plan::{Action, Intent, StepId};

use self::judge::{Deployed, node_number};
use self::wishes::{Chance, Names, Turns, Wishes, change, text_of};
use super::racks::fleet;
use super::rig::{Rig, Then};

/// One history: a rack, what is wanted of it, and the dice.
struct History {
    rig: Rig,
    chance: Chance,
    many: usize,
    wishes: Wishes,
    /// Dice of their own, so that a seed means the same history with rollouts and without.
    turning: Option<Chance>,
    turns: Option<Turns>,
    /// The same of histories in which things are given other names.
    moving: Option<Chance>,
    names: Names,
    /// What was written and verified, on which machine, and not taken down since: it may not be written again.
    written: BTreeMap<String, Deployed>,
    /// Instances of which a warning or a failure was told.
    excused: BTreeSet<String>,
    refused: usize,
    /// Runs in which somebody had to wait for a wave.
    turned: usize,
    /// Runs that changed names, and runs that left an instance to itself.
    renamed: usize,
    left: usize,
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
    async fn new(seed: Seed) -> History {
        let Seed { number: seed, kind } = seed;
        let mut chance = Chance(seed);
        let many = 2 + chance.below(4);
        History {
            rig: Rig::new(&format!("seed={seed}")).await,
            chance,
            many,
            wishes: Wishes::new(),
            turning: (kind == Story::Turns).then_some(Chance(!seed)),
            turns: None,
            moving: (kind == Story::Moves).then_some(Chance(!seed)),
            names: Names::default(),
            written: BTreeMap::new(),
            excused: BTreeSet::new(),
            refused: 0,
            turned: 0,
            renamed: 0,
            left: 0,
        }
    }

    fn fleet(&self) -> Loaded {
        let turns = self.turns.as_ref();
        fleet(&text_of(self.many, &self.wishes, turns, &self.names))
    }

    /// What a look at every machine would say, some of it not at all.
    async fn look(&mut self, blind_one_in: usize) -> Observed {
        let recorded = self.rig.recorded().await;
        let known: Vec<&Addr> = recorded.resources.keys().collect();
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
            // Machines are asked under the names that state has for them.
            let is_it =
                |a: &&&Addr| a.kind == Kind::Node && node_number(&a.to_string()) == n as u64;
            let node = known.iter().find(is_it).map(|a| (**a).clone());
            let node = node.unwrap_or_else(|| self.names.node(n).parse().unwrap());
            observed.power.insert(node, seen);
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
        if let Some(chance) = &mut self.turning {
            for kind in ["gate_fail", "gate_hang"] {
                if chance.one_in(3) {
                    text.push_str(&format!(",{kind}=0.{}", 1 + chance.below(4)));
                }
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
        let before = self.wishes.clone();
        for _ in 0..1 + self.chance.below(3) {
            change(&mut self.wishes, self.many, &mut self.chance);
        }
        if let Some(chance) = &mut self.moving {
            self.names.change(&before, &self.wishes, chance);
        }
        if let Some(chance) = &mut self.turning {
            self.turns = Turns::any(chance);
        }
        note(format!(
            "want {:?} {:?} {:?}",
            self.wishes, self.turns, self.names
        ));
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
        let observed = self.look(8).await;
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
        let in_waves = made.rollouts.iter().any(|r| r.waves.len() > 1);
        self.turned += usize::from(in_waves);
        let has = |title: &str| made.steps.iter().any(|s| s.step.title() == title);
        self.renamed += usize::from(has("move in state"));
        let left = made.changes.iter().any(|c| c.action == Action::Forget);
        self.left += usize::from(left);
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

    /// What is wanted has no room on the rack: somebody wants less.
    fn wish_less(&mut self, why: &str) {
        note(format!("refused: {why}"));
        assert!(!why.contains("[E0619]"), "no gate can be asked: {why}");
        if why.contains("[E0620]") {
            self.names.leave_nothing();
            return;
        }
        if self.wishes.values().any(|w| w.node.is_some()) {
            self.wishes.values_mut().for_each(|w| w.node = None);
            return;
        }
        let first = self.wishes.keys().next().cloned();
        let first = first.unwrap_or_else(|| panic!("nothing is wanted, and refused: {why}"));
        self.wishes.remove(&first);
    }

    /// The weather clears: applied again, everything is as it is wanted, and stays so.
    async fn converge(&mut self) {
        self.rig.weather("seed=0");
        for round in 0..=ROUNDS_MAX {
            assert!(round < ROUNDS_MAX, "it does not converge");
            let loaded = self.fleet();
            self.rig.observed = self.look(0).await;
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
}

/// Which history: its number, and what else happens in it. Written as `12`, `12-turns` or `12-moves`.
#[derive(Debug, Clone, Copy)]
struct Seed {
    number: u64,
    kind: Story,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    Plain,
    /// Changes go through the rack in turn.
    Turns,
    /// Instances and nodes are given other names, and some instances are left to themselves.
    Moves,
}

impl Story {
    const ALL: [Story; 3] = [Story::Plain, Story::Turns, Story::Moves];

    fn suffix(self) -> &'static str {
        match self {
            Story::Plain => "",
            Story::Turns => "-turns",
            Story::Moves => "-moves",
        }
    }
}

impl std::fmt::Display for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.number, self.kind.suffix())
    }
}

impl std::str::FromStr for Seed {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Seed, Self::Err> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let suffix = &text[digits.len()..];
        let kind = Story::ALL.into_iter().find(|k| k.suffix() == suffix);
        Ok(Seed {
            number: digits.parse()?,
            kind: kind.unwrap_or_else(|| panic!("{suffix}: expected -turns, -moves or nothing")),
        })
    }
}

/// The whole of one seed.
async fn live(seed: Seed) -> History {
    let mut history = History::new(seed).await;
    let told = Told(seed);
    for _ in 0..OPERATIONS {
        history.operate().await;
        history.check().await;
    }
    history.converge().await;
    std::mem::forget(told);
    history
}

/// Names the seed of a history that ends in a panic.
struct Told(Seed);

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

fn cases() -> impl Iterator<Item = Seed> {
    let lines = CASES.lines().filter(|l| !l.starts_with('#'));
    lines.map(|l| l.split_whitespace().next().unwrap().parse().unwrap())
}

fn of(kind: Story) -> impl Fn(u64) -> Seed {
    move |number| Seed { number, kind }
}

/// Runs that went in waves, that changed names, that left an instance to itself.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    turned: usize,
    renamed: usize,
    left: usize,
}

/// A plan that is refused says little: only a few of them are.
async fn live_all(seeds: impl Iterator<Item = Seed>) -> Seen {
    let (mut operations, mut refused, mut seen) = (0, 0, Seen::default());
    for seed in seeds {
        let history = live(seed).await;
        operations += OPERATIONS;
        refused += history.refused;
        seen.turned += history.turned;
        seen.renamed += history.renamed;
        seen.left += history.left;
    }
    assert!(
        refused * 4 < operations,
        "{refused} of {operations} plans were refused: the histories say little"
    );
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_of_a_fixed_set_of_seeds() {
    assert_eq!(
        live_all((1..=25).map(of(Story::Plain))).await,
        Seen::default()
    );
    live_all(cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_in_which_changes_go_in_turn() {
    let seen = live_all((1..=20).map(of(Story::Turns))).await;
    assert!(seen.turned >= 20, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_in_which_names_change() {
    let seen = live_all((1..=20).map(of(Story::Moves))).await;
    assert!(seen.renamed >= 20 && seen.left >= 3, "{seen:?}");
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
    let mut number = u64::try_from(now.unwrap().as_millis()).unwrap();
    let mut lived = 0;
    while begun.elapsed().as_secs_f64() < minutes * 60.0 {
        for kind in Story::ALL {
            live(Seed { number, kind }).await;
            lived += 1;
        }
        number += 1;
    }
    eprintln!("{lived} histories, no failure");
}
