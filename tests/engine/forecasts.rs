//! What a run is said to take is what it takes: waves, pauses, windows and budgets are in it.

use std::collections::BTreeMap;

use bmctl::apply::forecast::forecast;
use bmctl::config::Loaded;
use bmctl::model::event::Event;
use bmctl::plan::forecast::{Durations, Spread};
use bmctl::plan::{Intent, Plan};

use super::racks::{BASE, fleet, nodes};
use super::rig::{Applied, Rig, Then};
use crate::fleet::{load, without_mistakes};

fn instances(many: usize, more: &str) -> Loaded {
    fleet(&format!(
        "{}instance \"i\" {{\n  count = {many}\n  flavor = flavor.small\n  image = image.disk\n  node = node.n[count.index]\n}}\n{more}",
        nodes(many)
    ))
}

/// Only writes take time: a minute, at worst two.
fn only_writes(plan: &Plan) -> Durations {
    let spread = |p50_ms, p95_ms| Spread {
        p50_ms,
        p95_ms,
        count: 9,
    };
    let titles = plan.steps.iter().map(|s| s.step.title().to_owned());
    let mut known: BTreeMap<String, Spread> = titles.map(|t| (t, spread(0, 0))).collect();
    known.insert("write disk".to_owned(), spread(60_000, 120_000));
    Durations(known)
}

#[tokio::test(flavor = "multi_thread")]
async fn waves_pauses_and_budgets_are_counted() {
    let rig = Rig::new("seed=1").await;
    for (more, minutes) in [
        ("", 1),
        ("rollout \"a\" {\n  wave = 2\n}\n", 2),
        ("rollout \"a\" {\n  wave = 1\n  pause = 120\n}\n", 4 + 3 * 2),
        (
            "rollout \"a\" {\n  canary = 1\n  wave = 3\n  pause = 60\n}\n",
            3,
        ),
    ] {
        let plan = rig.plan(&instances(4, more), Intent::Apply).await;
        let told = forecast(&plan, &only_writes(&plan), 0);
        assert_eq!(told.p50_ms, minutes * 60_000, "{more}");
        assert!(told.outside.is_empty() && told.spans.len() == plan.changes.len());
    }
    let base = BASE.replace(
        "site \"lab\" {",
        "site \"lab\" {\n  limits {\n    per_label \"pdu\" {\n      work = 1\n    }\n  }\n",
    );
    let nodes = nodes(4).replace("  root_device", "  labels = { pdu = \"a\" }\n  root_device");
    let rest = "instance \"i\" {\n  count = 4\n  flavor = flavor.small\n  image = image.disk\n}\n";
    let loaded = load(&[("base.hcl", &base), ("main.hcl", &format!("{nodes}{rest}"))]);
    let plan = rig.plan(&without_mistakes(loaded), Intent::Apply).await;
    let told = forecast(&plan, &only_writes(&plan), 0);
    assert_eq!((told.p50_ms, told.p95_ms), (4 * 60_000, 8 * 60_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_would_not_begin_is_told_and_in_no_time() {
    let rig = Rig::new("seed=1").await;
    let window = "window \"nights\" {\n  from = \"22:00\"\n  to = \"22:03\"\n}\nrollout \"a\" {\n  wave = 1\n}\n";
    let plan = rig.plan(&instances(3, window), Intent::Apply).await;
    let durations = only_writes(&plan);
    let noon = forecast(&plan, &durations, 12 * 3_600_000);
    assert_eq!((noon.p50_ms, noon.outside.len()), (0, 3));
    let left_out = noon.left_out().unwrap();
    assert_eq!(
        left_out,
        "3 would not begin at this moment, instance.i[0] among them: outside of window nights: it is not open"
    );
    // At worst two minutes each: the second has none left that are enough.
    let night = forecast(&plan, &durations, 22 * 3_600_000);
    assert_eq!((night.p50_ms, night.p95_ms), (120_000, 120_000));
    assert_eq!(night.outside.len(), 2);
}

fn took_ms(applied: &Applied) -> u64 {
    match applied.events.last() {
        Some(Event::RunFinished { elapsed_ms, .. }) => *elapsed_ms,
        other => panic!("{other:?}"),
    }
}

/// A rack whose steps always take the same: the end is told to the second.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_when_it_was_said_to() {
    let rollout = "rollout \"a\" {\n  canary = 1\n  wave = 2\n  pause = 300\n  gate \"command\" {\n    command = [\"true\"]\n  }\n}\n";
    let mut rig = Rig::new("seed=1").await;
    // The first run of its kind measures.
    let first = rig.apply(&instances(1, rollout)).await;
    assert_eq!(first.summary().failures, []);
    let mut measured: BTreeMap<String, Spread> = BTreeMap::new();
    for event in &first.events {
        if let Event::StepFinished {
            title, elapsed_ms, ..
        } = event
        {
            let (p50_ms, p95_ms) = (*elapsed_ms, *elapsed_ms);
            let entry = measured.entry(title.clone()).or_insert(Spread {
                p50_ms,
                p95_ms,
                count: 1,
            });
            // What takes longer once is a machine that was off already the other time.
            entry.p50_ms = entry.p50_ms.max(p50_ms);
        }
    }
    let wanted = instances(6, rollout);
    let plan = rig.plan(&wanted, Intent::Apply).await;
    let said = forecast(&plan, &Durations(measured), rig.drivers.clock.now_ms());
    let applied = rig
        .carry_out(plan, &wanted, Intent::Apply, |_| Then::GoOn)
        .await;
    assert_eq!(applied.summary().failures, []);
    assert!(said.outside.is_empty());
    let (said, took) = (said.p50_ms, took_ms(&applied));
    assert!(took > 3 * 300_000, "{took}");
    assert!(
        said.abs_diff(took) <= took / 100,
        "said {said}, took {took}"
    );
}
