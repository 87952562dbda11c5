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

impl Store {
    /// The run whose end is not noted. Its process may be gone all the same.
    pub async fn open_run(&self) -> Result<Option<String>, StoreError> {
        let open = sqlx::query_scalar(
            "SELECT id FROM runs WHERE finished_at IS NULL ORDER BY started_at DESC LIMIT 1",
        );
        Ok(open.fetch_optional(&self.pool).await?)
    }

    /// Leaves a request where the process that carries the run out looks for it; its place among all.
    pub async fn ask(
        &self,
        run: &str,
        request: Request,
        by: &str,
        at_ms: i64,
    ) -> Result<i64, StoreError> {
        let mut tx = self.write().await?;
        let seq = sqlx::query_scalar(
            "INSERT INTO requests (run, what, by, at) VALUES ($1, $2, $3, $4) RETURNING seq",
        )
        .bind(run)
        .bind(request.word())
        .bind(by)
        .bind(at_ms)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        self.bell.notify_waiters();
        Ok(seq)
    }

    /// Takes back a request that nobody has read.
    pub async fn take_back(&self, seq: i64) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM requests WHERE seq = $1 AND heard IS NULL")
            .bind(seq)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    pub async fn was_heard(&self, seq: i64) -> Result<bool, StoreError> {
        let heard: Option<i64> = sqlx::query_scalar("SELECT heard FROM requests WHERE seq = $1")
            .bind(seq)
            .fetch_one(&self.pool)
            .await?;
        Ok(heard.is_some())
    }

    /// What was asked of a run and not read yet, in order. From here on it has been heard.
    pub async fn hear(&self, run: &str, at_ms: i64) -> Result<Vec<Request>, StoreError> {
        let waiting: Vec<i64> =
            sqlx::query_scalar("SELECT seq FROM requests WHERE run = $1 AND heard IS NULL")
                .bind(run)
                .fetch_all(&self.pool)
                .await?;
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.write().await?;
        let rows = sqlx::query(
            "SELECT seq, what FROM requests WHERE run = $1 AND heard IS NULL ORDER BY seq",
        )
        .bind(run)
        .fetch_all(&mut *tx)
        .await?;
        let mut requests = Vec::new();
        for row in rows {
            let (seq, word): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
            let request = Request::ALL.into_iter().find(|r| r.word() == word);
            requests.push(request.ok_or_else(|| StoreError::Corrupt {
                what: format!("a request to run {run}"),
                why: format!("expected pause, resume or abort, found {word}"),
            })?);
            sqlx::query("UPDATE requests SET heard = $2 WHERE seq = $1")
                .bind(seq)
                .bind(at_ms)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        self.bell.notify_waiters();
        Ok(requests)
    }
}
