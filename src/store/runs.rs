//! Runs of apply and the plans they carried out.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::actor::Actor;
use super::handle::{Store, cells};
use super::head::CurrentRun;
use super::sums::Table;
use super::value::{Value, values};
use super::{StoreError, from_json, to_json};
use crate::plan::{Plan, planfile};

/// A run that begins.
pub struct NewRun<'a> {
    pub id: &'a str,
    pub plan: &'a Plan,
    pub at_ms: i64,
    pub by: Actor,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    pub id: String,
    pub plan: String,
    pub started_ms: i64,
    /// `None` for runs of the first form of the state.
    pub by: Option<Actor>,
    /// How many batches it wrote; known when it has ended.
    pub last_batch: u64,
    pub finished_ms: Option<i64>,
    pub outcome: Option<String>,
}

impl Store {
    /// Keeps the plan, so that the journal needs no more than the numbers of its steps. Asked again with the same run, it
    /// changes nothing.
    pub async fn begin_run(&self, run: NewRun<'_>) -> Result<(), StoreError> {
        let body = compress(&to_json("a plan", run.plan)?);
        self.patiently(|| async { self.begin_once(&run, body.clone()).await })
            .await
    }

    async fn begin_once(&self, run: &NewRun<'_>, body: Vec<u8>) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        if write.one(Table::Runs, values![run.id]).await?.is_some() {
            return Ok(());
        }
        let plan = run.plan.id.as_str();
        let known = write.one(Table::Plans, values![plan]).await?.is_some();
        if !known {
            write.add(Table::Plans, vec![values![plan, body]]).await?;
        }
        // Who took the lease said more of itself: the commit of the configuration.
        let holder = match self.fence {
            Some(_) => write.lease().await?.holder,
            None => None,
        };
        let by = to_json("who runs", &holder.as_ref().unwrap_or(&run.by))?;
        let row = values![run.id, plan, run.at_ms, by, 0, Value::Null, Value::Null];
        write.add(Table::Runs, vec![row]).await?;
        write.head.run = Some(CurrentRun {
            id: run.id.to_owned(),
            last_batch: 0,
        });
        write.commit().await
    }

    pub async fn end_run(&self, run: &str, outcome: &str, now_ms: i64) -> Result<(), StoreError> {
        self.patiently(|| async {
            let mut write = self.write().await?;
            let Some(row) = write.one(Table::Runs, values![run]).await? else {
                return Ok(());
            };
            let [id, plan, started, by, mut last, _, _] = cells(row)?;
            if let Some(current) = write.head.run.as_ref().filter(|c| c.id == run) {
                last = Value::Int(i64::try_from(current.last_batch).unwrap_or(i64::MAX));
            }
            let row = values![id, plan, started, by, last, now_ms, outcome];
            write.put(Table::Runs, vec![row]).await?;
            let head = write.head.clone();
            write.commit().await?;
            self.remember(&head)
        })
        .await
    }

    /// Whoever holds the right to apply knows that a run without an end is over.
    pub async fn close_dead_runs(&self, now_ms: i64) -> Result<(), StoreError> {
        let open = self.runs().await?;
        for run in open.iter().filter(|run| run.finished_ms.is_none()) {
            self.end_run(&run.id, "died", now_ms).await?;
        }
        Ok(())
    }

    /// In the order in which they began.
    pub async fn runs(&self) -> Result<Vec<RunRow>, StoreError> {
        self.patiently(|| async {
            let rows = self.read().await?.all(Table::Runs).await?;
            let runs: Result<Vec<RunRow>, StoreError> = rows.into_iter().map(read_run).collect();
            let mut runs = runs?;
            runs.sort_by(|a, b| (a.started_ms, &a.id).cmp(&(b.started_ms, &b.id)));
            Ok(runs)
        })
        .await
    }

    /// A plan that was carried out, by its id.
    pub async fn plan(&self, id: &str) -> Result<Option<Plan>, StoreError> {
        self.patiently(|| async {
            let row = self.read().await?.one(Table::Plans, values![id]).await?;
            row.map(read_plan).transpose()
        })
        .await
    }
}

pub(super) fn read_run(row: Vec<Value>) -> Result<RunRow, StoreError> {
    let [id, plan, started, by, last, finished, outcome] = cells(row)?;
    let by = by.text()?;
    Ok(RunRow {
        id: id.text()?,
        plan: plan.text()?,
        started_ms: started.int()?,
        by: match by.as_str() {
            "" => None,
            text => Some(from_json("a run", text)?),
        },
        last_batch: u64::try_from(last.int()?).unwrap_or_default(),
        finished_ms: finished.maybe(Value::int)?,
        outcome: outcome.maybe(Value::text)?,
    })
}

pub(super) fn read_plan(row: Vec<Value>) -> Result<Plan, StoreError> {
    let [id, body] = cells(row)?;
    let name = format!("plan {}", id.text()?);
    let mut text = String::new();
    GzDecoder::new(body.blob()?.as_slice())
        .take(planfile::BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|e| StoreError::corrupt(&name, e.to_string()))?;
    from_json(&name, &text)
}

/// Fast rather than small: a plan of 10,000 deployments is 80 MB of text that repeats itself.
fn compress(text: &str) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let _ = out.write_all(text.as_bytes());
    out.finish().unwrap_or_default()
}
