//! The two backends behind one face: transactions that execute `$n` SQL and give rows of [`Value`]s.

use super::StoreError;
use super::value::{Row, Value};
use super::{postgres, sqlite};

#[derive(Clone)]
pub enum Database {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

/// One transaction. Dropped without `commit`, it never was.
pub enum Tx {
    Sqlite(sqlite::Tx),
    Postgres(postgres::Tx),
}

/// SQL as it is written in the source, or put together from names that stand there.
#[derive(Clone)]
pub enum Sql {
    Written(&'static str),
    Built(String),
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Sql {
        Sql::Written(text)
    }
}

impl sqlx::SqlSafeStr for Sql {
    fn into_sql_str(self) -> sqlx::SqlStr {
        match self {
            Sql::Written(text) => text.into_sql_str(),
            Sql::Built(text) => sqlx::AssertSqlSafe(text).into_sql_str(),
        }
    }
}

impl Database {
    /// A transaction that writes: one at a time takes the head, the others wait for it.
    pub async fn write(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Database::Sqlite(db) => Tx::Sqlite(db.write().await?),
            Database::Postgres(db) => Tx::Postgres(db.write().await?),
        })
    }

    /// A transaction that reads everything as of one moment and holds nobody up.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Database::Sqlite(db) => Tx::Sqlite(db.read().await?),
            Database::Postgres(db) => Tx::Postgres(db.read().await?),
        })
    }

    /// What a person knows it by; without its password.
    pub fn place(&self) -> &str {
        match self {
            Database::Sqlite(db) => &db.place,
            Database::Postgres(db) => &db.place,
        }
    }

    /// Which of the states of a server.
    pub fn workspace(&self) -> Option<String> {
        match self {
            Database::Sqlite(_) => None,
            Database::Postgres(db) => Some(db.workspace.to_string()),
        }
    }

    pub async fn close(&self) {
        match self {
            Database::Sqlite(db) => db.pool.close().await,
            Database::Postgres(db) => db.close().await,
        }
    }
}

impl Tx {
    /// How many rows it touched.
    pub async fn execute(
        &mut self,
        sql: impl Into<Sql>,
        args: Vec<Value>,
    ) -> Result<u64, StoreError> {
        match self {
            Tx::Sqlite(tx) => tx.execute(sql.into(), args).await,
            Tx::Postgres(tx) => tx.execute(sql.into(), args).await,
        }
    }

    pub async fn rows(
        &mut self,
        sql: impl Into<Sql>,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        match self {
            Tx::Sqlite(tx) => tx.rows(sql.into(), args).await,
            Tx::Postgres(tx) => tx.rows(sql.into(), args).await,
        }
    }

    /// The first row, if there is one.
    pub async fn row(
        &mut self,
        sql: impl Into<Sql>,
        args: Vec<Value>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Tx::Sqlite(tx) => tx.commit().await,
            Tx::Postgres(tx) => tx.commit().await,
        }
    }

    pub fn head_sql(&self) -> &'static str {
        match self {
            Tx::Sqlite(_) => sqlite::HEAD,
            Tx::Postgres(tx) => tx.head_sql(),
        }
    }

    /// The clock that leases run by, in milliseconds since 1970: all who share the state share it.
    pub async fn now_ms(&mut self) -> Result<i64, StoreError> {
        match self {
            Tx::Sqlite(_) => Ok(sqlite::now_ms()),
            Tx::Postgres(tx) => tx.now_ms().await,
        }
    }
}
