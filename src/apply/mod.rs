//! L4. The engine: carries a plan out, in parallel, and leaves nothing undecided.
//!
//! Takes a plan, the store and drivers; gives events and a summary. `machine` decides, and it is PURE, with what it is made
//! of: `schedule`, `lifecycle`, `loans`, `recover`. `drive` does what it says; this file with the runtime's tasks, `simulate`
//! under a virtual clock. `perform` is the only caller of drivers; this file is the only one that spawns tasks. It never
//! chooses: what to do stands in the plan, and what is not in it is not done.

#![allow(
    clippy::disallowed_methods,
    reason = "the only file of the engine that spawns and reads the clock"
)]

#[deny(clippy::disallowed_methods)]
pub mod budgets;
mod drive;
#[deny(clippy::disallowed_methods)]
pub mod forecast;
#[deny(clippy::disallowed_methods)]
mod held;
#[deny(clippy::disallowed_methods)]
pub mod lifecycle;
#[deny(clippy::disallowed_methods)]
pub mod loans;
#[deny(clippy::disallowed_methods)]
pub mod machine;
pub mod outlet;
pub mod perform;
#[deny(clippy::disallowed_methods)]
pub mod queues;
#[deny(clippy::disallowed_methods)]
pub mod recover;
#[deny(clippy::disallowed_methods)]
pub mod replay;
#[deny(clippy::disallowed_methods)]
pub mod schedule;
mod settle;
mod simulate;
#[deny(clippy::disallowed_methods)]
mod summary;
#[deny(clippy::disallowed_methods)]
pub mod talk;
#[deny(clippy::disallowed_methods)]
pub mod turns;
#[deny(clippy::disallowed_methods)]
pub mod windows;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::drivers::Drivers;
use crate::model::Recorded;
use crate::model::event::{Event, Outcome};
use crate::plan::reads::{self, Stale};
use crate::plan::{Plan, PlannedStep, StepId, audit};
pub use crate::store::Request;
use crate::store::{Actor, NewRun, Store, StoreError};

use drive::{Drive, Goes, Hands};
use loans::Returns;
use machine::{Input, Performed};
use perform::Words;
pub use settle::settle;
pub use simulate::simulate;
pub use summary::Summary;
use turns::RolloutId;

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the plan breaks its own rules, nothing was done: {0}")]
    Audit(String),
    #[error(
        "the plan was made from another state (expected lineage {expected}, found {found}); plan again"
    )]
    OtherState { expected: String, found: String },
    #[error(
        "nothing was done: the plan was made in {expected}, and this is {found}; plan again here, or apply where it was made"
    )]
    OtherWorkspace { expected: String, found: String },
    #[error("nothing was done: what the plan was made from is not so any more; plan again{}", lines(.0))]
    Stale(Vec<Stale>),
    #[error(
        "nothing was done: the state (serial {found}) is older than the one the plan was made from (serial {planned}); an old copy was put back, or this is another state"
    )]
    OldState { planned: u64, found: u64 },
}

/// One finding a line, indented; many are cut.
pub fn lines(stale: &[Stale]) -> String {
    const LINES_MAX: usize = 20;
    let mut out: String = stale
        .iter()
        .take(LINES_MAX)
        .map(|s| format!("\n  {s}"))
        .collect();
    if stale.len() > LINES_MAX {
        out.push_str(&format!("\n  and {} more", stale.len() - LINES_MAX));
    }
    out
}

/// Where events go. Called from one task at a time; must not block: see [`outlet::Outlet`].
pub type Report<'a> = dyn FnMut(Event) + Send + 'a;

pub struct Run<'a> {
    pub id: String,
    pub plan: &'a Plan,
    pub store: &'a Store,
    pub drivers: Drivers,
    /// How many starts and ends go into one transaction at most: [`machine::BATCH_NOTES_MAX`], or 1 where a test wants to stand
    /// between any two.
    pub notes_max: usize,
}

/// What a task has to say.
enum Message {
    Progress(Event),
    Ended(StepId, Performed),
    Returned(StepId, Option<String>),
    Asked(Request),
    Woken(RolloutId),
    Warning(String),
}

