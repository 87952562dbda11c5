//! Reading all of it, to say that all of it is as it was written.

use super::StoreError;
use super::database::Tx;
use super::handle::Store;
use super::sums::Table;
use super::value::values;

/// How much was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    pub rows: u64,
    pub records: u64,
    /// Of the history.
    pub changes: u64,
}

impl Store {
    /// Every row, every record of the journal and every row of the history against its checksum, every table against its digest, and the pages and
    /// indices of an SQLite file.
    pub async fn verify(&self) -> Result<Verified, StoreError> {
        let mut read = self.read().await?;
        let mut verified = Verified::default();
        for table in Table::ALL {
            let count = read.all(table).await?.len();
            verified.rows += u64::try_from(count).unwrap_or(u64::MAX);
        }
        verified.records = read.verify_journal().await?;
        verified.changes = read.verify_history().await?;
        match &mut read.tx {
            Tx::Sqlite(_) => self.verify_pages(&mut read.tx).await?,
            Tx::Postgres(_) => {}
        }
        Ok(verified)
    }

    async fn verify_pages(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let row = tx.row("PRAGMA integrity_check(1)", values![]).await?;
        let said = match row {
            Some(row) => {
                let [said] = row.cells()?;
                said.text()?
            }
            None => "no answer".to_owned(),
        };
        if said == "ok" {
            return Ok(());
        }
        Err(StoreError::corrupt(self.place(), said))
    }
}
