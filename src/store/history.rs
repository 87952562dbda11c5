//! What became of the records of resources: who changed them, when, and what each was before. Written in the transaction that
//! changes them, as a chain.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::actor::Actor;
use super::chain::Chain;
use super::handle::{Read, Store, Write, cells};
use super::sums::Table;
use super::surgery::Surgery;
use super::value::{Value, values};
use super::{StoreError, from_json, parse};
use crate::ids::Addr;

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
    /// Whether a command of a person did it, which can be asked to be undone.
    pub fn is_surgery(&self) -> bool {
        self.op != RUN && !self.is_of_secrets()
    }

    /// Whether only what is sealed beside the record has changed: nobody can bring that back, and it stands in nobody's way.
    pub fn is_of_secrets(&self) -> bool {
        self.op == Surgery::AcceptKey.as_str()
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

impl Store {
    /// The last changes, in the order in which they were made, at most `rows_max` of them.
    pub async fn history(&self, which: Which<'_>, rows_max: u32) -> Result<Vec<Past>, StoreError> {
        let rows_max = usize::try_from(rows_max).unwrap_or(usize::MAX);
        let mut read = self.read().await?;
        let mut out = Vec::new();
        let each = |row| {
            let past = past(row)?;
            let is_wanted = match which {
                Which::All => true,
                Which::Of(addr) => past.touched().any(|a| a == addr),
                Which::OfRun(run) => matches!(&past.by, By::Run(by) if by == run),
            };
            // Nobody else changes anything while a run goes on.
            let is_over = matches!(which, Which::OfRun(_)) && !out.is_empty() && !is_wanted;
            if is_wanted && out.len() < rows_max {
                out.push(past);
            }
            Ok(match is_over || out.len() >= rows_max {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        };
        Chain::History.back(&mut read.tx, &read.head, each).await?;
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
        let all = changes.into_iter().map(|Change { addr, did, before }| {
            values![
                serial,
                deed.at_ms,
                deed.by,
                deed.op,
                &addr,
                did.as_str(),
                did.target(),
                before
            ]
        });
        Chain::History
            .append(&mut self.tx, &mut self.head, all.collect())
            .await
    }

    /// Everything since a serial.
    pub(super) async fn history_after(&mut self, serial: u64) -> Result<Vec<Past>, StoreError> {
        let mut out = Vec::new();
        let each = |row| {
            let past = past(row)?;
            if past.serial <= serial {
                return Ok(ControlFlow::Break(()));
            }
            out.push(past);
            Ok(ControlFlow::Continue(()))
        };
        Chain::History.back(&mut self.tx, &self.head, each).await?;
        out.reverse();
        Ok(out)
    }

    /// The serial of the last thing that a person did.
    pub(super) async fn last_surgery(&mut self) -> Result<Option<u64>, StoreError> {
        let mut serial = None;
        let each = |row| {
            let past = past(row)?;
            if !past.is_surgery() {
                return Ok(ControlFlow::Continue(()));
            }
            serial = Some(past.serial);
            Ok(ControlFlow::Break(()))
        };
        Chain::History.back(&mut self.tx, &self.head, each).await?;
        Ok(serial)
    }
}

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
        let readable = |row: &[Value]| {
            let cells = row.get(..row.len().saturating_sub(1)).unwrap_or_default();
            past(cells.to_vec()).map(drop)
        };
        Chain::History
            .walk(&mut self.tx, &self.head, readable)
            .await
    }
}

const WHAT: &str = "a row of the history";

pub(super) fn past(row: Vec<Value>) -> Result<Past, StoreError> {
    let [_, serial, at, by, op, addr, did, moved_to, before] = cells(row)?;
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
