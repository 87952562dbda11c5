//! What became of the records of resources: who changed them, when, and what each was before. Written in the transaction that
//! changes them, as a chain.

use std::collections::BTreeMap;

use super::actor::Actor;
use super::handle::{Read, Store, Write, cells};
use super::head::Chain;
use super::sums::{Sum, Table};
use super::value::{Row, Value, values};
use super::{StoreError, from_json, parse, rows};
use crate::ids::Addr;

const COLUMNS: [&str; 9] = [
    "seq", "serial", "at", "by", "op", "addr", "did", "moved_to", "before",
];

/// What steps of a run do, as against what people do to the state by hand.
const RUN: &str = "run";

/// Who does something to the state, and what it is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deed<'a> {
    pub by: &'a str,
    pub op: &'static str,
    pub at_ms: i64,
}

/// One change of a transaction that is not written yet.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub addr: Addr,
    pub did: Did,
    pub before: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    Created,
    Changed,
    Removed,
    Moved(Addr),
    /// A node was given to an instance.
    Claimed,
    /// A node was taken from the instance that `before` names.
    Released,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    Run(String),
    Person(Actor),
}

/// One change of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Of the state, once this was done; what was done together has the same.
    pub serial: u64,
    pub at_ms: i64,
    pub by: By,
    /// `run`, or the command of a person.
    pub op: String,
    pub addr: Addr,
    pub did: Did,
    /// JSON of the record, or the instance that had the node.
    pub before: Option<String>,
}

impl Did {
    pub fn as_str(&self) -> &'static str {
        match self {
            Did::Created => "created",
            Did::Changed => "changed",
            Did::Removed => "removed",
            Did::Moved(_) => "moved",
            Did::Claimed => "claimed",
            Did::Released => "released",
        }
    }

    fn target(&self) -> Option<&Addr> {
        match self {
            Did::Moved(to) => Some(to),
            Did::Created | Did::Changed | Did::Removed | Did::Claimed | Did::Released => None,
        }
    }
}

impl Past {
    /// Whether a command of a person did it.
    pub fn is_surgery(&self) -> bool {
        self.op != RUN
    }

    /// The addresses whose records are others since.
    pub fn touched(&self) -> impl Iterator<Item = &Addr> {
        [&self.addr].into_iter().chain(self.did.target())
    }
}

impl<'a> Deed<'a> {
    pub fn of_run(run: &'a str, at_ms: i64) -> Deed<'a> {
        Deed {
            by: run,
            op: RUN,
            at_ms,
        }
    }
}

/// Which part of the past is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    All,
    Of(&'a Addr),
    OfRun(&'a str),
}

const SELECT: &str = "SELECT seq, serial, at, by, op, addr, did, moved_to, before FROM history";

impl Store {
    /// The last changes, in the order in which they were made, at most `rows_max` of them.
    pub async fn history(&self, which: Which<'_>, rows_max: u32) -> Result<Vec<Past>, StoreError> {
        let mut read = self.read().await?;
        let (only, mut args) = match which {
            Which::All => ("WHERE $1 = ''", values![""]),
            Which::Of(addr) => ("WHERE addr = $1 OR moved_to = $1", values![addr]),
            Which::OfRun(run) => ("WHERE by = $1 AND op = 'run'", values![run]),
        };
        args.push(Value::Int(rows_max.into()));
        let sql = format!("{SELECT} {only} ORDER BY seq DESC LIMIT $2");
        let found = read.tx.rows(super::database::Sql::Built(sql), args).await?;
        let mut out: Vec<Past> = found.into_iter().map(past).collect::<Result<_, _>>()?;
        out.reverse();
        Ok(out)
    }

    /// The record that each of these changes left; `None` where it left none.
    pub async fn afterwards(&self, all: &[Past]) -> Result<Vec<Option<String>>, StoreError> {
        let mut read = self.read().await?;
        // Records that move together may change places: what each was before it moved is no answer for the others.
        let mut moved: BTreeMap<&Addr, Option<String>> = BTreeMap::new();
        let mut later: BTreeMap<&Addr, Option<String>> = BTreeMap::new();
        let (mut out, mut serial) = (Vec::with_capacity(all.len()), None);
        for past in all.iter().rev() {
            if serial.replace(past.serial) != Some(past.serial) {
                later.append(&mut moved);
            }
            let known = match &past.did {
                Did::Moved(to) => later.get(to),
                Did::Created | Did::Changed | Did::Removed | Did::Claimed | Did::Released => {
                    moved.get(&past.addr).or_else(|| later.get(&past.addr))
                }
            };
            let at = past.did.target().unwrap_or(&past.addr);
            let after = match (&past.did, known) {
                (Did::Removed | Did::Claimed | Did::Released, _) => None,
                (Did::Created | Did::Changed | Did::Moved(_), Some(known)) => known.clone(),
                (Did::Created | Did::Changed | Did::Moved(_), None) => read.body_of(at).await?,
            };
            out.push(after);
            match &past.did {
                Did::Moved(_) => moved.insert(&past.addr, past.before.clone()),
                Did::Created | Did::Changed | Did::Removed => {
                    later.insert(&past.addr, past.before.clone())
                }
                Did::Claimed | Did::Released => None,
            };
        }
        out.reverse();
        Ok(out)
    }
}

impl Write {
    pub(super) fn remember_change(&mut self, addr: Addr, did: Did, before: Option<String>) {
        self.changes.push(Change { addr, did, before });
    }

    /// Lengthens the chain by what this transaction has changed.
    pub(super) async fn put_history(&mut self, deed: Deed<'_>) -> Result<(), StoreError> {
        let changes = std::mem::take(&mut self.changes);
        let serial = i64::try_from(self.head.serial).unwrap_or(i64::MAX);
        let mut out = Vec::with_capacity(changes.len());
        for Change { addr, did, before } in changes {
            let seq = self.head.history.seq + 1;
            let mut row = values![
                seq,
                serial,
                deed.at_ms,
                deed.by,
                deed.op,
                &addr,
                did.as_str(),
                did.target(),
                before
            ];
            let sum = Sum::after(self.head.history.sum, "history", &row);
            self.head.history = Chain { seq, sum };
            row.push(sum.into());
            out.push(row);
        }
        let columns: Vec<&str> = COLUMNS.into_iter().chain(["sum"]).collect();
        rows::insert(&mut self.tx, "history", &columns, out).await
    }

    /// Everything since a serial, verified against the chain.
    pub(super) async fn history_after(&mut self, serial: u64) -> Result<Vec<Past>, StoreError> {
        let serial = i64::try_from(serial).unwrap_or(i64::MAX);
        let sql = "SELECT seq, sum FROM history WHERE serial <= $1 ORDER BY seq DESC LIMIT 1";
        let before = match self.tx.row(sql, values![serial]).await? {
            Some(row) => {
                let [seq, sum] = row.cells()?;
                Chain {
                    seq: seq.int()?,
                    sum: Sum::from_value(sum)?,
                }
            }
            None => Chain::default(),
        };
        let mut walk = Walk::from(before);
        let mut out = Vec::new();
        for row in self.tx.rows(WALK, values![before.seq, i64::MAX]).await? {
            out.push(past(walk.step(row)?)?);
        }
        walk.end(self.head.history)?;
        Ok(out)
    }

    /// The serial of the last thing that a person did.
    pub(super) async fn last_surgery(&mut self) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT max(serial) FROM history WHERE op <> 'run'";
        let Some(row) = self.tx.row(sql, values![]).await? else {
            return Ok(None);
        };
        let [serial] = row.cells()?;
        let serial = serial.maybe(Value::int)?;
        Ok(serial.and_then(|s| u64::try_from(s).ok()))
    }
}

const WALK: &str = "SELECT seq, serial, at, by, op, addr, did, moved_to, before, sum FROM history WHERE seq > $1 ORDER BY seq LIMIT $2";

/// Rows that a walk holds in memory at once.
const AT_ONCE: i64 = 1000;

impl Read {
    async fn body_of(&mut self, addr: &Addr) -> Result<Option<String>, StoreError> {
        let Some(row) = self.one(Table::Resources, values![addr]).await? else {
            return Ok(None);
        };
        let [_, body] = cells(row)?;
        body.text().map(Some)
    }

