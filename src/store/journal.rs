//! The journal: a chain of records, each with a sum over itself and the sum before it. Steps that have not ended stand in a
//! table of their own.

use std::collections::BTreeSet;

use super::chain::Chain;
use super::handle::{Read, Store, Write, cells};
use super::history::Deed;
use super::sums::Table;
use super::value::{Value, values};
use super::{StateChange, StoreError, from_json, parse, runs};
use crate::ids::Addr;
use crate::plan::{PlannedStep, StepId};

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
        /// JSON of `Outcome`.
        outcome: String,
        at_ms: i64,
    },
}

impl Note<'_> {
    fn at_ms(&self) -> i64 {
        match self {
            Note::Started { step: _, at_ms } => *at_ms,
            Note::Finished {
                step: _,
                outcome: _,
                at_ms,
            } => *at_ms,
        }
    }
}

/// A step that was started and whose end nobody noted: its outcome is unknown (design rule 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    pub run: String,
    pub step: PlannedStep,
    pub at_ms: i64,
}

/// A record as it is written: its place in the chain comes with it.
struct Record<'a> {
    run: &'a str,
    step: StepId,
    subject: &'a Addr,
    what: &'static str,
    body: &'a str,
    at_ms: i64,
}

impl Store {
    /// One durable transaction. A batch whose answer was lost is sent again unharmed: one that is there is not written twice.
    pub async fn append(&self, run: &str, batch: &Batch<'_>) -> Result<(), StoreError> {
        let Batch {
            number,
            notes,
            changes,
        } = batch;
        self.patiently(|| async {
            self.append_numbered(run, Some(*number), notes, changes)
                .await
        })
        .await
    }

    /// Durable before the first packet of the act (design rule 5).
    pub async fn started(
        &self,
        run: &str,
        step: &PlannedStep,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let note = Note::Started {
            step,
            at_ms: now_ms,
        };
        self.append_numbered(run, None, &[note], &[]).await
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
        let note = Note::Finished {
            step,
            outcome: outcome.to_owned(),
            at_ms: now_ms,
        };
        self.append_numbered(run, None, &[note], changes).await
    }

    async fn append_numbered(
        &self,
        run: &str,
        number: Option<u64>,
        notes: &[Note<'_>],
        changes: &[StateChange],
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let Some(current) = write.head.run.as_mut().filter(|c| c.id == run) else {
            return Err(StoreError::OtherRun {
                run: run.to_owned(),
                current: write.head.run.map_or("none".to_owned(), |c| c.id),
            });
        };
        let expected = current.last_batch + 1;
        match number {
            Some(found) if found < expected => return Ok(()),
            Some(found) if found > expected => {
                return Err(StoreError::OutOfOrder {
                    run: run.to_owned(),
                    expected,
                    found,
                });
            }
            Some(_) | None => current.last_batch = expected,
        }
        write.note(run, notes).await?;
        let at_ms = notes.last().map_or(0, Note::at_ms);
        let deed = Deed::of_run(run, at_ms);
        write.change(self, changes, deed).await?;
        write.commit().await?;
        self.bell.notify_waiters();
        Ok(())
    }

    /// What recovery found out about a step that was started and never finished. Once it is settled nothing more is written.
    pub async fn settled(
        &self,
        entry: &Unfinished,
        verdict: &str,
        changes: &[StateChange],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        self.patiently(|| async {
            let mut write = self.write().await?;
            let step = &entry.step;
            let key = values![entry.run.as_str(), i64::from(step.id.0)];
            if write.remove(Table::OpenSteps, vec![key]).await? == 0 {
                return Ok(());
            }
            let record = Record {
                run: &entry.run,
                step: step.id,
                subject: &step.subject,
                what: "settled",
                body: verdict,
                at_ms: now_ms,
            };
            write.record(&[record]).await?;
            let deed = Deed::of_run(&entry.run, now_ms);
            write.change(self, changes, deed).await?;
            write.commit().await
        })
        .await
    }

    /// Steps that were started and have neither finished nor been settled, in the order in which they were started.
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        self.patiently(|| async {
            let mut read = self.read().await?;
            let mut seqs = Vec::new();
            for row in read.all(Table::OpenSteps).await? {
                let [_, _, seq] = cells(row)?;
                seqs.push(seq.int()?);
            }
            seqs.sort_unstable();
            let mut out = Vec::new();
            let mut plan = None;
            for seq in seqs {
                out.push(read.unfinished(seq, &mut plan).await?);
            }
            Ok(out)
        })
        .await
    }
}