/// Words about progress that wait to be told; one more is dropped, since the next says more.
const PROGRESS_MAX: usize = 256;
/// How often requests from other terminals are looked for.
const REQUESTS_EVERY: std::time::Duration = std::time::Duration::from_millis(500);

/// Refuses a plan that is not for this state.
pub fn fits(plan: &Plan, recorded: &Recorded) -> Result<(), ApplyError> {
    let from = &plan.made_from;
    if from.lineage != recorded.lineage {
        return Err(ApplyError::OtherState {
            expected: from.lineage.clone(),
            found: recorded.lineage.clone(),
        });
    }
    if from.workspace != recorded.workspace {
        let named = |workspace: &Option<String>| match workspace {
            Some(name) => format!("workspace {name}"),
            None => "a state of one machine".to_owned(),
        };
        return Err(ApplyError::OtherWorkspace {
            expected: named(&from.workspace),
            found: named(&recorded.workspace),
        });
    }
    if from.serial > recorded.serial {
        return Err(ApplyError::OldState {
            planned: from.serial,
            found: recorded.serial,
        });
    }
    let stale = reads::stale_in_state(plan, recorded);
    if stale.is_empty() {
        Ok(())
    } else {
        Err(ApplyError::Stale(stale))
    }
}

impl Run<'_> {
    /// Refuses a plan that is not sound or not for this state.
    pub fn check(&self, recorded: &Recorded) -> Result<(), ApplyError> {
        let findings = audit::audit(self.plan);
        if !findings.is_empty() {
            return Err(ApplyError::Audit(findings.join("; ")));
        }
        fits(self.plan, recorded)
    }

    pub(crate) async fn begin(&self, at_ms: i64) -> Result<(), StoreError> {
        let run = NewRun {
            id: &self.id,
            plan: self.plan,
            at_ms,
            by: Actor::here(),
        };
        self.store.begin_run(run).await
    }

    /// Carries the plan out. Returns when every step has ended, failed, or will not be started.
    pub async fn execute(
        &self,
        mut requests: mpsc::Receiver<Request>,
        report: &mut Report<'_>,
    ) -> Result<Summary, ApplyError> {
        let (sender, mut messages) = mpsc::unbounded_channel();
        let (progress, mut words) = mpsc::channel(PROGRESS_MAX);
        let mut tasks = Tasks {
            drivers: self.drivers.clone(),
            sender,
            progress,
            running: JoinSet::new(),
        };
        let (mut drive, mut goes) = Drive::begin(self, report, &mut tasks).await?;
        let watcher = tasks.watch_requests(self.store.clone(), self.id.clone());
        let mut asking = true;
        while goes == Goes::On {
            let mut told = Vec::new();
            tokio::select! {
                biased;
                Some(message) = messages.recv() => {
                    told.push(message);
                    // Whatever has ended by now goes into the same commit.
                    while let Ok(message) = messages.try_recv() {
                        told.push(message);
                    }
                }
                request = requests.recv(), if asking => match request {
                    Some(request) => told.push(Message::Asked(request)),
                    None => asking = false,
                },
                Some(event) = words.recv() => told.push(Message::Progress(event)),
                Some(_) = tasks.running.join_next() => {}
            }
            for input in inputs_of(told, &mut drive) {
                if drive.feed(input, &mut tasks).await? == Goes::Over {
                    goes = Goes::Over;
                }
            }
        }
        watcher.abort();
        Ok(drive.summary())
    }
}

/// Ends are gathered into one input, so that they are one commit; what is only to be told is told.
fn inputs_of(told: Vec<Message>, drive: &mut Drive<'_, '_, '_>) -> Vec<Input> {
    let mut ended = Vec::new();
    let mut inputs = Vec::new();
    for message in told {
        match message {
            Message::Progress(event) => drive.report(event),
            Message::Warning(text) => drive.report(Event::Warning {
                subject: None,
                text,
            }),
            Message::Ended(id, done) => ended.push((id, done)),
            Message::Returned(start, trouble) => inputs.push(Input::Returned(start, trouble)),
            Message::Asked(request) => inputs.push(Input::Asked(request)),
            Message::Woken(rollout) => inputs.push(Input::Woken(rollout)),
        }
    }
    if !ended.is_empty() {
        inputs.push(Input::Ended(ended));
    }
    inputs
}

