//! The handle that all others hold: opening the state, and its transactions.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;

use super::database::{Database, Tx};
use super::head::Head;
use super::high_water::HighWater;
use super::history::Change;
use super::lease::Fence;
use super::mark::{Behind, Mark};
use super::patience::Patience;
use super::postgres::{Postgres, Workspace};
use super::sqlite::Sqlite;
use super::sums::Table;
use super::value::{Value, values};
use super::{Sealer, StoreError, rows, upgrade};
use crate::secret::Secret;

/// A handle on the state; clones share it.
#[derive(Clone)]
pub struct Store {
    pub(super) db: Database,
    pub(super) sealer: Sealer,
    /// Rung after every write that somebody may wait for. Another process is heard by polling.
    pub(super) bell: Arc<Notify>,
    /// The lease that must still be held for a write to be done.
    pub(super) fence: Option<Fence>,
    /// Who is told of a database that does not answer; without it, that is an error.
    pub(super) patience: Option<Arc<Patience>>,
    /// How far this state was seen to have come.
    pub(super) seen: Option<Arc<HighWater>>,
    /// Where the transactions of a state in a file are counted.
    pub(super) mark: Option<Mark>,
    /// What is missing of those that were counted: then nothing is to be done with this state.
    pub(super) behind: Option<Arc<Behind>>,
}

/// A transaction that reads: everything as of one moment.
pub(super) struct Read {
    pub tx: Tx,
    pub head: Head,
}

/// A transaction that writes; the head goes with it when it has changed.
pub(super) struct Write {
    pub tx: Tx,
    pub head: Head,
    found: Head,
    mark: Option<Mark>,
    /// What has changed and is not in the history yet.
    pub(super) changes: Vec<Change>,
}

impl Store {
    /// The state in a directory of this machine, made when it is not there.
    pub async fn open(directory: &Path, sealer: Sealer) -> Result<Store, StoreError> {
        let db = Sqlite::open(directory).await?;
        let mark = Mark::open(directory, db.access)?;
        let mut store = Store::with(Database::Sqlite(db), sealer).await?;
        store.look_for_loss(mark).await?;
        Ok(store)
    }

    /// The state of a workspace on a PostgreSQL server, made when it is not there.
    pub async fn connect(
        url: &Secret,
        workspace: &Workspace,
        sealer: Sealer,
    ) -> Result<Store, StoreError> {
        let db = Postgres::open(url, workspace).await?;
        Store::with(Database::Postgres(db), sealer).await
    }

    async fn with(db: Database, sealer: Sealer) -> Result<Store, StoreError> {
        let mut tx = db.read().await?;
        let found = tx.row("SELECT id FROM head", values![]).await?;
        drop(tx);
        if found.is_none() {
            upgrade::first_head(&db).await?;
        }
        upgrade::from_second_form(&db).await?;
        Ok(Store {
            db,
            sealer,
            bell: Arc::new(Notify::new()),
            fence: None,
            patience: None,
            seen: None,
            mark: None,
            behind: None,
        })
    }

    /// What a person knows this state by; without a password.
    pub fn place(&self) -> &str {
        self.db.place()
    }

    pub(super) async fn read(&self) -> Result<Read, StoreError> {
        let mut tx = self.db.read().await?;
        let head = Head::read(&mut tx).await?;
        self.refuse_moved(&head)?;
        self.refuse_behind()?;
        Ok(Read { tx, head })
    }

    pub(super) async fn write(&self) -> Result<Write, StoreError> {
        let mut tx = self.db.write().await?;
        let head = Head::read(&mut tx).await?;
        self.refuse_moved(&head)?;
        self.refuse_behind()?;
        let found = head.clone();
        let mut write = Write {
            tx,
            head,
            found,
            mark: self.mark.clone(),
            changes: Vec::new(),
        };
        if let Some(fence) = self.fence {
            write.check(fence).await?;
        }
        Ok(write)
    }

