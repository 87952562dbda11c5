//! Who of a rollout is in which wave: by address, but after those whose steps one's own wait for.

use std::collections::{BTreeMap, BTreeSet};

use super::rollout::{AtMostDown, Group, Member, Part, Rollout, Rule, digest};
use super::{PlannedStep, StepId};
use crate::ids::Addr;

/// Names the waves. Members go by their addresses, but none before one whose steps its own steps wait for: an instance that moves
/// onto a node is in no earlier wave than the one that leaves it.
pub fn roll_out(rule: &Rule, members: &[Member<'_>], steps: &[PlannedStep]) -> Rollout {
    let mut turns: BTreeSet<&Addr> = members.iter().map(|m| m.instance).collect();
    let mut waves: Vec<Vec<Addr>> = Vec::new();
    let first = asked_first(members, steps);
    turns.retain(|member| !first.contains(member));
    let asked_again = (!first.is_empty()).then_some(first.len());
    waves.extend(asked_again.map(|_| first));
    let order = in_order(turns, steps);
    let all = order.len();
    let mut rest = order.as_slice();
    let mut size = rule.canary.unwrap_or(rule.wave).of(all);
    while !rest.is_empty() {
        let (wave, after) = rest.split_at(size.min(rest.len()));
        waves.push(wave.iter().map(|a| (*a).clone()).collect());
        rest = after;
        size = rule.wave.of(all);
    }
    Rollout {
        name: rule.name.clone(),
        rule: Some(digest(rule)),
        has_canary: rule.canary.is_some(),
        waves,
        groups: groups(rule.at_most_down.as_ref(), members),
        failures_max: rule.failures_max,
        pause_s: rule.pause_s,
        gates: rule.gates.clone(),
        asked_again,
    }
}

/// Whoever has not shown what it should is asked before anybody else begins; one whose own steps wait for another member's goes
/// in the order of these.
fn asked_first(members: &[Member<'_>], steps: &[PlannedStep]) -> Vec<Addr> {
    let all: BTreeSet<&Addr> = members.iter().map(|m| m.instance).collect();
    let waits_for = waits(&all, steps);
    let is_free = |m: &&Member<'_>| waits_for.get(m.instance).is_none_or(BTreeSet::is_empty);
    let asked = members.iter().filter(|m| m.part == Part::AskedAgain);
    let first: BTreeSet<&Addr> = asked.filter(is_free).map(|m| m.instance).collect();
    first.into_iter().cloned().collect()
}

fn groups(rule: Option<&AtMostDown>, members: &[Member<'_>]) -> Vec<Group> {
    let Some(AtMostDown { label, at_most }) = rule else {
        return Vec::new();
    };
    let mut by_value: BTreeMap<&String, BTreeSet<Addr>> = BTreeMap::new();
    for member in members {
        // A node without the label shares it with nobody.
        if let Some(value) = member.labels.get(label) {
            let group = by_value.entry(value).or_default();
            group.insert(member.instance.clone());
        }
    }
    let group = |(value, members)| Group {
        name: format!("{label} = {value}"),
        members,
        at_most: (*at_most).max(1),
    };
    by_value.into_iter().map(group).collect()
}

/// Members so that each comes after those it waits for, else by address.
fn in_order<'a>(members: BTreeSet<&'a Addr>, steps: &[PlannedStep]) -> Vec<&'a Addr> {
    let waits_for = waits(&members, steps);
    let mut open: BTreeMap<&Addr, usize> = BTreeMap::new();
    let mut followers: BTreeMap<&Addr, Vec<&'a Addr>> = BTreeMap::new();
    for (member, others) in &waits_for {
        open.insert(member, others.len());
        for other in others {
            followers.entry(other).or_default().push(member);
        }
    }
    let is_free = |m: &&Addr| open.get(*m).is_none_or(|n| *n == 0);
    let mut free: BTreeSet<&'a Addr> = members.iter().copied().filter(is_free).collect();
    let mut left = members;
    let mut order = Vec::with_capacity(left.len());
    // Instances that wait for each other step by step can only go together: the first of them goes first.
    while let Some(next) = free.pop_first().or_else(|| left.first().copied()) {
        if !left.remove(next) {
            continue;
        }
        order.push(next);
        for follower in followers.get(next).into_iter().flatten() {
            if let Some(open) = open.get_mut(follower) {
                *open = open.saturating_sub(1);
                if *open == 0 {
                    free.insert(follower);
                }
            }
        }
    }
    order
}

/// Members that wait for each other, in whatever way around: they swap nodes, and can only go at the same time.
pub(super) fn knotted<'a>(
    members: &BTreeSet<&'a Addr>,
    steps: &[PlannedStep],
) -> BTreeSet<&'a Addr> {
    let mut waits_for = waits(members, steps);
    // Whoever waits for nobody that is left, or whom nobody that is left waits for, is in no knot.
    loop {
        let awaited: BTreeSet<&Addr> = waits_for.values().flatten().copied().collect();
        let before = waits_for.len();
        waits_for.retain(|member, others| !others.is_empty() && awaited.contains(member));
        let left: BTreeSet<&'a Addr> = waits_for.keys().copied().collect();
        for others in waits_for.values_mut() {
            others.retain(|other| left.contains(other));
        }
        if waits_for.len() == before {
            return left;
        }
    }
}

