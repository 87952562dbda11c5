//! Runs simulated steps: polls those that were woken and, when none is left, moves the virtual clock.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::World;

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Futures that wait for nothing but the world's clock.
pub struct Executor<T> {
    world: Arc<World>,
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

impl<T> Executor<T> {
    pub fn new(world: Arc<World>) -> Executor<T> {
        Executor {
            world,
            tasks: Vec::new(),
            free: Vec::new(),
            woken: Arc::default(),
        }
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
        self.ring(at);
    }

    fn ring(&self, at: usize) {
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

    /// The next task's result; `None` when none is left or none can ever go on.
    pub fn run_to_next(&mut self) -> Option<T> {
        loop {
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
                    return Some(done);
                }
            }
            if !self.world.advance() {
                return None;
            }
        }
    }
}
