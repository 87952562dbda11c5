//! L3, I/O. State, journal, claims, sealed secrets, and the calls of booting nodes: the place where processes meet.
//!
//! Takes and gives model values; imports L0 to L2. Time comes in as milliseconds since 1970, but for leases, which run by the
//! database's own clock. Every method is one transaction, on SQLite and on PostgreSQL alike. Never decides anything: that is
//! the engine's.

mod actor;
mod boot;
mod carry;
mod chain;
mod channel;
mod claims;
mod commands;
mod database;
mod deployments;
mod durations;
mod error;
mod export;
mod handle;
mod head;
mod high_water;
mod history;
mod journal;
mod lease;
mod mark;
mod moves;
mod part;
mod patience;
mod phone;
mod postgres;
mod prune;
mod records;
mod requests;
mod resources;
mod rows;
mod runs;
mod seal;
mod secrets;
mod servers;
mod sqlite;
mod sums;
mod surgery;
mod upgrade;
mod value;
mod verify;
mod wal;

pub use actor::Actor;
pub use boot::BootEntry;
pub use channel::RequestProof;
pub use commands::Command;
pub use deployments::{Deployment, DeploymentStatus, NewDeployment};
pub use error::StoreError;
pub use export::Export;
pub use handle::Store;
pub use head::Pruned;
pub use high_water::HighWater;
pub use history::{By, Did, Past, Which};
pub use journal::{Batch, Note, Unfinished};
pub use lease::{Force, Hold, Lease, LeaseRow, TERM};
pub use part::PlanPart;
pub use patience::Waiting;
pub use postgres::Workspace;
pub use prune::Keep;
pub use records::{Happened, Record};
pub use requests::Request;
pub use runs::{NewRun, RunRow};
pub use seal::{Sealer, fingerprint};
pub use secrets::Forgotten;
pub use surgery::Surgery;
pub use verify::Verified;

use std::collections::BTreeMap;

use crate::ids::Addr;
use crate::model::Resource;
use crate::units::TableId;

/// A change of state that goes with a journal entry.
#[derive(Debug, Clone, PartialEq)]
pub enum StateChange {
    Put(Addr, Box<Resource>),
    Remove(Addr),
    /// Old addresses and their new ones, wherever state names them.
    Move(BTreeMap<Addr, Addr>),
    Unclaim {
        node: Addr,
        instance: Addr,
    },
    DropSecret(String),
    /// The node's disk still carries these partition tables of ours.
    LeaveBehind {
        node: Addr,
        tables: Vec<TableId>,
    },
}

fn parse<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|e: T::Err| StoreError::corrupt(what, e.to_string()))
}

fn to_json<T: serde::Serialize>(what: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::corrupt(what, e.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::corrupt(what, e.to_string()))
}

/// A migration that this program does not know was made by a later one.
fn migration_trouble(
    place: String,
    source: sqlx::migrate::MigrateError,
    known: &sqlx::migrate::Migrator,
) -> StoreError {
    use sqlx::migrate::MigrateError as E;
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the library's list of errors is open; what is not told apart here is shown as it is"
    )]
    match source {
        E::VersionMissing(found) => StoreError::NewerForm {
            place,
            found,
            known: known.iter().map(|m| m.version).max().unwrap_or_default(),
        },
        E::Execute(error) => StoreError::of_database(&place, error),
        source => StoreError::Migrate { place, source },
    }
}
