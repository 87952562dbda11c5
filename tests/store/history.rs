//! Every change of a record is in the history, and what people did by hand is undone whole or not at all.

use bmctl::model::Resource;
use bmctl::store::{
    Actor, Batch, By, Did, Note, Past, StateChange, Store, StoreError, Surgery, Which,
};

use super::{Place, begin, on_both, plan_of};
use crate::fleet::addr;

on_both! {
    runs_and_people_are_told_apart,
    a_move_is_undone_in_every_table,
    what_was_forgotten_comes_back_and_goes_again,
    what_others_touched_since_is_not_undone,
    several_at_once_or_none,
    records_that_change_places_are_told_apart,
}

fn flavor(memory_mb: u64) -> Resource {
    serde_json::from_value(serde_json::json!({
        "kind": "flavor",
        "is": { "cpus": 1, "memory_mb": memory_mb, "root_gb": 1, "ephemeral_gb": 0, "swap_mb": 0, "extra_specs": {} },
    }))
    .unwrap()
}

pub fn put(name: &str, memory_mb: u64) -> StateChange {
    StateChange::Put(addr(name), Box::new(flavor(memory_mb)))
}

/// One batch of a run, which does nothing but change state.
pub async fn in_a_run(store: &Store, run: &str, changes: Vec<StateChange>) {
    let plan = plan_of(store, 1).await;
    begin(store, run, &plan).await;
    let step = &plan.steps[0];
    let notes = vec![
        Note::Started { step, at_ms: 5 },
        Note::Finished {
            step,
            outcome: "{}".to_owned(),
            at_ms: 6,
        },
    ];
    let batch = Batch {
        number: 1,
        notes,
        changes,
    };
    store.append(run, &batch).await.unwrap();
}

pub async fn by_hand(store: &Store, surgery: Surgery, changes: Vec<StateChange>) -> u64 {
    let here = Actor::here();
    store.operate(surgery, &here, 7, &changes).await.unwrap()
}

fn moved(pairs: &[(&str, &str)]) -> StateChange {
    let pairs = pairs.iter().map(|(from, to)| (addr(from), addr(to)));
    StateChange::Move(pairs.collect())
}

fn told(all: &[Past]) -> Vec<(u64, String, &'static str)> {
    let told = all
        .iter()
        .map(|p| (p.serial, p.addr.to_string(), p.did.as_str()));
    told.collect()
}

async fn runs_and_people_are_told_apart(place: Place) {
    let store = place.open().await;
    in_a_run(&store, "r-1", vec![put("flavor.a", 1), put("flavor.b", 1)]).await;
    // The same again is no change.
    in_a_run(&store, "r-2", vec![put("flavor.a", 2), put("flavor.b", 1)]).await;
    by_hand(
        &store,
        Surgery::Remove,
        vec![StateChange::Remove(addr("flavor.a"))],
    )
    .await;
    let all = store.history(Which::All, 100).await.unwrap();
    let expected = [
        (1, "flavor.a".to_owned(), "created"),
        (1, "flavor.b".to_owned(), "created"),
        (2, "flavor.a".to_owned(), "changed"),
        (3, "flavor.a".to_owned(), "removed"),
    ];
    assert_eq!(told(&all), expected);
    assert_eq!((&all[0].by, all[0].at_ms), (&By::Run("r-1".to_owned()), 6));
    assert_eq!(all[3].by, By::Person(Actor::here()));
    assert_eq!((all[3].op.as_str(), all[3].at_ms), ("state rm", 7));
    let before: Resource = serde_json::from_str(all[3].before.as_ref().unwrap()).unwrap();
    assert_eq!(before, flavor(2));
    let a = addr("flavor.a");
    let of_a = store.history(Which::Of(&a), 100).await.unwrap();
    assert_eq!(told(&of_a).len(), 3);
    let after = store.afterwards(&of_a).await.unwrap();
    assert_eq!(after[0], of_a[1].before);
    assert_eq!(after[2], None);
    let of_run = store.history(Which::OfRun("r-2"), 100).await.unwrap();
    assert_eq!(told(&of_run), [(2, "flavor.a".to_owned(), "changed")]);
    assert_eq!(store.history(Which::All, 1).await.unwrap(), all[3..]);
    assert_eq!(store.verify().await.unwrap().changes, 4);
}

async fn a_move_is_undone_in_every_table(place: Place) {
    let store = place.open().await;
    in_a_run(&store, "r-1", vec![put("flavor.a", 1), put("flavor.b", 2)]).await;
    let (node, web) = (addr("node.n"), addr("instance.web"));
    store.claim(&node, &web).await.unwrap();
    let password = bmctl::secret::Secret::new("p");
    store
        .put_secret("node.n/password", &password)
        .await
        .unwrap();
    let before = store.recorded().await.unwrap();
    let pairs = [
        ("flavor.a", "flavor.b"),
        ("flavor.b", "flavor.a"),
        ("node.n", "node.m"),
    ];
    by_hand(&store, Surgery::Move, vec![moved(&pairs)]).await;
    assert_ne!(store.recorded().await.unwrap().resources, before.resources);
    assert!(store.claims().await.unwrap().contains_key(&addr("node.m")));
    let undone = store.undo(None, &Actor::here(), 8).await.unwrap();
    assert_eq!(undone[0].did, Did::Moved(addr("flavor.b")));
    assert_eq!(store.recorded().await.unwrap().resources, before.resources);
    store.verify().await.unwrap();
}

