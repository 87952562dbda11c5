//! Rows that carry a checksum, in tables whose digest stands in the head: read whole, read by key, put, added, removed.

use std::fmt::Write as _;

use super::StoreError;
use super::database::{Sql, Tx};
use super::head::Head;
use super::sums::{Sum, Table};
use super::value::{Row, Value, values};

/// Statements for many rows come in these sizes, so that a database prepares few of them.
const CHUNKS: [usize; 3] = [64, 8, 1];

fn chunks<T>(mut all: Vec<T>) -> Vec<Vec<T>> {
    let mut out = Vec::new();
    while !all.is_empty() {
        let size = CHUNKS
            .into_iter()
            .find(|size| *size <= all.len())
            .unwrap_or(1);
        let rest = all.split_off(size);
        out.push(std::mem::replace(&mut all, rest));
    }
    out
}

/// `($1,$2),($3,$4)`
fn tuples(rows: usize, columns: usize) -> String {
    let mut text = String::new();
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..columns {
            let comma = if column == 0 { "" } else { "," };
            // Writing to a text does not fail.
            let _ = write!(text, "{comma}${}", row * columns + column + 1);
        }
        text.push(')');
    }
    text
}

/// `a = $1 AND b IN ($2,$3)`: all parts of the key but the last are the same for all rows.
fn matching(keys: &[&str], rows: usize) -> String {
    let mut text = String::new();
    for (n, key) in keys.iter().enumerate() {
        if n + 1 < keys.len() {
            let _ = write!(text, "{key} = ${} AND ", n + 1);
            continue;
        }
        let places: Vec<String> = (1..=rows).map(|row| format!("${}", n + row)).collect();
        let _ = write!(text, "{key} IN ({})", places.join(","));
    }
    text
}

/// Keys that differ in their last part only: what is the same, and the last parts.
fn grouped(keys: Vec<Vec<Value>>) -> Vec<(Vec<Value>, Vec<Value>)> {
    let mut out: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
    for mut key in keys {
        let Some(last) = key.pop() else { continue };
        match out.last_mut() {
            Some((same, lasts)) if *same == key => lasts.push(last),
            Some(_) | None => out.push((key, vec![last])),
        }
    }
    out
}

/// Rows into a table that has no digest, many with one statement.
pub async fn insert(
    tx: &mut Tx,
    table: &str,
    columns: &[&str],
    rows: Vec<Vec<Value>>,
) -> Result<(), StoreError> {
    for chunk in chunks(rows) {
        let sql = format!(
            "INSERT INTO {table} ({}) VALUES {}",
            columns.join(", "),
            tuples(chunk.len(), columns.len())
        );
        tx.execute(Sql::Built(sql), chunk.into_iter().flatten().collect())
            .await?;
    }
    Ok(())
}

/// Rows whose keys are not there yet.
pub async fn add(
    tx: &mut Tx,
    head: &mut Head,
    table: Table,
    mut rows: Vec<Vec<Value>>,
) -> Result<(), StoreError> {
    for row in &mut rows {
        let sum = Sum::of_row(table.name(), row);
        head.digest(table).add(sum);
        row.push(sum.into());
    }
    let columns: Vec<&str> = table.columns().iter().copied().chain(["sum"]).collect();
    insert(tx, table.name(), &columns, rows).await
}

/// Rows in the place of those with the same keys, if there are any. No two of them may have the same key.
pub async fn put(
    tx: &mut Tx,
    head: &mut Head,
    table: Table,
    rows: Vec<Vec<Value>>,
) -> Result<(), StoreError> {
    let keys = table.keys().len();
    let old = rows
        .iter()
        .map(|row| row.iter().take(keys).cloned().collect())
        .collect();
    remove(tx, head, table, old).await?;
    add(tx, head, table, rows).await
}

/// How many were there.
pub async fn remove(
    tx: &mut Tx,
    head: &mut Head,
    table: Table,
    keys: Vec<Vec<Value>>,
) -> Result<usize, StoreError> {
    let mut count = 0;
    for (same, lasts) in grouped(keys) {
        for chunk in chunks(lasts) {
            let sql = format!(
                "DELETE FROM {} WHERE {} RETURNING sum",
                table.name(),
                matching(table.keys(), chunk.len())
            );
            let args = same.iter().cloned().chain(chunk).collect();
            for row in tx.rows(Sql::Built(sql), args).await? {
                let [sum] = row.cells()?;
                head.digest(table).remove(Sum::from_value(sum)?);
                count += 1;
            }
        }
    }
    Ok(count)
}

