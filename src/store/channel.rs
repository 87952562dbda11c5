//! What booting nodes say and what is said to them: boot entries, deployments, commands, phone-home tokens.
//!
//! The protocol is in docs/design/0001-deploy-channel.md. What is refused changes nothing here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::StoreError;
use super::sqlite::{Store, parse, to_json};
use crate::ids::Addr;
use crate::model::recorded::Phoned;
use crate::plan::step::{BootTarget, InstanceBoot};
use crate::secret::Key32;
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentStatus {
    /// The boot script has not been exchanged for a key.
    Waiting,
    Exchanged,
    /// The ramdisk has reported its disks.
    Ready,
    /// Something was wrong: see `trouble`.
    Stopped,
    Over,
}

impl DeploymentStatus {
    fn as_str(self) -> &'static str {
        match self {
            DeploymentStatus::Waiting => "waiting",
            DeploymentStatus::Exchanged => "exchanged",
            DeploymentStatus::Ready => "ready",
            DeploymentStatus::Stopped => "stopped",
            DeploymentStatus::Over => "over",
        }
    }

    fn parse(text: &str) -> Result<DeploymentStatus, StoreError> {
        use DeploymentStatus as S;
        [S::Waiting, S::Exchanged, S::Ready, S::Stopped, S::Over]
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or_else(|| StoreError::Corrupt {
                what: "a deployment".to_owned(),
                why: format!("status {text}"),
            })
    }
}

#[derive(Debug, Clone)]
pub struct Deployment {
    pub id: String,
    pub instance: Addr,
    pub node: Addr,
    pub macs: Vec<Mac>,
    pub token: Key32,
    pub key: Option<Key32>,
    pub expires_ms: i64,
    pub served: bool,
    pub status: DeploymentStatus,
    /// The NIC it came from.
    pub mac: Option<Mac>,
    pub last_seq: i64,
    pub report: Option<String>,
    pub trouble: Option<String>,
}

pub struct NewDeployment<'a> {
    pub id: &'a str,
    pub instance: &'a Addr,
    pub node: &'a Addr,
    pub token: &'a Key32,
    pub expires_ms: i64,
}

/// A command to a ramdisk and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub id: i64,
    pub line: String,
    /// `ok` or `error`, when it has answered.
    pub status: Option<String>,
    pub message: Option<String>,
}

/// An authenticated request's number, to be taken once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestProof {
    pub seq: i64,
}

/// How often another process's writes are looked for.
const POLL: Duration = Duration::from_millis(200);

