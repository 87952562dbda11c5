//! PostgreSQL: a schema for each workspace, for teams.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow, PgTypeInfo};
use sqlx::query::Query;
use sqlx::{Decode, Row as _, Transaction, TypeInfo, ValueRef};

use super::StoreError;
use super::database::Sql;
use super::servers::{CONNECT, Servers};
use super::value::{Row, Value, values};
use crate::secret::Secret;

/// Which of the states on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Workspace {
    Real(String),
    /// Of simulated machines, kept apart from the real one of the same name.
    Simulated(String),
}

impl fmt::Display for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Workspace::Real(name) => f.write_str(name),
            Workspace::Simulated(name) => write!(f, "{name}, simulated"),
        }
    }
}

#[derive(Clone)]
pub struct Postgres {
    servers: Arc<Servers>,
    pool: Arc<RwLock<PgPool>>,
    pub place: Arc<str>,
    pub workspace: Arc<Workspace>,
}

pub struct Tx {
    tx: Transaction<'static, sqlx::Postgres>,
    place: Arc<str>,
    mode: Mode,
}

#[derive(Clone, Copy)]
enum Mode {
    Write,
    Read,
}

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("state/postgres");

impl Postgres {
    /// Opens the workspace's schema, making it when it is not there. `sslmode`, `sslrootcert` and the rest stand in the URL, as
    /// libpq has them; so do several hosts, of which the one that takes writes is gone on with.
    pub async fn open(url: &Secret, workspace: &Workspace) -> Result<Postgres, StoreError> {
        let schema = schema_of(workspace)?;
        let servers = Servers::parse(url.expose())?;
        let place: Arc<str> = format!(
            "state database postgres://{} (workspace {workspace})",
            servers.name()
        )
        .into();
        let servers = servers.with(|options| {
            options.application_name("bmctl").options([
                ("search_path", schema.as_str()),
                // A statement that was planned while a table was empty is used when it is full: it must not read all of it then.
                ("enable_seqscan", "off"),
            ])
        });
        let chosen = servers.choose().await;
        let chosen = chosen.map_err(|e| StoreError::of_database(&place, e))?;
        let db = Postgres {
            servers: Arc::new(servers),
            pool: Arc::new(RwLock::new(pool_of(chosen))),
            place,
            workspace: Arc::new(workspace.clone()),
        };
        db.migrate(&schema).await?;
        Ok(db)
    }

    fn pool(&self) -> PgPool {
        self.pool
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub async fn close(&self) {
        self.pool().close().await;
    }

    /// Another of the servers may have taken over. Of those who find that the one in use does not answer, the last to look has the
    /// say: all of them find the same.
    async fn turn(&self) -> Result<PgPool, StoreError> {
        let chosen = self.servers.choose().await;
        let chosen = chosen.map_err(|e| StoreError::of_database(&self.place, e))?;
        let pool = pool_of(chosen);
        *self.pool.write().unwrap_or_else(PoisonError::into_inner) = pool.clone();
        Ok(pool)
    }

    async fn migrate(&self, schema: &str) -> Result<(), StoreError> {
        let trouble = |e| StoreError::of_database(&self.place, e);
        let found = sqlx::query("SELECT 1 FROM information_schema.schemata WHERE schema_name = $1")
            .bind(schema)
            .fetch_optional(&self.pool())
            .await
            .map_err(trouble)?;
        if found.is_none() {
            self.make_schema(schema).await.map_err(trouble)?;
        }
        MIGRATIONS.run(&self.pool()).await.map_err(|error| {
            let place = self.place.to_string();
            super::migration_trouble(place, error, &MIGRATIONS)
        })
    }

    /// `IF NOT EXISTS` is not for two at once: both would find it missing, and one would fail.
    async fn make_schema(&self, schema: &str) -> Result<(), sqlx::Error> {
        let mut tx = self.pool().begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock(hashtext('bmctl'))")
            .execute(&mut *tx)
            .await?;
        let sql = format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"");
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// Whoever writes takes the row of the head first, so that writers queue and none of them fails because of another.
    pub async fn write(&self) -> Result<Tx, StoreError> {
        self.begin(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
            Mode::Write,
        )
        .await
    }

    pub async fn read(&self) -> Result<Tx, StoreError> {
        self.begin(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Mode::Read,
        )
        .await
    }

    async fn begin(&self, how: &'static str, mode: Mode) -> Result<Tx, StoreError> {
        let begun = self.begin_on(&self.pool(), how, mode).await;
        match begun {
            Err(StoreError::Lost { .. }) if self.servers.are_many() => {
                let pool = self.turn().await?;
                self.begin_on(&pool, how, mode).await
            }
            ended => ended,
        }
    }

    async fn begin_on(
        &self,
        pool: &PgPool,
        how: &'static str,
        mode: Mode,
    ) -> Result<Tx, StoreError> {
        let tx = pool.begin_with(how).await.map_err(|source| {
            let error = source.as_database_error();
            match error.and_then(|e| e.code()).as_deref() {
                // "cannot set transaction read-write mode during recovery": the standby that is to take over has not yet.
                Some("0A000") => StoreError::Lost {
                    place: self.place.to_string(),
                    source,
                },
                Some(_) | None => StoreError::of_database(&self.place, source),
            }
        })?;
        Ok(Tx {
            tx,
            place: self.place.clone(),
            mode,
        })
    }
}

fn pool_of(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(8)
        .acquire_timeout(CONNECT)
        .connect_lazy_with(options)
}

/// A workspace's name goes into the name of its schema, so it is kept to what needs no quoting.
const WORKSPACE_CHARS_MAX: usize = 48;

fn schema_of(workspace: &Workspace) -> Result<String, StoreError> {
    // No name of a workspace makes the one prefix into the other: a simulation cannot meet a state of machines.
    let (prefix, name) = match workspace {
        Workspace::Real(name) => ("bmctl", name),
        Workspace::Simulated(name) => ("simulated", name),
    };
    let plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain && !name.is_empty() && name.len() <= WORKSPACE_CHARS_MAX {
        return Ok(format!("{prefix}_{name}"));
    }
    Err(StoreError::Connection(format!(
        "expected a workspace of at most {WORKSPACE_CHARS_MAX} lower-case letters, digits and `_`, found `{name}`"
    )))
}

impl Tx {
    pub async fn execute(&mut self, sql: Sql, args: Vec<Value>) -> Result<u64, StoreError> {
        let done = bind(sqlx::query(sql), args).execute(&mut *self.tx).await;
        let done = done.map_err(|e| StoreError::of_database(&self.place, e))?;
        Ok(done.rows_affected())
    }

