//! What must be true after every operation, whatever has happened.

use std::collections::{BTreeMap, BTreeSet};

use bmctl::drivers::sim::metal::{Content, Metal, Running};
use bmctl::ids::Addr;
use bmctl::model::InstancePhase;
use bmctl::model::event::{Event, Outcome};
use bmctl::plan::rollout::Rollout;
use bmctl::plan::{Plan, Step};

use super::History;
use super::wishes::wish_of;
use crate::engine::rig::{Applied, instances};
use crate::fleet::CANARY;

/// A deployment, as far as another of the same would be one too many.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    machine: String,
    image: &'static str,
    has_data: bool,
}

impl History {
    /// A run that came to its end has given back what it borrowed, or says that a person has to look. A disk that was written by
    /// a run that died may have its system running: its machine is left alone until the next power-off.
    pub(super) async fn judge_loans(&self) {
        let recorded = self.rig.recorded().await;
        let excused: BTreeSet<u64> = instances(&recorded)
            .filter(|(_, r)| match r.phase {
                InstancePhase::NeedsAttention(_) => true,
                InstancePhase::Deploying => r.disk.is_some(),
                InstancePhase::Destroying | InstancePhase::Running | InstancePhase::Off => false,
            })
            .map(|(_, r)| node_number(&r.node.to_string()) + 1)
            .collect();
        for (id, machine) in &self.rig.world.metal().machines {
            // A key without a ramdisk opens nothing; it is void when the instance is finished or gone.
            let is_lent = matches!(machine.running, Running::Ramdisk { .. }) || machine.is_exported;
            let is_excused = excused.iter().any(|n| *id == format!("10.98.0.{n}:623"));
            assert!(!is_lent || is_excused, "{id} is lent after the run's end");
        }
    }

    /// No disk is written that the plan did not name, and nothing tells a secret.
    pub(super) fn judge(&mut self, before: &Metal, applied: &Applied) {
        let named = written_by(&applied.plan);
        for (id, after) in &self.rig.world.metal().machines {
            let was = before.machines.get(id);
            let touched = |m: &bmctl::drivers::sim::metal::Machine| (m.writes_begun, m.erased);
            let changed = was.map(touched).unwrap_or_default() != touched(after);
            assert!(
                !changed || named.contains(id),
                "{id} was written to, and the plan does not name it"
            );
        }
        self.judge_writes(applied);
        self.judge_turns(applied);
        let told = serde_json::to_string(&applied.events).unwrap();
        assert!(!told.contains(CANARY), "an event tells a secret");
        for event in &applied.events {
            match event {
                Event::Warning {
                    subject: Some(subject),
                    ..
                }
                | Event::StepFinished {
                    subject,
                    outcome: Outcome::Failed { .. },
                    ..
                } => {
                    self.excused.insert(whatever_it_is_called(subject));
                }
                _ => {}
            }
        }
    }

    /// What was written to its end is not written again, unless something else is wanted by then.
    fn judge_writes(&mut self, applied: &Applied) {
        for event in &applied.events {
            let (subject, title, done) = match event {
                Event::StepStarted { subject, title, .. } => (subject, title, false),
                Event::StepFinished {
                    subject,
                    title,
                    outcome: Outcome::Done { .. },
                    ..
                } => (subject, title, true),
                _ => continue,
            };
            let name = wish_of(subject.name.as_str());
            match title.as_str() {
                // It is taken down, or left to itself, or another deployment has begun: from here on a write is one that was asked for.
                "record" | "forget" => {
                    self.written.remove(&name);
                }
                "claim node" if done => {
                    let wanted = self.deployed(&name, &applied.plan);
                    if self.written.get(&name) != Some(&wanted) {
                        self.written.remove(&name);
                    }
                }
                "write disk" => {
                    let deployed = self.deployed(&name, &applied.plan);
                    if done {
                        self.written.insert(name, deployed);
                    } else {
                        let before = self.written.get(&name);
                        assert_ne!(before, Some(&deployed), "{name} is written twice");
                        self.written.remove(&name);
                    }
                }
                _ => {}
            }
        }
    }

    fn deployed(&self, name: &str, plan: &Plan) -> Deployed {
        let write = plan.steps.iter().find_map(|step| match &step.step {
            Step::WriteDisk(write) if wish_of(write.instance.name.as_str()) == name => Some(write),
            _ => None,
        });
        let node = node_number(&write.unwrap().node.to_string());
        let wish = &self.wishes[name];
        Deployed {
            machine: format!("10.98.0.{}:623", node + 1),
            image: wish.image,
            has_data: wish.has_data,
        }
    }

    /// What must hold whenever nothing runs.
    pub(super) async fn check(&self) {
        self.rig.check().await;
        let recorded = self.rig.recorded().await;
        let mut nodes = BTreeSet::new();
        for (addr, record) in instances(&recorded) {
            assert!(
                nodes.insert(record.node.clone()),
                "{} carries two instances",
                record.node
            );
            if let InstancePhase::NeedsAttention(why) = &record.phase {
                assert!(
                    !why.is_empty(),
                    "{addr} needs attention, and nobody says why"
                );
                assert!(
                    self.excused.contains(&whatever_it_is_called(addr)),
                    "{addr} needs attention, and nothing was told"
                );
            }
        }
    }

