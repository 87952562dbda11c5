//! What is written is there, once, for every other handle: resources, journal, claims, secrets, boot entries, deployments.

use std::collections::{BTreeMap, BTreeSet};

use bmctl::apply::lifecycle;
use bmctl::model::recorded::Phoned;
use bmctl::plan::{Plan, PlannedStep, StepId};
use bmctl::secret::{Key32, Secret};
use bmctl::store::{
    Actor, Batch, BootEntry, DeploymentStatus, NewDeployment, RequestProof, Sealer, StateChange,
    Store, StoreError,
};

use super::{Place, append, begin, finished, on_both, plan_of, started};
use crate::fleet::addr;

on_both! {
    two_handles_see_one_state,
    a_batch_is_written_once,
    batches_come_in_order_and_from_the_current_run,
    what_did_not_end_is_found_with_its_step,
    many_rows_at_once,
    a_node_is_claimed_once,
    writers_queue,
    a_reader_sees_one_moment,
    secrets_are_sealed_and_dropped,
    moves_reach_every_table,
    a_deployment_whose_key_is_lost_is_given_up,
    the_deploy_channel,
}

fn effects(step: &PlannedStep) -> Vec<StateChange> {
    lifecycle::effects(&step.step, None, &BTreeMap::new())
}

/// The step started and ended in one batch, with what it changes.
fn whole(number: u64, step: &PlannedStep) -> Batch<'_> {
    Batch {
        number,
        notes: vec![started(step), finished(step)],
        changes: effects(step),
    }
}

async fn carry_out(store: &Store, run: &str, plan: &Plan) {
    begin(store, run, plan).await;
    for (number, step) in (1..).zip(&plan.steps) {
        store.append(run, &whole(number, step)).await.unwrap();
    }
    store.end_run(run, "done", 3).await.unwrap();
}

async fn two_handles_see_one_state(place: Place) {
    let (one, other) = (place.open().await, place.open().await);
    let before = one.recorded().await.unwrap();
    assert_eq!(before.lineage.len(), 32);
    assert_eq!(before, other.recorded().await.unwrap());
    let plan = plan_of(&one, 3).await;
    carry_out(&one, "r-1", &plan).await;
    let after = other.recorded().await.unwrap();
    assert_eq!(after.resources.len(), 3);
    assert_eq!(after.lineage, before.lineage);
    assert_eq!(after.serial, 3);
    let runs = other.runs().await.unwrap();
    assert_eq!(runs.len(), 1);
    let (run, here) = (&runs[0], Actor::here());
    assert_eq!(
        (run.id.as_str(), run.plan.as_str()),
        ("r-1", plan.id.as_str())
    );
    assert_eq!((run.last_batch, run.finished_ms), (3, Some(3)));
    assert_eq!(run.outcome.as_deref(), Some("done"));
    assert_eq!(run.by.as_ref(), Some(&here));
    let (first, wanted) = (&plan.steps[0], BTreeSet::from([StepId(0), StepId(7777)]));
    let part = other.plan_about(&plan.id, &first.subject, &wanted).await;
    let part = part.unwrap().unwrap();
    let change = plan.changes.iter().find(|c| c.addr == first.subject);
    assert!(change.is_some() && part.change.as_ref() == change);
    assert_eq!(part.steps, BTreeMap::from([(StepId(0), first.clone())]));
    let none = other.plan_about("none", &first.subject, &wanted).await;
    assert_eq!(none.unwrap(), None);
    assert_eq!(other.plan(&plan.id).await.unwrap(), Some(plan));
    assert_eq!(other.unfinished().await.unwrap(), []);
    let verified = other.verify().await.unwrap();
    assert_eq!((verified.records, verified.rows), (6, 5));
}

async fn a_batch_is_written_once(place: Place) {
    let store = place.open().await;
    let plan = plan_of(&store, 2).await;
    begin(&store, "r-1", &plan).await;
    begin(&store, "r-1", &plan).await;
    for _ in 0..3 {
        store
            .append("r-1", &whole(1, &plan.steps[0]))
            .await
            .unwrap();
    }
    store
        .append("r-1", &whole(2, &plan.steps[1]))
        .await
        .unwrap();
    store
        .append("r-1", &whole(1, &plan.steps[0]))
        .await
        .unwrap();
    assert_eq!(store.recorded().await.unwrap().serial, 2);
    assert_eq!(store.verify().await.unwrap().records, 4);
}