/// For each member the nearest members whose steps its own steps wait for: over any number of steps of others between. Whom these
/// wait for in turn is told of them.
pub fn waits<'a>(
    members: &BTreeSet<&'a Addr>,
    steps: &[PlannedStep],
) -> BTreeMap<&'a Addr, BTreeSet<&'a Addr>> {
    let mut before: Vec<Reached<'a>> = Vec::with_capacity(steps.len());
    let mut out: BTreeMap<&'a Addr, BTreeSet<&'a Addr>> = BTreeMap::new();
    // An instance's steps stand together for the most part: it is looked up once for each stretch.
    for stretch in steps.chunk_by(|a, b| a.subject == b.subject) {
        let subject = stretch.first().map(|s| &s.subject);
        let member = subject.and_then(|s| members.get(s).copied());
        let mut awaited = BTreeSet::new();
        for step in stretch {
            let mut reached = BTreeSet::new();
            for StepId(at) in &step.after {
                match before.get(*at as usize) {
                    Some(Reached::Member(other)) if Some(*other) == member => {}
                    Some(Reached::Member(other)) => drop(reached.insert(*other)),
                    Some(Reached::Through(others)) => reached.extend(others.iter().copied()),
                    None => {}
                }
            }
            before.push(match member {
                Some(member) => {
                    awaited.append(&mut reached);
                    Reached::Member(member)
                }
                None => Reached::Through(reached),
            });
        }
        if let Some(member) = member {
            awaited.remove(member);
            out.entry(member).or_default().append(&mut awaited);
        }
    }
    out
}

