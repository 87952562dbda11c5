//! A run that dies at every point there is: the next one ends where an undisturbed one would have.

use bmctl::config::Loaded;
use bmctl::ids::Addr;
use bmctl::model::Recorded;
use bmctl::model::event::Event;
use bmctl::plan::Intent;

use super::racks::{after_the_crash, after_the_moves, before_the_crash};
use super::rig::{Rig, Then, copy_of, face, instances, settled, tally};

/// Which points a run dies at.
#[derive(Clone, Copy)]
enum Points {
    Every,
    /// The quick tests share them out: whoever dies at the odd ones leaves the even ones to another.
    Odd,
    Even,
}

/// The run dies after each `started` and after each `finished`; then: settle, plan, apply.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_may_die_at_any_point_and_the_next_one_ends_where_it_would_have() {
    dies_at(Points::Odd, Then::Die, &after_the_crash()).await;
}

/// The run dies when the next thing after each of these points is to be noted: what was under way was done, and nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_may_die_between_an_act_and_its_note_and_the_next_one_ends_where_it_would_have() {
    dies_at(Points::Even, Then::NoteNothing, &after_the_crash()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_moves_and_takes_over_may_die_between_an_act_and_its_note() {
    dies_at(Points::Odd, Then::NoteNothing, &after_the_moves()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a minute: make crash"]
async fn every_point_in_every_way() {
    for after in [after_the_crash(), after_the_moves()] {
        for way in [Then::Die, Then::NoteNothing] {
            dies_at(Points::Every, way, &after).await;
        }
    }
}

async fn dies_at(which: Points, way: Then, after: &Loaded) {
    let before = before_the_crash();
    let mut first = Rig::new("seed=1").await;
    assert_eq!(first.apply(&before).await.summary().failed, 0);
    first.store.close().await;
    let template = first.dir;

    let mut whole = Rig::within(copy_of(template.path()), "seed=1").await;
    whole.runs = 10;
    whole.notes_max = 1;
    let undisturbed = whole.apply(after).await;
    assert_eq!(
        undisturbed.summary().failed,
        0,
        "{:?}",
        undisturbed.summary().failures
    );
    let goal = settled(whole.recorded().await);
    let metal = face(&whole.world.metal());
    let points = undisturbed.events.len();
    assert!(points > 60, "{points}");
    let (first, step) = match which {
        Points::Every => (1, 1),
        Points::Odd => (1, 2),
        Points::Even => (2, 2),
    };
    let (mut unknown, mut tried) = (0, 0);
    for point in (first..points).step_by(step) {
        tried += 1;
        let mut rig = Rig::within(copy_of(template.path()), "seed=1").await;
        rig.runs = 10;
        rig.notes_max = 1;
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
        assert_eq!(face(&rig.world.metal()), metal, "point {point}");
        // Destructive once: nothing that was seen to its end is done again.
        let mut destroyed = tally(&died.events);
        for (what, count) in tally(&second.events) {
            *destroyed.entry(what).or_default() += count;
        }
        assert_eq!(destroyed, tally(&undisturbed.events), "point {point}");
    }
    assert!(unknown > tried / 2, "no step was ever left in doubt");
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
