//! PURE. Whose turn it is in the plan's rollouts: which instance may begin, and what a failure stops.

use std::collections::BTreeMap;

use crate::ids::Addr;
use crate::plan::rollout::{Rollout, waits};
use crate::plan::{Plan, PlannedStep};

/// A rollout's place in the plan.
pub type RolloutId = usize;

/// A wave's place in its rollout.
pub type Wave = usize;

/// How a step has ended, as far as turns go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Well,
    Failed,
    /// It never started.
    Never,
}

/// A member's place in its rollout.
pub type MemberId = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Go,
    /// It goes, and who waits for that may ask again.
    Begin(Hold),
    /// Asked again when this has happened.
    Later(Hold),
}

/// What one waits for whose turn has not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// The wave begins.
    Wave(RolloutId, Wave),
    /// One of a group of the rollout is up again.
    Group(RolloutId, usize),
    /// The member begins, or has its end without.
    Member(RolloutId, MemberId),
}

/// What follows from the end of a step.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Follows {
    /// Who waits for one of these may ask again.
    pub moved: Vec<Hold>,
    /// The next wave begins after so many seconds.
    pub pause: Option<Pause>,
    /// Steps that will not be started, and why.
    pub blocked: Vec<(usize, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    pub rollout: RolloutId,
    pub seconds: u32,
    pub text: String,
}

pub struct Turns<'p> {
    rollouts: Vec<Going<'p>>,
    /// For each step of the plan the member it belongs to.
    of_step: Vec<Option<(RolloutId, MemberId)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Pausing,
    Stopped,
}

struct Going<'p> {
    plan: &'p Rollout,
    wave: usize,
    phase: Phase,
    members: Vec<Member>,
    /// Members of each wave that have steps without an end.
    open: Vec<usize>,
    failed: u32,
    /// Places taken in each group of the rollout.
    down: Vec<u32>,
}

#[derive(Default)]
struct Member {
    wave: usize,
    steps: Vec<usize>,
    open: usize,
    groups: Vec<usize>,
    /// Members whose steps its own wait for: it would hold a place that they need.
    after: Vec<MemberId>,
    has_begun: bool,
    has_failed: bool,
    was_skipped: bool,
}

impl Member {
    /// It has failed, or was begun and will not be gone on with.
    fn stays_down(&self) -> bool {
        self.has_failed || self.has_begun && self.was_skipped
    }
}

