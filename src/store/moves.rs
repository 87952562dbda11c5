//! What it takes in the database to give resources other addresses: every table that names one.

use std::collections::BTreeMap;

use sqlx::{Sqlite, Transaction};

use super::channel::{BootEntry, from_json};
use super::sqlite::{Store, read_resource, to_json};
use super::StoreError;
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
