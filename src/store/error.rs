//! What can go wrong with the state, each with what was found and the next move.

use super::sqlite::may_only_be_read;
use crate::ids::Addr;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{place}: {source}")]
    Database { place: String, source: sqlx::Error },
    /// The connection, not the state: what was asked may be asked again.
    #[error(
        "{place} does not answer: {source}; see that the server runs and that the url is right"
    )]
    Lost { place: String, source: sqlx::Error },
    #[error(
        "{place}: the disk is full; nothing of this step was written: make room and run the command again"
    )]
    Full { place: String },
    #[error(
        "{place} may only be read; nothing was written: give this user the right to write, or mount it for writing"
    )]
    ReadOnly { place: String },
    #[error("{place}: bringing it to this version's form failed: {source}")]
    Migrate {
        place: String,
        source: sqlx::migrate::MigrateError,
    },
    #[error(
        "{place} was written by a newer bmctl (its form is {found}, this one reads up to {known}); use that version"
    )]
    NewerForm {
        place: String,
        found: i64,
        known: i64,
    },
    #[error("state directory {path}: {source}{}", move_after(source))]
    Directory {
        path: String,
        source: std::io::Error,
    },
    #[error("state \"postgres\": {0}")]
    Connection(String),
    #[error(
        "another apply holds the state ({holder}); wait for it (--lock-timeout 10m), or stop it; `bmctl lock list` shows it"
    )]
    Locked { holder: String },
    #[error(
        "the lock is held ({holder}) and its holder seems to live; stop it, or take the lock away with `bmctl lock release --force`"
    )]
    StillHeld { holder: String },
    #[error(
        "{place} was moved to {to}: nothing is read or written here any more; name the other one in the configuration"
    )]
    Moved { place: String, to: String },
    #[error(
        "this apply has lost the state to another ({holder}); it was paused or cut off for longer than its lease lasts, and has written nothing since: look at what the other does, then apply again"
    )]
    Fenced { holder: String },
    #[error("{node} is claimed by {holder}; one node carries one instance")]
    Claimed { node: Addr, holder: String },
    #[error(
        "the record of {what} in the state cannot be trusted: {why}; nothing was overwritten: restore the state from a copy"
    )]
    Corrupt { what: String, why: String },
    #[error(
        "this is an old copy of the state: its serial is {serial}, and {seen} was seen before ({path}); bring back the newer one, or, when this one is right, take it with `bmctl state accept`"
    )]
    OldCopy {
        serial: u64,
        seen: u64,
        path: String,
    },
    #[error(
        "{place}: {missing} transactions that were done are not in it ({path} has counted them): its log is damaged, or this is an old copy; bring back the newer one, or, when this one is to be gone on with, take it with `bmctl state accept`, and look at the machines that it says nothing of"
    )]
    Behind {
        place: String,
        missing: u64,
        path: String,
    },
    #[error(
        "{place} is another state than the one that was here before (lineage {found}, and {seen} was seen: {path}); it was emptied or replaced: bring back the other one, or, when this one is right, take it with `bmctl state accept`"
    )]
    OtherState {
        place: String,
        found: String,
        seen: String,
        path: String,
    },
    #[error(
        "run {run}: expected batch {expected} of the journal, found {found}: the database has lost what it had confirmed to this run, as when a standby takes over that was behind; nothing more is written: apply again, which looks at the machines first"
    )]
    OutOfOrder {
        run: String,
        expected: u64,
        found: u64,
    },
    #[error(
        "run {run} is not the one that is under way ({current}); another apply has begun since: apply again"
    )]
    OtherRun { run: String, current: String },
    #[error(
        "the secret `{0}` is not in the state; run `bmctl apply` once with the configuration that has it"
    )]
    NoSecret(String),
    #[error(
        "the secret `{0}` cannot be opened: the sealing key is not the one it was sealed with; set BMCTL_KEY or bring back the key file; if that key is lost, `bmctl state accept --new-key`"
    )]
    WrongKey(String),
    #[error(
        "there is nothing to undo: no command has changed the state by hand, or none since that serial; `bmctl state history` shows what was done"
    )]
    NothingToUndo,
    #[error("nothing was pushed: {why}")]
    NotPushed { why: String },
    #[error("nothing was moved: {why}")]
    NotMoved { why: String },
    #[error("nothing was undone: {why}")]
    NotUndone { why: String },
    #[error("random numbers of the operating system: {0}")]
    Random(String),
}

fn move_after(source: &std::io::Error) -> &'static str {
    match may_only_be_read(source) {
        true => {
            "; give this user the right to read and write there, or run as the user who applies"
        }
        false => "",
    }
}

impl StoreError {
    pub(super) fn corrupt(what: impl Into<String>, why: impl Into<String>) -> StoreError {
        StoreError::Corrupt {
            what: what.into(),
            why: why.into(),
        }
    }

    /// Says what an error of the database means to whoever has to mend it.
    pub(super) fn of_database(place: &str, source: sqlx::Error) -> StoreError {
        let place = place.to_owned();
        let code = source
            .as_database_error()
            .and_then(|e| e.code())
            .unwrap_or_default()
            .into_owned();
        // SQLite: the low byte of an extended code is the plain one. PostgreSQL: five letters and digits.
        let sqlite = code.parse::<i64>().ok().filter(|_| code.len() != 5);
        match sqlite.map(|c| c & 0xff) {
            Some(SQLITE_CORRUPT | SQLITE_NOTADB) => {
                return StoreError::corrupt(format!("everything ({place})"), source.to_string());
            }
            Some(SQLITE_FULL) => return StoreError::Full { place },
            Some(SQLITE_READONLY) => return StoreError::ReadOnly { place },
            Some(_) | None => {}
        }
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "the library's list of errors is open; what is not told apart here is shown as it is"
        )]
        match &source {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => StoreError::Lost { place, source },
            // admin_shutdown, crash_shutdown, cannot_connect_now; connection exceptions; a server that is a standby since.
            sqlx::Error::Database(_)
                if ["57P01", "57P02", "57P03", "25006"].contains(&code.as_str())
                    || (code.len() == 5 && code.starts_with("08")) =>
            {
                StoreError::Lost { place, source }
            }
            sqlx::Error::Database(_) if code == "53100" => StoreError::Full { place },
            sqlx::Error::Decode(why) => StoreError::corrupt(place, why.to_string()),
            _ => StoreError::Database { place, source },
        }
    }
}

const SQLITE_READONLY: i64 = 8;
const SQLITE_CORRUPT: i64 = 11;
const SQLITE_FULL: i64 = 13;
const SQLITE_NOTADB: i64 = 26;