/// Whom one waits for who waits for a step.
enum Reached<'a> {
    /// The member whose step it is.
    Member(&'a Addr),
    /// It is nobody's, and waits for these.
    Through(BTreeSet<&'a Addr>),
}

#[cfg(test)]
mod tests {
    use super::super::rollout::{Share, describe, findings};
    use super::*;
    use crate::plan::Step;
    use crate::plan::steps::Builder;

    fn addr(text: &str) -> Addr {
        text.parse().unwrap()
    }

    fn rule(canary: Option<Share>, wave: Share) -> Rule {
        Rule {
            name: "web".to_owned(),
            canary,
            wave,
            at_most_down: Some(AtMostDown {
                label: "rack".to_owned(),
                at_most: 1,
            }),
            match_labels: BTreeMap::new(),
            failures_max: 0,
            pause_s: 0,
            gates: Vec::new(),
        }
    }

    /// Ten instances, two to a rack; steps one after the other where `edges` says so.
    fn rolled(rule: &Rule, edges: &[(usize, usize)]) -> (Rollout, Vec<PlannedStep>) {
        let names: Vec<Addr> = (0..10).map(|n| addr(&format!("instance.i{n}"))).collect();
        let mut builder = Builder::default();
        // A step may only wait for one that stands before it.
        let mut order: Vec<usize> = (0..10).collect();
        order.sort_by_key(|n| edges.iter().any(|(_, after)| after == n));
        let mut ids = BTreeMap::new();
        for n in order {
            let waits = edges.iter().filter(|(_, after)| *after == n);
            let after: Vec<StepId> = waits.map(|(before, _)| ids[before]).collect();
            let forget = Step::Forget {
                addr: names[n].clone(),
            };
            ids.insert(n, builder.push(&names[n], None, forget, &after, 60));
        }
        let labels: Vec<BTreeMap<String, String>> = (0..10)
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
        (roll_out(rule, &members, &builder.steps), builder.steps)
    }

    fn sizes(rollout: &Rollout) -> Vec<usize> {
        rollout.waves.iter().map(Vec::len).collect()
    }

    #[test]
    fn waves_have_the_size_that_is_written() {
        let (canary, steps) = rolled(&rule(Some(Share::Number(1)), Share::Percent(25)), &[]);
        assert_eq!(sizes(&canary), [1, 3, 3, 3]);
        assert_eq!(findings(std::slice::from_ref(&canary), &steps), [""; 0]);
        assert_eq!(canary.groups.len(), 5);
        assert_eq!(canary.groups[0].name, "rack = r0");
        assert_eq!(canary.groups[0].members.len(), 2);
        let (even, _) = rolled(&rule(None, Share::Number(4)), &[]);
        assert_eq!(sizes(&even), [4, 4, 2]);
        let (all, _) = rolled(&rule(None, Share::Percent(100)), &[]);
        assert_eq!(sizes(&all), [10]);
        let (none, _) = rolled(&rule(None, Share::Percent(0)), &[]);
        assert_eq!(sizes(&none), [1; 10]);
    }

    #[test]
    fn what_is_to_come_is_told() {
        let (canary, _) = rolled(&rule(Some(Share::Number(1)), Share::Percent(25)), &[]);
        assert_eq!(
            describe(&canary),
            "Rollout web: 1 canary, then 3 waves of 3, at most 1 down per rack, stops at the first failure"
        );
        let mut loose = rule(None, Share::Number(4));
        loose.at_most_down = None;
        loose.failures_max = 2;
        loose.pause_s = 60;
        assert_eq!(
            describe(&rolled(&loose, &[]).0),
            "Rollout web: 3 waves of up to 4, 60 s between waves, goes on after up to 2 failures"
        );
    }

    #[test]
    fn who_swaps_nodes_is_found() {
        let names: Vec<Addr> = (0..4).map(|n| addr(&format!("instance.i{n}"))).collect();
        let mut builder = Builder::default();
        let mut step = |n: usize, after: &[StepId]| {
            let forget = Step::Forget {
                addr: names[n].clone(),
            };
            builder.push(&names[n], None, forget, after, 60)
        };
        let (a, b) = (step(0, &[]), step(1, &[]));
        step(0, &[b]);
        let end = step(1, &[a]);
        step(2, &[end]);
        step(3, &[]);
        let members: BTreeSet<&Addr> = names.iter().collect();
        let knot = knotted(&members, &builder.steps);
        assert_eq!(knot, BTreeSet::from([&names[0], &names[1]]));
    }

    #[test]
    fn who_waits_for_another_is_in_no_earlier_wave() {
        let (rollout, steps) = rolled(&rule(None, Share::Number(1)), &[(9, 0), (5, 2)]);
        let at = |n: usize| {
            let name = addr(&format!("instance.i{n}"));
            rollout.waves.iter().position(|w| w.contains(&name))
        };
        assert!(at(9) < at(0) && at(5) < at(2));
        assert_eq!(findings(std::slice::from_ref(&rollout), &steps), [""; 0]);
        let mut wrong = rollout.clone();
        wrong.waves.reverse();
        let found = findings(&[wrong, rollout], &steps);
        assert!(
            found
                .iter()
                .any(|f| f.contains("instance.i0 is in two waves"))
        );
        let mut backwards = rolled(&rule(None, Share::Number(1)), &[(9, 0)]).0;
        backwards.waves.reverse();
        let found = findings(&[backwards], &steps);
        assert!(
            found.iter().any(|f| f.contains("waits for instance.i9")),
            "{found:?}"
        );
    }
}
