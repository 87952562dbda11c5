//! What is recorded, and the changes that steps bring to it.

use std::collections::{BTreeMap, BTreeSet};

use super::handle::{Read, Store, Write, cells};
use super::history::{Deed, Did};
use super::sums::Table;
use super::value::values;
use super::{StateChange, StoreError, from_json, parse, to_json};
use crate::ids::Addr;
use crate::model::{Recorded, Resource};

impl Store {
    /// Everything state remembers, as of one moment.
    pub async fn recorded(&self) -> Result<Recorded, StoreError> {
        self.patiently(|| async {
            let mut read = self.read().await?;
            self.remember(&read.head)?;
            let recorded = read.recorded().await?;
            Ok(Recorded {
                workspace: self.db.workspace(),
                ..recorded
            })
        })
        .await
    }
}

impl Read {
    pub(super) async fn recorded(&mut self) -> Result<Recorded, StoreError> {
        let mut recorded = Recorded {
            lineage: self.head.lineage.clone(),
            serial: self.head.serial,
            ..Recorded::default()
        };
        for row in self.all(Table::Resources).await? {
            let [addr, body] = cells(row)?;
            let (addr, resource) = read_resource(&addr.text()?, &body.text()?)?;
            recorded.resources.insert(addr, resource);
        }
        for row in self.all(Table::LeftBehind).await? {
            let [node, table] = cells(row)?;
            let what = "a partition table left behind";
            recorded
                .left_behind
                .entry(parse(what, &node.text()?)?)
                .or_default()
                .insert(parse(what, &table.text()?)?);
        }
        Ok(recorded)
    }
}

impl Write {
    pub(super) async fn change(
        &mut self,
        store: &Store,
        changes: &[StateChange],
        deed: Deed<'_>,
    ) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        // What follows a renaming speaks of the new names: it is done up to there before.
        let mut bodies = BTreeMap::new();
        for change in changes {
            match change {
                StateChange::Put(addr, resource) => {
                    bodies.insert(addr, Some(to_json("a resource", resource)?));
                }
                StateChange::Remove(addr) => {
                    bodies.insert(addr, None);
                }
                StateChange::Move(moves) => {
                    self.put_resources(std::mem::take(&mut bodies)).await?;
                    self.rename(store, moves).await?;
                }
                StateChange::Unclaim { node, instance } => self.unclaim(node, instance).await?,
                StateChange::LeaveBehind { node, tables } => {
                    let rows: BTreeSet<String> = tables.iter().map(ToString::to_string).collect();
                    let rows = rows.into_iter().map(|t| values![node, t]).collect();
                    self.put(Table::LeftBehind, rows).await?;
                }
                StateChange::DropSecret(name) => {
                    self.remove(Table::Secrets, vec![values![name.as_str()]])
                        .await?;
                }
            }
        }
        self.put_resources(bodies).await?;
        self.head.serial += 1;
        self.put_history(deed).await
    }

    pub(super) async fn put_resources(
        &mut self,
        bodies: BTreeMap<&Addr, Option<String>>,
    ) -> Result<(), StoreError> {
        let keys = bodies.keys().map(|addr| values![*addr]).collect();
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        for row in self.take(Table::Resources, keys).await? {
            let [addr, body] = cells(row)?;
            known.insert(addr.text()?, body.text()?);
        }
        let mut rows = Vec::new();
        for (addr, body) in bodies {
            let before = known.remove(&addr.to_string());
            let did = match (&before, &body) {
                (None, None) => None,
                (None, Some(_)) => Some(Did::Created),
                (Some(_), None) => Some(Did::Removed),
                (Some(before), Some(body)) => (before != body).then_some(Did::Changed),
            };
            if let Some(did) = did {
                self.remember_change(addr.clone(), did, before);
            }
            rows.extend(body.map(|body| values![addr, body]));
        }
        self.add(Table::Resources, rows).await
    }
}

pub(super) fn read_resource(addr: &str, body: &str) -> Result<(Addr, Resource), StoreError> {
    Ok((parse("an address", addr)?, from_json(addr, body)?))
}
