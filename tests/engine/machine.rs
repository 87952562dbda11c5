//! The machine alone, without a store and without drivers: whatever order things end in, whatever is asked of it, it starts nothing
//! that is not durable.

use std::collections::{BTreeMap, BTreeSet};

use bmctl::apply::lifecycle;
use bmctl::apply::machine::{Close, Command, Input, Machine, Performed};
use bmctl::model::event::{Event, Outcome};
use bmctl::model::{Observed, Recorded};
use bmctl::plan::{Action, Intent, Plan, StepId};
use bmctl::store::{Note, Request};

use super::racks::thirty;
use crate::fleet::{facts_of, first_plan, plan};

/// A batch on its way: what it starts, and what has ended, well or not.
struct Sent {
    starts: Vec<StepId>,
    ends: Vec<(StepId, bool)>,
}

/// What a store and drivers would see of one run.
#[derive(Default)]
struct Seen {
    durable_starts: BTreeSet<StepId>,
    durable_ends: BTreeMap<StepId, bool>,
    /// Batches that were sent and not yet answered.
    sent: Vec<Sent>,
    running: Vec<StepId>,
    returning: Vec<StepId>,
    told: BTreeMap<u32, Outcome>,
    batches: u64,
    closed: Option<Close>,
}

impl Seen {
    fn take(&mut self, plan: &Plan, commands: Vec<Command<'_>>, failed: &BTreeSet<StepId>) {
        for command in commands {
            match command {
                Command::Commit(batch) => {
                    self.batches += 1;
                    assert_eq!(batch.number, self.batches, "batches are numbered in order");
                    assert!(self.sent.is_empty(), "one batch at a time");
                    let (mut starts, mut ends) = (Vec::new(), Vec::new());
                    for note in &batch.notes {
                        match note {
                            Note::Started { step, .. } => starts.push(step.id),
                            Note::Finished { step, .. } => {
                                ends.push((step.id, !failed.contains(&step.id)));
                            }
                        }
                    }
                    self.sent.push(Sent { starts, ends });
                }
                Command::Start(step, _) => {
                    assert!(
                        self.durable_starts.contains(&step.id),
                        "{} starts before its start is durable",
                        step.id
                    );
                    for before in &step.after {
                        assert_eq!(
                            self.durable_ends.get(before),
                            Some(&true),
                            "{} starts before the end of {before} is durable",
                            step.id
                        );
                    }
                    assert!(plan.step(step.id).is_some());
                    self.running.push(step.id);
                }
                Command::GiveBack(start, _) => self.returning.push(start),
                Command::Report(Event::StepFinished { step, outcome, .. }) => {
                    assert!(
                        self.told.insert(step, outcome).is_none(),
                        "step {step} ends twice"
                    );
                }
                Command::Report(_) => {}
                Command::Wake(..) => unreachable!("this plan has no rollout"),
                Command::Close(how) => {
                    assert!(self.running.is_empty() && self.returning.is_empty());
                    assert!(self.sent.is_empty() && self.closed.is_none());
                    self.closed = Some(how);
                }
            }
        }
    }

    fn land(&mut self) {
        let Sent { starts, ends } = self.sent.remove(0);
        self.durable_starts.extend(starts);
        self.durable_ends.extend(ends);
    }
}

fn next(dice: &mut u64) -> usize {
    *dice = dice
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*dice >> 33).unwrap()
}

fn live(plan: &Plan, seed: u64) -> Seen {
    let mut dice = seed;
    let limit = [1, 2, 7, 1000][next(&mut dice) % 4];
    let failing = [0, 0, 20, 5][next(&mut dice) % 4];
    let abort_at = next(&mut dice) % 4000;
    let mut machine = Machine::new("r-1", plan, BTreeMap::new(), &Default::default(), limit);
    let (mut seen, mut failed, mut now) = (Seen::default(), BTreeSet::new(), 1);
    let begun = machine.handle(Input::Begin, now);
    seen.take(plan, begun, &failed);
    let mut turns = 0;
    while seen.closed.is_none() {
        now += 1;
        turns += 1;
        assert!(turns < 100_000, "seed {seed}: it does not come to its end");
        let input = match next(&mut dice) % 8 {
            _ if turns == abort_at => Input::Asked(Request::Abort),
            0 => Input::Asked(Request::Pause),
            1 | 2 => Input::Asked(Request::Resume),
            3 | 4 if !seen.sent.is_empty() => {
                seen.land();
                Input::Committed
            }
            5 if !seen.returning.is_empty() => Input::Returned(seen.returning.remove(0), None),
            _ if !seen.running.is_empty() => {
                let many = 1 + next(&mut dice) % seen.running.len();
                let ended = (0..many).map(|_| {
                    let at = next(&mut dice) % seen.running.len();
                    let id = seen.running.swap_remove(at);
                    let fails = failing > 0 && next(&mut dice).is_multiple_of(failing);
                    failed.extend(fails.then_some(id));
                    (id, performed(fails))
                });
                Input::Ended(ended.collect())
            }
            _ => continue,
        };
        let commands = machine.handle(input, now);
        seen.take(plan, commands, &failed);
    }
    let summary = machine.summary();
    assert_eq!(summary.failed, failed.len());
    let is_whole = seen.told.values().all(Outcome::is_good);
    assert_eq!(
        seen.closed,
        Some(if is_whole {
            Close::Done
        } else {
            Close::Incomplete
        })
    );
    seen
}

