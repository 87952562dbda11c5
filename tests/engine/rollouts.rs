//! Changes that go through the fleet in turn: waves, groups, pauses, and what a failure stops.

use std::collections::{BTreeMap, BTreeSet};

use bmctl::apply::schedule::{Action, Schedule};
use bmctl::ids::Addr;
use bmctl::model::event::{Event, Outcome};
use bmctl::plan::rollout::{AtMostDown, Group, Member, Part, Rollout, Rule, Share, roll_out};
use bmctl::plan::{Intent, Plan, StepId, planfile};

use super::racks::{BASE, fleet, nodes};
use super::rig::{Applied, Rig, Then};
use crate::fleet::{addr, first_plan, load, without_mistakes};

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
            assert!(
                by.contains("as many as may be down have not come up again"),
                "{by}"
            );
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

/// A first plan for eight instances that go in these waves; of the first of each three, the step with this number waits for the last
/// step of the other.
fn wound(rollouts: &[&[&[usize]]], waits: &[(usize, usize, usize)], limits: &str) -> Plan {
    let labelled = nodes(MANY).replace(
        "  root_device {",
        "  labels = { rack = count.index == 2 || count.index == 4 ? \"shared\" : \"r${count.index}\" }\n  root_device {",
    );
    let base = BASE.replace("site \"lab\" {", &format!("site \"lab\" {{\n{limits}"));
    let wanted = without_mistakes(load(&[
        ("base.hcl", &base),
        (
            "main.hcl",
            &format!(
                "{labelled}instance \"i\" {{\n  count = {MANY}\n  flavor = flavor.small\n  image = image.disk\n  node = node.n[count.index]\n}}\n"
            ),
        ),
    ]));
    let (_, mut plan) = first_plan(&wanted.fleet);
    let name = |n: &usize| addr(&format!("instance.i[{n}]"));
    for (waiting, number, awaited) in waits {
        let of = |n: &usize| {
            let name = name(n);
            let own = plan.steps.iter().filter(move |s| s.subject == name);
            own.map(|s| s.id).collect::<Vec<_>>()
        };
        let (step, last) = (of(waiting)[*number], *of(awaited).last().unwrap());
        plan.steps[step.0 as usize].after.push(last);
    }
    let all = rollouts.iter().enumerate().map(|(at, waves)| Rollout {
        name: format!("r{at}"),
        rule: None,
        has_canary: false,
        waves: waves.iter().map(|w| w.iter().map(name).collect()).collect(),
        groups: Vec::new(),
        failures_max: 0,
        pause_s: 60,
        gates: Vec::new(),
        asked_again: None,
    });
    plan.rollouts = all.collect();
    plan
}

/// Tells a schedule that all it starts ends well, except where `ends` says otherwise; what ended without a start,
/// and why first.
fn told(
    schedule: &mut Schedule<'_>,
    mut actions: Vec<Action>,
    plan: &Plan,
    ends: impl Fn(&Addr) -> Option<bool>,
) -> (Vec<StepId>, BTreeMap<Addr, Outcome>, bool) {
    let (mut running, mut never, mut pauses) = (Vec::new(), BTreeMap::new(), false);
    let mut left = Vec::new();
    loop {
        for action in actions {
            match action {
                Action::Start(id) => running.push(id),
                Action::End(id, outcome) => {
                    let subject = plan.step(id).unwrap().subject.clone();
                    never.entry(subject).or_insert(outcome);
                }
                Action::Wake(_) => pauses = true,
                Action::Wait(..) => {}
            }
        }
        let Some(id) = running.pop() else {
            return (left, never, pauses);
        };
        actions = match ends(&plan.step(id).unwrap().subject) {
            Some(good) => schedule.finished(id, good),
            None => {
                left.push(id);
                Vec::new()
            }
        };
    }
}

/// Who is to come next may lose what it waits for during the pause.
#[test]
fn a_wave_that_is_blocked_in_a_pause_is_passed_over() {
    let plan = wound(&[&[&[1], &[2], &[3]]], &[(2, 0, 0)], "");
    let slow = addr("instance.i[0]");
    let mut schedule = Schedule::new(&plan, &Default::default());
    let actions = schedule.begin();
    let but_slow = |of: &Addr| (*of != slow).then_some(true);
    let (left, never, pauses) = told(&mut schedule, actions, &plan, but_slow);
    assert!(pauses && never.is_empty(), "{never:?}");
    for id in left {
        let actions = schedule.finished(id, false);
        told(&mut schedule, actions, &plan, |_| Some(true));
    }
    let actions = schedule.woken(0);
    let (_, never, _) = told(&mut schedule, actions, &plan, |_| Some(true));
    assert_eq!(never, BTreeMap::new(), "the last wave has its turn");
    assert!(schedule.is_over());
}

/// Those who wait for each other are blocked; what they held is free for others.
#[test]
fn who_waits_for_the_place_of_one_that_is_blocked_begins() {
    let rollouts: &[&[&[usize]]] = &[&[&[2], &[1]], &[&[3], &[0]]];
    let limits = "  limits {\n    per_label \"rack\" {\n      work = 1\n    }\n  }\n";
    let plan = wound(rollouts, &[(2, 1, 0), (3, 1, 1)], limits);
    let mut schedule = Schedule::new(&plan, &Default::default());
    let actions = schedule.begin();
    let (_, never, _) = told(&mut schedule, actions, &plan, |_| Some(true));
    let blocked: Vec<String> = never.keys().map(ToString::to_string).collect();
    assert_eq!(
        blocked,
        [
            "instance.i[0]",
            "instance.i[1]",
            "instance.i[2]",
            "instance.i[3]"
        ]
    );
    assert!(schedule.is_over(), "nobody waits for ever");
}

/// Who was begun, and waits for one that failed, is down as if it had failed itself.
#[test]
fn whoever_is_behind_one_that_is_not_gone_on_with_is_told_so() {
    let mut plan = wound(&[&[&[1, 2, 3]]], &[(1, 1, 0)], "");
    plan.rollouts[0].groups = vec![Group {
        name: "rack = r".to_owned(),
        members: [1, 2].map(|n| addr(&format!("instance.i[{n}]"))).into(),
        at_most: 1,
    }];
    let slow = addr("instance.i[0]");
    let mut schedule = Schedule::new(&plan, &Default::default());
    let actions = schedule.begin();
    let (left, never, _) = told(&mut schedule, actions, &plan, |of| {
        (*of != slow).then_some(true)
    });
    assert_eq!(never, BTreeMap::new());
    let mut blocked = BTreeMap::new();
    for id in left {
        let actions = schedule.finished(id, false);
        blocked.extend(told(&mut schedule, actions, &plan, |_| Some(true)).1);
    }
    assert!(schedule.is_over());
    let behind = blocked.get(&addr("instance.i[2]"));
    assert!(
        matches!(behind, Some(Outcome::Blocked { by }) if by.contains("have not come up again")),
        "{behind:?}"
    );
}
