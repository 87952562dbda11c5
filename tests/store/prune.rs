//! What is long past is forgotten when somebody says so: the chains begin later and hold as before, and nothing that is still needed goes.

use bmctl::plan::Plan;
use bmctl::store::{Actor, Batch, Keep, NewRun, Note, Request, Store, StoreError, Surgery, Which};

use super::damage::meddle;
use super::history::{by_hand, put};
use super::{Place, on_both, plan_of};
use crate::fleet::addr;

on_both! {
    the_last_runs_are_kept,
    what_is_older_than_a_day_goes,
    what_is_in_doubt_stays,
    the_beginning_of_a_pruned_chain_is_still_checked,
}

/// A run of its own plan that begins at `at_ms`, with two records and one change; ended, if it is said when.
async fn a_run(store: &Store, id: &str, at_ms: i64, end_ms: Option<i64>) -> Plan {
    let number = store.runs().await.unwrap().len() + 1;
    let plan = plan_of(store, number).await;
    let by = Actor::here();
    let run = NewRun {
        id,
        plan: &plan,
        at_ms,
        by,
    };
    store.begin_run(run).await.unwrap();
    let subject = addr(&format!("flavor.f[{}]", number - 1));
    let step = plan.steps.iter().find(|s| s.subject == subject).unwrap();
    let mut notes = vec![Note::Started { step, at_ms }];
    let mut changes = Vec::new();
    if end_ms.is_some() {
        changes.push(put(&subject.to_string(), 512 + at_ms as u64));
        notes.push(Note::Finished {
            step,
            outcome: "{}".to_owned(),
            at_ms,
        });
    }
    let batch = Batch {
        number: 1,
        notes,
        changes,
    };
    store.append(id, &batch).await.unwrap();
    store.ask(id, Request::Pause, "me", at_ms).await.unwrap();
    if let Some(end_ms) = end_ms {
        store.end_run(id, "done", end_ms).await.unwrap();
    }
    plan
}

/// Four runs, at 100, 200, 300 and 400, and something done by hand at 9, which [`by_hand`] says.
async fn filled(place: &Place) -> (Store, Vec<Plan>) {
    let store = place.open().await;
    by_hand(&store, Surgery::Untaint, vec![put("flavor.x", 1)]).await;
    let mut plans = Vec::new();
    for n in 1..=4 {
        let at = n * 100;
        plans.push(a_run(&store, &format!("r-{n}"), at, Some(at + 50)).await);
    }
    (store, plans)
}

async fn ids(store: &Store) -> Vec<String> {
    let runs = store.runs().await.unwrap();
    runs.into_iter().map(|r| r.id).collect()
}

async fn the_last_runs_are_kept(place: Place) {
    let (store, plans) = filled(&place).await;
    let before = store.recorded().await.unwrap();
    let nothing = store.prune(Keep::Runs(4), 1000).await.unwrap();
    assert_eq!((nothing.runs, nothing.records, nothing.changes), (0, 0, 0));
    assert_eq!(store.pruned().await.unwrap(), None);
    let gone = store.prune(Keep::Runs(2), 1000).await.unwrap();
    assert_eq!((gone.runs, gone.records, gone.changes), (2, 4, 3));
    assert_eq!(gone.before_ms, 300);
    assert_eq!(ids(&store).await, ["r-3", "r-4"]);
    assert_eq!(store.recorded().await.unwrap(), before);
    let whole = store.verify().await.unwrap();
    assert_eq!((whole.records, whole.changes), (4, 2));
    assert_eq!(store.plan(&plans[0].id).await.unwrap(), None);
    assert!(store.plan(&plans[2].id).await.unwrap().is_some());
    // Who looks for what is gone is told that it is not there, and nothing fails.
    assert_eq!(store.records_of_run("r-1").await.unwrap(), []);
    assert_eq!(store.records_about(&addr("flavor.f[0]")).await.unwrap(), []);
    let of_x = Which::Of(&addr("flavor.x"));
    assert_eq!(store.history(of_x, 10).await.unwrap(), []);
    assert_eq!(store.records_of_run("r-3").await.unwrap().len(), 2);
    assert_eq!(store.hear("r-2", 1).await.unwrap(), []);
    assert_eq!(store.hear("r-3", 1).await.unwrap(), [Request::Pause]);
    let undone = store.undo(None, &Actor::here(), 9).await;
    assert!(matches!(undone, Err(StoreError::NothingToUndo)));
    // Both chains go on, and are cut again; what is said of it is of both times.
    a_run(&store, "r-5", 500, Some(550)).await;
    let again = store.prune(Keep::Runs(1), 2000).await.unwrap();
    assert_eq!((again.runs, again.records, again.changes), (2, 4, 2));
    let all = store.pruned().await.unwrap().unwrap();
    assert_eq!((all.runs, all.records, all.changes), (4, 8, 5));
    assert_eq!((all.at_ms, all.before_ms), (2000, 500));
    let whole = place.open().await.verify().await.unwrap();
    assert_eq!((whole.records, whole.changes), (2, 1));
}

async fn what_is_older_than_a_day_goes(place: Place) {
    let (store, _) = filled(&place).await;
    // A run that was not over by then stays, and what was done since it began.
    let gone = store.prune(Keep::Since(340), 1000).await.unwrap();
    assert_eq!((gone.runs, gone.records, gone.changes), (2, 4, 3));
    assert_eq!(ids(&store).await, ["r-3", "r-4"]);
    // The last one stays, however old it is.
    let gone = store.prune(Keep::Since(1_000_000), 2000).await.unwrap();
    assert_eq!((gone.runs, gone.before_ms), (1, 400));
    assert_eq!(ids(&store).await, ["r-4"]);
    store.verify().await.unwrap();
}

async fn what_is_in_doubt_stays(place: Place) {
    let store = place.open().await;
    a_run(&store, "r-1", 100, Some(150)).await;
    a_run(&store, "r-2", 200, None).await;
    store.close_dead_runs(250).await.unwrap();
    a_run(&store, "r-3", 300, Some(350)).await;
    let gone = store.prune(Keep::Runs(1), 1000).await.unwrap();
    assert_eq!(gone.runs, 1);
    assert_eq!(ids(&store).await, ["r-2", "r-3"]);
    let open = store.unfinished().await.unwrap();
    assert_eq!((open.len(), open[0].run.as_str()), (1, "r-2"));
    store
        .settled(&open[0], "was not done", &[], 400)
        .await
        .unwrap();
    store.verify().await.unwrap();
}

async fn the_beginning_of_a_pruned_chain_is_still_checked(place: Place) {
    let (store, _) = filled(&place).await;
    store.prune(Keep::Runs(2), 1000).await.unwrap();
    meddle(&place, "DELETE FROM journal WHERE seq = 5").await;
    let found = store.verify().await;
    assert!(
        matches!(&found, Err(StoreError::Corrupt { what, .. }) if what == "journal record 6"),
        "{found:?}"
    );
    let found = store.records_of_run("r-3").await;
    assert!(
        matches!(&found, Err(StoreError::Corrupt { what, .. }) if what == "journal record 6"),
        "{found:?}"
    );
}
