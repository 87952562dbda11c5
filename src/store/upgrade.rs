//! The first head of a state, and what an older form lacks: rows of the first form get their checksums here, and those of the
//! second form that had none.

use super::StoreError;
use super::chain::{Chain, Link};
use super::database::{Database, Sql, Tx};
use super::head::{FORMAT, Head};
use super::sums::{Sum, Table};
use super::value::{Row, Value, values};

/// How many records of an old journal are held in memory at once.
const RECORDS: i64 = 1000;

pub async fn first_head(db: &Database) -> Result<(), StoreError> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(|e| StoreError::Random(e.to_string()))?;
    let mut tx = db.write().await?;
    // Another bmctl may have been first: its head is the one.
    let taken = "INSERT INTO head (id, body, sum) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING";
    let args = values![String::new(), Sum::default()];
    if tx.execute(taken, args).await? == 0 {
        return Ok(());
    }
    let mut head = Head::new(hex::encode(random), 0);
    match db {
        Database::Sqlite(_) => from_first_form(&mut tx, &mut head).await?,
        Database::Postgres(_) => {}
    }
    head.write(&mut tx).await?;
    tx.commit().await
}

/// Brings a state of the second form up; what it had sums for is verified before it is summed again.
pub async fn from_second_form(db: &Database) -> Result<(), StoreError> {
    let mut tx = db.read().await?;
    let found = Head::read(&mut tx).await?;
    drop(tx);
    if found.format == FORMAT {
        return Ok(());
    }
    let mut tx = db.write().await?;
    let mut head = Head::read(&mut tx).await?;
    // Another bmctl may have been first.
    if head.format == FORMAT {
        return Ok(());
    }
    verify_boot_of_second_form(&mut tx, &head).await?;
    head.digests.remove(&Table::Boot);
    for table in [
        Table::Boot,
        Table::Deployments,
        Table::Commands,
        Table::Phones,
        Table::Requests,
        Table::Durations,
    ] {
        sum_table(&mut tx, &mut head, table).await?;
    }
    head.format = FORMAT;
    head.write(&mut tx).await?;
    tx.commit().await
}

/// Its sums did not say whether a service has taken a row up.
async fn verify_boot_of_second_form(tx: &mut Tx, head: &Head) -> Result<(), StoreError> {
    let mut digest = Sum::default();
    for row in tx
        .rows("SELECT mac, site, body, sum FROM boot", values![])
        .await?
    {
        let [mac, site, body, noted] = row.cells()?;
        let sum = Sum::of_row("boot", &[mac.clone(), site, body]);
        if Sum::from_value(noted)? != sum {
            let what = format!("{} (table boot)", mac.text()?);
            return Err(StoreError::corrupt(
                what,
                "its checksum is not the one that was noted",
            ));
        }
        digest.add(sum);
    }
    let noted = head.digests.get(&Table::Boot).copied().unwrap_or_default();
    if digest == noted {
        return Ok(());
    }
    let why =
        "its rows do not add up to what was noted: a row is missing, or an old one has come back";
    Err(StoreError::corrupt("table boot", why))
}

async fn from_first_form(tx: &mut Tx, head: &mut Head) -> Result<(), StoreError> {
    for row in tx.rows("SELECT key, value FROM meta", values![]).await? {
        let [key, value] = row.cells()?;
        let (key, value) = (key.text()?, value.text()?);
        match key.as_str() {
            "lineage" => head.lineage = value,
            "serial" => head.serial = super::parse("the serial", &value)?,
            _ => {}
        }
    }
    for table in Table::ALL {
        sum_table(tx, head, table).await?;
    }
    loop {
        let sql = format!(
            "SELECT {} FROM journal WHERE seq > $1 ORDER BY seq LIMIT {RECORDS}",
            Chain::Journal.columns().join(", ")
        );
        let found = tx.rows(Sql::Built(sql), values![head.journal.seq]).await?;
        if found.is_empty() {
            break;
        }
        for Row(cells) in found {
            let seq = cells.first().cloned().unwrap_or(Value::Null).int()?;
            let sum = Sum::after(head.journal.sum, "journal", &cells);
            head.journal = Link { seq, sum };
            tx.execute(
                "UPDATE journal SET sum = $2 WHERE seq = $1",
                values![seq, sum],
            )
            .await?;
        }
    }
    tx.execute("DELETE FROM meta", values![]).await?;
    Ok(())
}

async fn sum_table(tx: &mut Tx, head: &mut Head, table: Table) -> Result<(), StoreError> {
    let (name, keys) = (table.name(), table.keys());
    let sql = format!("SELECT {} FROM {name}", table.columns().join(", "));
    let places: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(n, key)| format!("{key} = ${}", n + 2))
        .collect();
    let update = format!("UPDATE {name} SET sum = $1 WHERE {}", places.join(" AND "));
    for Row(cells) in tx.rows(Sql::Built(sql), values![]).await? {
        let sum = Sum::of_row(name, &cells);
        head.digest(table).add(sum);
        let args = [Value::from(sum)]
            .into_iter()
            .chain(cells.into_iter().take(keys.len()))
            .collect();
        tx.execute(Sql::Built(update.clone()), args).await?;
    }
    Ok(())
}
