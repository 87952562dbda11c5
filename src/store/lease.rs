//! The right to apply: held by one process at a time, for a term that its heartbeat renews.
//!
//! Each holder gets a token that is higher than the one before. A handle made with [`Store::fenced`] has its token compared
//! inside every transaction that writes, so that a process which was paused, and comes back after another has taken over,
//! writes nothing. The database's clock decides when a term ends for others; for the holder it ends by its own clock, measured
//! from before it asked, and so never later.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::actor::{Actor, Life};
use super::handle::{Store, Write};
use super::sums::Sum;
use super::value::{Row, Value, values};
use super::{StoreError, from_json, to_json};

/// The lease of apply; there is one in each state.
const APPLY: &str = "apply";

/// How long a holder of another host is waited for after its last sign of life.
pub const TERM: Duration = Duration::from_secs(30);

/// Held for the length of an apply. Dropped without [`Lease::release`], it stays until its term ends or its process is gone.
#[derive(Debug)]
pub struct Lease {
    token: i64,
    store: Impatient,
    hold: watch::Receiver<Hold>,
    until: Arc<Until>,
    heartbeat: JoinHandle<()>,
}

/// Whether the lease is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    Held,
    /// The term has ended and the database has not been heard: another may have it. Nothing new may be started.
    Doubtful,
    /// Another has it, or it was taken away.
    Lost {
        holder: String,
    },
}

/// One line of `bmctl lock list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    pub name: String,
    pub token: i64,
    /// `None` when nobody holds it.
    pub holder: Option<Actor>,
    pub since_ms: i64,
    pub expires_ms: i64,
    /// The time by the clock that decides.
    pub now_ms: i64,
}

/// What is compared inside every writing transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fence {
    token: i64,
}

/// Whether a lease may be taken from a process that seems to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    No,
    Yes,
}

/// A handle without a name in `Debug`: it holds keys.
struct Impatient(Store);

impl std::fmt::Debug for Impatient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// Milliseconds of the clock that goes on while the machine sleeps.
#[derive(Debug)]
struct Until(AtomicI64);

impl Until {
    fn now_ms() -> i64 {
        let now = clock_gettime(ClockId::Boottime);
        now.tv_sec * 1000 + now.tv_nsec / 1_000_000
    }

