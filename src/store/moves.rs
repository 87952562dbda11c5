//! What it takes in the database to give resources other addresses: every table that names one.

use std::collections::BTreeMap;

use sqlx::{Sqlite, Transaction};

use super::StoreError;
use super::channel::{BootEntry, from_json};
use super::sqlite::{Store, read_resource, to_json};
use crate::ids::Addr;

impl Store {
    /// Gives resources other addresses: their rows, what names them in other rows, their claims, what they boot and what is
    /// expected of them, and their secrets, which are sealed under their names.
    pub(super) async fn rename(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
        moves: &BTreeMap<Addr, Addr>,
    ) -> Result<(), StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT addr, body FROM resources")
            .fetch_all(&mut **tx)
            .await?;
        let mut changed: Vec<(String, String, String)> = Vec::new();
        for (addr, body) in rows {
            let (known, before) = read_resource(&addr, &body)?;
            let mut after = before.clone();
            after.rename(moves);
            let to = moves.get(&known).unwrap_or(&known);
            if after != before || *to != known {
                changed.push((addr, to.to_string(), to_json("a resource", &after)?));
            }
        }
        // All old rows go before the first new one comes: addresses may change places.
        for (old, _, _) in &changed {
            sqlx::query("DELETE FROM resources WHERE addr = $1")
                .bind(old)
                .execute(&mut **tx)
                .await?;
        }
        for (_, new, body) in &changed {
            sqlx::query("INSERT INTO resources VALUES ($1, $2)")
                .bind(new)
                .bind(body)
                .execute(&mut **tx)
                .await?;
        }
        self.rename_claims(tx, moves).await?;
        self.rename_boot(tx, moves).await?;
        self.rename_calls(tx, moves).await?;
        self.rename_secrets(tx, moves).await
    }

    async fn rename_claims(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
        moves: &BTreeMap<Addr, Addr>,
    ) -> Result<(), StoreError> {
        let to = |text: String| match text.parse::<Addr>() {
            Ok(addr) => moves.get(&addr).map_or(text, Addr::to_string),
            Err(_) => text,
        };
        let claims: Vec<(String, String)> = sqlx::query_as("SELECT node, instance FROM claims")
            .fetch_all(&mut **tx)
            .await?;
        sqlx::query("DELETE FROM claims").execute(&mut **tx).await?;
        for (node, instance) in claims {
            sqlx::query("INSERT INTO claims VALUES ($1, $2)")
                .bind(to(node))
                .bind(to(instance))
                .execute(&mut **tx)
                .await?;
        }
        let left: Vec<(String, String)> =
            sqlx::query_as("SELECT node, partitioning FROM left_behind")
                .fetch_all(&mut **tx)
                .await?;
        sqlx::query("DELETE FROM left_behind")
            .execute(&mut **tx)
            .await?;
        for (node, table) in left {
            sqlx::query("INSERT INTO left_behind VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(to(node))
                .bind(table)
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    /// What is served to a MAC is looked up by its site: under the site's old name, a system that boots over the network would
    /// find nothing.
    async fn rename_boot(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
        moves: &BTreeMap<Addr, Addr>,
    ) -> Result<(), StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT mac, body FROM boot")
            .fetch_all(&mut **tx)
            .await?;
        for (mac, body) in rows {
            let before: BootEntry = from_json("a boot entry", &body)?;
            let mut after = before.clone();
            after.rename(moves);
            if after == before {
                continue;
            }
            sqlx::query("UPDATE boot SET site = $2, body = $3, served = 0 WHERE mac = $1")
                .bind(mac)
                .bind(after.target().site.to_string())
                .bind(to_json("a boot entry", &after)?)
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    /// Deployments that are open, and calls that are awaited.
    async fn rename_calls(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
        moves: &BTreeMap<Addr, Addr>,
    ) -> Result<(), StoreError> {
        let to = |text: &str| match text.parse::<Addr>() {
            Ok(addr) => moves.get(&addr).map_or(text.to_owned(), Addr::to_string),
            Err(_) => text.to_owned(),
        };
        let open: Vec<(String, String, String)> =
            sqlx::query_as("SELECT id, instance, node FROM deployments WHERE status <> 'over'")
                .fetch_all(&mut **tx)
                .await?;
        // A node has one open deployment, and nodes may change names in a row: none has its new name before all have given up
        // their old ones.
        for (id, _, _) in &open {
            sqlx::query("UPDATE deployments SET node = id WHERE id = $1")
                .bind(id)
                .execute(&mut **tx)
                .await?;
        }
        for (id, instance, node) in &open {
            sqlx::query("UPDATE deployments SET instance = $2, node = $3 WHERE id = $1")
                .bind(id)
                .bind(to(instance))
                .bind(to(node))
                .execute(&mut **tx)
                .await?;
        }
        let calls: Vec<(String, String)> =
            sqlx::query_as("SELECT token_sha256, instance FROM phones")
                .fetch_all(&mut **tx)
                .await?;
        for (token, instance) in calls {
            let new = to(&instance);
            if new == instance {
                continue;
            }
            sqlx::query("UPDATE phones SET instance = $2 WHERE token_sha256 = $1")
                .bind(token)
                .bind(new)
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    /// A secret that is sealed under the new name already, from the configuration, is newer than the one that moves.
    async fn rename_secrets(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
        moves: &BTreeMap<Addr, Addr>,
    ) -> Result<(), StoreError> {
        let mut moved = Vec::new();
        for (from, to) in moves {
            for what in ["password", "user_data"] {
                let (old, new) = (format!("{from}/{what}"), format!("{to}/{what}"));
                let sealed: Option<Vec<u8>> =
                    sqlx::query_scalar("SELECT sealed FROM secrets WHERE name = $1")
                        .bind(&old)
                        .fetch_optional(&mut **tx)
                        .await?;
                let Some(sealed) = sealed else { continue };
                let text = self.sealer.open_text(&old, &sealed)?;
                moved.push((old, self.sealer.seal(&new, text.expose().as_bytes())?, new));
            }
        }
        for (old, _, _) in &moved {
            sqlx::query("DELETE FROM secrets WHERE name = $1")
                .bind(old)
                .execute(&mut **tx)
                .await?;
        }
        for (_, sealed, new) in moved {
            sqlx::query("INSERT INTO secrets VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
                .bind(new)
                .bind(sealed)
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::step::{BootTarget, InstanceBoot};
    use crate::secret::Key32;
    use crate::store::{NewDeployment, Sealer, StateChange};

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
        let mut tx = store.write().await.unwrap();
        let change = StateChange::Move(moves.into_iter().collect());
        store.change(&mut tx, &[change]).await.unwrap();
        tx.commit().await.unwrap();

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
