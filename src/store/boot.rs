//! What MACs are given when they boot: entries that the engine writes and the services of a site serve.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::handle::{Store, Write, cells};
use super::sums::Table;
use super::value::{Value, values};
use super::{StoreError, from_json, parse, to_json};
use crate::ids::Addr;
use crate::plan::step::{BootTarget, InstanceBoot};
use crate::units::Mac;

/// What a MAC is given when it asks for its boot script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum BootEntry {
    /// The deploy ramdisk, once; the token is the deployment's.
    Deploy {
        deployment: String,
        target: BootTarget,
        ramdisk: String,
        kernel_args: String,
    },
    Instance {
        instance: Addr,
        target: BootTarget,
        boot: InstanceBoot,
    },
}

impl BootEntry {
    pub fn target(&self) -> &BootTarget {
        match self {
            BootEntry::Deploy { target, .. } | BootEntry::Instance { target, .. } => target,
        }
    }

    /// Puts new addresses into the place of old ones. A new field that names a resource must be renamed here.
    pub(super) fn rename(&mut self, moves: &BTreeMap<Addr, Addr>) {
        let one = |addr: &mut Addr| {
            if let Some(to) = moves.get(addr) {
                addr.clone_from(to);
            }
        };
        match self {
            BootEntry::Deploy { target, .. } => one(&mut target.site),
            BootEntry::Instance {
                instance, target, ..
            } => {
                one(instance);
                one(&mut target.site);
            }
        }
    }
}

/// Whether a site's services have taken a row up.
const NOT_SERVED: Value = Value::Int(0);
const SERVED: Value = Value::Int(1);

impl Store {
    /// Points a node's MACs at its instance; the deployment, if one is open, goes on.
    pub async fn put_boot_entry(&self, entry: &BootEntry) -> Result<(), StoreError> {
        self.patiently(|| async {
            let mut write = self.write().await?;
            write.put_boot(entry).await?;
            write.commit().await?;
            self.bell.notify_waiters();
            Ok(())
        })
        .await
    }

    pub async fn remove_boot_entries(&self, macs: &[Mac]) -> Result<(), StoreError> {
        self.patiently(|| async {
            let mut write = self.write().await?;
            let keys = macs.iter().map(|mac| values![*mac]).collect();
            write.remove(Table::Boot, keys).await?;
            write.commit().await?;
            self.bell.notify_waiters();
            Ok(())
        })
        .await
    }

    pub async fn boot_entry(&self, mac: Mac) -> Result<Option<BootEntry>, StoreError> {
        self.patiently(|| async {
            // Anybody on the wire may ask: for a MAC that nothing is meant for, the table is not read through.
            let found = self
                .read()
                .await?
                .find(Table::Boot, "mac = $1", values![mac])
                .await?;
            let Some(row) = found.into_iter().next() else {
                return Ok(None);
            };
            let [_, _, body, _] = cells(row)?;
            from_json("a boot entry", &body.text()?).map(Some)
        })
        .await
    }

    /// Every MAC of a site that may boot, with what it is given.
    pub async fn boot_entries(&self, site: &Addr) -> Result<Vec<(Mac, BootEntry)>, StoreError> {
        self.patiently(|| async {
            let mut out = Vec::new();
            for row in self.read().await?.all(Table::Boot).await? {
                let [mac, of, body, _] = cells(row)?;
                if of.text()? == site.to_string() {
                    let entry = from_json("a boot entry", &body.text()?)?;
                    out.push((parse("a MAC", &mac.text()?)?, entry));
                }
            }
            Ok(out)
        })
        .await
    }

    /// Says that a site's services serve these entries; one that was written anew in between is left to the next round.
    pub async fn mark_served(&self, entries: &[(Mac, BootEntry)]) -> Result<(), StoreError> {
        self.patiently(|| async {
            let mut write = self.write().await?;
            let mut taken_up = Vec::new();
            for (mac, entry) in entries {
                let body = Value::from(to_json("a boot entry", entry)?);
                let Some(row) = write.one(Table::Boot, values![*mac]).await? else {
                    continue;
                };
                let [mac, site, known, served] = cells(row)?;
                if known == body && served == NOT_SERVED {
                    taken_up.push(vec![mac, site, body, SERVED]);
                }
            }
            if taken_up.is_empty() {
                return Ok(());
            }
            write.put(Table::Boot, taken_up).await?;
            write.commit().await?;
            self.bell.notify_waiters();
            Ok(())
        })
        .await
    }

    /// Whether the site's services have taken up the entries of all these MACs.
    pub async fn is_served(&self, macs: &[Mac]) -> Result<bool, StoreError> {
        self.patiently(|| async {
            let mut read = self.read().await?;
            for mac in macs {
                let Some(row) = read.one(Table::Boot, values![*mac]).await? else {
                    return Ok(false);
                };
                let [_, _, _, served] = cells(row)?;
                if served != SERVED {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }
}

impl Write {
    pub(super) async fn put_boot(&mut self, entry: &BootEntry) -> Result<(), StoreError> {
        let target = entry.target();
        let body = to_json("a boot entry", entry)?;
        let rows: BTreeMap<Mac, _> = target
            .macs
            .iter()
            .map(|mac| (*mac, values![*mac, &target.site, body.as_str(), NOT_SERVED]))
            .collect();
        self.put(Table::Boot, rows.into_values().collect()).await
    }

    /// What is served to a MAC is looked up by its site: under the site's old name, a system that boots over the network would
    /// find nothing.
    pub(super) async fn rename_boot(
        &mut self,
        moves: &BTreeMap<Addr, Addr>,
    ) -> Result<(), StoreError> {
        let mut changed = Vec::new();
        for row in self.all(Table::Boot).await? {
            let [mac, _, body, _] = cells(row)?;
            let before: BootEntry = from_json("a boot entry", &body.text()?)?;
            let mut after = before.clone();
            after.rename(moves);
            if after != before {
                let body = to_json("a boot entry", &after)?;
                changed.push(values![mac, &after.target().site, body, NOT_SERVED]);
            }
        }
        self.put(Table::Boot, changed).await
    }
}
