//! A run on a terminal: a line for each of those at work, and one for all.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::ids::{Addr, Kind};
use crate::model::event::Event;
use crate::units::human_bytes;

/// More bars than this cost more than they tell.
const BARS_MAX: usize = 30;
/// Steps after which an instance has nothing more to do, but for its gates.
const LAST_TITLES: [&str; 2] = ["finish", "release node"];

#[derive(Default)]
pub struct Bars {
    summary: Option<ProgressBar>,
    by_subject: BTreeMap<Addr, ProgressBar>,
    queue: Queue,
}

impl Bars {
    pub fn event(&mut self, event: &Event, screen: &MultiProgress) {
        match event {
            Event::RunStarted { steps, .. } => self.begin(*steps, screen),
            Event::StepStarted { subject, title, .. } => self.start(subject, title, screen),
            Event::Waiting {
                subject, reason, ..
            } => match self.by_subject.get(subject) {
                Some(bar) => bar.set_message(format!("waits for {reason}")),
                None => self.queue.waits(subject, reason),
            },
            Event::Progress {
                subject,
                phase,
                done,
                total,
                step: _,
            } => self.progress(subject, phase, *done, *total),
            Event::StepFinished {
                outcome,
                subject,
                title,
                ..
            } => self.finish(subject, title, outcome.is_good()),
            Event::Warning { .. }
            | Event::Stream { .. }
            | Event::PlannedChange { .. }
            | Event::Planned { .. }
            | Event::RunFinished { .. } => {}
        }
        if let Some(summary) = self.summary.as_ref().filter(|_| self.queue.is_new()) {
            summary.set_message(self.queue.shown());
        }
    }

    pub fn close(&mut self) {
        let bars = std::mem::take(&mut self.by_subject).into_values();
        for bar in bars.chain(self.summary.take()) {
            bar.finish_and_clear();
        }
    }

    fn begin(&mut self, steps: usize, screen: &MultiProgress) {
        let bar = screen.add(ProgressBar::new(steps as u64));
        bar.set_style(style("{elapsed_precise} {bar:30} {pos}/{len} steps {msg}"));
        bar.enable_steady_tick(Duration::from_secs(1));
        self.summary = Some(bar);
    }

    fn start(&mut self, subject: &Addr, title: &str, screen: &MultiProgress) {
        self.queue.leaves(subject);
        if !self.by_subject.contains_key(subject) && self.by_subject.len() < BARS_MAX {
            let bar = screen.insert(0, ProgressBar::new(0));
            bar.set_style(style("  {prefix}: {msg}"));
            bar.set_prefix(subject.to_string());
            self.by_subject.insert(subject.clone(), bar);
        }
        if let Some(bar) = self.by_subject.get(subject) {
            bar.reset_elapsed();
            bar.set_message(title.to_owned());
        }
    }

    fn progress(&self, subject: &Addr, phase: &str, done: u64, total: u64) {
        if let Some(bar) = self.by_subject.get(subject) {
            let rate = bar.elapsed().as_secs().max(1);
            bar.set_message(format!(
                "{phase} {} of {} ({}/s)",
                human_bytes(done),
                human_bytes(total),
                human_bytes(done / rate)
            ));
        }
    }

    fn finish(&mut self, subject: &Addr, title: &str, is_good: bool) {
        if !is_good {
            self.queue.leaves(subject);
        }
        if let Some(summary) = &self.summary {
            summary.inc(1);
        }
        // An instance keeps its line from step to step; everything else has had its one.
        let is_last = LAST_TITLES.contains(&title) || title.starts_with("gate ");
        let goes_on = is_good && subject.kind == Kind::Instance && !is_last;
        if !goes_on && let Some(bar) = self.by_subject.remove(subject) {
            bar.finish_and_clear();
        }
    }
}

/// Who waits without a line of its own, and for what.
#[derive(Default)]
struct Queue {
    reason_of: BTreeMap<Addr, String>,
    count_of: BTreeMap<String, usize>,
    is_shown: bool,
}

impl Queue {
    fn waits(&mut self, who: &Addr, reason: &str) {
        self.leaves(who);
        self.is_shown = false;
        self.reason_of.insert(who.clone(), reason.to_owned());
        *self.count_of.entry(reason.to_owned()).or_default() += 1;
    }

    fn leaves(&mut self, who: &Addr) {
        let Some(reason) = self.reason_of.remove(who) else {
            return;
        };
        self.is_shown = false;
        if let Some(count) = self.count_of.get_mut(&reason) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.count_of.remove(&reason);
            }
        }
    }

    fn is_new(&self) -> bool {
        !self.is_shown
    }

    /// `12 wait for wave 2 of 3 of rollout web, 40 in all`
    fn shown(&mut self) -> String {
        self.is_shown = true;
        let most = self.count_of.iter().max_by_key(|(_, count)| **count);
        let Some((reason, count)) = most else {
            return String::new();
        };
        match self.reason_of.len() {
            all if all == *count => format!("{count} wait for {reason}"),
            all => format!("{count} wait for {reason}, {all} in all"),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a wrong one shows as the default style.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_are_counted_by_what_most_wait_for() {
        let (a, b, c): (Addr, Addr, Addr) = (
            "instance.a".parse().unwrap(),
            "instance.b".parse().unwrap(),
            "instance.c".parse().unwrap(),
        );
        let mut queue = Queue::default();
        assert_eq!(queue.shown(), "");
        queue.waits(&a, "a boot place");
        queue.waits(&b, "wave 2");
        queue.waits(&c, "a boot place");
        assert_eq!(queue.shown(), "2 wait for a boot place, 3 in all");
        queue.waits(&a, "wave 2");
        queue.leaves(&c);
        queue.leaves(&c);
        assert!(queue.is_new());
        assert_eq!(queue.shown(), "2 wait for wave 2");
        assert!(!queue.is_new());
        queue.leaves(&a);
        queue.leaves(&b);
        assert_eq!(queue.shown(), "");
    }
}
