//! States of earlier forms are still read, and states of later ones are refused.

use std::path::Path;

use bmctl::model::InstancePhase;
use bmctl::secret::Secret;
use bmctl::store::{Store, StoreError};
use tempfile::TempDir;

use super::{run, sealer};
use crate::fleet::addr;

fn sample(name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("state/samples");
    std::fs::copy(samples.join(name), dir.path().join("state.db")).unwrap();
    dir
}

/// The first form knew no checksums, no plans and no lease; its run ended before its last step was noted.
#[test]
fn a_state_of_the_first_form_is_brought_up_and_is_whole() {
    run(async {
        let dir = sample("form-1.db");
        // Several at once, as when CI starts: one brings it up, the others find it so.
        let mut opening = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let path = dir.path().to_owned();
            opening.spawn(async move { Store::open(&path, sealer()).await.unwrap() });
        }
        let stores = opening.join_all().await;
        let store = &stores[0];
        let recorded = store.recorded().await.unwrap();
        assert_eq!(recorded.lineage, "eb2f4328dfca6ce7221dec4320b82cd8");
        assert_eq!((recorded.serial, recorded.resources.len()), (21, 13));
        let web = recorded.resources[&addr("instance.web")].as_instance();
        assert_eq!(web.unwrap().phase, InstancePhase::Running);
        let claims = store.claims().await.unwrap();
        assert_eq!(claims[&addr("node.n[1]")], addr("instance.web"));
        assert_eq!(recorded.left_behind.len(), 1);
        let secret = store.secret("node.n[2]/password").await.unwrap();
        assert_eq!(secret, Secret::new("hunter2"));
        let runs = store.runs().await.unwrap();
        assert_eq!(
            (runs.len(), &runs[0].by, &runs[0].outcome),
            (1, &None, &None)
        );
        let unfinished = store.unfinished().await.unwrap();
        assert_eq!(unfinished.len(), 1);
        assert_eq!(unfinished[0].step.subject, addr("instance.web"));
        assert_eq!(unfinished[0].step.step.title(), "finish");
        let verified = store.verify().await.unwrap();
        assert_eq!(verified.records, 77);
        store
            .settled(&unfinished[0], "was done", &[], 1)
            .await
            .unwrap();
        assert_eq!(store.unfinished().await.unwrap(), []);
        assert_eq!(store.verify().await.unwrap().records, 78);
    });
}

#[test]
fn a_state_of_a_later_form_is_left_alone() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        Store::open(dir.path(), sealer())
            .await
            .unwrap()
            .close()
            .await;
        let file = dir.path().join("state.db");
        let later = sqlx::sqlite::SqliteConnectOptions::new().filename(&file);
        let pool = sqlx::SqlitePool::connect_with(later).await.unwrap();
        sqlx::query("INSERT INTO _sqlx_migrations VALUES (99, 'later', 0, true, x'00', 0)")
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
        let refused = Store::open(dir.path(), sealer()).await.map(|_| ());
        assert!(
            matches!(
                refused,
                Err(StoreError::NewerForm {
                    found: 99,
                    known: 12,
                    ..
                })
            ),
            "{refused:?}"
        );
    });
}