impl<'p> Turns<'p> {
    pub fn of(plan: &'p Plan) -> Turns<'p> {
        let mut of_step = vec![None; plan.steps.len()];
        let mut by_subject: BTreeMap<&Addr, Vec<usize>> = BTreeMap::new();
        if !plan.rollouts.is_empty() {
            for stretch in plan.steps.chunk_by(|a, b| a.subject == b.subject) {
                if let Some(first) = stretch.first() {
                    let numbers = stretch.iter().map(|s| s.id.0 as usize);
                    by_subject
                        .entry(&first.subject)
                        .or_default()
                        .extend(numbers);
                }
            }
        }
        let mut rollouts = Vec::new();
        for (id, rollout) in plan.rollouts.iter().enumerate() {
            let going = Going::of(rollout, &mut by_subject, &plan.steps);
            for (number, member) in going.members.iter().enumerate() {
                for at in &member.steps {
                    of_step[*at] = Some((id, number));
                }
            }
            rollouts.push(going);
        }
        Turns { rollouts, of_step }
    }

    /// Whether this step may start as far as its rollout goes. An instance that has begun goes on.
    pub fn ask(&mut self, step: usize) -> Turn {
        let Some((id, number)) = self.of_step.get(step).copied().flatten() else {
            return Turn::Go;
        };
        let going = &mut self.rollouts[id];
        let member = &going.members[number];
        if member.has_begun {
            return Turn::Go;
        }
        if going.phase != Phase::Running || member.wave != going.wave {
            return Turn::Later(Hold::Wave(id, member.wave));
        }
        let has_begun = |other: &MemberId| {
            let other = &going.members[*other];
            other.has_begun || other.open == 0
        };
        if let Some(other) = member.after.iter().find(|other| !has_begun(other)) {
            return Turn::Later(Hold::Member(id, *other));
        }
        let is_full = |group: &&usize| going.down[**group] >= going.plan.groups[**group].at_most;
        if let Some(group) = member.groups.iter().find(is_full) {
            return Turn::Later(Hold::Group(id, *group));
        }
        let member = &mut going.members[number];
        member.has_begun = true;
        for group in &member.groups {
            going.down[*group] += 1;
        }
        Turn::Begin(Hold::Member(id, number))
    }

    /// What it is that somebody waits for, in words.
    pub fn reason(&self, hold: Hold) -> Option<String> {
        let (Hold::Wave(id, _) | Hold::Group(id, _) | Hold::Member(id, _)) = hold;
        let going = self.rollouts.get(id)?;
        let name = &going.plan.name;
        Some(match hold {
            Hold::Wave(_, wave) => {
                let (wave, waves) = (wave + 1, going.open.len());
                format!("wave {wave} of {waves} of rollout {name}")
            }
            Hold::Group(_, group) => {
                let group = going.plan.groups.get(group)?;
                let limit = group.at_most;
                format!("{} ({limit} of {limit} down) in rollout {name}", group.name)
            }
            Hold::Member(..) => format!("another instance of rollout {name} to begin"),
        })
    }

    pub fn ended(&mut self, step: usize, how: Ended) -> Follows {
        let Some((id, number)) = self.of_step.get(step).copied().flatten() else {
            return Follows::default();
        };
        self.rollouts[id].ended(id, number, how)
    }

    /// The steps of all who have not begun in the rollout of this step's instance, which ends here.
    pub fn shut(&mut self, step: usize) -> Vec<usize> {
        let Some((id, _)) = self.of_step.get(step).copied().flatten() else {
            return Vec::new();
        };
        let going = &mut self.rollouts[id];
        going.phase = Phase::Stopped;
        let steps = going.not_begun(|_| true, "");
        steps.into_iter().map(|(at, _)| at).collect()
    }

    /// The pause between two waves is over.
    pub fn woken(&mut self, id: RolloutId) -> Option<Hold> {
        let going = self.rollouts.get_mut(id)?;
        if going.phase != Phase::Pausing {
            return None;
        }
        going.phase = Phase::Running;
        // Whoever was in a wave may have had their end without a turn meanwhile, by the failure of somebody they wait for.
        let mut later = going.wave + 1..going.open.len();
        going.wave = later.find(|wave| going.open[*wave] > 0)?;
        Some(Hold::Wave(id, going.wave))
    }

    /// Whether a pause between two waves is going on somewhere.
    pub fn is_pausing(&self) -> bool {
        self.rollouts.iter().any(|r| r.phase == Phase::Pausing)
    }
}

impl<'p> Going<'p> {
    fn of(
        rollout: &'p Rollout,
        by_subject: &mut BTreeMap<&Addr, Vec<usize>>,
        steps: &[PlannedStep],
    ) -> Going<'p> {
        let mut groups_of: BTreeMap<&Addr, Vec<usize>> = BTreeMap::new();
        for (at, group) in rollout.groups.iter().enumerate() {
            for addr in &group.members {
                groups_of.entry(addr).or_default().push(at);
            }
        }
        let mut members = Vec::new();
        let mut number_of: BTreeMap<&Addr, usize> = BTreeMap::new();
        let mut open = vec![0; rollout.waves.len()];
        for (wave, addrs) in rollout.waves.iter().enumerate() {
            for addr in addrs {
                // An instance with nothing to do has had its turn.
                let Some(steps) = by_subject.remove(addr) else {
                    continue;
                };
                open[wave] += 1;
                number_of.insert(addr, members.len());
                members.push(Member {
                    wave,
                    open: steps.len(),
                    steps,
                    groups: groups_of.remove(addr).unwrap_or_default(),
                    ..Member::default()
                });
            }
        }
        for (addr, others) in waits(&number_of.keys().copied().collect(), steps) {
            if let Some(number) = number_of.get(addr) {
                let others = others.into_iter().filter_map(|o| number_of.get(o).copied());
                members[*number].after = others.collect();
            }
        }
        let first = open.iter().position(|n| *n > 0).unwrap_or(0);
        Going {
            plan: rollout,
            wave: first,
            phase: Phase::Running,
            members,
            open,
            failed: 0,
            down: vec![0; rollout.groups.len()],
        }
    }

