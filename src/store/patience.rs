//! A database that does not answer is waited for, when somebody has said who is to be told of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;
use super::handle::Store;

/// What is told while a database is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// It has not answered for so long.
    Since { seconds: u64, why: String },
    /// It answers again, after so long.
    Over { seconds: u64 },
}

/// Between two attempts: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// How often a wait that goes on is told of.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Shared by all clones of a handle: one outage is told once, however many wait for its end.
pub(super) struct Patience {
    tell: Box<dyn Fn(&Waiting) + Send + Sync>,
    outage: Mutex<Option<Outage>>,
}

struct Outage {
    since: Instant,
    told: Instant,
}

impl Store {
    /// A handle that waits for its database as long as it takes, and tells of it. What was asked is asked again when the
    /// connection comes back; a transaction whose end nobody heard is found to be done, or is done then.
    pub fn patient(&self, tell: impl Fn(&Waiting) + Send + Sync + 'static) -> Store {
        Store {
            patience: Some(Arc::new(Patience {
                tell: Box::new(tell),
                outage: Mutex::new(None),
            })),
            ..self.clone()
        }
    }

    /// Whatever is done this way must be harmless to do again.
    pub(super) async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        once: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        let mut pause = PAUSE_MIN;
        loop {
            match (once().await, &self.patience) {
                (Err(error @ StoreError::Lost { .. }), Some(patience)) => patience.lost(&error),
                (ended, patience) => {
                    if let Some(patience) = patience {
                        patience.heard();
                    }
                    return ended;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

impl Patience {
    fn lost(&self, error: &StoreError) {
        let now = Instant::now();
        let waiting = {
            let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
            match outage.as_mut() {
                Some(known) if now - known.told < TOLD_EVERY => return,
                Some(known) => {
                    known.told = now;
                    (now - known.since).as_secs()
                }
                None => {
                    *outage = Some(Outage {
                        since: now,
                        told: now,
                    });
                    0
                }
            }
        };
        (self.tell)(&Waiting::Since {
            seconds: waiting,
            why: error.to_string(),
        });
    }

    fn heard(&self) {
        let over = self
            .outage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(over) = over {
            let seconds = over.since.elapsed().as_secs();
            (self.tell)(&Waiting::Over { seconds });
        }
    }
}
