//! A change that goes through a fleet in turn: who is in which wave, how many may be down at once, and what stops it.
//!
//! What is written ([`Rule`]) speaks of numbers and percentages; what a plan holds ([`Rollout`]) names every instance of every wave,
//! so that nothing is left to decide when it is carried out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{PlannedStep, StepId};
use crate::ids::Addr;

/// So many, or so many of a hundred: rounded up, since a wave of nobody would never end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    Number(u32),
    Percent(u32),
}

impl Share {
    /// At least one, at most all.
    pub fn of(self, all: usize) -> usize {
        let wanted = match self {
            Share::Number(n) => usize::try_from(n).unwrap_or(usize::MAX),
            Share::Percent(p) => {
                let p = usize::try_from(p).unwrap_or(usize::MAX).min(100);
                all.saturating_mul(p).div_ceil(100)
            }
        };
        wanted.clamp(1, all.max(1))
    }
}

/// A rollout as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub name: String,
    /// The first wave, when it is to be another size than the rest.
    pub canary: Option<Share>,
    pub wave: Share,
    pub at_most_down: Option<AtMostDown>,
    /// Failed instances that do not stop it yet.
    pub failures_max: u32,
    /// Seconds between the end of a wave and the start of the next.
    pub pause_s: u32,
}

/// How many nodes with the same value of a label may be taken down at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtMostDown {
    pub label: String,
    pub at_most: u32,
}

/// A rollout as a plan holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rollout {
    pub name: String,
    /// Instances in their order; one that is in no wave is not held back.
    pub waves: Vec<Vec<Addr>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    pub failures_max: u32,
    pub pause_s: u32,
}

/// Instances whose nodes share something, such as a rack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Group {
    /// `label = value`, for what is told.
    pub name: String,
    pub members: BTreeSet<Addr>,
    pub at_most: u32,
}

/// An instance that a rule is about, with the labels of its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    pub instance: &'a Addr,
    pub labels: &'a BTreeMap<String, String>,
}

/// Names the waves. Members go by their addresses, but none before one whose steps its own steps wait for: an instance that moves
/// onto a node is in no earlier wave than the one that leaves it.
pub fn roll_out(rule: &Rule, members: &[Member<'_>], steps: &[PlannedStep]) -> Rollout {
    let order = in_order(members.iter().map(|m| m.instance).collect(), steps);
    let all = order.len();
    let mut rest = order.as_slice();
    let mut waves: Vec<Vec<Addr>> = Vec::new();
    let mut size = rule.canary.unwrap_or(rule.wave).of(all);
    while !rest.is_empty() {
        let (wave, after) = rest.split_at(size.min(rest.len()));
        waves.push(wave.iter().map(|a| (*a).clone()).collect());
        rest = after;
        size = rule.wave.of(all);
    }
    Rollout {
        name: rule.name.clone(),
        waves,
        groups: groups(rule.at_most_down.as_ref(), members),
        failures_max: rule.failures_max,
        pause_s: rule.pause_s,
    }
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
    let mut waits_for = waits(&members, steps);
    let mut left = members;
    let mut order = Vec::new();
    while !left.is_empty() {
        let free = left
            .iter()
            .copied()
            .find(|m| waits_for.get(m).is_none_or(BTreeSet::is_empty));
        // Instances that wait for each other step by step can only go together: the first of them goes first.
        let Some(next) = free.or_else(|| left.first().copied()) else {
            break;
        };
        left.remove(next);
        for before in waits_for.values_mut() {
            before.remove(next);
        }
        order.push(next);
    }
    order
}

/// For each member the members whose steps its own steps wait for, over any number of steps of others between.
fn waits<'a>(
    members: &BTreeSet<&'a Addr>,
    steps: &[PlannedStep],
) -> BTreeMap<&'a Addr, BTreeSet<&'a Addr>> {
    let mut before: Vec<BTreeSet<&'a Addr>> = Vec::with_capacity(steps.len());
    let mut out: BTreeMap<&'a Addr, BTreeSet<&'a Addr>> = BTreeMap::new();
    for step in steps {
        let member = members.get(&step.subject).copied();
        let mut reached = BTreeSet::new();
        for StepId(at) in &step.after {
            if let Some(others) = before.get(*at as usize) {
                reached.extend(others.iter().copied());
            }
        }
        if let Some(member) = member {
            reached.remove(member);
            out.entry(member).or_default().extend(reached.iter());
            reached.insert(member);
        }
        before.push(reached);
    }
    out
}

/// What is wrong with a plan's rollouts: an instance in two of them, or in a wave before one it waits for.
pub fn findings(rollouts: &[Rollout], steps: &[PlannedStep]) -> Vec<String> {
    let mut found = Vec::new();
    let mut wave_of: BTreeMap<&Addr, (&str, usize)> = BTreeMap::new();
    for rollout in rollouts {
        for (at, wave) in rollout.waves.iter().enumerate() {
            for member in wave {
                if let Some((other, _)) = wave_of.insert(member, (&rollout.name, at)) {
                    found.push(format!(
                        "{member} is in two waves, of rollout {other} and of rollout {}",
                        rollout.name
                    ));
                }
            }
        }
    }
    let members: BTreeSet<&Addr> = wave_of.keys().copied().collect();
    for (member, others) in waits(&members, steps) {
        for other in others {
            let (Some((name, own)), Some((their_name, theirs))) =
                (wave_of.get(member), wave_of.get(other))
            else {
                continue;
            };
            if name == their_name && own < theirs {
                found.push(format!(
                    "rollout {name}: {member} in wave {} waits for {other} in wave {}",
                    own + 1,
                    theirs + 1
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
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
            failures_max: 0,
            pause_s: 0,
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
            .map(|(instance, labels)| Member { instance, labels })
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