impl Write {
    async fn note(&mut self, run: &str, notes: &[Note<'_>]) -> Result<(), StoreError> {
        let (mut begun, mut ended) = (BTreeSet::new(), Vec::new());
        let mut records = Vec::with_capacity(notes.len());
        let mut opened = Vec::new();
        let mut seq = self.head.journal.seq;
        for note in notes {
            seq += 1;
            let (step, what, body, at_ms) = match note {
                Note::Started { step, at_ms } => {
                    begun.insert(step.id);
                    opened.push((step.id, seq));
                    (step, "started", "", *at_ms)
                }
                Note::Finished {
                    step,
                    outcome,
                    at_ms,
                } => {
                    if !begun.remove(&step.id) {
                        ended.push(values![run, i64::from(step.id.0)]);
                    }
                    (step, "finished", outcome.as_str(), *at_ms)
                }
            };
            records.push(Record {
                run,
                step: step.id,
                subject: &step.subject,
                what,
                body,
                at_ms,
            });
        }
        self.record(&records).await?;
        self.remove(Table::OpenSteps, ended).await?;
        let opened = opened
            .into_iter()
            .filter(|(step, _)| begun.contains(step))
            .map(|(step, seq)| values![run, i64::from(step.0), seq])
            .collect();
        self.put(Table::OpenSteps, opened).await
    }

    async fn record(&mut self, records: &[Record<'_>]) -> Result<(), StoreError> {
        let all = records.iter().map(|record| {
            values![
                record.run,
                i64::from(record.step.0),
                record.subject,
                record.what,
                record.body,
                record.at_ms,
            ]
        });
        Chain::Journal
            .append(&mut self.tx, &mut self.head, all.collect())
            .await
    }
}

impl Read {
    /// The record of a start, with the step it means.
    async fn unfinished(
        &mut self,
        seq: i64,
        plan: &mut Option<crate::plan::Plan>,
    ) -> Result<Unfinished, StoreError> {
        let record = Chain::Journal.one(&mut self.tx, &self.head, seq).await?;
        let [_, run, step, _, _, body, at] = cells(record)?;
        let (run, body) = (run.text()?, body.text()?);
        let name = format!("journal record {seq}");
        let id = StepId(
            u32::try_from(step.int()?).map_err(|e| StoreError::corrupt(&name, e.to_string()))?,
        );
        let step = if body.is_empty() {
            self.planned(&run, id, plan).await?
        } else {
            // The first form of the state wrote the step into the journal.
            from_json(&name, &body)?
        };
        Ok(Unfinished {
            run,
            step,
            at_ms: at.int()?,
        })
    }

    /// A step of the plan that a run carries out; the last plan that was read is kept in `plan`.
    async fn planned(
        &mut self,
        run: &str,
        step: StepId,
        plan: &mut Option<crate::plan::Plan>,
    ) -> Result<PlannedStep, StoreError> {
        let lost =
            |what: String| StoreError::corrupt(what, "the journal names it and it is missing");
        let row = self.one(Table::Runs, values![run]).await?;
        let row = row.ok_or_else(|| lost(format!("run {run}")))?;
        let id = row.into_iter().nth(1).unwrap_or(Value::Null).text()?;
        if plan.as_ref().is_none_or(|p| p.id != id) {
            let row = self.one(Table::Plans, values![id.as_str()]).await?;
            let row = row.ok_or_else(|| lost(format!("plan {id}")))?;
            *plan = Some(runs::read_plan(row)?);
        }
        let found = plan.as_ref().and_then(|p| p.step(step));
        found
            .cloned()
            .ok_or_else(|| lost(format!("step {step} of plan {id}")))
    }

    /// Walks the whole chain: how many records there are.
    pub(super) async fn verify_journal(&mut self) -> Result<u64, StoreError> {
        let readable = |row: &[Value]| {
            let subject = row.get(3).cloned().unwrap_or(Value::Null);
            let _: Addr = parse("a journal record", &subject.text()?)?;
            Ok(())
        };
        Chain::Journal
            .walk(&mut self.tx, &self.head, readable)
            .await
    }
}
