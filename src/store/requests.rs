//! What people ask of a run from another terminal: pause, go on, stop.

use super::StoreError;
use super::handle::{Store, cells};
use super::sums::Table;
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

const OF_RUN: &str = "run = $1 AND heard IS NULL ORDER BY seq";

impl Store {
    /// The run whose end is not noted. Its process may be gone all the same.
    pub async fn open_run(&self) -> Result<Option<String>, StoreError> {
        let runs = self.runs().await?;
        let open = runs.into_iter().rev().find(|r| r.finished_ms.is_none());
        Ok(open.map(|run| run.id))
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
        let sql = "SELECT coalesce(max(seq), 0) + 1 FROM requests";
        let row = write.tx.row(sql, values![]).await?;
        let nothing = || StoreError::corrupt("a request", "it has no number");
        let [seq] = row.ok_or_else(nothing)?.cells()?;
        let seq = seq.int()?;
        let row = values![seq, run, request.word(), by, at_ms, Value::Null];
        write.add(Table::Requests, vec![row]).await?;
        write.commit().await?;
        self.bell.notify_waiters();
        Ok(seq)
    }

    /// Takes back a request that nobody has read.
    pub async fn take_back(&self, seq: i64) -> Result<(), StoreError> {
        self.patiently(|| async {
            let mut write = self.write().await?;
            let Some(row) = write.one(Table::Requests, values![seq]).await? else {
                return Ok(());
            };
            let [_, _, _, _, _, heard] = cells(row)?;
            if heard != Value::Null {
                return Ok(());
            }
            write.remove(Table::Requests, vec![values![seq]]).await?;
            write.commit().await
        })
        .await
    }

    pub async fn was_heard(&self, seq: i64) -> Result<bool, StoreError> {
        self.patiently(|| async {
            let row = self
                .read()
                .await?
                .one(Table::Requests, values![seq])
                .await?;
            let Some(row) = row else { return Ok(false) };
            let [_, _, _, _, _, heard] = cells(row)?;
            Ok(heard != Value::Null)
        })
        .await
    }

    /// What was asked of a run and not read yet, in order. From here on it has been heard.
    ///
    /// A run has one process that listens: what it set out to take note of, and finds noted when it asks again after an outage,
    /// it noted itself, and the answer was lost.
    pub async fn hear(&self, run: &str, at_ms: i64) -> Result<Vec<Request>, StoreError> {
        let waiting = self
            .patiently(|| async {
                let mut read = self.read().await?;
                read.find(Table::Requests, OF_RUN, values![run]).await
            })
            .await?;
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        self.patiently(|| async { self.note_heard(&waiting, at_ms).await })
            .await
    }

    async fn note_heard(
        &self,
        waiting: &[Vec<Value>],
        at_ms: i64,
    ) -> Result<Vec<Request>, StoreError> {
        let mut write = self.write().await?;
        let (mut requests, mut noted) = (Vec::new(), Vec::new());
        for row in waiting {
            let key = row.iter().take(1).cloned().collect();
            // Taken back since it was read.
            let Some(row) = write.one(Table::Requests, key).await? else {
                continue;
            };
            let [seq, run, what, by, at, heard] = cells(row)?;
            requests.push(request(&what.clone().text()?)?);
            if heard == Value::Null {
                noted.push(vec![seq, run, what, by, at, Value::Int(at_ms)]);
            }
        }
        if !noted.is_empty() {
            write.put(Table::Requests, noted).await?;
            write.commit().await?;
            self.bell.notify_waiters();
        }
        Ok(requests)
    }
}

fn request(word: &str) -> Result<Request, StoreError> {
    let found = Request::ALL.into_iter().find(|r| r.word() == word);
    found.ok_or_else(|| {
        let why = format!("expected pause, resume or abort, found {word}");
        StoreError::corrupt("a request", why)
    })
}
