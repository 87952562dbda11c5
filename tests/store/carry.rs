//! A state goes from one database to the other whole, with its journal and its history, and back again.

use std::collections::BTreeMap;

use bmctl::apply::lifecycle;
use bmctl::secret::Secret;
use bmctl::store::{Actor, Batch, Note, Store, StoreError, Surgery, TERM, Which};

use super::damage::{fill, more};
use super::history::{by_hand, put};
use super::{Place, begin, on_both, plan_of};
use crate::fleet::addr;

on_both! {
    a_state_arrives_whole_and_goes_on,
    a_state_that_is_not_new_is_not_overwritten,
    what_is_damaged_does_not_travel,
}

fn the_other_kind(place: &Place) -> Place {
    match place {
        Place::Sqlite(_) => Place::postgres(),
        Place::Postgres(_) => Place::sqlite(),
    }
}

/// Everything that somebody reads of it.
async fn all_of(store: &Store) -> String {
    let (mut recorded, claims) = (
        store.recorded().await.unwrap(),
        store.claims().await.unwrap(),
    );
    // Of the place, not of what is in it.
    recorded.workspace = None;
    let (runs, history) = (
        store.runs().await.unwrap(),
        store.history(Which::All, u32::MAX).await.unwrap(),
    );
    let mut plans = Vec::new();
    for run in &runs {
        plans.push(store.plan(&run.plan).await.unwrap());
    }
    let boot = store.boot_entries(&addr("site.lab")).await.unwrap();
    let secret = store.secret("node.a/password").await.unwrap();
    assert_eq!(secret, Secret::new("hunter2"));
    let (more, verified) = (more(store).await.unwrap(), store.verify().await.unwrap());
    format!("{recorded:?} {claims:?} {runs:?} {history:?} {plans:?} {boot:?} {more} {verified:?}")
}

async fn a_state_arrives_whole_and_goes_on(place: Place) {
    let (old, there) = (place.open().await, the_other_kind(&place));
    fill(&old, 12).await;
    by_hand(&old, Surgery::Untaint, vec![put("flavor.x", 1)]).await;
    let before = all_of(&old).await;
    let new = there.open().await;
    let lease = new.acquire(&Actor::here(), TERM).await.unwrap();
    let held = new.fenced(&lease);
    let arrived = held.take_over(&old).await.unwrap();
    assert_eq!(arrived, old.verify().await.unwrap());
    assert_eq!(all_of(&new).await, before);
    // The process died before it had told the old one: it is done again.
    held.take_over(&old).await.unwrap();
    old.mark_moved(new.place()).await.unwrap();
    assert!(matches!(old.runs().await, Err(StoreError::Moved { .. })));
    // Both chains are lengthened there, and surgery from before is undone there.
    held.undo(None, &Actor::here(), 9).await.unwrap();
    let plan = plan_of(&new, 13).await;
    begin(&held, "r-9", &plan).await;
    let step = &plan.steps[0];
    let finished = Note::Finished {
        step,
        outcome: "{}".to_owned(),
        at_ms: 9,
    };
    let batch = Batch {
        number: 1,
        notes: vec![Note::Started { step, at_ms: 8 }, finished],
        changes: lifecycle::effects(&step.step, None, &BTreeMap::new()),
    };
    held.append("r-9", &batch).await.unwrap();
    let whole = new.verify().await.unwrap();
    assert_eq!(whole.records, arrived.records + 2);
    assert_eq!(whole.changes, arrived.changes + 2);
}

async fn a_state_that_is_not_new_is_not_overwritten(place: Place) {
    let (old, there) = (place.open().await, the_other_kind(&place));
    fill(&old, 3).await;
    let new = there.open().await;
    by_hand(&new, Surgery::Untaint, vec![put("flavor.x", 1)]).await;
    let before = new.recorded().await.unwrap();
    let refused = new.take_over(&old).await;
    assert!(
        matches!(&refused, Err(StoreError::NotMoved { why }) if why.contains("there is a state")),
        "{refused:?}"
    );
    assert_eq!(new.recorded().await.unwrap(), before);
}

async fn what_is_damaged_does_not_travel(place: Place) {
    let (old, there) = (place.open().await, the_other_kind(&place));
    fill(&old, 3).await;
    super::damage::meddle(&place, "UPDATE journal SET at = 7 WHERE seq = 4").await;
    let new = there.open().await;
    let refused = new.take_over(&old).await;
    assert!(
        matches!(&refused, Err(StoreError::Corrupt { what, .. }) if what == "journal record 4"),
        "{refused:?}"
    );
    assert_eq!(new.recorded().await.unwrap().serial, 0);
    assert_eq!(new.verify().await.unwrap().rows, 0);
}