impl Store {
    /// Opens a deployment and points the node's MACs at it; any earlier deployment of the node is over.
    pub async fn open_deployment(
        &self,
        new: &NewDeployment<'_>,
        entry: &BootEntry,
    ) -> Result<(), StoreError> {
        let target = entry.target();
        let token = self.sealer.seal(new.id, new.token.expose())?;
        let mut tx = self.write().await?;
        sqlx::query("UPDATE deployments SET status = 'over' WHERE node = $1")
            .bind(new.node.to_string())
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO deployments (id, instance, node, macs, token, expires_at, status)
             VALUES ($1, $2, $3, $4, $5, $6, 'waiting')",
        )
        .bind(new.id)
        .bind(new.instance.to_string())
        .bind(new.node.to_string())
        .bind(to_json("MACs", &target.macs)?)
        .bind(token)
        .bind(new.expires_ms)
        .execute(&mut *tx)
        .await?;
        put_boot(&mut tx, entry).await?;
        tx.commit().await?;
        self.bell.notify_waiters();
        Ok(())
    }

    /// Points a node's MACs at its instance; the deployment, if one is open, goes on.
    pub async fn put_boot_entry(&self, entry: &BootEntry) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        put_boot(&mut tx, entry).await?;
        tx.commit().await?;
        self.bell.notify_waiters();
        Ok(())
    }

    pub async fn remove_boot_entries(&self, macs: &[Mac]) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        for mac in macs {
            sqlx::query("DELETE FROM boot WHERE mac = $1")
                .bind(mac.to_string())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        self.bell.notify_waiters();
        Ok(())
    }

    pub async fn boot_entry(&self, mac: Mac) -> Result<Option<BootEntry>, StoreError> {
        let body: Option<String> = sqlx::query_scalar("SELECT body FROM boot WHERE mac = $1")
            .bind(mac.to_string())
            .fetch_optional(&self.pool)
            .await?;
        body.map(|b| from_json("a boot entry", &b)).transpose()
    }

    /// Every MAC of a site that may boot, with what it is given.
    pub async fn boot_entries(&self, site: &Addr) -> Result<Vec<(Mac, BootEntry)>, StoreError> {
        let rows = sqlx::query("SELECT mac, body FROM boot WHERE site = $1 ORDER BY mac")
            .bind(site.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                let (mac, body): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
                Ok((parse("a MAC", mac)?, from_json("a boot entry", body)?))
            })
            .collect()
    }

    /// Says that a site's services serve these entries; one that was written anew in between is left to the next round.
    pub async fn mark_served(&self, entries: &[(Mac, BootEntry)]) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        for (mac, entry) in entries {
            sqlx::query("UPDATE boot SET served = 1 WHERE mac = $1 AND body = $2 AND served = 0")
                .bind(mac.to_string())
                .bind(to_json("a boot entry", entry)?)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        self.bell.notify_waiters();
        Ok(())
    }

    /// Whether the site's services have taken up the entries of all these MACs.
    pub async fn is_served(&self, macs: &[Mac]) -> Result<bool, StoreError> {
        for mac in macs {
            let served: Option<i64> = sqlx::query_scalar("SELECT served FROM boot WHERE mac = $1")
                .bind(mac.to_string())
                .fetch_optional(&self.pool)
                .await?;
            if served != Some(1) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub async fn deployment(&self, id: &str) -> Result<Option<Deployment>, StoreError> {
        let row = sqlx::query("SELECT * FROM deployments WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|r| self.read_deployment(&r)).transpose()
    }

    /// The open deployment of a node.
    pub async fn deployment_of(&self, node: &Addr) -> Result<Option<Deployment>, StoreError> {
        let row = sqlx::query("SELECT * FROM deployments WHERE node = $1 AND status <> 'over'")
            .bind(node.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|r| self.read_deployment(&r)).transpose()
    }

    /// The open deployment that a NIC belongs to.
    pub async fn deployment_by_mac(&self, mac: Mac) -> Result<Option<Deployment>, StoreError> {
        // A NIC may have moved to another node: the newest deployment is the one it boots for.
        let row = sqlx::query(
            "SELECT * FROM deployments WHERE status <> 'over' AND instr(macs, $1) > 0 ORDER BY rowid DESC LIMIT 1",
        )
        .bind(format!("\"{mac}\""))
        .fetch_optional(&self.pool)
        .await?;
        row.map(|r| self.read_deployment(&r)).transpose()
    }

    fn read_deployment(&self, row: &SqliteRow) -> Result<Deployment, StoreError> {
        let id: String = row.try_get("id")?;
        let open = |sealed: Vec<u8>| -> Result<Key32, StoreError> {
            let bytes = self.sealer.open(&id, &sealed)?;
            Key32::from_slice(&bytes).ok_or_else(|| StoreError::WrongKey(id.clone()))
        };
        let token = open(row.try_get("token")?)?;
        let key: Option<Vec<u8>> = row.try_get("key")?;
        let mac: Option<&str> = row.try_get("mac")?;
        Ok(Deployment {
            instance: parse("a deployment", row.try_get::<&str, _>("instance")?)?,
            node: parse("a deployment", row.try_get::<&str, _>("node")?)?,
            macs: from_json("a deployment", row.try_get::<&str, _>("macs")?)?,
            token,
            key: key.map(open).transpose()?,
            expires_ms: row.try_get("expires_at")?,
            served: row.try_get::<i64, _>("served")? != 0,
            status: DeploymentStatus::parse(row.try_get("status")?)?,
            mac: mac.map(|m| parse("a deployment", m)).transpose()?,
            last_seq: row.try_get("last_seq")?,
            report: row.try_get("report")?,
            trouble: row.try_get("trouble")?,
            id,
        })
    }

    /// Hands the boot script out: true the first time, false ever after.
    pub async fn serve_once(&self, id: &str) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE deployments SET served = 1 WHERE id = $1 AND served = 0 AND status = 'waiting'",
        )
        .bind(id)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// The token becomes a key: true the first time, false ever after.
    pub async fn exchange(&self, id: &str, mac: Mac, key: &Key32) -> Result<bool, StoreError> {
        let sealed = self.sealer.seal(id, key.expose())?;
        let mut tx = self.write().await?;
        let done = sqlx::query("UPDATE deployments SET key = $2, mac = $3, status = 'exchanged' WHERE id = $1 AND status = 'waiting'")
            .bind(id)
            .bind(sealed)
            .bind(mac.to_string())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes a request's number: false when it, or a later one, was taken before.
    pub async fn take_seq(&self, id: &str, proof: RequestProof) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE deployments SET last_seq = $2 WHERE id = $1 AND last_seq < $2 AND status IN ('exchanged', 'ready')",
        )
        .bind(id)
        .bind(proof.seq)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    pub async fn ready(&self, id: &str, report: &str) -> Result<(), StoreError> {
        self.update_deployment("UPDATE deployments SET status = 'ready', report = $2 WHERE id = $1 AND status = 'exchanged'", id, report).await
    }

    /// Ends a deployment's channel for a reason that a person should read.
    pub async fn stop_deployment(&self, id: &str, trouble: &str) -> Result<(), StoreError> {
        self.update_deployment("UPDATE deployments SET status = 'stopped', trouble = $2 WHERE id = $1 AND status <> 'over'", id, trouble).await
    }

    pub async fn end_deployment(&self, node: &Addr) -> Result<(), StoreError> {
        self.update_deployment("UPDATE deployments SET status = 'over', trouble = coalesce(trouble, $2) WHERE node = $1", &node.to_string(), "").await
    }

    async fn update_deployment(
        &self,
        sql: &'static str,
        id: &str,
        text: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(sql)
            .bind(id)
            .bind(text)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        self.bell.notify_waiters();
        Ok(())
    }

    /// Queues a command for the node's ramdisk; `line` is what comes after `id=N `. Returns N.
    pub async fn send_command(&self, deployment: &str, line: &str) -> Result<i64, StoreError> {
        let mut tx = self.write().await?;
        let id: i64 = sqlx::query_scalar(
            "SELECT coalesce(max(id), 0) + 1 FROM commands WHERE deployment = $1",
        )
        .bind(deployment)
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query("INSERT INTO commands (deployment, id, line) VALUES ($1, $2, $3)")
            .bind(deployment)
            .bind(id)
            .bind(format!("id={id} {line}"))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        self.bell.notify_waiters();
        Ok(id)
    }

    /// The oldest command that has not been answered. Sent again after a lost answer: the ramdisk's `next` asks for it.
    pub async fn next_command(&self, deployment: &str) -> Result<Option<Command>, StoreError> {
        let row = sqlx::query(
            "SELECT id, line, status, message FROM commands WHERE deployment = $1 AND status IS NULL ORDER BY id LIMIT 1",
        )
        .bind(deployment)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|r| read_command(&r)).transpose()
    }

    pub async fn command(&self, deployment: &str, id: i64) -> Result<Option<Command>, StoreError> {
        let row = sqlx::query(
            "SELECT id, line, status, message FROM commands WHERE deployment = $1 AND id = $2",
        )
        .bind(deployment)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|r| read_command(&r)).transpose()
    }

    /// Notes a command's answer: false when there is no such command or it was answered before.
    pub async fn answer_command(
        &self,
        deployment: &str,
        id: i64,
        status: &str,
        message: &str,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let done = sqlx::query("UPDATE commands SET status = $3, message = $4 WHERE deployment = $1 AND id = $2 AND status IS NULL")
            .bind(deployment)
            .bind(id)
            .bind(status)
            .bind(message)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        self.bell.notify_waiters();
        Ok(done.rows_affected() == 1)
    }

    /// Lets an instance phone home once with this token; earlier tokens of the instance are void.
    pub async fn expect_phone(
        &self,
        instance: &Addr,
        token: &str,
        expires_ms: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM phones WHERE instance = $1")
            .bind(instance.to_string())
            .execute(&mut *tx)
            .await?;
        sqlx::query("INSERT INTO phones (token_sha256, instance, expires_at) VALUES ($1, $2, $3)")
            .bind(digest(token))
            .bind(instance.to_string())
            .bind(expires_ms)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Notes what an instance said: its address, or `None` when the token is unknown, late or used.
    pub async fn phone(
        &self,
        token: &str,
        said: &Phoned,
        now_ms: i64,
    ) -> Result<Option<Addr>, StoreError> {
        let mut tx = self.write().await?;
        let instance: Option<String> = sqlx::query_scalar(
            "UPDATE phones SET said = $2 WHERE token_sha256 = $1 AND said IS NULL AND expires_at > $3 RETURNING instance",
        )
        .bind(digest(token))
        .bind(to_json("a call", said)?)
        .bind(now_ms)
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        self.bell.notify_waiters();
        instance.map(|i| parse("a call", &i)).transpose()
    }

    pub async fn phoned(&self, instance: &Addr) -> Result<Option<Phoned>, StoreError> {
        let said: Option<Option<String>> =
            sqlx::query_scalar("SELECT said FROM phones WHERE instance = $1")
                .bind(instance.to_string())
                .fetch_optional(&self.pool)
                .await?;
        said.flatten().map(|s| from_json("a call", &s)).transpose()
    }

    /// Waits until something was written, here or by another process: rung at once, or after a short while.
    pub async fn changed(&self) {
        tokio::select! {
            () = self.bell.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn put_boot(
    tx: &mut sqlx::Transaction<'static, sqlx::Sqlite>,
    entry: &BootEntry,
) -> Result<(), StoreError> {
    let target = entry.target();
    let body = to_json("a boot entry", entry)?;
    for mac in &target.macs {
        sqlx::query(
            "INSERT INTO boot (mac, site, body) VALUES ($1, $2, $3)
             ON CONFLICT (mac) DO UPDATE SET site = excluded.site, body = excluded.body, served = 0",
        )
        .bind(mac.to_string())
        .bind(target.site.to_string())
        .bind(&body)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

fn read_command(row: &SqliteRow) -> Result<Command, StoreError> {
    Ok(Command {
        id: row.try_get(0)?,
        line: row.try_get(1)?,
        status: row.try_get(2)?,
        message: row.try_get(3)?,
    })
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(
    what: &str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Corrupt {
        what: what.to_owned(),
        why: e.to_string(),
    })
}

fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}
