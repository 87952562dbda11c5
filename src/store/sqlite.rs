//! State in SQLite: resources, claims, journal and sealed secrets.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row, Sqlite, Transaction};
use tokio::sync::Notify;

use super::{Sealer, StateChange, StoreError};
use crate::ids::Addr;
use crate::model::{Recorded, Resource};
use crate::plan::{PlannedStep, StepId};
use crate::secret::Secret;

/// A handle on the state; clones share it.
#[derive(Clone)]
pub struct Store {
    pub(super) pool: SqlitePool,
    pub(super) sealer: Sealer,
    /// Rung after every write that somebody may wait for. Another process is heard by polling.
    pub(super) bell: Arc<Notify>,
    directory: PathBuf,
}

/// Held for the length of an apply. The operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct ApplyLock {
    _file: File,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    pub run: String,
    pub step: StepId,
    pub subject: Addr,
    pub body: String,
    pub at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    pub id: String,
    pub started_ms: i64,
    pub finished_ms: Option<i64>,
    pub outcome: Option<String>,
}

/// How long a writer waits for another writer of the same database.
const BUSY: Duration = Duration::from_secs(30);

impl Store {
    /// Opens the state in `directory`, making it when it is not there. The directory is 0700, the database 0600.
    pub async fn open(directory: &Path, sealer: Sealer) -> Result<Store, StoreError> {
        let trouble = |source| StoreError::Directory {
            path: directory.display().to_string(),
            source,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(trouble)?;
        let file = directory.join("state.db");
        // SQLite would make it with the umask's mode; its WAL and SHM files take the mode of the database.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&file)
            .map_err(trouble)?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new()
            .max_connections(8)
            .connect_with(options)
            .await?;
        let store = Store {
            pool,
            sealer,
            bell: Arc::new(Notify::new()),
            directory: directory.to_owned(),
        };
        sqlx::migrate!("state/sqlite").run(&store.pool).await?;
        store.ensure_lineage().await?;
        Ok(store)
    }

    async fn ensure_lineage(&self) -> Result<(), StoreError> {
        let mut random = [0u8; 16];
        getrandom::fill(&mut random).map_err(|e| StoreError::Random(e.to_string()))?;
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO meta VALUES ('lineage', $1), ('serial', '0') ON CONFLICT DO NOTHING",
        )
        .bind(hex::encode(random))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// A writing transaction that takes its lock at once: two that read before they write would deadlock.
    pub(super) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Takes the exclusive right to apply, or says who has it.
    pub fn lock_for_apply(&self, holder: &str) -> Result<ApplyLock, StoreError> {
        let path = self.directory.join("apply.lock");
        let trouble = |source| StoreError::Directory {
            path: path.display().to_string(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(trouble)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut who = String::new();
            let _ = (&mut file).take(200).read_to_string(&mut who);
            return Err(StoreError::Locked {
                holder: who.trim().to_owned(),
            });
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{holder}"))
            .map_err(trouble)?;
        Ok(ApplyLock { _file: file })
    }

    /// Everything state remembers, as of one moment.
    pub async fn recorded(&self) -> Result<Recorded, StoreError> {
        let mut tx = self.pool.begin().await?;
        let meta = sqlx::query("SELECT key, value FROM meta")
            .fetch_all(&mut *tx)
            .await?;
        let mut recorded = Recorded::default();
        for row in meta {
            let (key, value): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            match key.as_str() {
                "lineage" => recorded.lineage = value,
                "serial" => recorded.serial = parse("the serial", &value)?,
                _ => {}
            }
        }
        let rows = sqlx::query("SELECT addr, body FROM resources")
            .fetch_all(&mut *tx)
            .await?;
        for row in rows {
            let (addr, body): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            let (addr, resource) = read_resource(addr, body)?;
            recorded.resources.insert(addr, resource);
        }
        let rows = sqlx::query("SELECT node, partitioning FROM left_behind")
            .fetch_all(&mut *tx)
            .await?;
        for row in rows {
            let (node, table): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            recorded
                .left_behind
                .entry(parse("a partition table left behind", node)?)
                .or_default()
                .insert(parse("a partition table left behind", table)?);
        }
        tx.commit().await?;
        Ok(recorded)
    }

    /// Who holds each claimed node.
    pub async fn claims(&self) -> Result<BTreeMap<Addr, Addr>, StoreError> {
        let rows = sqlx::query("SELECT node, instance FROM claims")
            .fetch_all(&self.pool)
            .await?;
        let mut out = BTreeMap::new();
        for row in rows {
            let (node, instance): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            out.insert(parse("a claim", node)?, parse("a claim", instance)?);
        }
        Ok(out)
    }

    /// Compare-and-set of the node's owner (row P19): claimed when it was free or ours already.
    pub async fn claim(&self, node: &Addr, instance: &Addr) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO claims (node, instance) VALUES ($1, $2) ON CONFLICT (node) DO NOTHING",
        )
        .bind(node.to_string())
        .bind(instance.to_string())
        .execute(&mut *tx)
        .await?;
        let holder: String = sqlx::query_scalar("SELECT instance FROM claims WHERE node = $1")
            .bind(node.to_string())
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        if holder == instance.to_string() {
            Ok(())
        } else {
            Err(StoreError::Claimed {
                node: node.clone(),
                holder,
            })
        }
    }

    pub async fn begin_run(&self, run: &str, plan: &str, now_ms: i64) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("INSERT INTO runs (id, plan, started_at) VALUES ($1, $2, $3)")
            .bind(run)
            .bind(plan)
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    pub async fn end_run(&self, run: &str, outcome: &str, now_ms: i64) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE runs SET finished_at = $2, outcome = $3 WHERE id = $1")
            .bind(run)
            .bind(now_ms)
            .bind(outcome)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    pub async fn runs(&self) -> Result<Vec<RunRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, started_at, finished_at, outcome FROM runs ORDER BY started_at, id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(RunRow {
                    id: row.try_get(0)?,
                    started_ms: row.try_get(1)?,
                    finished_ms: row.try_get(2)?,
                    outcome: row.try_get(3)?,
                })
            })
            .collect()
    }

    /// Durable before the first packet of the act (design rule 5).
    pub async fn started(
        &self,
        run: &str,
        step: &PlannedStep,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let body = to_json("a step", step)?;
        let mut tx = self.write().await?;
        journal(
            &mut tx,
            run,
            step.id,
            &step.subject,
            "started",
            &body,
            now_ms,
        )
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The step's end and what it changed in state, in one transaction.
    pub async fn finished(
        &self,
        run: &str,
        step: &PlannedStep,
        outcome: &str,
        changes: &[StateChange],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        journal(
            &mut tx,
            run,
            step.id,
            &step.subject,
            "finished",
            outcome,
            now_ms,
        )
        .await?;
        self.change(&mut tx, changes).await?;
        tx.commit().await?;
        self.bell.notify_waiters();
        Ok(())
    }

    /// What recovery found out about a step that was started and never finished.
    pub async fn settled(
        &self,
        entry: &JournalEntry,
        verdict: &str,
        changes: &[StateChange],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        journal(
            &mut tx,
            &entry.run,
            entry.step,
            &entry.subject,
            "settled",
            verdict,
            now_ms,
        )
        .await?;
        self.change(&mut tx, changes).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn change(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
        changes: &[StateChange],
    ) -> Result<(), StoreError> {
        for change in changes {
            match change {
                StateChange::Put(addr, resource) => {
                    let body = to_json("a resource", resource)?;
                    sqlx::query("INSERT INTO resources VALUES ($1, $2) ON CONFLICT (addr) DO UPDATE SET body = excluded.body")
                        .bind(addr.to_string())
                        .bind(body)
                        .execute(&mut **tx)
                        .await?;
                }
                StateChange::Remove(addr) => {
                    sqlx::query("DELETE FROM resources WHERE addr = $1")
                        .bind(addr.to_string())
                        .execute(&mut **tx)
                        .await?;
                }
                StateChange::Move(moves) => self.rename(tx, moves).await?,
                StateChange::Unclaim { node, instance } => {
                    sqlx::query("DELETE FROM claims WHERE node = $1 AND instance = $2")
                        .bind(node.to_string())
                        .bind(instance.to_string())
                        .execute(&mut **tx)
                        .await?;
                }
                StateChange::LeaveBehind { node, tables } => {
                    for table in tables {
                        sqlx::query(
                            "INSERT INTO left_behind VALUES ($1, $2) ON CONFLICT DO NOTHING",
                        )
                        .bind(node.to_string())
                        .bind(table.to_string())
                        .execute(&mut **tx)
                        .await?;
                    }
                }
                StateChange::DropSecret(name) => {
                    sqlx::query("DELETE FROM secrets WHERE name = $1")
                        .bind(name)
                        .execute(&mut **tx)
                        .await?;
                }
            }
        }
        if !changes.is_empty() {
            sqlx::query("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'serial'")
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    /// Steps that were started and have neither finished nor been settled: their outcome is unknown (design rule 7).
    pub async fn unfinished(&self) -> Result<Vec<JournalEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT s.run, s.step, s.subject, s.body, s.at FROM journal s WHERE s.what = 'started' AND NOT EXISTS
             (SELECT 1 FROM journal e WHERE e.run = s.run AND e.step = s.step AND e.what <> 'started') ORDER BY s.seq",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let step: i64 = row.try_get(1)?;
                Ok(JournalEntry {
                    run: row.try_get(0)?,
                    step: StepId(u32::try_from(step).unwrap_or(u32::MAX)),
                    subject: parse("a journal entry", row.try_get::<&str, _>(2)?)?,
                    body: row.try_get(3)?,
                    at_ms: row.try_get(4)?,
                })
            })
            .collect()
    }

    /// Seals a secret under a name such as `node.a/password`.
    pub async fn put_secret(&self, name: &str, secret: &Secret) -> Result<(), StoreError> {
        let sealed = self.sealer.seal(name, secret.expose().as_bytes())?;
        let mut tx = self.write().await?;
        sqlx::query("INSERT INTO secrets VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed")
            .bind(name)
            .bind(sealed)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Seals many in one transaction; a fleet has thousands.
    pub async fn put_secrets(&self, secrets: &[(String, Secret)]) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        for (name, secret) in secrets {
            let sealed = self.sealer.seal(name, secret.expose().as_bytes())?;
            sqlx::query("INSERT INTO secrets VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed")
                .bind(name)
                .bind(sealed)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    pub async fn secret(&self, name: &str) -> Result<Secret, StoreError> {
        let sealed: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT sealed FROM secrets WHERE name = $1")
                .bind(name)
                .fetch_optional(&self.pool)
                .await?;
        let sealed = sealed.ok_or_else(|| StoreError::NoSecret(name.to_owned()))?;
        self.sealer.open_text(name, &sealed)
    }

    /// Ends every connection; what is not committed is rolled back.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

pub(super) fn read_resource(addr: &str, body: &str) -> Result<(Addr, Resource), StoreError> {
    let resource = serde_json::from_str(body).map_err(|e| StoreError::Corrupt {
        what: addr.to_owned(),
        why: e.to_string(),
    })?;
    Ok((parse("an address", addr)?, resource))
}

pub(super) async fn journal(
    tx: &mut Transaction<'static, Sqlite>,
    run: &str,
    step: StepId,
    subject: &Addr,
    what: &str,
    body: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO journal (run, step, subject, what, body, at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(run)
    .bind(i64::from(step.0))
    .bind(subject.to_string())
    .bind(what)
    .bind(body)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) fn parse<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e: T::Err| StoreError::Corrupt {
        what: what.to_owned(),
        why: e.to_string(),
    })
}

pub(super) fn to_json<T: serde::Serialize>(what: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Corrupt {
        what: what.to_owned(),
        why: e.to_string(),
    })
}