    pub async fn rows(&mut self, sql: Sql, args: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        // Row by row: a state of thousands of machines is not held in both forms.
        let rows = bind(sqlx::query(sql), args).try_map(|found: PgRow| row(&found));
        let rows = rows.fetch_all(&mut *self.tx).await;
        rows.map_err(|e| StoreError::of_database(&self.place, e))
    }

    pub async fn commit(self) -> Result<(), StoreError> {
        let place = self.place;
        let done = self.tx.commit().await;
        done.map_err(|e| StoreError::of_database(&place, e))
    }

    pub fn head_sql(&self) -> &'static str {
        match self.mode {
            Mode::Write => "SELECT body, sum FROM head WHERE id = 1 FOR UPDATE",
            Mode::Read => "SELECT body, sum FROM head WHERE id = 1",
        }
    }

    pub async fn now_ms(&mut self) -> Result<i64, StoreError> {
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let rows = self.rows(sql.into(), values![]).await?;
        let row = rows
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::corrupt("the server's clock", "it does not answer"))?;
        let [now] = row.cells()?;
        now.int()
    }
}

type Statement<'q> = Query<'q, sqlx::Postgres, PgArguments>;

fn bind(statement: Statement<'_>, args: Vec<Value>) -> Statement<'_> {
    args.into_iter().fold(statement, |q, value| match value {
        Value::Text(text) => q.bind(text),
        Value::Int(number) => q.bind(number),
        Value::Blob(bytes) => q.bind(bytes),
        Value::Null => q.bind(Untyped),
    })
}

/// A null that takes the type of the column it goes to.
struct Untyped;

impl sqlx::Type<sqlx::Postgres> for Untyped {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(sqlx::postgres::types::Oid(0))
    }
}

impl sqlx::Encode<'_, sqlx::Postgres> for Untyped {
    fn encode_by_ref(
        &self,
        _: &mut sqlx::postgres::PgArgumentBuffer,
    ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        Ok(sqlx::encode::IsNull::Yes)
    }
}

fn row(row: &PgRow) -> Result<Row, sqlx::Error> {
    let mut out = Vec::with_capacity(row.len());
    for at in 0..row.len() {
        let cell = row.try_get_raw(at)?;
        if cell.is_null() {
            out.push(Value::Null);
            continue;
        }
        let kind = cell.type_info().name().to_owned();
        let value = match kind.as_str() {
            "INT8" => <i64 as Decode<sqlx::Postgres>>::decode(cell).map(Value::Int),
            "INT4" => <i32 as Decode<sqlx::Postgres>>::decode(cell).map(|n| Value::Int(n.into())),
            "BYTEA" => <Vec<u8> as Decode<sqlx::Postgres>>::decode(cell).map(Value::Blob),
            _ => <String as Decode<sqlx::Postgres>>::decode(cell).map(Value::Text),
        };
        out.push(value.map_err(sqlx::Error::Decode)?);
    }
    Ok(Row(out))
}