async fn what_was_forgotten_comes_back_and_goes_again(place: Place) {
    let store = place.open().await;
    in_a_run(&store, "r-1", vec![put("flavor.a", 1)]).await;
    let (node, web) = (addr("node.n"), addr("instance.web"));
    store.claim(&node, &web).await.unwrap();
    let changes = vec![
        StateChange::Remove(addr("flavor.a")),
        StateChange::Unclaim {
            node: node.clone(),
            instance: web.clone(),
        },
    ];
    by_hand(&store, Surgery::Remove, changes).await;
    assert!(store.claims().await.unwrap().is_empty());
    for there in [true, false, true] {
        store.undo(None, &Actor::here(), 8).await.unwrap();
        let recorded = store.recorded().await.unwrap();
        assert_eq!(recorded.resources.contains_key(&addr("flavor.a")), there);
        assert_eq!(
            store.claims().await.unwrap().get(&node),
            there.then_some(&web)
        );
        store.verify().await.unwrap();
    }
    // Somebody else got the node in between.
    store.undo(None, &Actor::here(), 8).await.unwrap();
    store.claim(&node, &addr("instance.db")).await.unwrap();
    let before = store.recorded().await.unwrap();
    let refused = store.undo(None, &Actor::here(), 9).await;
    assert!(
        matches!(refused, Err(StoreError::NotUndone { .. })),
        "{refused:?}"
    );
    assert_eq!(store.recorded().await.unwrap(), before);
}

async fn what_others_touched_since_is_not_undone(place: Place) {
    let store = place.open().await;
    let refused = store.undo(None, &Actor::here(), 8).await;
    assert!(
        matches!(refused, Err(StoreError::NothingToUndo)),
        "{refused:?}"
    );
    in_a_run(&store, "r-1", vec![put("flavor.a", 1), put("flavor.b", 1)]).await;
    by_hand(&store, Surgery::Untaint, vec![put("flavor.a", 2)]).await;
    in_a_run(&store, "r-2", vec![put("flavor.b", 3)]).await;
    store.undo(None, &Actor::here(), 8).await.unwrap();
    assert_eq!(
        store.recorded().await.unwrap().resources[&addr("flavor.a")],
        flavor(1)
    );
    by_hand(&store, Surgery::Untaint, vec![put("flavor.a", 4)]).await;
    in_a_run(&store, "r-3", vec![put("flavor.a", 5)]).await;
    let before = store.recorded().await.unwrap();
    match store.undo(None, &Actor::here(), 8).await {
        Err(StoreError::NotUndone { why }) => {
            assert!(why.contains("run r-3 changed flavor.a (serial 6)"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.recorded().await.unwrap(), before);
}

async fn several_at_once_or_none(place: Place) {
    let store = place.open().await;
    in_a_run(&store, "r-1", vec![put("flavor.a", 1)]).await;
    let before = store.recorded().await.unwrap();
    by_hand(
        &store,
        Surgery::Move,
        vec![moved(&[("flavor.a", "flavor.b")])],
    )
    .await;
    by_hand(
        &store,
        Surgery::Move,
        vec![moved(&[("flavor.b", "flavor.c")])],
    )
    .await;
    by_hand(
        &store,
        Surgery::Remove,
        vec![StateChange::Remove(addr("flavor.c"))],
    )
    .await;
    let undone = store
        .undo(Some(before.serial), &Actor::here(), 8)
        .await
        .unwrap();
    assert_eq!(undone.len(), 3);
    assert_eq!(store.recorded().await.unwrap().resources, before.resources);
    let refused = store.undo(Some(0), &Actor::here(), 8).await;
    assert!(
        matches!(refused, Err(StoreError::NotUndone { .. })),
        "{refused:?}"
    );
    store.verify().await.unwrap();
}

async fn records_that_change_places_are_told_apart(place: Place) {
    let store = place.open().await;
    in_a_run(&store, "r-1", vec![put("flavor.a", 1), put("flavor.b", 2)]).await;
    let swap = [("flavor.a", "flavor.b"), ("flavor.b", "flavor.a")];
    by_hand(&store, Surgery::Move, vec![moved(&swap)]).await;
    let all = store.history(Which::All, 100).await.unwrap();
    let after = store.afterwards(&all).await.unwrap();
    for (past, after) in all.iter().zip(after) {
        let after: Resource = serde_json::from_str(&after.unwrap()).unwrap();
        let expected = match past.addr == addr("flavor.a") {
            true => flavor(1),
            false => flavor(2),
        };
        assert_eq!(after, expected, "{past:?}");
    }
}
