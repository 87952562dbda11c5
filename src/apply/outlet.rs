//! Events on their way to who shows them: a thread of its own, so that a slow terminal never slows a run.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::model::event::Event;

/// Takes events at once and hands them on in order. A word about progress takes the place of an older one of the same step
/// that nobody has seen yet; nothing else is ever dropped.
pub struct Outlet {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    /// The last word of each step, told when nothing else waits.
    progress: BTreeMap<u32, Event>,
    closed: bool,
}

impl Outlet {
    pub fn new(mut show: impl FnMut(Event) + Send + 'static) -> Outlet {
        let shared = Arc::new(Shared::default());
        let queue = shared.clone();
        let thread = std::thread::spawn(move || {
            while let Some(events) = queue.take() {
                events.into_iter().for_each(&mut show);
            }
        });
        Outlet {
            shared,
            thread: Some(thread),
        }
    }

    pub fn push(&self, event: Event) {
        self.shared.put(event);
    }

    /// Waits until everything has been shown.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.lock().closed = true;
        self.shared.bell.notify_one();
        if let Some(thread) = self.thread.take() {
            // What shows events has panicked: that has been told, and the run is not its fault.
            let _ = thread.join();
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, event: Event) {
        let mut waiting = self.lock();
        let was_empty = waiting.events.is_empty() && waiting.progress.is_empty();
        match event {
            Event::Progress { step, .. } => {
                waiting.progress.insert(step, event);
            }
            Event::StepFinished { step, .. } => {
                // A word about a step that has ended would come too late.
                waiting.progress.remove(&step);
                waiting.events.push_back(event);
            }
            Event::Stream { .. }
            | Event::PlannedChange { .. }
            | Event::Planned { .. }
            | Event::RunStarted { .. }
            | Event::StepStarted { .. }
            | Event::Warning { .. }
            | Event::RunFinished { .. } => waiting.events.push_back(event),
        }
        if was_empty {
            self.bell.notify_one();
        }
    }

    /// All that waits; `None` when there will be nothing more.
    fn take(&self) -> Option<Vec<Event>> {
        let mut waiting = self.lock();
        loop {
            if !waiting.events.is_empty() || !waiting.progress.is_empty() {
                let mut events: Vec<Event> = std::mem::take(&mut waiting.events).into();
                events.extend(std::mem::take(&mut waiting.progress).into_values());
                return Some(events);
            }
            if waiting.closed {
                return None;
            }
            waiting = self
                .bell
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(step: u32, done: u64) -> Event {
        Event::Progress {
            step,
            subject: "instance.a".parse().unwrap(),
            phase: "write".to_owned(),
            done,
            total: 100,
        }
    }

    fn warning(n: usize) -> Event {
        Event::Warning {
            subject: None,
            text: n.to_string(),
        }
    }

    #[test]
    fn who_shows_slowly_misses_progress_and_nothing_else() {
        let gate = Arc::new(std::sync::Barrier::new(2));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let outlet = {
            let (gate, seen) = (gate.clone(), seen.clone());
            let mut first = true;
            Outlet::new(move |event| {
                if std::mem::take(&mut first) {
                    gate.wait();
                    gate.wait();
                }
                seen.lock().unwrap().push(event);
            })
        };
        outlet.push(warning(0));
        gate.wait();
        for n in 1..=1000 {
            outlet.push(warning(n));
            outlet.push(progress(7, n as u64));
        }
        gate.wait();
        outlet.close();
        let seen = seen.lock().unwrap();
        let warnings: Vec<Event> = (0..=1000).map(warning).collect();
        assert_eq!(seen[..1001], warnings[..]);
        assert_eq!(seen[1001..], [progress(7, 1000)]);
    }
}
