//! What people ask of a run from another terminal: pause, go on, stop.

use sqlx::Row;

use super::StoreError;
use super::sqlite::Store;

/// What is asked of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Nothing new starts; what runs goes to its end.
    Pause,
    Resume,
    /// What runs goes to its end, nothing else is started, and the run ends.
    Abort,
}

impl Request {
    pub const ALL: [Request; 3] = [Request::Pause, Request::Resume, Request::Abort];

    pub fn word(self) -> &'static str {
        match self {
            Request::Pause => "pause",
            Request::Resume => "resume",
            Request::Abort => "abort",
        }
    }
}

/// A request, and its place among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub seq: i64,
    pub request: Request,
}

impl Store {
    /// Leaves a request where the process that carries the run out looks for it.
    pub async fn ask(
        &self,
        run: &str,
        request: Request,
        by: &str,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("INSERT INTO requests (run, what, by, at) VALUES ($1, $2, $3, $4)")
            .bind(run)
            .bind(request.word())
            .bind(by)
            .bind(at_ms)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        self.bell.notify_waiters();
        Ok(())
    }

    /// What was asked of a run after `seq`, in order.
    pub async fn asked(&self, run: &str, seq: i64) -> Result<Vec<Asked>, StoreError> {
        let rows =
            sqlx::query("SELECT seq, what FROM requests WHERE run = $1 AND seq > $2 ORDER BY seq")
                .bind(run)
                .bind(seq)
                .fetch_all(&self.pool)
                .await?;
        rows.iter()
            .map(|row| {
                let word: &str = row.try_get(1)?;
                let request = Request::ALL.into_iter().find(|r| r.word() == word);
                Ok(Asked {
                    seq: row.try_get(0)?,
                    request: request.ok_or_else(|| StoreError::Corrupt {
                        what: format!("a request to run {run}"),
                        why: format!("expected pause, resume or abort, found {word}"),
                    })?,
                })
            })
            .collect()
    }
}