    /// Nobody begins before the wave before has ended, no more are down at once than may be, and nobody begins after one failure
    /// too many.
    fn judge_turns(&self, applied: &Applied) {
        for rollout in &applied.plan.rollouts {
            let mut members: BTreeMap<Addr, Member> = BTreeMap::new();
            for step in &applied.plan.steps {
                let wave = rollout.waves.iter().position(|w| w.contains(&step.subject));
                if let Some(wave) = wave {
                    let member = members.entry(step.subject.clone()).or_default();
                    (member.wave, member.open) = (wave, member.open + 1);
                }
            }
            for event in &applied.events {
                match event {
                    Event::StepStarted { subject, .. } if members.contains_key(subject) => {
                        begins(rollout, &members, subject);
                        members.get_mut(subject).unwrap().has_begun = true;
                        stays_up(rollout, &members);
                    }
                    Event::StepFinished {
                        subject, outcome, ..
                    } => {
                        if let Some(member) = members.get_mut(subject) {
                            member.open -= 1;
                            member.has_failed |= matches!(outcome, Outcome::Failed { .. });
                            member.is_well &= matches!(
                                outcome,
                                Outcome::Done { .. } | Outcome::AlreadyDone { .. }
                            );
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// State, metal and wishes say the same.
    pub(super) async fn compare(&self) {
        let recorded = self.rig.recorded().await;
        let metal = self.rig.world.metal();
        let found: BTreeSet<String> = instances(&recorded)
            .map(|(addr, _)| wish_of(addr.name.as_str()))
            .collect();
        assert_eq!(found, self.wishes.keys().cloned().collect());
        for (addr, record) in instances(&recorded) {
            let name = wish_of(addr.name.as_str());
            let wish = &self.wishes[&name];
            let node = usize::try_from(node_number(&record.node.to_string())).unwrap();
            assert!(
                wish.node.is_none_or(|n| n == node),
                "{addr} is on node {node}"
            );
            let machine = &metal.machines[&format!("10.98.0.{}:623", node + 1)];
            let Some(Content::Image(written)) = machine.disk.as_ref().map(|d| &d.content) else {
                panic!("{addr}: its disk holds {:?}", machine.disk);
            };
            assert_eq!(written.hostname, name);
            assert_eq!(written.image, record.image_facts.sha256, "{addr}");
            assert_eq!(record.image.kind.as_str(), kind_of(wish.image), "{addr}");
            assert_eq!(machine.is_on, wish.power == "on", "{addr}");
            if machine.is_on {
                assert!(
                    matches!(&machine.running, Running::System { hostname, .. } if *hostname == written.hostname),
                    "{addr} runs {:?}",
                    machine.running
                );
            }
        }
        for (id, machine) in &metal.machines {
            assert!(
                !machine.has_key && !machine.is_exported,
                "{id} is still lent"
            );
        }
    }
}

/// A member of a rollout, as far as the events told of a run go.
struct Member {
    wave: usize,
    open: usize,
    has_begun: bool,
    has_failed: bool,
    is_well: bool,
}

impl Default for Member {
    fn default() -> Member {
        Member {
            wave: 0,
            open: 0,
            has_begun: false,
            has_failed: false,
            is_well: true,
        }
    }
}

fn begins(rollout: &Rollout, members: &BTreeMap<Addr, Member>, who: &Addr) {
    let member = &members[who];
    if member.has_begun {
        return;
    }
    for (other, earlier) in members.iter().filter(|(_, m)| m.wave < member.wave) {
        assert_eq!(earlier.open, 0, "{who} begins before {other} has ended");
    }
    let failed = members.values().filter(|m| m.has_failed).count();
    let most = usize::try_from(rollout.failures_max).unwrap();
    assert!(failed <= most, "{who} begins after {failed} have failed");
}

fn stays_up(rollout: &Rollout, members: &BTreeMap<Addr, Member>) {
    for group in &rollout.groups {
        let of_group = members
            .iter()
            .filter(|(addr, _)| group.members.contains(*addr));
        let down = of_group
            .filter(|(_, m)| m.has_begun && (m.open > 0 || !m.is_well))
            .count();
        let most = usize::try_from(group.at_most).unwrap();
        assert!(
            down <= most,
            "{}: {down} are down, {most} may be",
            group.name
        );
    }
}

/// One that is renamed stays the one of whom something was told.
fn whatever_it_is_called(addr: &Addr) -> String {
    addr.to_string().replace('x', "")
}

fn kind_of(image: &str) -> &str {
    match image {
        "part" => "partition",
        other => other,
    }
}

pub fn node_number(node: &str) -> u64 {
    let digits: String = node.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// The machines whose disks a plan names.
fn written_by(plan: &Plan) -> BTreeSet<String> {
    let named = plan.steps.iter().filter_map(|step| match &step.step {
        Step::WriteDisk(write) => Some(&write.node),
        Step::EraseDisk { node, .. } => Some(node),
        _ => None,
    });
    named
        .map(|node| format!("10.98.0.{}:623", node_number(&node.to_string()) + 1))
        .collect()
}
