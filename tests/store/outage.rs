//! A PostgreSQL server that is killed under a run, and comes back: the run waits and goes on, and nothing is written twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bmctl::apply::lifecycle;
use bmctl::plan::Plan;
use bmctl::store::{Actor, Batch, Hold, Note, Store, StoreError, TERM, Waiting};

use super::{Place, begin, plan_of, real, run, sealer};
use crate::postgres::Server;

/// Two batches for each step, as the engine writes them.
async fn carry_out(store: &Store, plan: &Plan, pause: Duration) {
    begin(store, "r-1", plan).await;
    let mut number = 0;
    for step in &plan.steps {
        let changes = lifecycle::effects(&step.step, None, &BTreeMap::new());
        let started = Note::Started { step, at_ms: 1 };
        let finished = Note::Finished {
            step,
            outcome: "{}".to_owned(),
            at_ms: 2,
        };
        for (note, changes) in [(started, Vec::new()), (finished, changes)] {
            number += 1;
            let batch = Batch {
                number,
                notes: vec![note],
                changes,
            };
            store.append("r-1", &batch).await.unwrap();
            tokio::time::sleep(pause).await;
        }
    }
    store.end_run("r-1", "done", 3).await.unwrap();
}

fn killed_again_and_again(steps: usize, restarts: usize) {
    let server = Arc::new(Server::start(&[]));
    run(async move {
        let undisturbed = Place::postgres().open().await;
        let plan = plan_of(&undisturbed, steps).await;
        carry_out(&undisturbed, &plan, Duration::ZERO).await;
        let expected = undisturbed.recorded().await.unwrap();

        let told: Arc<Mutex<Vec<Waiting>>> = Arc::default();
        let tell = told.clone();
        let store = Store::connect(&server.url(), &real("default"), sealer())
            .await
            .unwrap();
        let lease = store.acquire(&Actor::here(), TERM).await.unwrap();
        let store = store
            .fenced(&lease)
            .patient(move |waiting| tell.lock().unwrap().push(waiting.clone()));
        let over = Arc::new(AtomicBool::new(false));
        let killer = {
            let (server, over) = (server.clone(), over.clone());
            tokio::task::spawn_blocking(move || {
                for n in 0..restarts {
                    assert!(
                        !over.load(Ordering::Relaxed),
                        "the run was over before restart {n}"
                    );
                    server.restart();
                    std::thread::sleep(Duration::from_millis(50));
                }
            })
        };
        carry_out(&store, &plan, Duration::from_millis(2)).await;
        over.store(true, Ordering::Relaxed);
        let found = store.recorded().await.unwrap();
        assert_eq!(found.resources, expected.resources);
        assert_eq!(found.serial, expected.serial);
        assert_eq!(store.unfinished().await.unwrap(), []);
        killer.await.unwrap();
        let verified = store.verify_when_back().await;
        assert_eq!(verified, 2 * steps as u64);
        let told = told.lock().unwrap();
        assert!(
            matches!(told[0], Waiting::Since { seconds: 0, .. }),
            "{told:?}"
        );
        assert!(
            told.iter().any(|w| matches!(w, Waiting::Over { .. })),
            "{told:?}"
        );
    });
}

trait WhenBack {
    async fn verify_when_back(&self) -> u64;
}

impl WhenBack for Store {
    /// The number of records, once connections to the dead server are used up.
    async fn verify_when_back(&self) -> u64 {
        loop {
            match self.verify().await {
                Ok(verified) => return verified.records,
                Err(StoreError::Lost { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_server_that_is_killed_under_a_run_costs_nothing_but_time() {
    killed_again_and_again(250, 2);
}

#[test]
#[ignore = "a server killed 40 times: make test-store"]
fn a_server_that_is_killed_40_times_under_a_run_costs_nothing_but_time() {
    killed_again_and_again(8000, 40);
}

/// While the server is away the holder knows that it cannot be sure; when it comes back and nobody else has been there, it is.
#[test]
fn a_lease_without_its_server_is_doubtful() {
    let server = Server::start(&[]);
    run(async {
        let store = Store::connect(&server.url(), &real("default"), sealer())
            .await
            .unwrap();
        let term = Duration::from_millis(600);
        let lease = store.acquire(&Actor::here(), term).await.unwrap();
        let mut hold = lease.watch();
        server.stop();
        hold.wait_for(|h| *h == Hold::Doubtful).await.unwrap();
        assert!(!lease.is_sure());
        let lost = store.recorded().await;
        assert!(matches!(lost, Err(StoreError::Lost { .. })), "{lost:?}");
        server.go_on();
        hold.wait_for(|h| *h == Hold::Held).await.unwrap();
        assert!(lease.is_sure());
        lease.release().await.unwrap();
    });
}
