//! A PostgreSQL server that is killed under a run, and comes back: the run waits and goes on, and nothing is written twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bmctl::apply::lifecycle;
use bmctl::plan::Plan;
use bmctl::secret::Secret;
use bmctl::store::{Actor, Batch, Hold, Note, Store, StoreError, TERM, Waiting};

use super::lost::Wire;
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

/// A URL that names both: the one that takes writes is found whichever comes first, and again after the other has taken over.
#[test]
fn of_several_servers_the_one_that_takes_writes_is_gone_on_with() {
    let primary = Server::start(&[]);
    let standby = primary.standby();
    let url = Secret::new(format!(
        "postgresql://bmctl@localhost:{},localhost:{}/postgres?target_session_attrs=read-write&sslmode=disable",
        standby.port, primary.port
    ));
    run(async {
        let told: Arc<Mutex<Vec<Waiting>>> = Arc::default();
        let tell = told.clone();
        let store = Store::connect(&url, &real("default"), sealer())
            .await
            .unwrap();
        let place = store.place().to_owned();
        assert!(place.contains(&format!(
            "localhost:{},localhost:{}/postgres",
            standby.port, primary.port
        )));
        store.put_secret("a", &Secret::new("1")).await.unwrap();
        primary.set("synchronous_standby_names = '*'").await;
        primary.set("synchronous_commit = 'remote_apply'").await;
        store.put_secret("b", &Secret::new("2")).await.unwrap();
        let patient = store.patient(move |waiting| tell.lock().unwrap().push(waiting.clone()));
        primary.stop();
        let lost = store.recorded().await;
        let said = format!("{lost:?}");
        assert!(matches!(lost, Err(StoreError::Lost { .. })), "{said}");
        assert!(said.contains("takes no writes"), "{said}");
        let going = tokio::spawn(async move {
            patient.put_secret("c", &Secret::new("3")).await.unwrap();
            patient
        });
        standby.promote();
        let patient = going.await.unwrap();
        for (name, text) in [("a", "1"), ("b", "2"), ("c", "3")] {
            assert_eq!(patient.secret(name).await.unwrap(), Secret::new(text));
        }
        // Another process, later.
        let again = Store::connect(&url, &real("default"), sealer())
            .await
            .unwrap();
        assert_eq!(again.secret("c").await.unwrap(), Secret::new("3"));
        assert_eq!(again.place(), place);
    });
}

/// The server dies in the middle of a run and a standby takes its place, which reads only at first: the run waits, and goes on there.
#[test]
fn a_standby_that_takes_over_is_gone_on_with() {
    let primary = Server::start(&[]);
    let standby = primary.standby();
    run(async {
        let undisturbed = Place::postgres().open().await;
        let plan = plan_of(&undisturbed, 150).await;
        carry_out(&undisturbed, &plan, Duration::ZERO).await;
        let expected = undisturbed.recorded().await.unwrap();

        // What is confirmed is on both.
        primary.set("synchronous_standby_names = '*'").await;
        primary.set("synchronous_commit = 'remote_apply'").await;
        let wire = Wire::to(primary.port).await;
        let store = Store::connect(&wire.url(), &real("default"), sealer())
            .await
            .unwrap();
        let lease = store.acquire(&Actor::here(), TERM).await.unwrap();
        let told: Arc<Mutex<Vec<Waiting>>> = Arc::default();
        let tell = told.clone();
        let store = store
            .fenced(&lease)
            .patient(move |waiting| tell.lock().unwrap().push(waiting.clone()));
        let going = tokio::spawn({
            let (store, plan) = (store.clone(), plan.clone());
            async move { carry_out(&store, &plan, Duration::from_millis(2)).await }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(
            !going.is_finished(),
            "the run was over before anything happened"
        );
        primary.stop();
        wire.lay_to(standby.port);
        // Long enough for the run to meet a server that does not write yet.
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(!going.is_finished());
        standby.promote();
        going.await.unwrap();
        let found = store.recorded().await.unwrap();
        assert_eq!(found.resources, expected.resources);
        assert_eq!(found.serial, expected.serial);
        assert_eq!(store.unfinished().await.unwrap(), []);
        assert_eq!(store.verify_when_back().await, 2 * 150);
        lease.release().await.unwrap();
        let told = told.lock().unwrap();
        assert!(
            told.iter().any(|w| matches!(w, Waiting::Over { .. })),
            "{told:?}"
        );
    });
}
