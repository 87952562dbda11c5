//! Whole fleets: faults, claims, plans that are refused, and the live engine.

use std::collections::BTreeMap;

use bmctl::apply;
use bmctl::drivers::sim;
use bmctl::drivers::sim::metal::Running;
use bmctl::ids::Addr;
use bmctl::model::InstancePhase;
use bmctl::model::event::Event;
use bmctl::plan::{Intent, Step};
use bmctl::store::StoreError;

use super::racks::{before_the_crash, fleet, nodes, thirty};
use super::rig::{Applied, Rig, Then, instances, pump, writes};
use crate::fleet::addr;

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_deployed_and_nothing_is_left_to_do() {
    let wanted = thirty();
    let mut times = Vec::new();
    for seed in [1, 2, 3] {
        let mut rig = Rig::new(&format!("seed={seed},loss=0.02")).await;
        let first = rig.apply(&wanted).await;
        let summary = first.summary();
        assert_eq!(
            (summary.failed, summary.blocked, summary.not_started),
            (0, 0, 0)
        );
        assert_eq!(summary.done + summary.already_done, first.plan.steps.len());
        assert_eq!(first.written().len(), 30);
        let rest = rig.plan(&wanted, Intent::Apply).await;
        assert!(rest.is_empty(), "{:#?}", rest.changes);
        rig.check().await;
        let recorded = rig.recorded().await;
        let off = instances(&recorded).filter(|(_, r)| r.phase == InstancePhase::Off);
        assert_eq!(off.count(), 5);
        for (_, record) in instances(&recorded) {
            let phoned = record.phoned.as_ref().unwrap();
            assert_eq!(phoned.hostname, record.desired.hostname.as_str());
        }
        times.push(last_elapsed(&first));

        let gone = rig
            .apply_until(&wanted, Intent::Destroy, |_| Then::GoOn)
            .await;
        assert_eq!(gone.summary().failed, 0, "{:?}", gone.summary().failures);
        assert_eq!(rig.recorded().await.resources, BTreeMap::new());
        assert_eq!(rig.store.claims().await.unwrap(), BTreeMap::new());
    }
    // Thirty deployments in parallel: the slowest chain and its queueing, not their sum (over three hours).
    assert!(times.iter().all(|ms| *ms < 30 * 60 * 1000), "{times:?}");
}

