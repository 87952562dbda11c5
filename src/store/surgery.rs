//! What people do to the state by hand: each one transaction, in the history, and to be undone. No machine is touched.

use std::collections::{BTreeMap, BTreeSet};

use super::actor::Actor;
use super::handle::{Store, Write, cells};
use super::history::{By, Deed, Did, Past};
use super::sums::Table;
use super::value::values;
use super::{StateChange, StoreError, from_json, to_json};
use crate::ids::Addr;

/// Which command a person gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surgery {
    Move,
    Remove,
    Untaint,
    Undo,
    Push,
    /// The secrets of these are forgotten: their key is lost. The records are as they were.
    AcceptKey,
}

impl Surgery {
    pub fn as_str(self) -> &'static str {
        match self {
            Surgery::Move => "state mv",
            Surgery::Remove => "state rm",
            Surgery::Untaint => "untaint",
            Surgery::Undo => "state undo",
            Surgery::Push => "state push",
            Surgery::AcceptKey => "state accept --new-key",
        }
    }
}

impl Store {
    /// The serial of the state once it is done.
    pub async fn operate(
        &self,
        surgery: Surgery,
        by: &Actor,
        at_ms: i64,
        changes: &[StateChange],
    ) -> Result<u64, StoreError> {
        let by = to_json("who changes the state", by)?;
        let mut write = self.write().await?;
        let deed = deed(surgery, &by, at_ms);
        write.change(self, changes, deed).await?;
        let head = write.head.clone();
        write.commit().await?;
        self.remember(&head)?;
        Ok(head.serial)
    }

    /// Puts back what the last surgery changed, or all of it after a serial; what it was is given back. Refused when
    /// anything else has changed the same addresses since.
    pub async fn undo(
        &self,
        after: Option<u64>,
        by: &Actor,
        at_ms: i64,
    ) -> Result<Vec<Past>, StoreError> {
        let by = to_json("who changes the state", by)?;
        let mut write = self.write().await?;
        let undone = write.undoable(after).await?;
        let serials: BTreeSet<u64> = undone.iter().map(|p| p.serial).collect();
        for serial in serials.into_iter().rev() {
            let of_serial: Vec<&Past> = undone.iter().filter(|p| p.serial == serial).collect();
            write.put_back(self, &of_serial).await?;
        }
        write.head.serial += 1;
        write.put_history(deed(Surgery::Undo, &by, at_ms)).await?;
        let head = write.head.clone();
        write.commit().await?;
        self.remember(&head)?;
        Ok(undone)
    }
}

pub(super) fn deed(surgery: Surgery, by: &str, at_ms: i64) -> Deed<'_> {
    Deed {
        by,
        op: surgery.as_str(),
        at_ms,
    }
}

/// Who did it and what, for a person who wanted to undo it.
fn described(past: &Past) -> String {
    let who = match &past.by {
        By::Run(run) => format!("run {run}"),
        By::Person(actor) => format!("`{}` by {actor}", past.op),
    };
    format!(
        "{who} {} {} (serial {})",
        past.did.as_str(),
        past.addr,
        past.serial
    )
}

impl Write {
    /// What is to be put back, when it may be.
    async fn undoable(&mut self, after: Option<u64>) -> Result<Vec<Past>, StoreError> {
        let last = self.last_surgery().await?;
        let Some(last) = last.filter(|last| after.is_none_or(|after| *last > after)) else {
            return Err(StoreError::NothingToUndo);
        };
        let since = after.unwrap_or(last - 1);
        let (mine, others): (Vec<Past>, Vec<Past>) = self
            .history_after(since)
            .await?
            .into_iter()
            .filter(|p| !p.is_of_secrets())
            .partition(|p| p.is_surgery() && (after.is_some() || p.serial == last));
        if let Some(push) = mine.iter().find(|p| p.op == Surgery::Push.as_str()) {
            return Err(StoreError::NotUndone {
                why: format!(
                    "{}, and that replaced the whole state: push the backup that was made of it then",
                    described(push)
                ),
            });
        }
        let touched: BTreeSet<&Addr> = mine.iter().flat_map(Past::touched).collect();
        let in_the_way = others
            .iter()
            .find(|p| p.touched().any(|a| touched.contains(a)));
        match in_the_way {
            Some(other) => Err(StoreError::NotUndone {
                why: format!(
                    "{} as well, and what steps of a run did is not undone by hand: change the configuration and apply, or correct the record with mv and rm",
                    described(other)
                ),
            }),
            None => Ok(mine),
        }
    }

    /// The inverse of one transaction. A renaming goes back as a renaming, so that every table follows.
    async fn put_back(&mut self, store: &Store, all: &[&Past]) -> Result<(), StoreError> {
        let (mut back, mut records) = (BTreeMap::new(), BTreeMap::new());
        for past in all {
            match &past.did {
                Did::Moved(to) => {
                    back.insert(to.clone(), past.addr.clone());
                }
                Did::Created | Did::Changed | Did::Removed => {
                    if let Some(body) = &past.before {
                        let _: crate::model::Resource = from_json("a record of the history", body)?;
                    }
                    records.insert(&past.addr, past.before.clone());
                }
                Did::Claimed => self.take_back(&past.addr).await?,
                Did::Released => {
                    let lost = || {
                        StoreError::corrupt("a row of the history", "whose node it was is missing")
                    };
                    let holder = past.before.clone().ok_or_else(lost)?;
                    self.give_back(&past.addr, &holder).await?;
                }
            }
        }
        match back.is_empty() {
            true => self.put_resources(records).await,
            false => self.rename(store, &back).await,
        }
    }

    async fn take_back(&mut self, node: &Addr) -> Result<(), StoreError> {
        for row in self.take(Table::Claims, vec![values![node]]).await? {
            let [_, holder] = cells(row)?;
            self.remember_change(node.clone(), Did::Released, Some(holder.text()?));
        }
        Ok(())
    }

    async fn give_back(&mut self, node: &Addr, holder: &str) -> Result<(), StoreError> {
        if self.one(Table::Claims, values![node]).await?.is_some() {
            let why = format!("{node} has been given to another instance since");
            return Err(StoreError::NotUndone { why });
        }
        self.add(Table::Claims, vec![values![node, holder]]).await?;
        self.remember_change(node.clone(), Did::Claimed, None);
        Ok(())
    }
}
