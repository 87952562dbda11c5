//! A state goes to another place whole: records, runs, plans, journal, history, what boots and what is awaited. The chains stay as they
//! are, sum by sum, and all of it is read back from where it has arrived.

use super::StoreError;
use super::chain::Chain;
use super::handle::{Read, Store, Write};
use super::head::Head;
use super::sums::{Sum, Table};
use super::verify::Verified;

impl Store {
    /// Takes over everything of another state into this one, which nothing was ever written to. What is here is what was read
    /// back. A state that has arrived before, and whose arrival nobody heard of, is read back and found to be there.
    pub async fn take_over(&self, from: &Store) -> Result<Verified, StoreError> {
        let mut read = from.read().await?;
        from.remember(&read.head)?;
        let mut write = self.write().await?;
        if !is_same(&write.head, &read.head) {
            write.must_be_new(self.place())?;
            write.copy(&mut read).await?;
            write.commit().await?;
        } else {
            drop(write);
        }
        let arrived = self.read().await?.head;
        if !is_same(&arrived, &read.head) {
            let why = "what has arrived is not what was sent; the old state is untouched";
            return Err(StoreError::corrupt(self.place(), why));
        }
        let verified = self.verify().await?;
        self.accept().await?;
        Ok(verified)
    }
}

/// Whether two heads are of the same state, come as far: who holds it, and in which place it is, aside.
fn is_same(one: &Head, other: &Head) -> bool {
    let digests = |head: &Head| Table::ALL.map(|table| digest(head, table));
    let chains = |head: &Head| {
        [Chain::Journal, Chain::History].map(|chain| (chain.start(head), chain.end(head)))
    };
    (&one.lineage, one.serial) == (&other.lineage, other.serial)
        && digests(one) == digests(other)
        && chains(one) == chains(other)
}

fn digest(head: &Head, table: Table) -> Sum {
    head.digests.get(&table).copied().unwrap_or_default()
}

impl Write {
    fn must_be_new(&self, place: &str) -> Result<(), StoreError> {
        let head = &self.head;
        let is_empty = Table::ALL
            .iter()
            .all(|table| digest(head, *table) == Sum::default());
        if is_empty && head.serial == 0 && head.run.is_none() {
            return Ok(());
        }
        Err(StoreError::NotMoved {
            why: format!(
                "there is a state in {place} already (lineage {}, serial {}); name an empty directory or another workspace",
                head.lineage, head.serial
            ),
        })
    }

    async fn copy(&mut self, read: &mut Read) -> Result<(), StoreError> {
        for table in Table::ALL {
            let rows = read.all(table).await?;
            self.add(table, rows).await?;
        }
        for chain in [Chain::Journal, Chain::History] {
            let mut at = chain.start(&read.head);
            loop {
                let rows = chain.after(&mut read.tx, &mut at).await?;
                if rows.is_empty() {
                    break;
                }
                chain.insert(&mut self.tx, rows).await?;
            }
        }
        let Head {
            format: _,
            lineage,
            serial,
            // Counted in each place by itself.
            writes: _,
            // Added up row by row.
            digests: _,
            journal,
            history,
            journal_from,
            history_from,
            pruned,
            run,
            // Who holds the state in its new place was told so there.
            tokens: _,
            moved_to: _,
        } = read.head.clone();
        let head = &mut self.head;
        head.lineage = lineage;
        head.serial = serial;
        (head.journal, head.history) = (journal, history);
        (head.journal_from, head.history_from) = (journal_from, history_from);
        (head.pruned, head.run) = (pruned, run);
        Ok(())
    }
}
