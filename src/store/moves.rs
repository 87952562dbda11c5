//! What it takes in the database to give resources other addresses: every table that names one.

use std::collections::BTreeMap;

use super::handle::{Store, Write, cells};
use super::history::Did;
use super::resources::read_resource;
use super::sums::Table;
use super::value::{Value, values};
use super::{StoreError, to_json};
use crate::ids::Addr;

impl Write {
    /// Gives resources other addresses: their rows, what names them in other rows, their claims, what they boot and what is
    /// expected of them, and their secrets, which are sealed under their names.
    pub(super) async fn rename(
        &mut self,
        store: &Store,
        moves: &BTreeMap<Addr, Addr>,
    ) -> Result<(), StoreError> {
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for row in self.all(Table::Resources).await? {
            let [addr, body] = cells(row)?;
            let (known, before) = read_resource(&addr.text()?, &body.text()?)?;
            let mut after = before.clone();
            after.rename(moves);
            let to = moves.get(&known).unwrap_or(&known);
            if after == before && *to == known {
                continue;
            }
            old.push(values![&known]);
            new.push(values![to, to_json("a resource", &after)?]);
            let did = match *to == known {
                true => Did::Changed,
                false => Did::Moved(to.clone()),
            };
            self.remember_change(known, did, Some(to_json("a resource", &before)?));
        }
        // All old rows go before the first new one comes: addresses may change places.
        self.remove(Table::Resources, old).await?;
        self.add(Table::Resources, new).await?;
        self.rename_claims(moves).await?;
        self.rename_boot(moves).await?;
        self.rename_calls(moves).await?;
        self.rename_secrets(store, moves).await
    }

    async fn rename_claims(&mut self, moves: &BTreeMap<Addr, Addr>) -> Result<(), StoreError> {
        let mut claims = Vec::new();
        for row in self.take_all(Table::Claims).await? {
            let [node, instance] = cells(row)?;
            claims.push(values![renamed(node, moves)?, renamed(instance, moves)?]);
        }
        self.add(Table::Claims, claims).await?;
        let mut left = BTreeMap::new();
        for row in self.take_all(Table::LeftBehind).await? {
            let [node, table] = cells(row)?;
            let (node, table) = (renamed(node, moves)?, table.text()?);
            left.insert((node.clone(), table.clone()), values![node, table]);
        }
        self.add(Table::LeftBehind, left.into_values().collect())
            .await
    }

    /// A secret that is sealed under the new name already, from the configuration, is newer than the one that moves.
    async fn rename_secrets(
        &mut self,
        store: &Store,
        moves: &BTreeMap<Addr, Addr>,
    ) -> Result<(), StoreError> {
        let (mut old, mut moved) = (Vec::new(), Vec::new());
        for (from, to) in moves {
            for what in ["password", "user_data"] {
                let (name, new) = (format!("{from}/{what}"), format!("{to}/{what}"));
                let row = self.one(Table::Secrets, values![name.as_str()]).await?;
                let Some(row) = row else { continue };
                let [_, sealed] = cells(row)?;
                let text = store.sealer.open_text(&name, &sealed.blob()?)?;
                let sealed = store.sealer.seal(&new, text.expose().as_bytes())?;
                old.push(values![name]);
                moved.push((new, sealed));
            }
        }
        self.remove(Table::Secrets, old).await?;
        for (name, sealed) in moved {
            let there = self.one(Table::Secrets, values![name.as_str()]).await?;
            if there.is_none() {
                self.add(Table::Secrets, vec![values![name, sealed]])
                    .await?;
            }
        }
        Ok(())
    }
}

/// An address in a cell, or the one it has moved to.
pub(super) fn renamed(cell: Value, moves: &BTreeMap<Addr, Addr>) -> Result<String, StoreError> {
    let text = cell.text()?;
    Ok(match text.parse::<Addr>() {
        Ok(addr) => moves.get(&addr).map_or(text, Addr::to_string),
        Err(_) => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::step::{BootTarget, InstanceBoot};
    use crate::secret::Key32;
    use crate::store::{BootEntry, NewDeployment, Sealer, StateChange};

    fn addr(text: &str) -> Addr {
        text.parse().unwrap()
    }

    fn entry(instance: &str, site: &str) -> BootEntry {
        BootEntry::Instance {
            instance: addr(instance),
            target: BootTarget {
                site: addr(site),
                server: [10, 99, 0, 1].into(),
                http_port: 8081,
                bios_loader: crate::model::BiosLoader::Ipxe,
                firmware: crate::model::Firmware::Bios,
                macs: vec!["52:54:00:00:00:01".parse().unwrap()],
                address: None,
            },
            boot: InstanceBoot::LocalDisk,
        }
    }

    /// Nodes change names in a row, and a site moves: what they boot and what is under way is found under the new names.
    #[tokio::test]
    async fn what_boots_and_what_is_awaited_moves_along() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Sealer::new(Key32::new([9; 32])))
            .await
            .unwrap();
        let token = Key32::new([1; 32]);
        for (id, node) in [("1", "node.a"), ("2", "node.b")] {
            let new = NewDeployment {
                id,
                instance: &addr("instance.web"),
                node: &addr(node),
                token: &token,
                expires_ms: 100,
            };
            let old = entry("instance.web", "site.old");
            store.open_deployment(&new, &old).await.unwrap();
        }
        let web = addr("instance.web");
        store.expect_phone(&web, "t", 100).await.unwrap();
        let moves = [
            ("site.old", "module.m.site.new"),
            ("node.a", "node.b"),
            ("node.b", "node.c"),
            ("instance.web", "instance.web[0]"),
        ];
        let moves = moves.map(|(from, to)| (addr(from), addr(to)));
        let mut write = store.write().await.unwrap();
        let change = StateChange::Move(moves.into_iter().collect());
        let deed = crate::store::history::Deed::of_run("r-1", 1);
        write.change(&store, &[change], deed).await.unwrap();
        write.commit().await.unwrap();

        assert_eq!(store.boot_entries(&addr("site.old")).await.unwrap(), []);
        let found = store
            .boot_entries(&addr("module.m.site.new"))
            .await
            .unwrap();
        let found: Vec<BootEntry> = found.into_iter().map(|(_, entry)| entry).collect();
        assert_eq!(found, [entry("instance.web[0]", "module.m.site.new")]);
        for (id, node) in [("1", "node.b"), ("2", "node.c")] {
            let deployment = store.deployment(id).await.unwrap().unwrap();
            assert_eq!(deployment.node, addr(node));
            assert_eq!(deployment.instance, addr("instance.web[0]"));
        }
        let said = crate::model::recorded::Phoned {
            hostname: "web".to_owned(),
            address: "x".to_owned(),
            root: "y".to_owned(),
        };
        let caller = store.phone("t", &said, 1).await.unwrap();
        assert_eq!(caller, Some(addr("instance.web[0]")));
    }
}
