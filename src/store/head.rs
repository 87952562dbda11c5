//! The one row that every writer takes first: what the state is, how far it has come, and what its tables must add up to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::chain::Link;
use super::database::Tx;
use super::sums::{Sum, Table};
use super::value::{Value, values};

/// Raised when an older reader would misunderstand the rows.
pub const FORMAT: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub format: u32,
    pub lineage: String,
    /// Rises with every change of what is recorded.
    pub serial: u64,
    /// Rises with every transaction that changes anything but the time of a lease.
    #[serde(default)]
    pub writes: u64,
    /// What the sums of each table's rows add up to; a table without rows may be missing.
    pub digests: BTreeMap<Table, Sum>,
    pub journal: Link,
    #[serde(default)]
    pub history: Link,
    /// What the first record that is kept follows on.
    #[serde(default)]
    pub journal_from: Link,
    #[serde(default)]
    pub history_from: Link,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Pruned>,
    /// The last run that was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<CurrentRun>,
    /// The token of each lease that counts: a writer with a lower one is refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<String, i64>,
    /// Where this state has gone; it is not to be used since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<String>,
}

/// What is not kept any more, of all times that somebody pruned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// When, the last time.
    pub at_ms: i64,
    /// Everything that is older than this is gone.
    pub before_ms: i64,
    pub runs: u64,
    /// Of the journal.
    pub records: u64,
    /// Of the history.
    pub changes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentRun {
    pub id: String,
    pub last_batch: u64,
}

#[derive(Deserialize)]
struct Form {
    format: u32,
}

const WHAT: &str = "the head of the state";

impl Head {
    pub fn new(lineage: String, serial: u64) -> Head {
        Head {
            format: FORMAT,
            lineage,
            serial,
            writes: 0,
            digests: BTreeMap::new(),
            journal: Link::default(),
            history: Link::default(),
            journal_from: Link::default(),
            history_from: Link::default(),
            pruned: None,
            run: None,
            tokens: BTreeMap::new(),
            moved_to: None,
        }
    }

    /// Reads it; in a writing transaction this waits for every other writer.
    pub async fn read(tx: &mut Tx) -> Result<Head, StoreError> {
        let sql = tx.head_sql();
        let row = tx.row(sql, values![]).await?;
        let row = row.ok_or_else(|| StoreError::corrupt(WHAT, "it is missing"))?;
        let [body, sum] = row.cells()?;
        let (body, sum) = (body.text()?, Sum::from_value(sum)?);
        let expected = Sum::of_row("head", &[Value::from(body.as_str())]);
        if sum != expected {
            let why = format!("its checksum is {expected}, {sum} was noted");
            return Err(StoreError::corrupt(WHAT, why));
        }
        let unread = |e: serde_json::Error| StoreError::corrupt(WHAT, e.to_string());
        // Before anything else: a newer form may have fields that this one would not understand.
        let Form { format } = serde_json::from_str(&body).map_err(unread)?;
        if format > FORMAT {
            return Err(StoreError::NewerForm {
                place: "the state".to_owned(),
                found: i64::from(format),
                known: i64::from(FORMAT),
            });
        }
        serde_json::from_str(&body).map_err(unread)
    }

    pub async fn write(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let body =
            serde_json::to_string(self).map_err(|e| StoreError::corrupt(WHAT, e.to_string()))?;
        let sum = Sum::of_row("head", &[Value::from(body.as_str())]);
        tx.execute(
            "INSERT INTO head (id, body, sum) VALUES (1, $1, $2)
             ON CONFLICT (id) DO UPDATE SET body = excluded.body, sum = excluded.sum",
            values![body, sum],
        )
        .await?;
        Ok(())
    }

    pub fn digest(&mut self, table: Table) -> &mut Sum {
        self.digests.entry(table).or_default()
    }
}
