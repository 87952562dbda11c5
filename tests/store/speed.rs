//! What trust costs: reading a large state with every checksum, finding open steps behind a long journal, appending to it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bmctl::apply::lifecycle;
use bmctl::store::{Batch, Note};

use super::{Place, begin, plan_of, run};

/// Steps of a run, and batches of a run that goes on and on.
const RESOURCES: usize = 30_000;
const BATCHES: u64 = 5000;
const STEPS_A_BATCH: usize = 100;

fn measured<T>(what: &str, limit: Duration, begun: Instant, value: T) -> T {
    let took = begun.elapsed();
    eprintln!("{what}: {took:?}");
    assert!(took < limit, "{what} took {took:?}");
    value
}

/// Bounds are those of an optimized build.
async fn a_large_state_is_quick(place: Place) {
    let store = place.open().await;
    let plan = plan_of(&store, RESOURCES).await;
    let begun = Instant::now();
    begin(&store, "r-1", &plan).await;
    measured(
        "begin a run of 30,000 steps",
        Duration::from_secs(3),
        begun,
        (),
    );
    let begun = Instant::now();
    let mut number = 0;
    for steps in plan.steps.chunks(STEPS_A_BATCH) {
        number += 1;
        let batch = Batch {
            number,
            notes: steps
                .iter()
                .map(|step| Note::Started { step, at_ms: 1 })
                .collect(),
            changes: steps
                .iter()
                .flat_map(|s| lifecycle::effects(&s.step, None, &BTreeMap::new()))
                .collect(),
        };
        store.append("r-1", &batch).await.unwrap();
    }
    measured(
        "record 30,000 resources",
        Duration::from_secs(20),
        begun,
        (),
    );
    let begun = Instant::now();
    let recorded = store.recorded().await.unwrap();
    measured(
        "read 30,000 resources, verified",
        Duration::from_secs(1),
        begun,
        (),
    );
    assert_eq!(recorded.resources.len(), RESOURCES);
    let finished = |n: usize| {
        let step = &plan.steps[n];
        Note::Finished {
            step,
            outcome: "{\"outcome\":\"done\",\"detail\":\"recorded\"}".to_owned(),
            at_ms: 2,
        }
    };
    let begun = Instant::now();
    let mut half = begun;
    for n in 0..BATCHES {
        if n == BATCHES / 2 {
            half = Instant::now();
        }
        number += 1;
        let batch = Batch {
            number,
            // At first all but the last hundred end, then the same ones again and again.
            notes: (0..2 * STEPS_A_BATCH)
                .map(|k| finished((n as usize * 2 * STEPS_A_BATCH + k) % (RESOURCES - 100)))
                .collect(),
            changes: Vec::new(),
        };
        store.append("r-1", &batch).await.unwrap();
    }
    let (first, second) = (half - begun, half.elapsed());
    eprintln!("a million records: first half {first:?}, second half {second:?}");
    assert!(second < first * 2, "the cost of a record grows");
    let begun = Instant::now();
    let open = store.unfinished().await.unwrap();
    eprintln!(
        "{} open steps behind a million records: {:?}",
        open.len(),
        begun.elapsed()
    );
    let begun = Instant::now();
    let verified = store.verify().await.unwrap();
    eprintln!("verify {verified:?}: {:?}", begun.elapsed());
}

#[test]
#[ignore = "minutes: make test-store"]
fn a_large_state_is_quick_on_sqlite() {
    run(a_large_state_is_quick(Place::sqlite()));
}

#[test]
#[ignore = "minutes: make test-store"]
fn a_large_state_is_quick_on_postgres() {
    run(a_large_state_is_quick(Place::postgres()));
}