async fn batches_come_in_order_and_from_the_current_run(place: Place) {
    let store = place.open().await;
    let plan = plan_of(&store, 2).await;
    begin(&store, "r-1", &plan).await;
    let early = store.append("r-1", &whole(2, &plan.steps[0])).await;
    assert!(
        matches!(
            early,
            Err(StoreError::OutOfOrder {
                expected: 1,
                found: 2,
                ..
            })
        ),
        "{early:?}"
    );
    begin(&store, "r-2", &plan).await;
    let late = store.append("r-1", &whole(1, &plan.steps[0])).await;
    assert!(matches!(late, Err(StoreError::OtherRun { .. })), "{late:?}");
    assert_eq!(store.recorded().await.unwrap().serial, 0);
    assert_eq!(store.verify().await.unwrap().records, 0);
}

async fn what_did_not_end_is_found_with_its_step(place: Place) {
    let store = place.open().await;
    let plan = plan_of(&store, 4).await;
    begin(&store, "r-1", &plan).await;
    let [a, b, c, d] = &plan.steps[..] else {
        panic!("{} steps", plan.steps.len())
    };
    let batch = |number, notes| Batch {
        number,
        notes,
        changes: Vec::new(),
    };
    let first = batch(1, vec![started(b), started(a), finished(b)]);
    store.append("r-1", &first).await.unwrap();
    let second = batch(2, vec![started(d), started(c), finished(c)]);
    store.append("r-1", &second).await.unwrap();
    let other = place.open().await;
    let found = other.unfinished().await.unwrap();
    let steps: Vec<&PlannedStep> = found.iter().map(|u| &u.step).collect();
    assert_eq!(steps, [a, d]);
    assert_eq!((found[0].run.as_str(), found[0].at_ms), ("r-1", 1));
    for _ in 0..2 {
        let settled = other.settled(&found[0], "was done", &effects(a), 5).await;
        settled.unwrap();
    }
    assert_eq!(store.recorded().await.unwrap().serial, 1);
    assert_eq!(store.unfinished().await.unwrap(), &found[1..]);
    let third = batch(3, vec![finished(d)]);
    store.append("r-1", &third).await.unwrap();
    assert_eq!(store.unfinished().await.unwrap(), []);
    assert_eq!(store.verify().await.unwrap().records, 8);
}

async fn many_rows_at_once(place: Place) {
    let store = place.open().await;
    let plan = plan_of(&store, 331).await;
    begin(&store, "r-1", &plan).await;
    let all = Batch {
        number: 1,
        notes: plan
            .steps
            .iter()
            .flat_map(|s| [started(s), finished(s)])
            .collect(),
        changes: plan.steps.iter().flat_map(effects).collect(),
    };
    store.append("r-1", &all).await.unwrap();
    let again = Batch { number: 2, ..all };
    store.append("r-1", &again).await.unwrap();
    let recorded = store.recorded().await.unwrap();
    assert_eq!((recorded.resources.len(), recorded.serial), (331, 2));
    // One address put and removed and put in a batch is there; one removed last is not.
    let [first, second] = [&plan.steps[0], &plan.steps[1]];
    let there = effects(first);
    let gone = |s: &PlannedStep| vec![StateChange::Remove(s.subject.clone())];
    let changes = [gone(first), there.clone(), gone(first), there, gone(second)].concat();
    let last = Batch {
        number: 3,
        notes: Vec::new(),
        changes,
    };
    store.append("r-1", &last).await.unwrap();
    let left = store.recorded().await.unwrap().resources;
    assert!(left.contains_key(&first.subject) && !left.contains_key(&second.subject));
    assert_eq!(left.len(), 330);
    store.verify().await.unwrap();
}