    /// Walks the whole chain: how many rows there are.
    pub(super) async fn verify_history(&mut self) -> Result<u64, StoreError> {
        let mut walk = Walk::from(Chain::default());
        let mut count = 0;
        loop {
            let found = self.tx.rows(WALK, values![walk.at.seq, AT_ONCE]).await?;
            if found.is_empty() {
                break;
            }
            for row in found {
                past(walk.step(row)?)?;
                count += 1;
            }
        }
        walk.end(self.head.history)?;
        Ok(count)
    }
}

/// A walk along the chain, which stops at the first row that is not as it was written.
struct Walk {
    at: Chain,
}

impl Walk {
    fn from(at: Chain) -> Walk {
        Walk { at }
    }

    fn step(&mut self, row: Row) -> Result<Row, StoreError> {
        let mut cells = row.0;
        let noted = Sum::from_value(cells.pop().unwrap_or(Value::Null))?;
        let sum = Sum::after(self.at.sum, "history", &cells);
        let seq = cells.first().cloned().unwrap_or(Value::Null).int()?;
        if sum != noted {
            let why = "its checksum is not the one that was noted: it or the row before it was changed, removed or put back";
            return Err(StoreError::corrupt(format!("history row {seq}"), why));
        }
        self.at = Chain { seq, sum };
        Ok(Row(cells))
    }

    fn end(&self, noted: Chain) -> Result<(), StoreError> {
        if self.at == noted {
            return Ok(());
        }
        let why = format!(
            "its last row is {}, the head of the state says {}",
            self.at.seq, noted.seq
        );
        Err(StoreError::corrupt("the history", why))
    }
}

const WHAT: &str = "a row of the history";

fn past(row: Row) -> Result<Past, StoreError> {
    let [_, serial, at, by, op, addr, did, moved_to, before] = row.cells()?;
    let (by, op) = (by.text()?, op.text()?);
    let did = match (did.text()?.as_str(), moved_to.maybe(Value::text)?) {
        ("created", None) => Did::Created,
        ("changed", None) => Did::Changed,
        ("removed", None) => Did::Removed,
        ("moved", Some(to)) => Did::Moved(parse(WHAT, &to)?),
        ("claimed", None) => Did::Claimed,
        ("released", None) => Did::Released,
        (other, _) => return Err(StoreError::corrupt(WHAT, format!("it says `{other}`"))),
    };
    Ok(Past {
        serial: u64::try_from(serial.int()?).unwrap_or_default(),
        at_ms: at.int()?,
        by: match op.as_str() {
            RUN => By::Run(by),
            _ => By::Person(from_json(WHAT, &by)?),
        },
        op,
        addr: parse(WHAT, &addr.text()?)?,
        did,
        before: before.maybe(Value::text)?,
    })
}
