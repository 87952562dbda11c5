//! Changes that go through the fleet in turn: waves, groups, pauses, and what a failure stops.

use std::collections::{BTreeMap, BTreeSet};

use bmctl::ids::Addr;
use bmctl::model::event::{Event, Outcome};
use bmctl::plan::rollout::{AtMostDown, Member, Part, Rule, Share, roll_out};
use bmctl::plan::{Intent, Plan, planfile};

use super::racks::{fleet, nodes};
use super::rig::{Applied, Rig, Then};
use crate::fleet::addr;

const MANY: usize = 8;

fn rule() -> Rule {
    Rule {
        name: "all".to_owned(),
        match_labels: BTreeMap::new(),
        canary: Some(Share::Number(1)),
        wave: Share::Number(4),
        at_most_down: None,
        failures_max: 0,
        pause_s: 0,
        gates: Vec::new(),
    }
}

/// A first plan for eight instances, four racks of two, that goes by the rule.
async fn planned(rig: &Rig, rule: &Rule) -> (bmctl::config::Loaded, Plan) {
    let wanted = fleet(&format!(
        "{}instance \"i\" {{\n  count = {MANY}\n  flavor = flavor.small\n  image = image.disk\n  node = node.n[count.index]\n}}\n",
        nodes(MANY)
    ));
    let mut plan = rig.plan(&wanted, Intent::Apply).await;
    let names: Vec<Addr> = (0..MANY)
        .map(|n| addr(&format!("instance.i[{n}]")))
        .collect();
    let labels: Vec<BTreeMap<String, String>> = (0..MANY)
        .map(|n| BTreeMap::from([("rack".to_owned(), format!("r{}", n / 2))]))
        .collect();
    let members: Vec<Member<'_>> = names
        .iter()
        .zip(&labels)
        .map(|(instance, labels)| Member {
            instance,
            labels,
            part: Part::Changes,
        })
        .collect();
    plan.rollouts = vec![roll_out(rule, &members, &plan.steps)];
    plan.id = planfile::id_of(&plan);
    (wanted, plan)
}

async fn rolled(rule: &Rule, faults: &str) -> Applied {
    let mut rig = Rig::new(faults).await;
    let (wanted, plan) = planned(&rig, rule).await;
    rig.carry_out(plan, &wanted, Intent::Apply, |_| Then::GoOn)
        .await
}

/// Instances in the order of their first start, and those under way at each moment.
fn under_way(events: &[Event]) -> (Vec<Addr>, Vec<BTreeSet<Addr>>) {
    let (mut order, mut now, mut moments) = (Vec::new(), BTreeSet::new(), Vec::new());
    for event in events {
        match event {
            Event::StepStarted { subject, title, .. } if title == "claim node" => {
                order.push(subject.clone());
                now.insert(subject.clone());
                moments.push(now.clone());
            }
            Event::StepFinished { subject, title, .. } if title == "finish" => {
                now.remove(subject);
            }
            _ => {}
        }
    }
    (order, moments)
}

fn numbers(addrs: impl IntoIterator<Item = Addr>) -> Vec<String> {
    let mut out: Vec<String> = addrs.into_iter().map(|a| a.to_string()).collect();
    out.sort();
    out
}

