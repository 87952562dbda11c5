//! The two chains, journal and history: each row has a sum over itself and the sum before it, and the head of the state has the
//! last one. Walked forwards to see that all of it is there, and backwards from its end to what somebody asks for, so that what is
//! read is verified and nothing in between is missing.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::database::{Sql, Tx};
use super::head::Head;
use super::rows;
use super::sums::Sum;
use super::value::{Row, Value, values};

/// A link: the last one, or the one before the first that is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub seq: i64,
    pub sum: Sum,
}

impl Link {
    /// Of a row that was verified.
    pub fn of(row: &[Value], sum: Value) -> Result<Link, StoreError> {
        Ok(Link {
            seq: number(row)?,
            sum: Sum::from_value(sum)?,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    Journal,
    History,
}

/// Rows that a walk holds in memory at once.
const AT_ONCE: usize = 1000;

impl Chain {
    pub fn table(self) -> &'static str {
        match self {
            Chain::Journal => "journal",
            Chain::History => "history",
        }
    }

    /// What the sum covers, the number first.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Chain::Journal => &["seq", "run", "step", "subject", "what", "body", "at"],
            Chain::History => &[
                "seq", "serial", "at", "by", "op", "addr", "did", "moved_to", "before",
            ],
        }
    }

    fn row(self, seq: i64) -> String {
        match self {
            Chain::Journal => format!("journal record {seq}"),
            Chain::History => format!("history row {seq}"),
        }
    }

    /// The last link.
    pub fn end(self, head: &Head) -> Link {
        match self {
            Chain::Journal => head.journal,
            Chain::History => head.history,
        }
    }

    /// The link before the first row that is kept: what was before it was pruned.
    pub fn start(self, head: &Head) -> Link {
        match self {
            Chain::Journal => head.journal_from,
            Chain::History => head.history_from,
        }
    }

    pub fn end_mut(self, head: &mut Head) -> &mut Link {
        match self {
            Chain::Journal => &mut head.journal,
            Chain::History => &mut head.history,
        }
    }

    /// What was up to there is gone.
    pub fn begin_at(self, head: &mut Head, link: Link) {
        match self {
            Chain::Journal => head.journal_from = link,
            Chain::History => head.history_from = link,
        }
    }

    /// Lengthens the chain by rows that lack their number, which comes first.
    pub async fn append(
        self,
        tx: &mut Tx,
        head: &mut Head,
        all: Vec<Vec<Value>>,
    ) -> Result<(), StoreError> {
        let end = self.end_mut(head);
        let mut out = Vec::with_capacity(all.len());
        for rest in all {
            let seq = end.seq + 1;
            let mut row = values![seq];
            row.extend(rest);
            let sum = Sum::after(end.sum, self.table(), &row);
            *end = Link { seq, sum };
            row.push(sum.into());
            out.push(row);
        }
        self.insert(tx, out).await
    }

    /// Rows with their sums, as they are.
    pub async fn insert(self, tx: &mut Tx, all: Vec<Vec<Value>>) -> Result<(), StoreError> {
        let columns: Vec<&str> = self.columns().iter().copied().chain(["sum"]).collect();
        rows::insert(tx, self.table(), &columns, all).await
    }

    /// The next rows after a link, with their sums, each verified by the one before it. None are left at the end.
    pub async fn after(self, tx: &mut Tx, at: &mut Link) -> Result<Vec<Vec<Value>>, StoreError> {
        let sql = format!(
            "SELECT {}, sum FROM {} WHERE seq > $1 ORDER BY seq LIMIT {AT_ONCE}",
            self.columns().join(", "),
            self.table()
        );
        let found = tx.rows(Sql::Built(sql), values![at.seq]).await?;
        let mut out = Vec::with_capacity(found.len());
        for Row(cells) in found {
            *at = self.checked(at.sum, &cells)?;
            out.push(cells);
        }
        Ok(out)
    }

