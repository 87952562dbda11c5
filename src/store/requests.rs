//! What people ask of a run from another terminal: pause, go on, stop.

use super::StoreError;
use super::handle::Store;
use super::value::{Value, values};

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
        self.patiently(|| async {
            let sql =
                "SELECT id FROM runs WHERE finished_at IS NULL ORDER BY started_at DESC LIMIT 1";
            let row = self.read().await?.tx.row(sql, values![]).await?;
            let Some(row) = row else { return Ok(None) };
            let [id] = row.cells()?;
            id.text().map(Some)
        })
        .await
    }

    /// Leaves a request where the process that carries the run out looks for it; its place among all.
    pub async fn ask(
        &self,
        run: &str,
        request: Request,
        by: &str,
        at_ms: i64,
    ) -> Result<i64, StoreError> {
        let mut write = self.write().await?;
        let sql = "INSERT INTO requests (run, what, by, at) VALUES ($1, $2, $3, $4) RETURNING seq";
        let args = values![run, request.word(), by, at_ms];
        let row = write.tx.row(sql, args).await?;
        write.commit().await?;
        self.bell.notify_waiters();
        let nothing = || StoreError::corrupt("a request", "it was written and has no number");
        let [seq] = row.ok_or_else(nothing)?.cells()?;
        seq.int()
    }

    /// Takes back a request that nobody has read.
    pub async fn take_back(&self, seq: i64) -> Result<(), StoreError> {
        self.patiently(|| async {
            let mut write = self.write().await?;
            let sql = "DELETE FROM requests WHERE seq = $1 AND heard IS NULL";
            write.tx.execute(sql, values![seq]).await?;
            write.commit().await
        })
        .await
    }

    pub async fn was_heard(&self, seq: i64) -> Result<bool, StoreError> {
        self.patiently(|| async {
            let sql = "SELECT heard FROM requests WHERE seq = $1";
            let row = self.read().await?.tx.row(sql, values![seq]).await?;
            let Some(row) = row else { return Ok(false) };
            let [heard] = row.cells()?;
            Ok(heard.maybe(Value::int)?.is_some())
        })
        .await
    }

    /// What was asked of a run and not read yet, in order. From here on it has been heard.
    pub async fn hear(&self, run: &str, at_ms: i64) -> Result<Vec<Request>, StoreError> {
        self.patiently(|| async {
            let sql =
                "SELECT seq, what FROM requests WHERE run = $1 AND heard IS NULL ORDER BY seq";
            let waiting = self.read().await?.tx.rows(sql, values![run]).await?;
            if waiting.is_empty() {
                return Ok(Vec::new());
            }
            let mut write = self.write().await?;
            let rows = write.tx.rows(sql, values![run]).await?;
            let mut requests = Vec::new();
            for row in rows {
                let [seq, word] = row.cells()?;
                let word = word.text()?;
                let request = Request::ALL.into_iter().find(|r| r.word() == word);
                requests.push(request.ok_or_else(|| {
                    let why = format!("expected pause, resume or abort, found {word}");
                    StoreError::corrupt(format!("a request to run {run}"), why)
                })?);
                let sql = "UPDATE requests SET heard = $2 WHERE seq = $1";
                write.tx.execute(sql, values![seq.int()?, at_ms]).await?;
            }
            write.commit().await?;
            self.bell.notify_waiters();
            Ok(requests)
        })
        .await
    }
}
