//! SQLite: one file in a directory of its own, for one machine.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteRow, SqliteSynchronous,
};
use sqlx::{Decode, Row as _, Transaction, TypeInfo, ValueRef};

use super::database::Sql;
use super::mark::Access;
use super::value::{Row, Value};
use super::{StoreError, wal};

pub const HEAD: &str = "SELECT body, sum FROM head WHERE id = 1";

#[derive(Clone)]
pub struct Sqlite {
    pub pool: SqlitePool,
    pub place: Arc<str>,
    pub access: Access,
}

pub struct Tx {
    tx: Transaction<'static, sqlx::Sqlite>,
    place: Arc<str>,
}

/// How long a writer waits for another writer of the same database.
const BUSY: Duration = Duration::from_secs(30);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("state/sqlite");

impl Sqlite {
    /// Opens the state in `directory`, making it when it is not there. The directory is 0700, the database 0600.
    pub async fn open(directory: &Path) -> Result<Sqlite, StoreError> {
        let file = directory.join("state.db");
        let place: Arc<str> = format!("state database {}", file.display()).into();
        let (dir, path) = (directory.to_owned(), file.clone());
        // It may wait for another process: not on a thread that others' work needs to go on.
        let prepared = tokio::task::spawn_blocking(move || prepare(&dir, &path)).await;
        let prepared = prepared.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        let (access, _alone) = match prepared {
            Ok(alone) => (Access::Write, Some(alone)),
            Err(error) if may_only_be_read(&error) && file.is_file() => (Access::Read, None),
            Err(source) => {
                return Err(StoreError::Directory {
                    path: directory.display().to_string(),
                    source,
                });
            }
        };
        wal::check(&file)?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .foreign_keys(true)
            // A damaged page is found when it is read, not when it is followed.
            .pragma("cell_size_check", "ON")
            .busy_timeout(BUSY);
        let options = match access {
            Access::Write => options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full),
            // Without a log there is nobody who writes; with one, its index is needed, which may not be made here.
            Access::Read => options.read_only(true).immutable(!wal::is_there(&file)),
        };
        let pool = SqlitePoolOptions::new()
            .max_connections(8)
            .connect_with(options)
            .await
            .map_err(|e| match access {
                Access::Write => StoreError::of_database(&place, e),
                Access::Read => StoreError::ReadOnly {
                    place: place.to_string(),
                },
            })?;
        let db = Sqlite {
            pool,
            place,
            access,
        };
        db.migrate().await?;
        Ok(db)
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        MIGRATIONS.run(&self.pool).await.map_err(|error| {
            let place = self.place.to_string();
            match (
                self.access,
                super::migration_trouble(place, error, &MIGRATIONS),
            ) {
                // A log without its index, which may not be made; or a form that must be brought up.
                (Access::Read, StoreError::Database { place, .. }) => {
                    StoreError::ReadOnly { place }
                }
                (Access::Read | Access::Write, told) => told,
            }
        })
    }

    /// Takes its lock at once: two that read before they write would deadlock.
    pub async fn write(&self) -> Result<Tx, StoreError> {
        self.begin("BEGIN IMMEDIATE").await
    }

    pub async fn read(&self) -> Result<Tx, StoreError> {
        self.begin("BEGIN").await
    }

    async fn begin(&self, how: &'static str) -> Result<Tx, StoreError> {
        let tx = self.pool.begin_with(how).await;
        Ok(Tx {
            tx: tx.map_err(|e| StoreError::of_database(&self.place, e))?,
            place: self.place.clone(),
        })
    }
}

/// The directory and the file, and the right to open it alone: what makes a database a WAL database, and what migrates it,
/// is not for two at once.
fn prepare(directory: &Path, file: &Path) -> std::io::Result<File> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let private = |path: &Path| {
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
    };
    let alone = private(&directory.join("open.lock"))?;
    flock(&alone, FlockOperation::LockExclusive)?;
    // SQLite would make it with the umask's mode; its WAL and SHM files take the mode of the database.
    private(file)?;
    Ok(alone)
}

/// Whether an attempt to write has failed because this user may not, or because nobody may.
pub fn may_only_be_read(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied
    )
}

impl Tx {
    pub async fn execute(&mut self, sql: Sql, args: Vec<Value>) -> Result<u64, StoreError> {
        let done = bind(sqlx::query(sql), args).execute(&mut *self.tx).await;
        let done = done.map_err(|e| StoreError::of_database(&self.place, e))?;
        Ok(done.rows_affected())
    }

    pub async fn rows(&mut self, sql: Sql, args: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        // Row by row: a state of thousands of machines is not held in both forms.
        let rows = bind(sqlx::query(sql), args).try_map(|found: SqliteRow| row(&found));
        let rows = rows.fetch_all(&mut *self.tx).await;
        rows.map_err(|e| StoreError::of_database(&self.place, e))
    }

    pub async fn commit(self) -> Result<(), StoreError> {
        let place = self.place;
        let done = self.tx.commit().await;
        done.map_err(|e| StoreError::of_database(&place, e))
    }
}

type Statement<'q> = Query<'q, sqlx::Sqlite, SqliteArguments>;

fn bind(statement: Statement<'_>, args: Vec<Value>) -> Statement<'_> {
    args.into_iter().fold(statement, |q, value| match value {
        Value::Text(text) => q.bind(text),
        Value::Int(number) => q.bind(number),
        Value::Blob(bytes) => q.bind(bytes),
        Value::Null => q.bind(None::<String>),
    })
}

fn row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let mut out = Vec::with_capacity(row.len());
    for at in 0..row.len() {
        let cell = row.try_get_raw(at)?;
        if cell.is_null() {
            out.push(Value::Null);
            continue;
        }
        let kind = cell.type_info().name().to_owned();
        let value = match kind.as_str() {
            "INTEGER" => <i64 as Decode<sqlx::Sqlite>>::decode(cell).map(Value::Int),
            "BLOB" => <Vec<u8> as Decode<sqlx::Sqlite>>::decode(cell).map(Value::Blob),
            _ => <String as Decode<sqlx::Sqlite>>::decode(cell).map(Value::Text),
        };
        out.push(value.map_err(sqlx::Error::Decode)?);
    }
    Ok(Row(out))
}

/// All who share this database share this machine's clock.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}