    /// From the first row to the last: how many there are.
    pub async fn walk(
        self,
        tx: &mut Tx,
        head: &Head,
        mut each: impl FnMut(&[Value]) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let (mut at, mut count) = (self.start(head), 0);
        loop {
            let found = self.after(tx, &mut at).await?;
            if found.is_empty() {
                break;
            }
            for row in found {
                each(&row)?;
                count += 1;
            }
        }
        self.ends(head, at.seq, at.sum)?;
        Ok(count)
    }

    /// From the last row backwards, without their sums, until `each` has what it wants.
    pub async fn back(
        self,
        tx: &mut Tx,
        head: &Head,
        mut each: impl FnMut(Vec<Value>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT {}, sum FROM {} WHERE seq <= $1 ORDER BY seq DESC LIMIT {}",
            self.columns().join(", "),
            self.table(),
            AT_ONCE + 1
        );
        let (start, mut from, mut is_first) = (self.start(head), i64::MAX, true);
        loop {
            let found = tx.rows(Sql::Built(sql.clone()), values![from]).await?;
            let is_last = found.len() <= AT_ONCE;
            let mut rows = found.into_iter().map(|Row(cells)| cells).peekable();
            if is_first {
                let (seq, sum) = match rows.peek() {
                    Some(row) => (number(row)?, sum_of(row)?),
                    None => (start.seq, start.sum),
                };
                self.ends(head, seq, sum)?;
                is_first = false;
            }
            while let Some(mut row) = rows.next() {
                let before = match rows.peek() {
                    Some(before) => sum_of(before)?,
                    None if is_last => start.sum,
                    // It is looked at with the one before it.
                    None => break,
                };
                from = self.checked(before, &row)?.seq - 1;
                row.pop();
                match each(row)? {
                    ControlFlow::Continue(()) => {}
                    ControlFlow::Break(()) => return Ok(()),
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// One row by its number, verified by the one before it.
    pub async fn one(self, tx: &mut Tx, head: &Head, seq: i64) -> Result<Vec<Value>, StoreError> {
        let sql = format!(
            "SELECT {}, sum FROM {} WHERE seq <= $1 ORDER BY seq DESC LIMIT 2",
            self.columns().join(", "),
            self.table()
        );
        let mut found = tx.rows(Sql::Built(sql), values![seq]).await?.into_iter();
        let missing = || StoreError::corrupt(self.row(seq), "it is missing");
        let Row(mut row) = found.next().ok_or_else(missing)?;
        let before = match found.next() {
            Some(Row(before)) => sum_of(&before)?,
            None => self.start(head).sum,
        };
        if self.checked(before, &row)?.seq != seq {
            return Err(missing());
        }
        row.pop();
        Ok(row)
    }

    /// The link of a row that ends with its sum.
    fn checked(self, before: Sum, row: &[Value]) -> Result<Link, StoreError> {
        let seq = number(row)?;
        let cells = row.get(..row.len().saturating_sub(1)).unwrap_or_default();
        let sum = Sum::after(before, self.table(), cells);
        if sum_of(row)? != sum {
            let why = "its checksum is not the one that was noted: it or the one before it was changed, removed or put back";
            return Err(StoreError::corrupt(self.row(seq), why));
        }
        Ok(Link { seq, sum })
    }

    fn ends(self, head: &Head, seq: i64, sum: Sum) -> Result<(), StoreError> {
        let noted = self.end(head);
        if noted == (Link { seq, sum }) {
            return Ok(());
        }
        let why = format!(
            "its last row is {seq}, the head of the state says {}: rows are missing, or old ones have come back",
            noted.seq
        );
        Err(StoreError::corrupt(format!("the {}", self.table()), why))
    }
}

fn sum_of(row: &[Value]) -> Result<Sum, StoreError> {
    Sum::from_value(row.last().cloned().unwrap_or(Value::Null))
}

fn number(row: &[Value]) -> Result<i64, StoreError> {
    row.first().cloned().unwrap_or(Value::Null).int()
}
