//! The journal as people read it: what a run did, and what was done to a resource.

use std::ops::ControlFlow;

use super::chain::Chain;
use super::handle::{Store, cells};
use super::value::Value;
use super::{StoreError, from_json, parse};
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

impl Store {
    /// Everything a run noted, in order.
    pub async fn records_of_run(&self, run: &str) -> Result<Vec<Record>, StoreError> {
        self.last_records(|record| record.run == run, |found| !found.is_empty())
            .await
    }

    /// What the last run that began with a resource noted of it, and every later one that did not, in order.
    pub async fn records_about(&self, subject: &Addr) -> Result<Vec<Record>, StoreError> {
        let has_begun = |found: &[Record]| found.iter().any(Record::is_of_begun);
        self.last_records(|record| record.subject == *subject, has_begun)
            .await
    }

    /// The records that are wanted, of the last runs that have some, until those are enough. They are looked for from the end of
    /// the journal: that the rest of a run is not needed is known when another run's work comes up, because one follows on the other.
    async fn last_records(
        &self,
        is_wanted: impl Fn(&Record) -> bool,
        is_enough: impl Fn(&[Record]) -> bool,
    ) -> Result<Vec<Record>, StoreError> {
        let mut read = self.read().await?;
        let mut found: Vec<Record> = Vec::new();
        let mut enough = false;
        let each = |row| {
            let record = record(row)?;
            let is_same = found.last().is_none_or(|f| f.run == record.run);
            if !is_same && enough {
                // A run settles what another has left in doubt before it does anything of its own.
                return Ok(match record.what {
                    Happened::Settled(_) => ControlFlow::Continue(()),
                    Happened::Started | Happened::Finished(_) | Happened::Noted(_) => {
                        ControlFlow::Break(())
                    }
                });
            }
            if is_wanted(&record) {
                found.push(record);
                enough = enough || is_enough(&found);
            }
            Ok(ControlFlow::Continue(()))
        };
        Chain::Journal.back(&mut read.tx, &read.head, each).await?;
        found.reverse();
        Ok(found)
    }
}

impl Record {
    /// Whether the run that noted it has begun with its subject: one that was kept from it has changed nothing.
    pub fn is_of_begun(&self) -> bool {
        match &self.what {
            Happened::Started | Happened::Settled(_) | Happened::Noted(_) => true,
            Happened::Finished(outcome) => match outcome {
                Outcome::Done { .. } | Outcome::AlreadyDone { .. } | Outcome::Failed { .. } => true,
                Outcome::Blocked { .. } | Outcome::Outside { .. } | Outcome::NotStarted => false,
            },
        }
    }
}

fn record(row: Vec<Value>) -> Result<Record, StoreError> {
    let [_, run, step, subject, what, body, at] = cells(row)?;
    let (what, body) = (what.text()?, body.text()?);
    let place = "a record of the journal";
    Ok(Record {
        run: run.text()?,
        step: StepId(
            u32::try_from(step.int()?).map_err(|e| StoreError::corrupt(place, e.to_string()))?,
        ),
        subject: parse(place, &subject.text()?)?,
        at_ms: at.int()?,
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