/// Removes rows and gives them back, verified; those that were not there are left out.
pub async fn take(
    tx: &mut Tx,
    head: &mut Head,
    table: Table,
    keys: Vec<Vec<Value>>,
) -> Result<Vec<Vec<Value>>, StoreError> {
    let mut out = Vec::new();
    for (same, lasts) in grouped(keys) {
        for chunk in chunks(lasts) {
            let sql = format!(
                "DELETE FROM {} WHERE {} RETURNING {}, sum",
                table.name(),
                matching(table.keys(), chunk.len()),
                table.columns().join(", ")
            );
            let args = same.iter().cloned().chain(chunk).collect();
            for row in tx.rows(Sql::Built(sql), args).await? {
                let (cells, sum) = checked(table, row)?;
                head.digest(table).remove(sum);
                out.push(cells);
            }
        }
    }
    Ok(out)
}

/// Removes every row and gives them back, verified.
pub async fn take_all(
    tx: &mut Tx,
    head: &mut Head,
    table: Table,
) -> Result<Vec<Vec<Value>>, StoreError> {
    let rows = all(tx, head, table).await?;
    let sql = format!("DELETE FROM {}", table.name());
    tx.execute(Sql::Built(sql), values![]).await?;
    head.digests.remove(&table);
    Ok(rows)
}

/// Every row of a table, each checked and all of them together.
pub async fn all(tx: &mut Tx, head: &Head, table: Table) -> Result<Vec<Vec<Value>>, StoreError> {
    let sql = format!(
        "SELECT {}, sum FROM {} ORDER BY {}",
        table.columns().join(", "),
        table.name(),
        table.keys().join(", ")
    );
    let mut digest = Sum::default();
    let mut out = Vec::new();
    for row in tx.rows(Sql::Built(sql), values![]).await? {
        let (cells, sum) = checked(table, row)?;
        digest.add(sum);
        out.push(cells);
    }
    let noted = head.digests.get(&table).copied().unwrap_or_default();
    if digest != noted {
        let why = format!(
            "its {} rows add up to {digest}, {noted} was noted: a row is missing, or an old one has come back",
            out.len()
        );
        return Err(StoreError::corrupt(format!("table {}", table.name()), why));
    }
    Ok(out)
}

/// One row by its key, checked by itself.
pub async fn one(
    tx: &mut Tx,
    table: Table,
    key: Vec<Value>,
) -> Result<Option<Vec<Value>>, StoreError> {
    let sql = format!(
        "SELECT {}, sum FROM {} WHERE {}",
        table.columns().join(", "),
        table.name(),
        matching(table.keys(), 1)
    );
    let row = tx.row(Sql::Built(sql), key).await?;
    row.map(|row| checked(table, row).map(|(cells, _)| cells))
        .transpose()
}

/// Rows that a condition names, each checked by itself. That none was left out is not known: see [`all`].
pub async fn find(
    tx: &mut Tx,
    table: Table,
    which: &'static str,
    args: Vec<Value>,
) -> Result<Vec<Vec<Value>>, StoreError> {
    let sql = format!(
        "SELECT {}, sum FROM {} WHERE {which}",
        table.columns().join(", "),
        table.name(),
    );
    let mut out = Vec::new();
    for row in tx.rows(Sql::Built(sql), args).await? {
        out.push(checked(table, row)?.0);
    }
    Ok(out)
}

/// The cells without their sum, when they are what the sum says.
fn checked(table: Table, row: Row) -> Result<(Vec<Value>, Sum), StoreError> {
    let mut cells = row.0;
    let noted = cells.pop().unwrap_or(Value::Null);
    let name = || {
        let key = cells.iter().take(table.keys().len()).map(|v| match v {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Blob(bytes) => hex::encode(bytes),
            Value::Null => String::new(),
        });
        let key: Vec<String> = key.collect();
        format!("{} (table {})", key.join(" "), table.name())
    };
    let found = Sum::of_row(table.name(), &cells);
    match Sum::from_value(noted) {
        Ok(noted) if noted == found => Ok((cells, found)),
        Ok(noted) => Err(StoreError::corrupt(
            name(),
            format!("its checksum is {found}, {noted} was noted"),
        )),
        Err(error) => Err(StoreError::corrupt(name(), error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rows_come_in_few_sizes() {
        let sizes: Vec<usize> = chunks(vec![(); 150]).iter().map(Vec::len).collect();
        assert_eq!(sizes, [64, 64, 8, 8, 1, 1, 1, 1, 1, 1]);
        assert_eq!(tuples(2, 2), "($1,$2),($3,$4)");
        assert_eq!(matching(&["a"], 1), "a IN ($1)");
        assert_eq!(matching(&["a", "b"], 2), "a = $1 AND b IN ($2,$3)");
        let keys = vec![values!["a", 1], values!["a", 2], values!["b", 1]];
        let groups = vec![(values!["a"], values![1, 2]), (values!["b"], values![1])];
        assert_eq!(grouped(keys), groups);
    }
}