/// Steps as tasks of the runtime. They end with the run that started them, however it ends.
struct Tasks {
    drivers: Drivers,
    sender: mpsc::UnboundedSender<Message>,
    progress: mpsc::Sender<Event>,
    running: JoinSet<()>,
}

impl Hands for Tasks {
    fn start(&mut self, step: &PlannedStep, returns: Option<Returns>) {
        let (id, step, drivers) = (step.id, step.clone(), self.drivers.clone());
        let said = self.progress.clone();
        let task = async move {
            let progress = |phase: &str, done: u64, total: u64| {
                // Full means that nobody has read the last ones yet: the next one says more.
                let _ = said.try_send(Event::Progress {
                    step: id.0,
                    subject: step.subject.clone(),
                    phase: phase.to_owned(),
                    done,
                    total,
                });
            };
            let waits = |reason: String| {
                let _ = said.try_send(waits_for(&step, reason));
            };
            let words = Words {
                progress: &progress,
                waits: &waits,
            };
            perform::perform(&step, returns.as_ref(), &drivers, &words).await
        };
        let sender = self.sender.clone();
        self.running.spawn(async move {
            // A panic in a step is a bug; it must end as that step's failure, not as a run that waits for ever.
            let mut guarded = JoinSet::new();
            guarded.spawn(task);
            let done = match guarded.join_next().await {
                Some(Ok(done)) => done,
                Some(Err(bug)) => ended_by_bug(&bug.to_string()),
                None => ended_by_bug("its task is gone"),
            };
            // The receiver lives as long as the run; after it nobody is interested.
            let _ = sender.send(Message::Ended(id, done));
        });
    }

    fn give_back(&mut self, start: StepId, returns: Returns) {
        let (drivers, sender) = (self.drivers.clone(), self.sender.clone());
        self.running.spawn(async move {
            let trouble = perform::give_back(&returns, &drivers).await.err();
            let _ = sender.send(Message::Returned(start, trouble.map(|e| e.message)));
        });
    }

    fn wake(&mut self, rollout: RolloutId, after: std::time::Duration) {
        let (clock, sender) = (self.drivers.clock.clone(), self.sender.clone());
        self.running.spawn(async move {
            clock.sleep(after).await;
            let _ = sender.send(Message::Woken(rollout));
        });
    }
}

impl Tasks {
    /// Looks for what is asked from other terminals, for as long as the run lasts.
    fn watch_requests(&mut self, store: Store, run: String) -> AbortHandle {
        let (clock, sender) = (self.drivers.clock.clone(), self.sender.clone());
        self.running.spawn(async move {
            loop {
                clock.sleep(REQUESTS_EVERY).await;
                match store.hear(&run, clock.now_ms()).await {
                    Ok(requests) => {
                        for request in requests {
                            let _ = sender.send(Message::Asked(request));
                        }
                    }
                    Err(error) => {
                        let text = format!("requests from other terminals are not heard: {error}");
                        let _ = sender.send(Message::Warning(text));
                        return;
                    }
                }
            }
        })
    }
}

fn waits_for(step: &PlannedStep, reason: String) -> Event {
    Event::Waiting {
        step: step.id.0,
        subject: step.subject.clone(),
        title: step.step.title().to_owned(),
        reason,
    }
}

fn ended_by_bug(bug: &str) -> Performed {
    let why = format!("a bug in bmctl ended this step: {bug}; nothing is known of its effect");
    Performed {
        outcome: Outcome::Failed { why: why.clone() },
        fact: None,
        attention: Some(why),
    }
}

/// Milliseconds of a clock that never goes back, for what is done every so often.
fn monotonic_ms() -> u128 {
    static BEGUN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    BEGUN
        .get_or_init(std::time::Instant::now)
        .elapsed()
        .as_millis()
}

/// The real clock.
pub struct WallClock;

#[async_trait::async_trait]
impl crate::drivers::Clock for WallClock {
    fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
    }

    async fn sleep(&self, time: std::time::Duration) {
        tokio::time::sleep(time).await;
    }
}
