//! Checksums: of one row, of the set of rows of a table, and along the journal.
//!
//! They find what was damaged, lost or put back, not what was forged: whoever may write the database may write its sums.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::StoreError;
use super::value::Value;

/// The first 16 bytes of a SHA-256, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sum(pub u128);

/// The tables whose rows carry a sum and whose set of rows has a digest. Names and order of columns are part of the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    Resources,
    Claims,
    LeftBehind,
    Secrets,
    Plans,
    Runs,
    OpenSteps,
    Boot,
    Deployments,
    Commands,
    Phones,
    Requests,
    Durations,
}

impl Table {
    pub const ALL: [Table; 13] = [
        Table::Resources,
        Table::Claims,
        Table::LeftBehind,
        Table::Secrets,
        Table::Plans,
        Table::Runs,
        Table::OpenSteps,
        Table::Boot,
        Table::Deployments,
        Table::Commands,
        Table::Phones,
        Table::Requests,
        Table::Durations,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Table::Resources => "resources",
            Table::Claims => "claims",
            Table::LeftBehind => "left_behind",
            Table::Secrets => "secrets",
            Table::Plans => "plans",
            Table::Runs => "runs",
            Table::OpenSteps => "open_steps",
            Table::Boot => "boot",
            Table::Deployments => "deployments",
            Table::Commands => "commands",
            Table::Phones => "phones",
            Table::Requests => "requests",
            Table::Durations => "durations",
        }
    }

    /// The columns that the sum covers, those of the key first.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Table::Resources => &["addr", "body"],
            Table::Claims => &["node", "instance"],
            Table::LeftBehind => &["node", "partitioning"],
            Table::Secrets => &["name", "sealed"],
            Table::Plans => &["id", "body"],
            Table::Runs => &[
                "id",
                "plan",
                "started_at",
                "actor",
                "last_batch",
                "finished_at",
                "outcome",
            ],
            Table::OpenSteps => &["run", "step", "seq"],
            Table::Boot => &["mac", "site", "body", "served"],
            Table::Deployments => &[
                "id",
                "instance",
                "node",
                "macs",
                "token",
                "key",
                "expires_at",
                "served",
                "status",
                "mac",
                "last_seq",
                "report",
                "trouble",
                "number",
            ],
            Table::Commands => &["deployment", "id", "line", "status", "message"],
            Table::Phones => &["token_sha256", "instance", "expires_at", "said"],
            Table::Requests => &["seq", "run", "what", "by", "at", "heard"],
            Table::Durations => &["title", "bucket", "count"],
        }
    }

    pub fn keys(self) -> &'static [&'static str] {
        let count = match self {
            Table::LeftBehind | Table::OpenSteps | Table::Commands | Table::Durations => 2,
            Table::Resources
            | Table::Claims
            | Table::Secrets
            | Table::Plans
            | Table::Runs
            | Table::Boot
            | Table::Deployments
            | Table::Phones
            | Table::Requests => 1,
        };
        self.columns().get(..count).unwrap_or_default()
    }
}

impl Sum {
    /// Of one row: the table's name keeps rows of one kind from standing in for another's.
    pub fn of_row(table: &str, row: &[Value]) -> Sum {
        Sum::after(Sum::default(), table, row)
    }

    /// Of a link of a chain.
    pub fn after(before: Sum, table: &str, row: &[Value]) -> Sum {
        let mut hash = Sha256::new();
        hash.update(before.0.to_be_bytes());
        hash.update(table.as_bytes());
        for value in row {
            let (kind, bytes): (u8, &[u8]) = match value {
                Value::Null => (0, &[]),
                Value::Int(number) => {
                    hash.update([1]);
                    hash.update(number.to_be_bytes());
                    continue;
                }
                Value::Text(text) => (2, text.as_bytes()),
                Value::Blob(bytes) => (3, bytes),
            };
            hash.update([kind]);
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        }
        let digest = hash.finalize();
        let mut first = [0; 16];
        first.copy_from_slice(digest.get(..16).unwrap_or(&[0; 16]));
        Sum(u128::from_be_bytes(first))
    }

    /// The digest of a set does not depend on the order of its rows: it is their sum.
    pub fn add(&mut self, row: Sum) {
        self.0 = self.0.wrapping_add(row.0);
    }

    pub fn remove(&mut self, row: Sum) {
        self.0 = self.0.wrapping_sub(row.0);
    }

    pub fn from_value(value: Value) -> Result<Sum, StoreError> {
        let bytes = value.blob()?;
        let bytes: [u8; 16] = bytes.as_slice().try_into().map_err(|_| {
            StoreError::corrupt(
                "a checksum",
                format!("expected 16 bytes, found {}", bytes.len()),
            )
        })?;
        Ok(Sum(u128::from_be_bytes(bytes)))
    }
}

impl From<Sum> for Value {
    fn from(sum: Sum) -> Value {
        Value::Blob(sum.0.to_be_bytes().to_vec())
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl From<Sum> for String {
    fn from(sum: Sum) -> String {
        sum.to_string()
    }
}

impl TryFrom<String> for Sum {
    type Error = String;

    fn try_from(text: String) -> Result<Sum, String> {
        let number = u128::from_str_radix(&text, 16);
        number
            .map(Sum)
            .map_err(|e| format!("a checksum `{text}`: {e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::values;
    use super::*;

    #[test]
    fn every_cell_its_kind_and_its_length_count() {
        let rows = [
            values!["ab", "c"],
            values!["a", "bc"],
            values!["ab", "c", ""],
            values!["ab", b"c".to_vec()],
            values!["ab", Value::Null],
            values!["ab", 0],
        ];
        let mut sums: Vec<u128> = rows.iter().map(|r| Sum::of_row("t", r).0).collect();
        sums.push(Sum::of_row("u", &rows[0]).0);
        sums.push(Sum::after(Sum(1), "t", &rows[0]).0);
        let count = sums.len();
        sums.sort_unstable();
        sums.dedup();
        assert_eq!(sums.len(), count);
    }

    #[test]
    fn a_set_forgets_order_and_what_was_removed() {
        let (a, b) = (Sum(u128::MAX), Sum(7));
        let mut one = Sum::default();
        one.add(a);
        one.add(b);
        one.remove(a);
        assert_eq!(one, b);
        assert_eq!(Sum::try_from(a.to_string()), Ok(a));
    }
}
