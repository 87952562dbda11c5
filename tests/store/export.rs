//! A state is taken out as one document and put back whole, on either database; what is damaged, older or of another state is
//! refused.

use std::path::Path;

use bmctl::apply::{self, ApplyError};
use bmctl::secret::Secret;
use bmctl::store::{
    Actor, BootEntry, Export, Force, StateChange, Store, StoreError, Surgery, Which,
};

use super::history::{by_hand, in_a_run, put};
use super::{Place, append, begin, on_both, plan_of, run, started};
use crate::fleet::addr;

on_both! {
    what_was_pulled_is_pushed_elsewhere,
    an_older_or_another_state_is_refused,
    a_plan_of_one_workspace_is_not_for_another,
    what_a_push_replaced_is_not_undone,
    a_state_in_doubt_is_not_replaced,
}

async fn filled(place: &Place) -> Store {
    let store = place.open().await;
    let left = StateChange::LeaveBehind {
        node: addr("node.n"),
        tables: vec!["mbr:0badcafe".parse().unwrap()],
    };
    in_a_run(
        &store,
        "r-1",
        vec![put("flavor.a", 1), put("flavor.b", 2), left],
    )
    .await;
    let (node, web) = (addr("node.n"), addr("instance.web"));
    store.claim(&node, &web).await.unwrap();
    let password = Secret::new("hunter2");
    store
        .put_secret("node.n/password", &password)
        .await
        .unwrap();
    store
}

async fn push(store: &Store, export: &Export, force: Force) -> Result<u64, StoreError> {
    store.push(export, force, &Actor::here(), 9).await
}

#[track_caller]
fn refused(ended: Result<u64, StoreError>, part: &str) {
    match ended {
        Err(StoreError::NotPushed { why }) => assert!(why.contains(part), "{why}"),
        other => panic!("{other:?}"),
    }
}

fn same_kind(place: &Place) -> Place {
    match place {
        Place::Sqlite(_) => Place::sqlite(),
        Place::Postgres(_) => Place::postgres(),
    }
}

async fn what_was_pulled_is_pushed_elsewhere(place: Place) {
    let store = filled(&place).await;
    let export = store.pull().await.unwrap();
    let text = export.to_text().unwrap();
    assert!(!text.contains("hunter2"));
    assert_eq!(Export::from_text(&text).unwrap(), export);
    let other = same_kind(&place);
    let elsewhere = other.open().await;
    assert_eq!(push(&elsewhere, &export, Force::No).await.unwrap(), 2);
    let (before, after) = (
        store.recorded().await.unwrap(),
        elsewhere.recorded().await.unwrap(),
    );
    assert_eq!(after.lineage, before.lineage);
    assert_eq!(after.resources, before.resources);
    assert_eq!(after.left_behind, before.left_behind);
    assert_eq!(
        elsewhere.claims().await.unwrap(),
        store.claims().await.unwrap()
    );
    let secret = elsewhere.secret("node.n/password").await.unwrap();
    assert_eq!(secret, Secret::new("hunter2"));
    elsewhere.verify().await.unwrap();
    let again = Export {
        serial: 2,
        ..export
    };
    assert_eq!(elsewhere.pull().await.unwrap(), again);
}

async fn an_older_or_another_state_is_refused(place: Place) {
    let store = filled(&place).await;
    let export = store.pull().await.unwrap();
    by_hand(&store, Surgery::Untaint, vec![put("flavor.a", 7)]).await;
    let before = store.pull().await.unwrap();
    refused(
        push(&store, &export, Force::No).await,
        "older than the state (serial 1, and 2",
    );
    let stranger = Export {
        lineage: "0".repeat(32),
        serial: 99,
        ..export.clone()
    };
    refused(push(&store, &stranger, Force::No).await, "of another state");
    let broken = Export {
        secrets: [("a".to_owned(), "?".to_owned())].into(),
        ..before.clone()
    };
    refused(push(&store, &broken, Force::No).await, "no base64");
    assert_eq!(store.pull().await.unwrap(), before);
    assert_eq!(push(&store, &export, Force::Yes).await.unwrap(), 3);
    assert_eq!(store.pull().await.unwrap().resources, export.resources);
    assert_eq!(push(&store, &stranger, Force::Yes).await.unwrap(), 100);
    assert_eq!(store.recorded().await.unwrap().lineage, stranger.lineage);
    store.verify().await.unwrap();
}

/// The copy has the lineage of the original: only its place tells them apart.
async fn a_plan_of_one_workspace_is_not_for_another(place: Place) {
    let store = filled(&place).await;
    let plan = crate::store::plan_of(&store, 3).await;
    let other = same_kind(&place);
    let elsewhere = other.open().await;
    let export = store.pull().await.unwrap();
    push(&elsewhere, &export, Force::No).await.unwrap();
    apply::fits(&plan, &store.recorded().await.unwrap()).unwrap();
    let there = apply::fits(&plan, &elsewhere.recorded().await.unwrap());
    match (place, there) {
        (Place::Postgres(name), Err(ApplyError::OtherWorkspace { expected, .. })) => {
            assert!(expected.ends_with(&name), "{expected} {name}");
        }
        (Place::Sqlite(_), Ok(())) => {}
        (_, other) => panic!("{other:?}"),
    }
}

