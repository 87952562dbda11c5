//! Gates: what a wave has to show before the next begins, what a failed one leaves, and who asks again.

use std::collections::BTreeSet;

use bmctl::config::Loaded;
use bmctl::ids::Addr;
use bmctl::model::event::{Event, Outcome};
use bmctl::plan::{Action, Intent, Plan, Step};

use super::racks::{fleet, nodes};
use super::rig::{Applied, Rig, Then, count, instances, tally};
use crate::fleet::addr;

const BOTH: &str = "gate \"tcp\" {\n    port = 22\n  }\n  gate \"phone_home\" {\n  }\n";

/// So many instances, one wave each, that have to pass these gates.
fn gated(many: usize, gates: &str, more: &str) -> Loaded {
    fleet(&format!(
        "{}instance \"i\" {{\n  count = {many}\n  flavor = flavor.small\n  image = image.disk\n  node = node.n[count.index]\n  \
         wait_for_phone_home = false\n  address {{ network = network.pxe }}\n{more}}}\n\
         rollout \"all\" {{\n  wave = 1\n  {gates}}}\n",
        nodes(many)
    ))
}

fn open_gates(recorded: &bmctl::model::Recorded, of: &str) -> Vec<String> {
    let of = addr(of);
    let record = instances(recorded).find(|(a, _)| **a == of).unwrap().1;
    record.unproven.iter().map(ToString::to_string).collect()
}

fn started(applied: &Applied, wanted: &str) -> Vec<Addr> {
    let subjects = applied.events.iter().filter_map(|event| match event {
        Event::StepStarted { subject, title, .. } if title == wanted => Some(subject.clone()),
        _ => None,
    });
    subjects.collect()
}

