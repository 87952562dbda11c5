//! Windows: who begins in them, who does not, and what the next apply does.

use std::collections::BTreeSet;

use bmctl::apply::replay;
use bmctl::config::Loaded;
use bmctl::ids::Addr;
use bmctl::model::event::{Event, Outcome};

use super::racks::{fleet, nodes};
use super::rig::{Applied, Rig};

/// Three instances, and a window that opens and closes so many minutes from this moment of the simulated clock.
fn within(rig: &Rig, opens: i64, closes: i64, more: &str) -> Loaded {
    let minute = rig.drivers.clock.now_ms() / 60_000;
    let time = |from_now: i64| {
        let of_day = (minute + from_now).rem_euclid(24 * 60);
        format!("{:02}:{:02}", of_day / 60, of_day % 60)
    };
    fleet(&format!(
        "{}instance \"i\" {{\n  count = 3\n  flavor = flavor.small\n  image = image.disk\n  node = node.n[count.index]\n}}\n\
         window \"nights\" {{\n  from = \"{}\"\n  to = \"{}\"\n}}\n{more}",
        nodes(3),
        time(opens),
        time(closes)
    ))
}

fn outside(applied: &Applied) -> BTreeSet<String> {
    let reasons = applied.events.iter().filter_map(|event| match event {
        Event::StepFinished {
            outcome: Outcome::Outside { why },
            ..
        } => Some(why.clone()),
        _ => None,
    });
    reasons.collect()
}

fn begun(applied: &Applied) -> BTreeSet<Addr> {
    let subjects = applied.events.iter().filter_map(|event| match event {
        Event::StepStarted { subject, title, .. } if title == "claim node" => Some(subject.clone()),
        _ => None,
    });
    subjects.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_begins_outside_and_everybody_does_within() {
    let mut rig = Rig::new("seed=1").await;
    let closed = rig.apply(&within(&rig, 60, 120, "")).await;
    assert_eq!(begun(&closed), BTreeSet::new());
    assert_eq!(closed.summary().outside.len(), 3);
    assert_eq!(closed.summary().failed + closed.summary().blocked, 0);
    assert_eq!(
        outside(&closed),
        BTreeSet::from(["window nights: it is not open".to_owned()])
    );
    // Open, and shorter than a deployment may take.
    let short = rig.apply(&within(&rig, -30, 5, "")).await;
    assert_eq!(begun(&short), BTreeSet::new());
    let told = outside(&short);
    assert!(
        told.iter().all(|why| why.contains("closes before that")) && !told.is_empty(),
        "{told:?}"
    );
    let open = rig.apply(&within(&rig, -30, 600, "")).await;
    assert_eq!(begun(&open).len(), 3);
    assert_eq!(open.summary().not_started, 0);
    assert!(open.summary().outside.is_empty());
    rig.check().await;
}

/// How each step of a run ended, as it was told live and as it is told again.
async fn told_twice(rig: &Rig, applied: &Applied) -> [Vec<(u32, Outcome)>; 2] {
    let runs = rig.store.runs().await.unwrap();
    let row = runs.iter().max_by_key(|r| r.started_ms).unwrap();
    let records = rig.store.records_of_run(&row.id).await.unwrap();
    let again = replay::events(row, Some(&applied.plan), &records);
    [&applied.events, &again].map(|events| {
        let ends = events.iter().filter_map(|event| match event {
            Event::StepFinished { step, outcome, .. } => Some((*step, outcome.clone())),
            _ => None,
        });
        let mut ends: Vec<_> = ends.collect();
        ends.sort_by_key(|(step, _)| *step);
        ends
    })
}

/// A run that is told again says what the window said, and what a rollout that stopped did.
#[tokio::test(flavor = "multi_thread")]
async fn what_kept_an_instance_from_beginning_is_told_again() {
    let rollout = "rollout \"all\" {\n  wave = 1\n  pause = 36000\n}\n";
    for (opens, closes, more, weather) in [
        (60, 120, "", "seed=1"),
        (-30, 5, "", "seed=1"),
        (-30, 120, rollout, "seed=1"),
        (-30, 1200, rollout, "seed=1,write_fail=1"),
    ] {
        let mut rig = Rig::new(weather).await;
        let applied = rig.apply(&within(&rig, opens, closes, more)).await;
        let [live, again] = told_twice(&rig, &applied).await;
        let kept = |o: &Outcome| matches!(o, Outcome::Outside { .. } | Outcome::Blocked { .. });
        assert!(live.iter().any(|(_, o)| kept(o)), "{opens} {closes}");
        assert_eq!(live, again, "{opens} {closes} {more} {weather}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_closes_stops_a_rollout_between_two_waves() {
    let mut rig = Rig::new("seed=1").await;
    let rollout = "rollout \"all\" {\n  wave = 1\n  pause = 36000\n}\n";
    let first = rig.apply(&within(&rig, -30, 120, rollout)).await;
    assert_eq!(begun(&first).len(), 1);
    assert_eq!(first.summary().outside.len(), 2);
    assert_eq!(first.summary().failures, []);
    let rest = rig.apply(&within(&rig, -30, 1200, "")).await;
    assert_eq!(begun(&rest).len(), 2);
    assert_eq!(rest.summary().not_started, 0);
    rig.check().await;
}
