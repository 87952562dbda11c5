//! The journal as people read it: what a run did, and what was done to a resource.

use super::StoreError;
use super::handle::Store;
use super::value::{Row, Value, values};
use super::{from_json, parse};
use crate::ids::Addr;
use crate::model::event::Outcome;
use crate::plan::StepId;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub run: String,
    pub step: StepId,
    pub subject: Addr,
    pub at_ms: i64,
    pub what: Happened,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    Started,
    Finished(Outcome),
    /// A later run has looked at what this one left in doubt.
    Settled(String),
    /// Something else that was noted with the step, in its own words.
    Noted(String),
}

/// More of one resource's records are of no help to anybody.
const OF_SUBJECT_MAX: i64 = 500;

impl Store {
    /// Everything a run noted, in order.
    pub async fn records_of_run(&self, run: &str) -> Result<Vec<Record>, StoreError> {
        let sql =
            "SELECT run, step, subject, what, body, at FROM journal WHERE run = $1 ORDER BY seq";
        let rows = self.read().await?.tx.rows(sql, values![run]).await?;
        rows.into_iter().map(record).collect()
    }

    /// The last records about a resource, in order.
    pub async fn records_about(&self, subject: &Addr) -> Result<Vec<Record>, StoreError> {
        let sql = "SELECT run, step, subject, what, body, at FROM journal WHERE subject = $1 ORDER BY seq DESC LIMIT $2";
        let args = values![subject, OF_SUBJECT_MAX];
        let rows = self.read().await?.tx.rows(sql, args).await?;
        let records: Result<Vec<Record>, StoreError> = rows.into_iter().map(record).collect();
        let mut records = records?;
        records.reverse();
        Ok(records)
    }
}

fn record(row: Row) -> Result<Record, StoreError> {
    let [run, step, subject, what, body, at] = row.cells()?;
    let (what, body) = (what.text()?, body.text()?);
    let place = "a record of the journal";
    Ok(Record {
        run: run.text()?,
        step: StepId(
            u32::try_from(step.int()?).map_err(|e| StoreError::corrupt(place, e.to_string()))?,
        ),
        subject: parse(place, &subject.text()?)?,
        at_ms: Value::int(at)?,
        what: match what.as_str() {
            "started" => Happened::Started,
            "settled" => Happened::Settled(body),
            "finished" => match from_json::<Outcome>(place, &body) {
                Ok(outcome) => Happened::Finished(outcome),
                Err(_) => Happened::Noted(body),
            },
            other => {
                let why = format!("expected started, finished or settled, found {other}");
                return Err(StoreError::corrupt(place, why));
            }
        },
    })
}
