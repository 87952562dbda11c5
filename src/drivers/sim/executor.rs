//! Runs simulated steps: polls those that were woken, until none is left that can go on at this instant.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Futures that wait for nothing but the world's clock.
pub struct Executor<T> {
    tasks: Vec<Option<Task<T>>>,
    free: Vec<usize>,
    woken: Arc<Mutex<VecDeque<usize>>>,
}

struct Bell {
    at: usize,
    woken: Arc<Mutex<VecDeque<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(self.at);
    }
}

impl<T> Default for Executor<T> {
    fn default() -> Executor<T> {
        Executor {
            tasks: Vec::new(),
            free: Vec::new(),
            woken: Arc::default(),
        }
    }
}

impl<T> Executor<T> {
    pub fn new() -> Executor<T> {
        Executor::default()
    }

    pub fn add(&mut self, task: Task<T>) {
        let at = match self.free.pop() {
            Some(at) => {
                self.tasks[at] = Some(task);
                at
            }
            None => {
                self.tasks.push(Some(task));
                self.tasks.len() - 1
            }
        };
        self.woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(at);
    }

    fn next_woken(&self) -> Option<usize> {
        self.woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    /// Polls every task that was woken; gives what has ended by then.
    pub fn run_woken(&mut self) -> Vec<T> {
        let mut ended = Vec::new();
        while let Some(at) = self.next_woken() {
            let Some(Some(task)) = self.tasks.get_mut(at) else {
                continue;
            };
            let bell = Waker::from(Arc::new(Bell {
                at,
                woken: self.woken.clone(),
            }));
            if let Poll::Ready(done) = task.as_mut().poll(&mut Context::from_waker(&bell)) {
                self.tasks[at] = None;
                self.free.push(at);
                ended.push(done);
            }
        }
        ended
    }
}
