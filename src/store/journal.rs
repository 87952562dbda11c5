//! The journal of runs: what was started and what has ended, written together with the changes of state it brings.

use sqlx::{Sqlite, Transaction};

use super::sqlite::Store;
use super::{StateChange, StoreError};
use crate::plan::PlannedStep;

/// What a run writes in one transaction: ends of steps with the changes of state they bring, and starts of the next ones.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Rises by 1 in a run, from 1.
    pub number: u64,
    pub notes: Vec<Note<'a>>,
    pub changes: Vec<StateChange>,
}

#[derive(Debug)]
pub enum Note<'a> {
    Started {
        step: &'a PlannedStep,
        at_ms: i64,
    },
    Finished {
        step: &'a PlannedStep,
        /// The JSON of `Outcome`.
        outcome: String,
        at_ms: i64,
    },
}

/// The key of `meta` under which the last batch that was written stands.
const LAST_BATCH: &str = "batch";

impl Store {
    /// One durable transaction, idempotent by run and number: a batch whose answer was lost is sent again unharmed.
    pub async fn append(&self, run: &str, batch: &Batch<'_>) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let mark = format!("{run} {}", batch.number);
        let last: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE key = $1")
            .bind(LAST_BATCH)
            .fetch_optional(&mut *tx)
            .await?;
        if last.as_deref() == Some(mark.as_str()) {
            return Ok(());
        }
        for note in &batch.notes {
            write_note(&mut tx, run, note).await?;
        }
        self.change(&mut tx, &batch.changes).await?;
        sqlx::query("INSERT INTO meta VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
            .bind(LAST_BATCH)
            .bind(mark)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        self.bell.notify_waiters();
        Ok(())
    }

    /// Notes of every run without an end that its process died. Only who holds the right to apply knows that.
    pub async fn close_dead_runs(&self, at_ms: i64) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE runs SET finished_at = $1, outcome = 'died' WHERE finished_at IS NULL")
            .bind(at_ms)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn write_note(
    tx: &mut Transaction<'static, Sqlite>,
    run: &str,
    note: &Note<'_>,
) -> Result<(), StoreError> {
    let (step, what, body, at_ms) = match note {
        Note::Started { step, at_ms } => {
            let body = super::sqlite::to_json("a step", step)?;
            (step, "started", body, at_ms)
        }
        Note::Finished {
            step,
            outcome,
            at_ms,
        } => (step, "finished", outcome.clone(), at_ms),
    };
    super::sqlite::journal(tx, run, step.id, &step.subject, what, &body, *at_ms).await
}