async fn a_node_is_claimed_once(place: Place) {
    let (store, other) = (place.open().await, place.open().await);
    let (n, m) = (addr("node.n"), addr("node.m"));
    let (a, b) = (addr("instance.a"), addr("instance.b"));
    store.claim(&n, &a).await.unwrap();
    other.claim(&n, &a).await.unwrap();
    match other.claim(&n, &b).await {
        Err(StoreError::Claimed { node, holder }) => {
            assert_eq!((node, holder.as_str()), (n.clone(), "instance.a"));
        }
        others => panic!("{others:?}"),
    }
    assert!(other.claim(&m, &a).await.is_err(), "one instance, one node");
    let plan = plan_of(&store, 1).await;
    begin(&store, "r-1", &plan).await;
    let unclaim = |instance: &bmctl::ids::Addr| StateChange::Unclaim {
        node: n.clone(),
        instance: instance.clone(),
    };
    let step = &plan.steps[0];
    append(&store, "r-1", 1, vec![finished(step)], vec![unclaim(&b)]).await;
    assert_eq!(
        store.claims().await.unwrap(),
        BTreeMap::from([(n.clone(), a.clone())])
    );
    append(&store, "r-1", 2, vec![finished(step)], vec![unclaim(&a)]).await;
    assert_eq!(other.claims().await.unwrap(), BTreeMap::new());
}