fn last_elapsed(applied: &Applied) -> u64 {
    match applied.events.last() {
        Some(Event::RunFinished { elapsed_ms, .. }) => *elapsed_ms,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_seed_is_one_run_event_by_event() {
    let wanted = thirty();
    let mut told = Vec::new();
    for _ in 0..2 {
        let mut rig = Rig::new("seed=5,loss=0.2,write_fail=0.3").await;
        let mut first = rig.apply(&wanted).await;
        // The lineage of a store is random, and plan and partition tables follow it.
        let Event::RunStarted { plan, .. } = &mut first.events[0] else {
            panic!("a run begins with its start");
        };
        plan.clear();
        told.push(first.events);
    }
    assert!(told[0].len() > 500);
    assert_eq!(told[0], told[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_stops_nobody_else_and_what_is_written_is_not_written_again() {
    let wanted = thirty();
    let mut seen = BTreeMap::new();
    for (seed, faults) in [
        (1, "write_fail=0.3"),
        (2, "no_callback=0.3"),
        (3, "no_phone=0.3"),
        (4, "bmc_down=0.2"),
        (
            5,
            "write_fail=0.2,no_callback=0.2,no_phone=0.2,bmc_down=0.1,loss=0.1",
        ),
        (6, "loss=0.45"),
    ] {
        let mut rig = Rig::new(&format!("seed={seed},{faults}")).await;
        let first = rig.apply(&wanted).await;
        let summary = first.summary();
        let total = summary.done
            + summary.already_done
            + summary.failed
            + summary.blocked
            + summary.not_started;
        assert_eq!(total, first.plan.steps.len(), "every step ends once");
        assert!(summary.failed > 0, "{faults} broke nothing");
        for (_, step, _) in &summary.failures {
            *seen.entry(step.clone()).or_insert(0) += 1;
        }
        let failed: std::collections::BTreeSet<&Addr> = summary
            .failures
            .iter()
            .map(|(subject, _, _)| subject)
            .collect();
        let recorded = rig.recorded().await;
        for instance in wanted.fleet.instances.keys() {
            let phase = recorded.resources[instance].as_instance().map(|r| &r.phase);
            let good = matches!(phase, Some(InstancePhase::Running | InstancePhase::Off));
            assert_eq!(
                good,
                !failed.contains(instance),
                "{instance} {phase:?} {faults}"
            );
        }
        rig.check().await;

        rig.weather("seed=0");
        let second = rig.apply(&wanted).await;
        assert_eq!(
            second.summary().failed,
            0,
            "{:?}",
            second.summary().failures
        );
        let attention =
            |r: &bmctl::model::InstanceRecord| matches!(r.phase, InstancePhase::NeedsAttention(_));
        for (instance, record) in instances(&recorded) {
            let again = second.written().contains(instance);
            let needed = record.disk.is_none() || attention(record);
            assert_eq!(again, needed, "{instance} {:?} {faults}", record.phase);
        }
        let rest = rig.plan(&wanted, Intent::Apply).await;
        assert!(rest.is_empty(), "{:#?}", rest.changes);
    }
    for step in [
        "write disk",
        "wait for ramdisk",
        "wait for phone home",
        "power off",
    ] {
        assert!(
            seen.contains_key(step),
            "no fault reached `{step}`: {seen:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_carries_one_instance_and_an_instance_is_on_one_node() {
    let rig = Rig::new("seed=1").await;
    let (n1, n2) = (addr("node.n[1]"), addr("node.n[2]"));
    let (a, b) = (addr("instance.a"), addr("instance.b"));
    rig.store.claim(&n1, &a).await.unwrap();
    rig.store.claim(&n1, &a).await.unwrap();
    match rig.store.claim(&n1, &b).await {
        Err(StoreError::Claimed { node, holder }) => {
            assert_eq!((node, holder), (n1.clone(), a.to_string()));
        }
        other => panic!("{other:?}"),
    }
    assert!(rig.store.claim(&n2, &a).await.is_err());
    assert_eq!(rig.store.claims().await.unwrap(), BTreeMap::from([(n1, a)]));

    // Thirty at once: one has it.
    let mut tasks = Vec::new();
    for n in 0..30 {
        let (store, node) = (rig.store.clone(), n2.clone());
        let instance = addr(&format!("instance.many[{n}]"));
        tasks.push(tokio::spawn(async move {
            store.claim(&node, &instance).await.is_ok()
        }));
    }
    let mut winners = 0;
    for task in tasks {
        winners += usize::from(task.await.unwrap());
    }
    assert_eq!(winners, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_node_stops_a_deployment_before_anything_is_touched() {
    let mut rig = Rig::new("seed=1").await;
    rig.store
        .claim(&addr("node.n[0]"), &addr("instance.other"))
        .await
        .unwrap();
    let one = fleet(&format!(
        "{}instance \"a\" {{\n  flavor = flavor.small\n  image = image.disk\n}}\n",
        nodes(1)
    ));
    let applied = rig.apply(&one).await;
    let summary = applied.summary();
    assert_eq!(summary.failures.len(), 1);
    let (subject, step, why) = &summary.failures[0];
    assert_eq!(
        (subject.to_string().as_str(), step.as_str()),
        ("instance.a", "claim node")
    );
    assert!(why.contains("claimed by instance.other"), "{why}");
    assert!(!applied.events.iter().any(|e| matches!(
        e,
        Event::StepStarted { title, .. } if title == "power off"
    )));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_another_state_or_of_an_older_one_is_refused() {
    let mut rig = Rig::new("seed=1").await;
    let wanted = before_the_crash();
    let old = rig.plan(&wanted, Intent::Apply).await;
    rig.apply(&wanted).await;
    let refused = apply::simulate(&rig.run(&old, 90), &rig.world, &mut |_| {}).await;
    assert!(
        matches!(refused, Err(apply::ApplyError::Stale(_))),
        "{refused:?}"
    );
    let other = Rig::new("seed=1").await;
    let refused = apply::simulate(&other.run(&old, 91), &other.world, &mut |_| {}).await;
    assert!(
        matches!(refused, Err(apply::ApplyError::OtherState { .. })),
        "{refused:?}"
    );
    let mut forged = old.clone();
    forged
        .steps
        .retain(|s| !matches!(s.step, Step::Claim { .. }));
    let refused = apply::simulate(&other.run(&forged, 92), &other.world, &mut |_| {}).await;
    assert!(
        matches!(refused, Err(apply::ApplyError::Audit(_))),
        "{refused:?}"
    );
    assert_eq!(
        other.store.runs().await.unwrap(),
        [],
        "a refused plan is no run"
    );
}

/// The live engine, with its tasks and channels, under simulated time; and a request to stop in its middle.
#[tokio::test]
async fn the_live_engine_does_the_same_and_stops_when_asked() {
    let wanted = thirty();
    let rig = Rig::new("seed=1").await;
    let made = rig.plan(&wanted, Intent::Apply).await;
    rig.seal(&wanted.fleet).await;
    rig.world.learn(&made).unwrap();
    let mut live = rig.run(&made, 1);
    live.drivers = sim::drivers(&rig.world);
    let (ask, requests) = tokio::sync::mpsc::channel(1);
    let mut finished = 0;
    let mut report = |event: Event| {
        if matches!(event, Event::StepFinished { .. }) {
            finished += 1;
            if finished == 150 {
                ask.try_send(apply::Request::Abort).unwrap();
            }
        }
    };
    let summary = pump(&rig.world, live.execute(requests, &mut report))
        .await
        .unwrap();
    assert_eq!(
        (summary.failed, summary.blocked),
        (0, 0),
        "{:?}",
        summary.failures
    );
    assert!(summary.not_started > 0);
    for (id, machine) in &rig.world.metal().machines {
        let in_ramdisk = matches!(machine.running, Running::Ramdisk { .. });
        assert!(
            !in_ramdisk && !machine.has_key,
            "{id} is left in its ramdisk"
        );
    }
    let all = summary.done + summary.already_done + summary.not_started;
    assert_eq!(all, made.steps.len());
    assert_eq!(rig.store.unfinished().await.unwrap(), []);

    let rest = rig.plan(&wanted, Intent::Apply).await;
    assert!(writes(&rest) > 0 && !rest.is_empty());
    rig.world.learn(&rest).unwrap();
    let mut live = rig.run(&rest, 2);
    live.drivers = sim::drivers(&rig.world);
    let (_ask, requests) = tokio::sync::mpsc::channel(1);
    let summary = pump(&rig.world, live.execute(requests, &mut |_| {}))
        .await
        .unwrap();
    assert_eq!(
        (summary.failed, summary.not_started),
        (0, 0),
        "{:?}",
        summary.failures
    );
    assert!(rig.plan(&wanted, Intent::Apply).await.is_empty());
}

/// The claim is in the store, its step's end is not: nobody may be left holding the node. A claim that has its record stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_was_never_noted_is_given_back() {
    let wanted = before_the_crash();
    let mut rig = Rig::new("seed=1").await;
    let first = rig.plan(&wanted, Intent::Apply).await;
    let is_claim = |s: &&bmctl::plan::PlannedStep| matches!(s.step, Step::Claim { .. });
    let claim = first.steps.iter().find(is_claim).unwrap();
    begin(&rig.store, "died", &first).await;
    crate::store::append(
        &rig.store,
        "died",
        1,
        vec![crate::store::started(claim)],
        Vec::new(),
    )
    .await;
    let node = claim.node.as_ref().unwrap();
    rig.store.claim(node, &claim.subject).await.unwrap();
    assert_eq!(rig.settle().await, 1);
    assert_eq!(rig.store.claims().await.unwrap(), BTreeMap::new());

    rig.apply(&wanted).await;
    begin(&rig.store, "died too", &first).await;
    crate::store::append(
        &rig.store,
        "died too",
        1,
        vec![crate::store::started(claim)],
        Vec::new(),
    )
    .await;
    assert_eq!(rig.settle().await, 1);
    rig.check().await;
}

async fn begin(store: &bmctl::store::Store, id: &str, plan: &bmctl::plan::Plan) {
    let run = bmctl::store::NewRun {
        id,
        plan,
        at_ms: 0,
        by: bmctl::store::Actor::here(),
    };
    store.begin_run(run).await.unwrap();
}