fn blocked(events: &[Event]) -> BTreeSet<(Addr, String)> {
    let reasons = events.iter().filter_map(|event| match event {
        Event::StepFinished {
            subject,
            outcome: Outcome::Blocked { by },
            title,
            ..
        } if title == "claim node" => Some((subject.clone(), by.clone())),
        _ => None,
    });
    reasons.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn waves_go_one_after_the_other_with_a_pause_between() {
    let fast = rolled(&rule(), "seed=1").await;
    assert_eq!(fast.summary().failures, []);
    let (order, moments) = under_way(&fast.events);
    assert_eq!(order[0], addr("instance.i[0]"));
    assert_eq!(
        numbers(order[1..5].to_vec()),
        numbers((1..5).map(|n| addr(&format!("instance.i[{n}]"))))
    );
    assert_eq!(moments.iter().map(BTreeSet::len).max(), Some(4));
    assert_eq!(
        moments[1].len(),
        1,
        "the canary has ended before the next begins"
    );
    // Everybody but the canary is told what it waits for, once.
    let waits = fast.events.iter().filter_map(|event| match event {
        Event::Waiting { reason, .. } if reason.contains("rollout") => Some(reason.as_str()),
        _ => None,
    });
    let waits: Vec<&str> = waits.collect();
    assert_eq!(waits.len(), MANY - 1, "{waits:?}");
    assert_eq!(
        waits.iter().collect::<BTreeSet<_>>(),
        BTreeSet::from([&"wave 2 of 3 of rollout all", &"wave 3 of 3 of rollout all"])
    );

    let slow = Rule {
        pause_s: 600,
        ..rule()
    };
    let slow = rolled(&slow, "seed=1").await;
    let time = |applied: &Applied| match applied.events.last() {
        Some(Event::RunFinished { elapsed_ms, .. }) => *elapsed_ms,
        other => panic!("{other:?}"),
    };
    assert_eq!(time(&slow), time(&fast) + 2 * 600_000);
    let told = slow.events.iter().filter(
        |e| matches!(e, Event::Warning { text, .. } if text.contains("the next begins in 600 s")),
    );
    assert_eq!(told.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_of_a_rack_are_down_at_once_than_may_be() {
    let careful = Rule {
        canary: None,
        wave: Share::Percent(100),
        at_most_down: Some(AtMostDown {
            label: "rack".to_owned(),
            at_most: 1,
        }),
        ..rule()
    };
    let applied = rolled(&careful, "seed=1").await;
    assert_eq!(applied.summary().failures, []);
    let (order, moments) = under_way(&applied.events);
    assert_eq!(order.len(), MANY);
    assert_eq!(moments.iter().map(BTreeSet::len).max(), Some(4));
    for moment in moments {
        let racks: BTreeSet<String> = moment.iter().map(rack).collect();
        assert_eq!(racks.len(), moment.len(), "{moment:?}");
    }
}

fn rack(instance: &Addr) -> String {
    let digits: String = instance
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    format!("r{}", digits.parse::<usize>().unwrap() / 2)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_fails_stops_everything_behind_it() {
    let applied = rolled(&rule(), "seed=1,write_fail=1").await;
    assert_eq!(applied.summary().failed, 1);
    let (order, _) = under_way(&applied.events);
    assert_eq!(order, [addr("instance.i[0]")]);
    let blocked = blocked(&applied.events);
    assert_eq!(blocked.len(), MANY - 1);
    for (_, by) in blocked {
        assert_eq!(by, "rollout all: 1 failed, at most 0 may");
    }
}

/// What may fail goes on failing without stopping the rest; in a rack where one is down for good nobody else is taken down.
#[tokio::test(flavor = "multi_thread")]
async fn failures_within_the_budget_stop_only_who_would_be_down_with_them() {
    let patient = Rule {
        canary: None,
        wave: Share::Number(2),
        failures_max: u32::MAX,
        at_most_down: Some(AtMostDown {
            label: "rack".to_owned(),
            at_most: 1,
        }),
        ..rule()
    };
    for seed in 1..=12 {
        let applied = rolled(&patient, &format!("seed={seed},write_fail=0.4")).await;
        let failed: BTreeSet<Addr> = applied
            .summary()
            .failures
            .iter()
            .map(|(a, _, _)| a.clone())
            .collect();
        let (order, _) = under_way(&applied.events);
        for (instance, by) in blocked(&applied.events) {
            assert!(by.contains("as many as may be down have failed"), "{by}");
            let in_rack = failed.iter().any(|f| rack(f) == rack(&instance));
            assert!(in_rack && !order.contains(&instance), "{instance}");
        }
        let ended = order.len() + blocked(&applied.events).len();
        assert_eq!(ended, MANY, "everybody has had a turn, or knows why not");
    }
}

/// A run that dies in the middle of a rollout, or is stopped in a pause: the next plan has what is left.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_rollout_is_rolled_out_by_the_next_run() {
    let mut rig = Rig::new("seed=1").await;
    let (wanted, plan) = planned(&rig, &rule()).await;
    let mut seen = 0;
    let died = rig
        .carry_out(plan, &wanted, Intent::Apply, |_| {
            seen += 1;
            if seen == 120 { Then::Die } else { Then::GoOn }
        })
        .await;
    assert!(died.summary.is_none());
    rig.reopen().await;
    rig.settle().await;
    let (_, rest) = planned(&rig, &rule()).await;
    let ended = rig
        .carry_out(rest, &wanted, Intent::Apply, |_| Then::GoOn)
        .await;
    assert_eq!(ended.summary().failures, []);
    assert!(rig.plan(&wanted, Intent::Apply).await.is_empty());
}