    fn is_past(&self) -> bool {
        Until::now_ms() >= self.0.load(Ordering::Acquire)
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl LeaseRow {
    /// Whether its holder may still act on it.
    pub fn is_held(&self) -> bool {
        let alive = self.holder.as_ref().is_some_and(|h| h.life() != Life::Dead);
        alive && self.expires_ms > self.now_ms
    }

    fn describe(&self) -> String {
        let Some(holder) = &self.holder else {
            return "which has given it back since, or it was released by force".to_owned();
        };
        let (since, left) = (
            (self.now_ms - self.since_ms).max(0) / 1000,
            (self.expires_ms - self.now_ms).max(0) / 1000,
        );
        format!("{holder}, for {since} s; its lease ends in {left} s unless it is renewed")
    }
}

impl Store {
    /// Takes the exclusive right to apply, or says who has it. A holder of this host that is dead is replaced at once.
    pub async fn acquire(&self, by: &Actor, term: Duration) -> Result<Lease, StoreError> {
        let asked = Until::now_ms();
        let mut write = self.write().await?;
        let row = write.lease().await?;
        if row.is_held() {
            return Err(StoreError::Locked {
                holder: row.describe(),
            });
        }
        let counted = write.head.tokens.get(APPLY).copied().unwrap_or_default();
        let token = row.token.max(counted) + 1;
        write.head.tokens.insert(APPLY.to_owned(), token);
        let held = LeaseRow {
            token,
            holder: Some(by.clone()),
            since_ms: row.now_ms,
            expires_ms: row.now_ms + millis(term),
            ..row
        };
        write.put_lease(&held).await?;
        write.commit().await?;
        Ok(self.hold(held, asked, term))
    }

    fn hold(&self, held: LeaseRow, asked: i64, term: Duration) -> Lease {
        let (tell, hold) = watch::channel(Hold::Held);
        let until = Arc::new(Until(AtomicI64::new(asked + millis(term))));
        let fenced = Store {
            fence: Some(Fence { token: held.token }),
            // A heartbeat has its own idea of how long to wait.
            patience: None,
            ..self.clone()
        };
        let beat = Heartbeat {
            store: fenced.clone(),
            term,
            until: until.clone(),
            tell,
        };
        Lease {
            token: held.token,
            store: Impatient(fenced),
            hold,
            until,
            heartbeat: tokio::spawn(beat.run()),
        }
    }

    /// A handle whose every write is refused once the lease is another's.
    pub fn fenced(&self, lease: &Lease) -> Store {
        Store {
            fence: Some(Fence { token: lease.token }),
            ..self.clone()
        }
    }

    /// Every lease that was ever taken, with the time by the clock that decides.
    pub async fn leases(&self) -> Result<Vec<LeaseRow>, StoreError> {
        let mut read = self.read().await?;
        let now = read.tx.now_ms().await?;
        let rows = read.tx.rows(SELECT_ALL, values![]).await?;
        rows.into_iter().map(|row| read_lease(row, now)).collect()
    }

    /// Takes the right to apply from whoever has it. What that process does next in the state is refused.
    pub async fn release(&self, force: Force) -> Result<LeaseRow, StoreError> {
        let mut write = self.write().await?;
        let row = write.lease().await?;
        if row.is_held() && force == Force::No {
            return Err(StoreError::StillHeld {
                holder: row.describe(),
            });
        }
        let token = row.token + 1;
        write.head.tokens.insert(APPLY.to_owned(), token);
        let free = LeaseRow {
            token,
            holder: None,
            expires_ms: 0,
            ..row.clone()
        };
        write.put_lease(&free).await?;
        write.commit().await?;
        Ok(row)
    }
}

impl Lease {
    /// Whether the term still runs by this process's own clock. Asked before every act: what is started after it could meet
    /// what another has started.
    pub fn is_sure(&self) -> bool {
        !self.until.is_past() && !matches!(*self.hold.borrow(), Hold::Lost { .. })
    }

    /// The same question, for whoever acts without the lease at hand.
    pub fn asker(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let (until, hold) = (self.until.clone(), self.hold.clone());
        Arc::new(move || !until.is_past() && !matches!(*hold.borrow(), Hold::Lost { .. }))
    }

    /// Changes when the term ends unrenewed, when it is renewed after all, and when another has the lease.
    pub fn watch(&self) -> watch::Receiver<Hold> {
        self.hold.clone()
    }

    /// Waits until the lease is another's, and says whose.
    pub async fn lost(&self) -> StoreError {
        let mut hold = self.hold.clone();
        let found = hold.wait_for(|h| matches!(h, Hold::Lost { .. })).await;
        let holder = match found.as_deref() {
            Ok(Hold::Lost { holder }) => holder.clone(),
            // The heartbeat ends only with this process or when it is told to.
            Ok(Hold::Held | Hold::Doubtful) | Err(_) => return std::future::pending().await,
        };
        StoreError::Fenced { holder }
    }

    /// Gives it back, so that nobody has to wait for the end of the term.
    pub async fn release(self) -> Result<(), StoreError> {
        self.heartbeat.abort();
        let mut write = self.store.0.write().await?;
        let row = write.lease().await?;
        let free = LeaseRow {
            holder: None,
            expires_ms: 0,
            ..row
        };
        write.put_lease(&free).await?;
        write.commit().await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

struct Heartbeat {
    store: Store,
    term: Duration,
    until: Arc<Until>,
    tell: watch::Sender<Hold>,
}

impl Heartbeat {
    async fn run(self) {
        let mut pause = self.term / 3;
        loop {
            tokio::time::sleep(pause).await;
            let asked = Until::now_ms();
            let renewed = tokio::time::timeout(self.term / 3, self.renew()).await;
            match renewed {
                Ok(Ok(())) => {
                    let until = asked + millis(self.term);
                    self.until.0.store(until, Ordering::Release);
                    self.say(Hold::Held);
                    pause = self.term / 3;
                }
                Ok(Err(StoreError::Fenced { holder })) => {
                    self.say(Hold::Lost { holder });
                    return;
                }
                // It may be there again before the term ends.
                Ok(Err(_)) | Err(_) => {
                    if self.until.is_past() {
                        self.say(Hold::Doubtful);
                    }
                    pause = self.term / 10;
                }
            }
        }
    }

    fn say(&self, hold: Hold) {
        self.tell.send_if_modified(|old| {
            let changed = *old != hold;
            *old = hold;
            changed
        });
    }

    async fn renew(&self) -> Result<(), StoreError> {
        let mut write = self.store.write().await?;
        let row = write.lease().await?;
        let renewed = LeaseRow {
            expires_ms: row.now_ms + millis(self.term),
            ..row
        };
        write.put_lease(&renewed).await?;
        write.commit().await
    }
}

const SELECT: &str = "SELECT name, token, holder, since, expires, sum FROM lease WHERE name = $1";
const SELECT_ALL: &str = "SELECT name, token, holder, since, expires, sum FROM lease ORDER BY name";

impl Write {
    /// Refused when another has the lease since.
    pub(super) async fn check(&mut self, fence: Fence) -> Result<(), StoreError> {
        let counts = self.head.tokens.get(APPLY).copied().unwrap_or_default();
        if counts == fence.token {
            return Ok(());
        }
        let row = self.lease().await?;
        Err(StoreError::Fenced {
            holder: row.describe(),
        })
    }

    pub(super) async fn lease(&mut self) -> Result<LeaseRow, StoreError> {
        let now_ms = self.tx.now_ms().await?;
        match self.tx.row(SELECT, values![APPLY]).await? {
            Some(row) => read_lease(row, now_ms),
            None => Ok(LeaseRow {
                name: APPLY.to_owned(),
                token: 0,
                holder: None,
                since_ms: now_ms,
                expires_ms: 0,
                now_ms,
            }),
        }
    }

    async fn put_lease(&mut self, lease: &LeaseRow) -> Result<(), StoreError> {
        let holder = match &lease.holder {
            Some(actor) => to_json("who holds the lease", actor)?,
            None => String::new(),
        };
        let mut row = values![
            lease.name.as_str(),
            lease.token,
            holder,
            lease.since_ms,
            lease.expires_ms
        ];
        row.push(Value::from(Sum::of_row("lease", &row)));
        self.tx
            .execute(
                "INSERT INTO lease (name, token, holder, since, expires, sum) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (name) DO UPDATE SET token = excluded.token, holder = excluded.holder,
                 since = excluded.since, expires = excluded.expires, sum = excluded.sum",
                row,
            )
            .await?;
        Ok(())
    }
}

fn read_lease(row: Row, now_ms: i64) -> Result<LeaseRow, StoreError> {
    let [name, token, holder, since, expires, sum] = row.cells()?;
    let cells = [name, token, holder, since, expires];
    if Sum::from_value(sum)? != Sum::of_row("lease", &cells) {
        let why = "its checksum is not the one that was noted";
        return Err(StoreError::corrupt("the lease", why));
    }
    let [name, token, holder, since, expires] = cells;
    let holder = holder.text()?;
    Ok(LeaseRow {
        name: name.text()?,
        token: token.int()?,
        holder: match holder.as_str() {
            "" => None,
            text => Some(from_json("the lease", text)?),
        },
        since_ms: since.int()?,
        expires_ms: expires.int()?,
        now_ms,
    })
}