    fn ended(&mut self, id: RolloutId, number: MemberId, how: Ended) -> Follows {
        let mut follows = Follows::default();
        let member = &mut self.members[number];
        let failed_before = member.has_failed;
        match how {
            Ended::Well => {}
            Ended::Failed => member.has_failed = true,
            Ended::Never => member.was_skipped = true,
        }
        member.open -= 1;
        let newly_failed = member.has_failed && !failed_before;
        let is_over = member.open == 0;
        let (wave, is_well) = (member.wave, !member.has_failed && !member.was_skipped);
        if newly_failed {
            self.failed += 1;
            follows.blocked = self.stopped_by(number);
        }
        if is_over {
            let member = &self.members[number];
            // Who has failed, or cannot be gone on with, is down, and keeps its place.
            if member.has_begun && is_well {
                for group in &member.groups {
                    self.down[*group] -= 1;
                    follows.moved.push(Hold::Group(id, *group));
                }
            } else if member.stays_down() && !member.has_failed {
                follows.blocked.extend(self.kept_out_by(number));
            }
            follows.moved.push(Hold::Member(id, number));
            self.open[wave] -= 1;
            self.move_on(id, &mut follows);
        }
        follows
    }

    /// Who will not begin because this one has failed: everybody, when it is one too many; else those who would be down with
    /// it.
    fn stopped_by(&mut self, number: usize) -> Vec<(usize, String)> {
        let name = &self.plan.name;
        if self.failed > self.plan.failures_max {
            self.phase = Phase::Stopped;
            let why = format!(
                "rollout {name}: {} failed, at most {} may",
                self.failed, self.plan.failures_max
            );
            return self.not_begun(|_| true, &why);
        }
        self.kept_out_by(number)
    }

    /// Who will not begin because this one stays down.
    fn kept_out_by(&self, number: MemberId) -> Vec<(usize, String)> {
        let name = &self.plan.name;
        let mut out = Vec::new();
        for group in self.members[number].groups.clone() {
            let is_down = |m: &&Member| m.stays_down() && m.groups.contains(&group);
            let down = self.members.iter().filter(is_down).count();
            let limit = self.plan.groups[group].at_most;
            if u32::try_from(down).is_ok_and(|down| down >= limit) {
                let why = format!(
                    "rollout {name}: {}: as many as may be down have not come up again",
                    self.plan.groups[group].name
                );
                out.extend(self.not_begun(|m| m.groups.contains(&group), &why));
            }
        }
        out
    }

    fn not_begun(&self, wanted: impl Fn(&Member) -> bool, why: &str) -> Vec<(usize, String)> {
        let members = self.members.iter();
        let waiting = members.filter(|m| !m.has_begun && m.open > 0 && wanted(m));
        waiting
            .flat_map(|m| m.steps.iter().map(|at| (*at, why.to_owned())))
            .collect()
    }

    fn move_on(&mut self, id: RolloutId, follows: &mut Follows) {
        if self.phase != Phase::Running || self.open[self.wave] > 0 {
            return;
        }
        let ended = self.wave;
        let Some(next) = (ended + 1..self.open.len()).find(|wave| self.open[*wave] > 0) else {
            return;
        };
        // The wave that a pause ends with is the next that has somebody in it.
        self.wave = next - 1;
        self.phase = Phase::Pausing;
        follows.pause = Some(Pause {
            rollout: id,
            seconds: self.plan.pause_s,
            text: format!(
                "rollout {}: wave {} of {} has ended",
                self.plan.name,
                ended + 1,
                self.open.len()
            ),
        });
    }
}
