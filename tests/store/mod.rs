//! The store's promises, each kept by both databases: every test here runs on SQLite and on PostgreSQL.

mod carry;
mod damage;
mod export;
mod forms;
mod history;
mod keeps;
mod lease;
mod lost;
mod outage;
mod processes;
mod prune;
mod speed;
mod tls;

use std::future::Future;
use std::path::Path;

use bmctl::plan::{Intent, Plan};
use bmctl::secret::Key32;
use bmctl::store::{Actor, NewRun, Sealer, Store, StoreError, Workspace};
use tempfile::TempDir;

use crate::fleet::{facts_of, load, without_mistakes};
use crate::postgres;

/// Runs a test once for each database.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { $crate::store::run(super::$name($crate::store::Place::sqlite())); })*
        }
        mod postgres {
            $(#[test] fn $name() { $crate::store::run(super::$name($crate::store::Place::postgres())); })*
        }
    };
}
use on_both;

/// Where a state is kept.
pub enum Place {
    Sqlite(TempDir),
    Postgres(String),
}

pub fn sealer() -> Sealer {
    Sealer::new(Key32::new([7; 32]))
}

impl Place {
    pub fn sqlite() -> Place {
        let memory = Path::new("/dev/shm");
        Place::Sqlite(if memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        })
    }

    pub fn postgres() -> Place {
        Place::Postgres(postgres::workspace())
    }

    /// One more handle, as another process would have it.
    pub async fn open(&self) -> Store {
        self.try_open().await.unwrap()
    }

    pub async fn try_open(&self) -> Result<Store, StoreError> {
        match self {
            Place::Sqlite(dir) => Store::open(dir.path(), sealer()).await,
            Place::Postgres(workspace) => {
                let url = postgres::shared().url();
                Store::connect(&url, &real(workspace), sealer()).await
            }
        }
    }
}

pub fn real(workspace: &str) -> Workspace {
    Workspace::Real(workspace.to_owned())
}

pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

/// A plan whose steps record `count` flavors.
pub async fn plan_of(store: &Store, count: usize) -> Plan {
    let text = format!(
        "flavor \"f\" {{\n  count = {count}\n  cpus = 1\n  memory_mb = 512 + count.index\n  root_gb = 1\n}}\n"
    );
    let fleet = without_mistakes(load(&[("main.hcl", &text)]));
    let recorded = store.recorded().await.unwrap();
    crate::fleet::plan(
        &fleet.fleet,
        &recorded,
        &bmctl::model::Observed::default(),
        &facts_of(&fleet.fleet),
        Intent::Apply,
    )
    .unwrap()
}

pub async fn begin(store: &Store, id: &str, plan: &Plan) {
    let run = NewRun {
        id,
        plan,
        at_ms: 1,
        by: Actor::here(),
    };
    store.begin_run(run).await.unwrap();
}