fn gates_of(plan: &Plan) -> usize {
    count(plan, |s| matches!(s, Step::Gate(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wave_passes_its_gates_before_the_next_begins() {
    let mut rig = Rig::new("seed=1").await;
    let wanted = gated(3, BOTH, "");
    let applied = rig.apply(&wanted).await;
    assert_eq!(applied.summary().failures, []);
    assert_eq!(gates_of(&applied.plan), 6);
    let mut under_way: Option<Addr> = None;
    for event in &applied.events {
        match event {
            Event::StepStarted { subject, title, .. } if title == "claim node" => {
                assert_eq!(under_way.replace(subject.clone()), None);
            }
            Event::StepFinished { subject, title, .. } if title == "gate phone home" => {
                assert_eq!(under_way.take().as_ref(), Some(subject));
            }
            _ => {}
        }
    }
    let recorded = rig.recorded().await;
    assert!(instances(&recorded).all(|(_, r)| r.unproven.is_empty() && r.phoned.is_some()));
    assert!(rig.plan(&wanted, Intent::Apply).await.is_empty());
}

/// The canary stands, and is neither suspect nor written again; whoever would come after it does not begin.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_fails_its_gate_stays_and_is_asked_first_by_the_next_run() {
    for (weather, told) in [
        ("seed=1,gate_fail=1", "connection refused (asked"),
        ("seed=1,gate_hang=1", "no answer"),
    ] {
        let mut rig = Rig::new(weather).await;
        let wanted = gated(3, BOTH, "");
        let failed = rig.apply(&wanted).await;
        let summary = failed.summary();
        let [(who, title, why)] = summary.failures.as_slice() else {
            panic!("{:?}", summary.failures);
        };
        assert_eq!((who, title.as_str()), (&addr("instance.i[0]"), "gate tcp"));
        assert!(
            why.contains(told) && why.contains("stays as it was deployed"),
            "{why}"
        );
        assert_eq!(started(&failed, "claim node"), [addr("instance.i[0]")]);
        let recorded = rig.recorded().await;
        let (_, record) = instances(&recorded).next().unwrap();
        assert_eq!(record.phase, bmctl::model::InstancePhase::Running);
        assert_eq!(
            open_gates(&recorded, "instance.i[0]"),
            ["tcp 22", "phone home"]
        );
        rig.check().await;

        // Still refused: it is asked, and nobody else is taken down for the sake of another try.
        let again = rig.plan(&wanted, Intent::Apply).await;
        assert_eq!(again.rollouts[0].asked_again, Some(1));
        assert_eq!(again.rollouts[0].waves[0], [addr("instance.i[0]")]);
        let change = again
            .changes
            .iter()
            .find(|c| c.addr == addr("instance.i[0]"));
        assert_eq!(change.unwrap().action, Action::Update);
        let failed = rig
            .carry_out(again, &wanted, Intent::Apply, |_| Then::GoOn)
            .await;
        assert_eq!(failed.summary().failed, 1);
        assert_eq!(started(&failed, "claim node"), []);

        rig.weather("seed=1");
        let mended = rig.apply(&wanted).await;
        assert_eq!(mended.summary().failures, []);
        assert_eq!(mended.written().len(), 2, "the canary is not written again");
        assert_eq!(started(&mended, "gate tcp")[0], addr("instance.i[0]"));
        assert_eq!(open_gates(&rig.recorded().await, "instance.i[0]"), [""; 0]);
        assert!(rig.plan(&wanted, Intent::Apply).await.is_empty());
    }
}

/// Gates that nobody asks for any more are forgotten; one that is another by now is asked as it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_again_is_what_is_declared() {
    let mut rig = Rig::new("seed=1,gate_fail=1").await;
    rig.apply(&gated(2, BOTH, "")).await;
    let other = gated(2, "gate \"http\" {\n    path = \"/up\"\n  }\n", "");
    let plan = rig.plan(&other, Intent::Apply).await;
    let asked = plan.steps.iter().filter_map(|s| match &s.step {
        Step::Gate(pass) if pass.instance == addr("instance.i[0]") => Some(pass.gate.to_string()),
        _ => None,
    });
    assert_eq!(asked.collect::<Vec<_>>(), ["http :80/up is 200"]);
    let none = gated(2, "", "");
    let plan = rig.plan(&none, Intent::Apply).await;
    assert_eq!(gates_of(&plan), 0);
    rig.carry_out(plan, &none, Intent::Apply, |_| Then::GoOn)
        .await;
    assert_eq!(open_gates(&rig.recorded().await, "instance.i[0]"), [""; 0]);
}

/// A system that is off shows nothing; one that is only switched on has called already, or never will.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_can_be_shown_is_asked() {
    let mut rig = Rig::new("seed=1").await;
    let off = "  power_state = \"off\"\n";
    let first = rig.apply(&gated(1, BOTH, off)).await;
    assert_eq!((gates_of(&first.plan), first.summary().failed), (0, 0));
    let on = rig.apply(&gated(1, BOTH, "")).await;
    assert_eq!(on.summary().failures, []);
    assert_eq!(started(&on, "gate tcp").len(), 1);
    assert_eq!(started(&on, "gate phone home"), []);
}

/// A gate changes nothing, so a run that dies at it is a run whose gate is asked again: by then it is state that remembers.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_may_die_at_any_point_and_no_gate_is_forgotten() {
    let wanted = gated(2, BOTH, "");
    let mut points = 0;
    let (mut asked_again, mut point) = (0, 0);
    while point <= points {
        point += 1;
        let mut rig = Rig::new("seed=1").await;
        rig.notes_max = 1;
        let mut left = point;
        let died = rig
            .apply_until(&wanted, Intent::Apply, |_| {
                left -= 1;
                let ends = left == 0;
                left = left.max(1);
                if ends { Then::Die } else { Then::GoOn }
            })
            .await;
        points = died.plan.steps.len() * 2;
        rig.reopen().await;
        rig.settle().await;
        let next = rig.apply(&wanted).await;
        assert_eq!(next.summary().failures, [], "point {point}");
        asked_again += usize::from(next.plan.rollouts.iter().any(|r| r.asked_again.is_some()));
        let recorded = rig.recorded().await;
        assert!(
            instances(&recorded).all(|(_, r)| r.unproven.is_empty()),
            "point {point}"
        );
        assert!(
            rig.plan(&wanted, Intent::Apply).await.is_empty(),
            "point {point}"
        );
        let mut events = died.events;
        events.extend(next.events);
        let passed: BTreeSet<(Addr, String)> = events.iter().filter_map(passed_gate).collect();
        assert_eq!(
            passed.len(),
            4,
            "point {point}: each gate was passed in one run or the other"
        );
        assert!(
            tally(&events).values().all(|times| *times == 1),
            "point {point}"
        );
    }
    assert!(asked_again > 4, "no run ever died at a gate: {asked_again}");
}

fn passed_gate(event: &Event) -> Option<(Addr, String)> {
    match event {
        Event::StepFinished {
            subject,
            title,
            outcome: Outcome::Done { .. },
            ..
        } if title.starts_with("gate ") => Some((subject.clone(), title.clone())),
        _ => None,
    }
}