/// Read, then write, from many tasks on several handles: nobody fails and nothing is lost.
async fn writers_queue(place: Place) {
    let store = place.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for handle in 0..4 {
        let store = place.open().await;
        for task in 0..8 {
            let store = store.clone();
            tasks.spawn(async move {
                for n in 0..4 {
                    let node = addr(&format!("node.n[\"{handle}-{task}-{n}\"]"));
                    let instance = addr(&format!("instance.i[\"{handle}-{task}-{n}\"]"));
                    store.claim(&node, &instance).await.unwrap();
                }
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(store.claims().await.unwrap().len(), 128);
    // And of many who want the same, one has it.
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..16 {
        let store = store.clone();
        tasks.spawn(async move {
            let instance = addr(&format!("instance.many[{n}]"));
            store.claim(&addr("node.wanted"), &instance).await.is_ok()
        });
    }
    let mut won = 0;
    while let Some(done) = tasks.join_next().await {
        won += usize::from(done.unwrap());
    }
    assert_eq!(won, 1);
    store.verify().await.unwrap();
}

/// While one writes, another reads: never a row without the serial that came with it.
async fn a_reader_sees_one_moment(place: Place) {
    let (writer, reader) = (place.open().await, place.open().await);
    let plan = plan_of(&writer, 60).await;
    begin(&writer, "r-1", &plan).await;
    let writing = tokio::spawn(async move {
        for (number, step) in (1..).zip(&plan.steps) {
            writer.append("r-1", &whole(number, step)).await.unwrap();
        }
    });
    let mut seen = BTreeSet::new();
    loop {
        let recorded = reader.recorded().await.unwrap();
        assert_eq!(recorded.serial, recorded.resources.len() as u64);
        seen.insert(recorded.serial);
        if recorded.serial == 60 {
            break;
        }
    }
    writing.await.unwrap();
    assert!(seen.contains(&60));
}

async fn secrets_are_sealed_and_dropped(place: Place) {
    let (store, other) = (place.open().await, place.open().await);
    let pair = |name: &str, text: &str| (name.to_owned(), Secret::new(text));
    let many = [pair("a", "old"), pair("b", "two"), pair("a", "one")];
    store.put_secrets(&many).await.unwrap();
    assert_eq!(other.secret("a").await.unwrap(), Secret::new("one"));
    store.put_secret("a", &Secret::new("new")).await.unwrap();
    assert_eq!(other.secret("a").await.unwrap(), Secret::new("new"));
    let plan = plan_of(&store, 1).await;
    begin(&store, "r-1", &plan).await;
    let drop = vec![StateChange::DropSecret("a".to_owned())];
    append(&store, "r-1", 1, vec![finished(&plan.steps[0])], drop).await;
    assert!(matches!(
        other.secret("a").await,
        Err(StoreError::NoSecret(_))
    ));
    assert_eq!(other.secret("b").await.unwrap(), Secret::new("two"));
    store.verify().await.unwrap();
}

async fn moves_reach_every_table(place: Place) {
    let store = place.open().await;
    let plan = plan_of(&store, 2).await;
    carry_out(&store, "r-1", &plan).await;
    store
        .claim(&addr("node.a"), &addr("instance.x"))
        .await
        .unwrap();
    store
        .put_secret("node.a/password", &Secret::new("p"))
        .await
        .unwrap();
    begin(&store, "r-2", &plan).await;
    let table = "mbr:0badcafe".parse().unwrap();
    let left = StateChange::LeaveBehind {
        node: addr("node.a"),
        tables: vec![table, table],
    };
    let swapped = [
        ("flavor.f[0]", "flavor.f[1]"),
        ("flavor.f[1]", "flavor.f[0]"),
        ("node.a", "node.b"),
    ];
    let moves = swapped.map(|(from, to)| (addr(from), addr(to)));
    let before = store.recorded().await.unwrap().resources;
    let changes = vec![left, StateChange::Move(moves.into_iter().collect())];
    append(&store, "r-2", 1, vec![finished(&plan.steps[0])], changes).await;
    let after = store.recorded().await.unwrap();
    assert_eq!(
        after.resources[&addr("flavor.f[0]")],
        before[&addr("flavor.f[1]")]
    );
    assert_eq!(
        after.resources[&addr("flavor.f[1]")],
        before[&addr("flavor.f[0]")]
    );
    let expected = BTreeMap::from([(addr("node.b"), BTreeSet::from([table]))]);
    assert_eq!(after.left_behind, expected);
    let claims = store.claims().await.unwrap();
    assert_eq!(
        claims,
        BTreeMap::from([(addr("node.b"), addr("instance.x"))])
    );
    let secret = store.secret("node.b/password").await.unwrap();
    assert_eq!(secret, Secret::new("p"));
    assert!(store.secret("node.a/password").await.is_err());
    store.verify().await.unwrap();
}

/// The key is lost in the middle of a deployment: what it sealed is named and in the way until it is given up, and then the node is
/// deployed anew.
async fn a_deployment_whose_key_is_lost_is_given_up(place: Place) {
    let (node, mac) = (addr("node.n"), "52:54:00:00:00:01".parse().unwrap());
    let target = bmctl::plan::step::BootTarget {
        site: addr("site.lab"),
        server: [10, 99, 0, 1].into(),
        http_port: 8081,
        bios_loader: bmctl::model::BiosLoader::Ipxe,
        firmware: bmctl::model::Firmware::Bios,
        macs: vec![mac],
        address: None,
    };
    let open = async |store: &Store, id: &str| {
        let entry = BootEntry::Deploy {
            deployment: id.to_owned(),
            target: target.clone(),
            ramdisk: "r".to_owned(),
            kernel_args: String::new(),
        };
        let new = NewDeployment {
            id,
            instance: &addr("instance.web"),
            node: &node,
            token: &Key32::new([1; 32]),
            expires_ms: 10,
        };
        store.open_deployment(&new, &entry).await.unwrap();
    };
    open(&place.open().await, "d-1").await;
    let sealer = Sealer::new(Key32::new([8; 32]));
    let store = match &place {
        Place::Sqlite(dir) => Store::open(dir.path(), sealer).await,
        Place::Postgres(name) => {
            let url = crate::postgres::shared().url();
            Store::connect(&url, &crate::store::real(name), sealer).await
        }
    };
    let store = store.unwrap();
    for refused in [
        store.check_key().await.unwrap_err(),
        store.deployment_of(&node).await.unwrap_err(),
    ] {
        let told = refused.to_string();
        assert!(told.contains("d-1") && told.contains("--new-key"), "{told}");
    }
    let gone = store.forget_sealed(&Actor::here(), 5).await.unwrap();
    assert_eq!((gone.secrets, gone.deployments), (0, 1));
    store.check_key().await.unwrap();
    // Its NIC is told nothing, as after any deployment that is over.
    assert!(store.deployment_by_mac(mac).await.unwrap().is_none());
    assert!(store.deployment_of(&node).await.unwrap().is_none());
    open(&store, "d-2").await;
    let again = store.deployment_of(&node).await.unwrap().unwrap();
    assert_eq!(again.id, "d-2");
    store.verify().await.unwrap();
}

async fn the_deploy_channel(place: Place) {
    let (store, other) = (place.open().await, place.open().await);
    let mac = "52:54:00:00:00:01".parse().unwrap();
    let target = bmctl::plan::step::BootTarget {
        site: addr("site.lab"),
        server: [10, 99, 0, 1].into(),
        http_port: 8081,
        bios_loader: bmctl::model::BiosLoader::Ipxe,
        firmware: bmctl::model::Firmware::Bios,
        macs: vec![mac],
        address: None,
    };
    let entry = |deployment: &str| BootEntry::Deploy {
        deployment: deployment.to_owned(),
        target: target.clone(),
        ramdisk: "r".to_owned(),
        kernel_args: String::new(),
    };
    let (web, node, token) = (addr("instance.web"), addr("node.n"), Key32::new([1; 32]));
    for id in ["d-1", "d-2"] {
        let new = NewDeployment {
            id,
            instance: &web,
            node: &node,
            token: &token,
            expires_ms: 10,
        };
        store.open_deployment(&new, &entry(id)).await.unwrap();
    }
    assert_eq!(other.boot_entry(mac).await.unwrap(), Some(entry("d-2")));
    let entries = other.boot_entries(&addr("site.lab")).await.unwrap();
    assert_eq!(entries, [(mac, entry("d-2"))]);
    assert!(!store.is_served(&[mac]).await.unwrap());
    other.mark_served(&entries).await.unwrap();
    assert!(store.is_served(&[mac]).await.unwrap());
    assert!(store.deployment("d-1").await.unwrap().is_none());
    let open = other.deployment_by_mac(mac).await.unwrap().unwrap();
    assert_eq!((open.id.as_str(), open.node.clone()), ("d-2", node.clone()));
    assert!(store.serve_once("d-2").await.unwrap() && !other.serve_once("d-2").await.unwrap());
    let key = Key32::new([2; 32]);
    assert!(store.exchange("d-2", mac, &key).await.unwrap());
    assert!(!other.exchange("d-2", mac, &key).await.unwrap());
    for (seq, taken) in [(1, true), (1, false), (3, true), (2, false)] {
        let proof = RequestProof { seq };
        assert_eq!(other.take_seq("d-2", proof).await.unwrap(), taken, "{seq}");
    }
    store.ready("d-2", "disks").await.unwrap();
    let of_node = other.deployment_of(&node).await.unwrap().unwrap();
    assert_eq!(of_node.report.as_deref(), Some("disks"));
    assert_eq!(of_node.key.unwrap().expose(), key.expose());
    assert_eq!(store.send_command("d-2", "verb=a").await.unwrap(), 1);
    assert_eq!(store.send_command("d-2", "verb=b").await.unwrap(), 2);
    assert_eq!(
        other.next_command("d-2").await.unwrap().unwrap().line,
        "id=1 verb=a"
    );
    assert!(other.answer_command("d-2", 1, "ok", "").await.unwrap());
    assert!(!other.answer_command("d-2", 1, "ok", "").await.unwrap());
    assert_eq!(other.next_command("d-2").await.unwrap().unwrap().id, 2);
    store.end_deployment(&node).await.unwrap();
    let ended = store.deployment("d-2").await.unwrap().unwrap();
    assert_eq!(ended.status, DeploymentStatus::Over);
    assert!(other.deployment_of(&node).await.unwrap().is_none());
    store.remove_boot_entries(&[mac]).await.unwrap();
    assert_eq!(other.boot_entry(mac).await.unwrap(), None);
    store.expect_phone(&web, "old", 10).await.unwrap();
    store.expect_phone(&web, "t", 10).await.unwrap();
    let said = Phoned {
        hostname: "web".to_owned(),
        address: "x".to_owned(),
        root: "y".to_owned(),
    };
    assert_eq!(other.phoned(&web).await.unwrap(), None);
    assert_eq!(other.phone("old", &said, 1).await.unwrap(), None);
    assert_eq!(other.phone("t", &said, 9).await.unwrap(), Some(web.clone()));
    assert_eq!(other.phone("t", &said, 9).await.unwrap(), None);
    assert_eq!(store.phoned(&web).await.unwrap(), Some(said));
    store.verify().await.unwrap();
}
