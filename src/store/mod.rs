//! L3, I/O. State, journal, claims, sealed secrets, and the calls of booting nodes: the place where processes meet.
//!
//! Takes and gives model values; imports L0 to L2. Time comes in as milliseconds since 1970. Every method is one
//! transaction. Never decides anything: that is the engine's.

mod channel;
mod journal;
mod moves;
mod requests;
mod seal;
mod sqlite;

pub use channel::{BootEntry, Command, Deployment, DeploymentStatus, NewDeployment, RequestProof};
pub use journal::{Batch, Note};
pub use requests::Request;
pub use seal::{Sealer, fingerprint};
pub use sqlite::{ApplyLock, JournalEntry, RunRow, Store};

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

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("state database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("state database: bringing it to this version's form failed: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("state directory {path}: {source}")]
    Directory {
        path: String,
        source: std::io::Error,
    },
    #[error("another apply holds the state ({holder}); wait for it, or stop it")]
    Locked { holder: String },
    #[error("{node} is claimed by {holder}; one node carries one instance")]
    Claimed { node: Addr, holder: String },
    #[error(
        "the record of {what} in the state cannot be read: {why}; restore the state from a copy"
    )]
    Corrupt { what: String, why: String },
    #[error(
        "the secret `{0}` is not in the state; run `bmctl apply` once with the configuration that has it"
    )]
    NoSecret(String),
    #[error(
        "the secret `{0}` cannot be opened: the sealing key is not the one it was sealed with; set BMCTL_KEY or bring back the key file"
    )]
    WrongKey(String),
    #[error("random numbers of the operating system: {0}")]
    Random(String),
}
