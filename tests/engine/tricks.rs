//! One thing goes wrong at one step: it is refused, repeated, its answer is lost or is a lie. What follows ends where an
//! undisturbed run would have, and nothing that was seen to its end is destroyed again.

use std::collections::{BTreeMap, BTreeSet};

use bmctl::config::Loaded;
use bmctl::drivers::sim::{Mischief, Trick};
use bmctl::ids::Addr;
use bmctl::model::{InstancePhase, Recorded, Resource};
use bmctl::plan::{Intent, StepId};

use super::racks::{after_the_crash, after_the_moves, before_the_crash};
use super::rig::{Applied, Face, Rig, copy_of, face, instances, settled, tally};

/// Where an undisturbed run ends.
struct Goal {
    template: tempfile::TempDir,
    undisturbed: Applied,
    state: BTreeMap<Addr, Resource>,
    metal: BTreeMap<String, Face>,
}

async fn goal(after: &Loaded) -> Goal {
    let mut first = Rig::new("seed=1").await;
    let applied = first.apply(&before_the_crash()).await;
    assert_eq!(applied.summary().failed, 0);
    first.store.close().await;
    let template = first.dir;
    let mut whole = Rig::within(copy_of(template.path()), "seed=1").await;
    whole.runs = 10;
    let undisturbed = whole.apply(after).await;
    assert_eq!(undisturbed.summary().failures, []);
    Goal {
        template,
        undisturbed,
        state: settled(whole.recorded().await),
        metal: face(&whole.world.metal()),
    }
}

/// Applies again until nothing is left to do: a failure must be mended by that alone.
const APPLIES_MAX: usize = 4;

/// Whether the trick met a call at all.
async fn tricked(goal: &Goal, after: &Loaded, trick: Trick) -> bool {
    let at = format!("BMCTL_POINT={}:{:?}", trick.step, trick.mischief);
    let mut rig = Rig::within(copy_of(goal.template.path()), "seed=1").await;
    rig.runs = 10;
    rig.world.play(trick);
    let mut seen: BTreeMap<(Addr, String), usize> = BTreeMap::new();
    let mut attention: BTreeSet<Addr> = BTreeSet::new();
    for round in 0..=APPLIES_MAX {
        assert!(round < APPLIES_MAX, "{at}: it does not come to an end");
        let applied = rig.apply(after).await;
        if round == 0 && !rig.world.was_played() {
            return false;
        }
        for (what, count) in tally(&applied.events) {
            *seen.entry(what).or_default() += count;
        }
        rig.check().await;
        attention.extend(in_attention(&rig.recorded().await));
        let summary = applied.summary();
        if summary.failed + summary.blocked == 0 && rig.plan(after, Intent::Apply).await.is_empty()
        {
            break;
        }
    }
    assert_eq!(settled(rig.recorded().await), goal.state, "{at}");
    assert_eq!(face(&rig.world.metal()), goal.metal, "{at}");
    let expected = tally(&goal.undisturbed.events);
    for (what, count) in seen {
        let once = expected.get(&what).copied().unwrap_or_default();
        let again = usize::from(attention.contains(&what.0));
        assert!(
            count <= once + again,
            "{at}: {what:?} was done {count} times"
        );
    }
    true
}

fn in_attention(recorded: &Recorded) -> Vec<Addr> {
    let needs = instances(recorded)
        .filter(|(_, record)| matches!(record.phase, InstancePhase::NeedsAttention(_)));
    needs.map(|(addr, _)| addr.clone()).collect()
}

/// `BMCTL_POINT` replays one point alone.
fn wanted() -> Option<(u32, String)> {
    let text = std::env::var("BMCTL_POINT").ok()?;
    let (step, mischief) = text.split_once(':').unwrap();
    Some((step.parse().unwrap(), mischief.to_owned()))
}

/// Which steps of a plan are tried.
#[derive(Clone, Copy, PartialEq)]
enum Which {
    /// One of each kind of step and each mischief.
    OneOfEach,
    Every,
}

async fn play_everywhere(after: &Loaded, which: Which) {
    let goal = goal(after).await;
    let mut played: BTreeSet<(String, String)> = BTreeSet::new();
    let mut points = 0;
    for step in &goal.undisturbed.plan.steps {
        for mischief in Mischief::ALL {
            let kind = (step.step.title().to_owned(), format!("{mischief:?}"));
            let skipped = match wanted() {
                Some((at, name)) => StepId(at) != step.id || name != kind.1,
                None => which == Which::OneOfEach && played.contains(&kind),
            };
            let trick = Trick {
                step: step.id,
                mischief,
            };
            if !skipped && tricked(&goal, after, trick).await {
                played.insert(kind);
                points += 1;
            }
        }
    }
    if wanted().is_some() {
        return;
    }
    assert!(points >= 40, "only {points} points were met");
    let titles: BTreeSet<&str> = played.iter().map(|(title, _)| title.as_str()).collect();
    // What only changes state has no call to go wrong; its points are those of the run that dies.
    for step in &goal.undisturbed.plan.steps {
        let title = step.step.title();
        let is_state = ["record", "forget", "move in state", "release node"].contains(&title);
        assert!(
            is_state || titles.contains(title),
            "nothing went wrong at `{title}`"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trick_at_each_kind_of_step() {
    play_everywhere(&after_the_crash(), Which::OneOfEach).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: make crash"]
async fn every_trick_at_every_step() {
    play_everywhere(&after_the_crash(), Which::Every).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: make crash"]
async fn every_trick_at_every_step_while_things_move() {
    play_everywhere(&after_the_moves(), Which::Every).await;
}
