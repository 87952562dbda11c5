//! A run that dies at every point there is: the next one ends where an undisturbed one would have.

use bmctl::config::Loaded;
use bmctl::drivers::sim::metal::Running;
use bmctl::drivers::sim::{Mischief, Trick};
use bmctl::ids::Addr;
use bmctl::model::event::Event;
use bmctl::model::{InstancePhase, InstanceRecord, Recorded};
use bmctl::plan::Intent;

use super::racks::{after_the_crash, after_the_moves, before_the_crash, fleet, nodes};
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

/// A run dies with a machine in the ramdisk; by the next one instance and node have other names, and its first power-off fails. It
/// knows the loan for its own: the machine is switched off, or the instance needs attention.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_borrowed_under_another_name_is_given_back() {
    let named = |node: &str, instance: &str, moved: &str| {
        let rack = nodes(1).replace("node \"n\"", &format!("node \"{node}\""));
        let text = format!(
            "{rack}{moved}instance \"{instance}\" {{\n  hostname = \"a\"\n  flavor = flavor.small\n  image = image.disk\n}}\n"
        );
        fleet(&text.replace("node.n[", &format!("node.{node}[")))
    };
    let moved = |from: &str, to: &str| format!("moved {{\n  from = {from}\n  to = {to}\n}}\n");
    let (of_node, of_instance) = (moved("node.n", "node.m"), moved("instance.a", "instance.b"));
    let both = format!("{of_node}{of_instance}");
    for after in [
        named("n", "a", ""),
        named("m", "a", &of_node),
        named("n", "b", &of_instance),
        named("m", "b", &both),
    ] {
        let mut rig = Rig::new("seed=1").await;
        let write = |event: &Event| matches!(event, Event::StepStarted { title, .. } if title == "write disk");
        let then = |event: &Event| if write(event) { Then::Die } else { Then::GoOn };
        rig.apply_until(&named("n", "a", ""), Intent::Apply, then)
            .await;
        rig.reopen().await;
        rig.settle().await;
        let lent = |rig: &Rig| {
            let metal = rig.world.metal();
            let mut machines = metal.machines.values();
            machines.any(|m| matches!(m.running, Running::Ramdisk { .. }))
        };
        rig.world.wait(std::time::Duration::from_secs(300));
        assert!(lent(&rig));
        let made = rig.plan(&after, Intent::Apply).await;
        let is_off = |s: &&bmctl::plan::PlannedStep| s.step.title() == "power off";
        let step = made.steps.iter().find(is_off).unwrap().id;
        rig.world.play(Trick {
            step,
            mischief: Mischief::FailAct,
        });
        let applied = rig.apply(&after).await;
        assert_eq!(applied.summary().failed, 1, "{:?}", applied.summary());
        let recorded = rig.recorded().await;
        let needs = |r: &InstanceRecord| matches!(r.phase, InstancePhase::NeedsAttention(_));
        let names: Vec<&Addr> = after.fleet.instances.keys().collect();
        let is_told = instances(&recorded).all(|(_, r)| needs(r));
        assert!(!lent(&rig) || is_told, "{names:?} is left in its ramdisk");
        rig.world.forget_trick();
        assert_eq!(rig.apply(&after).await.summary().failed, 0);
        assert!(rig.plan(&after, Intent::Apply).await.is_empty());
    }
}

fn places(recorded: &Recorded) -> Vec<(Addr, Addr)> {
    instances(recorded)
        .map(|(a, r)| (a.clone(), r.node.clone()))
        .collect()
}