async fn what_a_push_replaced_is_not_undone(place: Place) {
    let store = filled(&place).await;
    let mut export = store.pull().await.unwrap();
    export.resources.remove(&addr("flavor.b"));
    export.claims = [(addr("node.n"), addr("instance.db"))].into();
    push(&store, &export, Force::No).await.unwrap();
    let all = store.history(Which::All, 100).await.unwrap();
    let told: Vec<_> = all
        .iter()
        .filter(|p| p.op == "state push")
        .map(|p| (p.addr.to_string(), p.did.as_str(), p.before.is_some()))
        .collect();
    let expected = [
        ("flavor.b".to_owned(), "removed", true),
        ("node.n".to_owned(), "released", true),
        ("node.n".to_owned(), "claimed", false),
    ];
    assert_eq!(told, expected);
    let undone = store.undo(None, &Actor::here(), 10).await;
    assert!(
        matches!(&undone, Err(StoreError::NotUndone { why }) if why.contains("backup")),
        "{undone:?}"
    );
}

async fn a_state_in_doubt_is_not_replaced(place: Place) {
    let store = filled(&place).await;
    let export = store.pull().await.unwrap();
    let plan = plan_of(&store, 1).await;
    begin(&store, "r-2", &plan).await;
    append(&store, "r-2", 1, vec![started(&plan.steps[0])], Vec::new()).await;
    refused(
        push(&store, &export, Force::No).await,
        "1 steps of a run that died are in doubt",
    );
    push(&store, &export, Force::Yes).await.unwrap();
}

fn sample(name: &str) -> String {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("state/samples");
    std::fs::read_to_string(samples.join(name)).unwrap()
}

/// What an instance boots goes with the state; a deployment that is under way does not. The sample is what was pulled from the
/// sample of the second form of the state.
#[test]
fn a_document_of_the_second_format_carries_what_boots() {
    let text = sample("export-2.json");
    let export = Export::from_text(&text).unwrap();
    assert_eq!(export.to_text().unwrap(), text);
    run(async {
        let old = Place::sqlite();
        super::forms::second_form(&old, "SELECT 1").await;
        assert_eq!(old.open().await.pull().await.unwrap(), export);
        let place = Place::sqlite();
        let store = place.open().await;
        push(&store, &export, Force::No).await.unwrap();
        let entries = store.boot_entries(&addr("site.lab")).await.unwrap();
        let [(mac, entry)] = entries.as_slice() else {
            panic!("{entries:?}");
        };
        assert_eq!(mac.to_string(), "52:54:00:00:00:03");
        assert!(
            matches!(entry, BootEntry::Instance { instance, .. } if *instance == addr("instance.b"))
        );
        // A document of the first format says nothing of it.
        let older = Export {
            boot: None,
            ..export
        };
        push(&store, &older, Force::Yes).await.unwrap();
        let kept = store.boot_entries(&addr("site.lab")).await.unwrap();
        assert_eq!(kept, entries);
        store.verify().await.unwrap();
    });
}

/// A document of the first format, from the sample of the first form of the state.
#[test]
fn a_document_of_the_first_format_is_read_and_pushed() {
    let export = Export::from_text(&sample("export-1.json")).unwrap();
    assert_eq!(export.lineage, "eb2f4328dfca6ce7221dec4320b82cd8");
    assert_eq!((export.serial, export.resources.len()), (21, 13));
    run(async {
        let place = Place::sqlite();
        let store = place.open().await;
        assert_eq!(push(&store, &export, Force::No).await.unwrap(), 22);
        let secret = store.secret("node.n[2]/password").await.unwrap();
        assert_eq!(secret, Secret::new("hunter2"));
    });
}

#[test]
fn a_document_that_was_changed_or_cut_is_refused() {
    let text = sample("export-1.json");
    let whole = Export::from_text(&text).unwrap();
    for at in (0..text.len()).step_by(7) {
        let mut damaged = text.clone().into_bytes();
        damaged[at] ^= 1;
        let Ok(damaged) = String::from_utf8(damaged) else {
            continue;
        };
        // White space between members means nothing.
        if let Ok(read) = Export::from_text(&damaged) {
            assert_eq!(read, whole, "byte {at}");
        }
        if at + 2 < text.len() {
            assert!(Export::from_text(&text[..at]).is_err(), "cut to {at}");
        }
    }
    let later = text.replacen("\"format\": 1", "\"format\": 3", 1);
    let refused = Export::from_text(&later).unwrap_err().to_string();
    assert!(
        refused.contains("its format is 3, this bmctl reads up to 2"),
        "{refused}"
    );
    let none = Export::from_text("{}").unwrap_err().to_string();
    assert!(none.contains("it says no format"), "{none}");
}

#[test]
fn the_schema_says_what_is_in_it() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/state.json");
    let schema = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let [older, right] = ["export-1.json", "export-2.json"].map(sample);
    let [older, right]: [serde_json::Value; 2] =
        [older, right].map(|text| serde_json::from_str(&text).unwrap());
    for sample in [&older, &right] {
        let wrong: Vec<String> = schema.iter_errors(sample).map(|e| e.to_string()).collect();
        assert_eq!(wrong, Vec::<String>::new());
    }
    let mut pulled = None;
    run(async {
        let place = Place::sqlite();
        let store = filled(&place).await;
        pulled = Some(store.pull().await.unwrap().to_text().unwrap());
    });
    let pulled: serde_json::Value = serde_json::from_str(&pulled.unwrap()).unwrap();
    assert!(schema.is_valid(&pulled));
    for (member, value) in [
        ("format", serde_json::json!(3)),
        ("boot", serde_json::json!({ "x": {} })),
        ("lineage", serde_json::json!("x")),
        ("more", serde_json::json!(1)),
        (
            "resources",
            serde_json::json!({ "disk.a": { "kind": "flavor", "is": {} } }),
        ),
        (
            "resources",
            serde_json::json!({ "flavor.a": { "kind": "disk", "is": {} } }),
        ),
        ("claims", serde_json::json!({ "node.a": 1 })),
    ] {
        let mut wrong = right.clone();
        wrong[member] = value;
        assert!(!schema.is_valid(&wrong), "{member}");
    }
}
