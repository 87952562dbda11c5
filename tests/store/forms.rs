//! States of earlier forms are still read, and states of later ones are refused.

use std::path::Path;

use bmctl::model::InstancePhase;
use bmctl::secret::Secret;
use bmctl::store::{Request, Store, StoreError};
use tempfile::TempDir;

use super::{Place, on_both, run, sealer};
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

/// A place with a state of the second form, whose deploy channel, calls, requests and durations had no checksums.
pub async fn second_form(place: &Place, meddling: &str) {
    match place {
        Place::Sqlite(dir) => {
            let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("state/samples");
            let file = dir.path().join("state.db");
            std::fs::copy(samples.join("form-2.db"), &file).unwrap();
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            let sql = sqlx::AssertSqlSafe(meddling.to_owned());
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
            pool.close().await;
        }
        Place::Postgres(workspace) => {
            let sample = include_str!("../../state/samples/form-2.sql");
            let schema = format!("bmctl_{workspace}");
            let sql = format!(
                "{}; SET search_path TO {schema}; {meddling}",
                sample.replace("bmctl_sample", &schema)
            );
            let url = crate::postgres::shared().url();
            let pool = sqlx::PgPool::connect(url.expose()).await.unwrap();
            let sql = sqlx::AssertSqlSafe(sql);
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
            pool.close().await;
        }
    }
}

on_both! {
    a_state_of_the_second_form_is_brought_up_and_is_whole,
    a_damaged_state_of_the_second_form_is_not_brought_up,
}

async fn a_state_of_the_second_form_is_brought_up_and_is_whole(place: Place) {
    second_form(&place, "SELECT 1").await;
    let (store, other) = tokio::join!(place.open(), place.open());
    other.verify().await.unwrap();
    let verified = store.verify().await.unwrap();
    assert_eq!((verified.records, verified.changes), (11, 3));
    assert_eq!(store.recorded().await.unwrap().resources.len(), 3);
    let (a, b) = (addr("node.a"), addr("node.b"));
    let ready = store.deployment_of(&a).await.unwrap().unwrap();
    assert_eq!(
        (ready.id.as_str(), ready.served, ready.report.as_deref()),
        ("d-2", true, Some("report"))
    );
    assert_eq!(ready.key.unwrap().expose(), &[2; 32]);
    assert_eq!(store.next_command("d-2").await.unwrap().unwrap().id, 2);
    let waiting = store.deployment_of(&b).await.unwrap().unwrap();
    assert_eq!((waiting.id.as_str(), waiting.served), ("d-3", false));
    assert!(!store.serve_once("d-2").await.unwrap());
    assert!(store.serve_once("d-3").await.unwrap());
    let macs = ["52:54:00:00:00:01", "52:54:00:00:00:02"].map(|m| m.parse().unwrap());
    assert!(store.is_served(&macs[..1]).await.unwrap());
    assert!(!store.is_served(&macs).await.unwrap());
    let phoned = store.phoned(&addr("instance.a")).await.unwrap();
    assert_eq!(phoned.unwrap().address, "10.99.0.5");
    assert_eq!(store.hear("r-2", 10).await.unwrap(), [Request::Abort]);
    let durations = store.durations().await.unwrap();
    assert_eq!(durations.0["power off"].count, 3);
    assert_eq!(store.unfinished().await.unwrap().len(), 1);
    store.verify().await.unwrap();
}

async fn a_damaged_state_of_the_second_form_is_not_brought_up(place: Place) {
    second_form(&place, "DELETE FROM boot WHERE mac = '52:54:00:00:00:01'").await;
    let refused = place.try_open().await.map(|_| ());
    assert!(
        matches!(&refused, Err(StoreError::Corrupt { what, .. }) if what == "table boot"),
        "{refused:?}"
    );
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
                    known: 13,
                    ..
                })
            ),
            "{refused:?}"
        );
    });
}
