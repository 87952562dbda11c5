//! Which instance has which node: one a node and one an instance, and the database itself says so (row P19).

use std::collections::BTreeMap;

use super::handle::{Store, Write, cells};
use super::history::Did;
use super::sums::Table;
use super::value::values;
use super::{StoreError, parse};
use crate::ids::Addr;

impl Store {
    /// Who holds each claimed node.
    pub async fn claims(&self) -> Result<BTreeMap<Addr, Addr>, StoreError> {
        self.patiently(|| async {
            let mut out = BTreeMap::new();
            for row in self.read().await?.all(Table::Claims).await? {
                let [node, instance] = cells(row)?;
                let instance = parse("a claim", &instance.text()?)?;
                out.insert(parse("a claim", &node.text()?)?, instance);
            }
            Ok(out)
        })
        .await
    }

    /// Compare-and-set of the node's owner: claimed when it was free or ours already.
    pub async fn claim(&self, node: &Addr, instance: &Addr) -> Result<(), StoreError> {
        self.patiently(|| async {
            let mut write = self.write().await?;
            let holder = match write.one(Table::Claims, values![node]).await? {
                None => {
                    write
                        .add(Table::Claims, vec![values![node, instance]])
                        .await?;
                    return write.commit().await;
                }
                Some(row) => {
                    let [_, holder] = cells(row)?;
                    holder.text()?
                }
            };
            if holder == instance.to_string() {
                return Ok(());
            }
            Err(StoreError::Claimed {
                node: node.clone(),
                holder,
            })
        })
        .await
    }
}

impl Write {
    /// Gives the node back, when this instance has it.
    pub(super) async fn unclaim(&mut self, node: &Addr, instance: &Addr) -> Result<(), StoreError> {
        let Some(row) = self.one(Table::Claims, values![node]).await? else {
            return Ok(());
        };
        let [_, holder] = cells(row)?;
        let holder = holder.text()?;
        if holder == instance.to_string() {
            self.remove(Table::Claims, vec![values![node]]).await?;
            self.remember_change(node.clone(), Did::Released, Some(holder));
        }
        Ok(())
    }
}