fn performed(fails: bool) -> Performed {
    let outcome = if fails {
        Outcome::Failed {
            why: "as planned".to_owned(),
        }
    } else {
        Outcome::Done {
            detail: String::new(),
        }
    };
    Performed {
        outcome,
        fact: None,
        attention: None,
    }
}

#[test]
fn nothing_starts_before_it_is_durable_and_everything_ends_once() {
    let wanted = thirty();
    let facts = facts_of(&wanted.fleet);
    let recorded = Recorded::default();
    let seen = Observed::default();
    let plan = plan(&wanted.fleet, &recorded, &seen, &facts, Intent::Apply).unwrap();
    let (mut aborted, mut blocked) = (0, 0);
    for seed in 0..60 {
        let seen = live(&plan, seed);
        assert_eq!(seen.told.len(), plan.steps.len(), "seed {seed}");
        let is = |wanted: fn(&Outcome) -> bool| seen.told.values().filter(|o| wanted(o)).count();
        aborted += is(|o| matches!(o, Outcome::NotStarted));
        blocked += is(|o| matches!(o, Outcome::Blocked { .. }));
        for (step, outcome) in &seen.told {
            let noted = seen.durable_ends.contains_key(&StepId(*step));
            let has_run = !matches!(outcome, Outcome::NotStarted | Outcome::Blocked { .. });
            assert_eq!(noted, has_run, "seed {seed} step {step}: {outcome:?}");
        }
    }
    assert!(aborted > 0 && blocked > 0, "the dice are too kind");
}

/// A bug in a step of a takeover must not make the next plan think of a deployment: it would write.
#[test]
fn a_takeover_that_a_bug_has_ended_is_still_a_takeover() {
    let wanted = super::racks::fleet(&format!(
        "{}import {{\n  to = instance.web\n  id = node.n[0]\n}}\ninstance \"web\" {{\n  flavor = flavor.small\n  image = image.disk\n}}\n",
        super::racks::nodes(1)
    ));
    let facts = facts_of(&wanted.fleet);
    let (mut memory, first) = first_plan(&wanted.fleet);
    let seen = Observed::default();
    let at = first
        .steps
        .iter()
        .position(|s| s.step.title() == "boot files (instance)");
    memory.apply(&first, |step| Some(step.id.0 as usize) == at);
    let state = memory.recorded.resources.clone();
    let mut machine = Machine::new("r-1", &first, state, &Default::default(), 1000);
    let mut now = 0;
    let mut changes = Vec::new();
    let mut inputs = vec![Input::Begin];
    while let Some(input) = inputs.pop() {
        now += 1;
        for command in machine.handle(input, now) {
            match command {
                Command::Commit(batch) => {
                    changes.extend(batch.changes);
                    inputs.push(Input::Committed);
                }
                Command::Start(step, _) => {
                    let is_bug = Some(step.id.0 as usize) == at;
                    let mut done = performed(is_bug);
                    done.attention = is_bug.then(|| "a bug in bmctl ended this step".to_owned());
                    inputs.insert(0, Input::Ended(vec![(step.id, done)]));
                }
                Command::GiveBack(start, _) => inputs.insert(0, Input::Returned(start, None)),
                Command::Report(_) | Command::Wake(..) | Command::Close(_) => {}
            }
        }
    }
    assert_eq!(machine.summary().failed, 1);
    lifecycle::fold(&mut memory.recorded.resources, &changes);
    let next = plan(
        &wanted.fleet,
        &memory.recorded,
        &seen,
        &facts,
        Intent::Apply,
    )
    .unwrap();
    let change = next
        .changes
        .iter()
        .find(|c| c.addr == crate::fleet::addr("instance.web"));
    assert_eq!(change.map(|c| c.action), Some(Action::Adopt));
}