    /// A state that has gone elsewhere must not be gone on with.
    pub(super) fn refuse_moved(&self, head: &Head) -> Result<(), StoreError> {
        match &head.moved_to {
            Some(to) => Err(StoreError::Moved {
                place: self.place().to_owned(),
                to: to.clone(),
            }),
            None => Ok(()),
        }
    }

    fn refuse_behind(&self) -> Result<(), StoreError> {
        match self.behind.as_deref() {
            Some(Behind { found, seen, path }) => Err(StoreError::Behind {
                place: self.place().to_owned(),
                missing: seen - found,
                path: path.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The last write of a state whose content is elsewhere from here on.
    pub async fn mark_moved(&self, to: &str) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        write.head.moved_to = Some(to.to_owned());
        write.commit().await
    }

    /// Ends every connection; what is not committed is rolled back.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

impl Read {
    pub async fn all(&mut self, table: Table) -> Result<Vec<Vec<Value>>, StoreError> {
        rows::all(&mut self.tx, &self.head, table).await
    }

    /// A row by its key. That it is not there is said only when no row of the table is damaged or missing.
    pub async fn one(
        &mut self,
        table: Table,
        key: Vec<Value>,
    ) -> Result<Option<Vec<Value>>, StoreError> {
        let found = rows::one(&mut self.tx, table, key).await?;
        if found.is_none() {
            self.all(table).await?;
        }
        Ok(found)
    }

    /// Rows that a condition names, each checked by itself.
    pub async fn find(
        &mut self,
        table: Table,
        which: &'static str,
        args: Vec<Value>,
    ) -> Result<Vec<Vec<Value>>, StoreError> {
        rows::find(&mut self.tx, table, which, args).await
    }
}

impl Write {
    pub async fn all(&mut self, table: Table) -> Result<Vec<Vec<Value>>, StoreError> {
        rows::all(&mut self.tx, &self.head, table).await
    }

    pub async fn one(
        &mut self,
        table: Table,
        key: Vec<Value>,
    ) -> Result<Option<Vec<Value>>, StoreError> {
        rows::one(&mut self.tx, table, key).await
    }

    /// Rows that a condition names, each checked by itself.
    pub async fn find(
        &mut self,
        table: Table,
        which: &'static str,
        args: Vec<Value>,
    ) -> Result<Vec<Vec<Value>>, StoreError> {
        rows::find(&mut self.tx, table, which, args).await
    }

    pub async fn add(&mut self, table: Table, all: Vec<Vec<Value>>) -> Result<(), StoreError> {
        rows::add(&mut self.tx, &mut self.head, table, all).await
    }

    pub async fn put(&mut self, table: Table, all: Vec<Vec<Value>>) -> Result<(), StoreError> {
        rows::put(&mut self.tx, &mut self.head, table, all).await
    }

    pub async fn remove(
        &mut self,
        table: Table,
        keys: Vec<Vec<Value>>,
    ) -> Result<usize, StoreError> {
        rows::remove(&mut self.tx, &mut self.head, table, keys).await
    }

    pub async fn take(
        &mut self,
        table: Table,
        keys: Vec<Vec<Value>>,
    ) -> Result<Vec<Vec<Value>>, StoreError> {
        rows::take(&mut self.tx, &mut self.head, table, keys).await
    }

    pub async fn take_all(&mut self, table: Table) -> Result<Vec<Vec<Value>>, StoreError> {
        rows::take_all(&mut self.tx, &mut self.head, table).await
    }

    pub async fn commit(mut self) -> Result<(), StoreError> {
        if self.head == self.found {
            return self.tx.commit().await;
        }
        self.head.writes += 1;
        self.head.write(&mut self.tx).await?;
        self.tx.commit().await?;
        match &self.mark {
            Some(mark) => mark.put(self.head.writes).await,
            None => Ok(()),
        }
    }
}

/// Takes a row apart; its width is that of its table.
pub(super) fn cells<const N: usize>(row: Vec<Value>) -> Result<[Value; N], StoreError> {
    super::value::Row(row).cells()
}
