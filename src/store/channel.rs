//! What booting nodes say and what is said to them: deployments and their commands.
//!
//! The protocol is in docs/design/0001-deploy-channel.md. What is refused changes nothing here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::boot::BootEntry;
use super::database::Sql;
use super::handle::{Store, Write};
use super::moves::renamed;
use super::value::{Row, Value, values};
use super::{StoreError, from_json, parse, to_json};
use crate::ids::Addr;
use crate::secret::Key32;
use crate::units::Mac;

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
            .ok_or_else(|| StoreError::corrupt("a deployment", format!("status {text}")))
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

/// What a deployment is read from.
const DEPLOYMENT: &str = "SELECT id, instance, node, macs, token, key, expires_at, served, status, mac, last_seq, report, trouble FROM deployments WHERE ";

impl Store {
    /// Opens a deployment and points the node's MACs at it; any earlier deployment of the node is over.
    pub async fn open_deployment(
        &self,
        new: &NewDeployment<'_>,
        entry: &BootEntry,
    ) -> Result<(), StoreError> {
        let token = self.sealer.seal(new.id, new.token.expose())?;
        self.patiently(|| async { self.open_once(new, entry, token.clone()).await })
            .await
    }

    async fn open_once(
        &self,
        new: &NewDeployment<'_>,
        entry: &BootEntry,
        token: Vec<u8>,
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let sql = "UPDATE deployments SET status = 'over' WHERE node = $1 AND id <> $2";
        write.tx.execute(sql, values![new.node, new.id]).await?;
        write
            .tx
            .execute(
                "INSERT INTO deployments (id, instance, node, macs, token, expires_at, status, number)
                 VALUES ($1, $2, $3, $4, $5, $6, 'waiting', (SELECT coalesce(max(number), 0) + 1 FROM deployments))
                 ON CONFLICT (id) DO NOTHING",
                values![
                    new.id,
                    new.instance,
                    new.node,
                    to_json("MACs", &entry.target().macs)?,
                    token,
                    new.expires_ms,
                ],
            )
            .await?;
        write.put_boot(entry).await?;
        write.commit().await?;
        self.bell.notify_waiters();
        Ok(())
    }

    pub async fn deployment(&self, id: &str) -> Result<Option<Deployment>, StoreError> {
        self.find_deployment("id = $1", values![id]).await
    }

    /// The open deployment of a node.
    pub async fn deployment_of(&self, node: &Addr) -> Result<Option<Deployment>, StoreError> {
        self.find_deployment("node = $1 AND status <> 'over'", values![node])
            .await
    }

    /// The open deployment that a NIC belongs to.
    pub async fn deployment_by_mac(&self, mac: Mac) -> Result<Option<Deployment>, StoreError> {
        // A NIC may have moved to another node: the newest deployment is the one it boots for.
        self.find_deployment(
            "status <> 'over' AND macs LIKE '%' || $1 || '%' ORDER BY number DESC LIMIT 1",
            values![format!("\"{mac}\"")],
        )
        .await
    }

    async fn find_deployment(
        &self,
        which: &'static str,
        args: Vec<Value>,
    ) -> Result<Option<Deployment>, StoreError> {
        let sql = Sql::Built(format!("{DEPLOYMENT}{which}"));
        let row = self.find(sql, args).await?;
        row.map(|row| self.read_deployment(row)).transpose()
    }

    async fn find(&self, sql: Sql, args: Vec<Value>) -> Result<Option<Row>, StoreError> {
        self.patiently(|| async {
            let mut read = self.read().await?;
            read.tx.row(sql.clone(), args.clone()).await
        })
        .await
    }

    fn read_deployment(&self, row: Row) -> Result<Deployment, StoreError> {
        let [
            id,
            instance,
            node,
            macs,
            token,
            key,
            expires,
            served,
            status,
            mac,
            last_seq,
            report,
            trouble,
        ] = row.cells()?;
        let id = id.text()?;
        let what = "a deployment";
        let open = |sealed: Value| -> Result<Key32, StoreError> {
            let bytes = self.sealer.open(&id, &sealed.blob()?)?;
            Key32::from_slice(&bytes).ok_or_else(|| StoreError::WrongKey(id.clone()))
        };
        Ok(Deployment {
            instance: parse(what, &instance.text()?)?,
            node: parse(what, &node.text()?)?,
            macs: from_json(what, &macs.text()?)?,
            token: open(token)?,
            key: key.maybe(open)?,
            expires_ms: expires.int()?,
            served: served.int()? != 0,
            status: DeploymentStatus::parse(&status.text()?)?,
            mac: mac.maybe(|m| parse(what, &m.text()?))?,
            last_seq: last_seq.int()?,
            report: report.maybe(Value::text)?,
            trouble: trouble.maybe(Value::text)?,
            id,
        })
    }

    /// Hands the boot script out: true the first time, false ever after.
    pub async fn serve_once(&self, id: &str) -> Result<bool, StoreError> {
        let sql =
            "UPDATE deployments SET served = 1 WHERE id = $1 AND served = 0 AND status = 'waiting'";
        self.update_deployment(sql, values![id]).await
    }

    /// The token becomes a key: true the first time, false ever after.
    pub async fn exchange(&self, id: &str, mac: Mac, key: &Key32) -> Result<bool, StoreError> {
        let sealed = self.sealer.seal(id, key.expose())?;
        let sql = "UPDATE deployments SET key = $2, mac = $3, status = 'exchanged' WHERE id = $1 AND status = 'waiting'";
        self.update_deployment(sql, values![id, sealed, mac]).await
    }

    /// Takes a request's number: false when it, or a later one, was taken before.
    pub async fn take_seq(&self, id: &str, proof: RequestProof) -> Result<bool, StoreError> {
        let sql = "UPDATE deployments SET last_seq = $2 WHERE id = $1 AND last_seq < $2 AND status IN ('exchanged', 'ready')";
        self.update_deployment(sql, values![id, proof.seq]).await
    }

    pub async fn ready(&self, id: &str, report: &str) -> Result<(), StoreError> {
        let sql = "UPDATE deployments SET status = 'ready', report = $2 WHERE id = $1 AND status = 'exchanged'";
        self.repeat(sql, values![id, report]).await
    }

    /// Ends a deployment's channel for a reason that a person should read.
    pub async fn stop_deployment(&self, id: &str, trouble: &str) -> Result<(), StoreError> {
        let sql = "UPDATE deployments SET status = 'stopped', trouble = $2 WHERE id = $1 AND status <> 'over'";
        self.repeat(sql, values![id, trouble]).await
    }

    pub async fn end_deployment(&self, node: &Addr) -> Result<(), StoreError> {
        let sql = "UPDATE deployments SET status = 'over', trouble = coalesce(trouble, '') WHERE node = $1";
        self.repeat(sql, values![node]).await
    }

    /// A statement that does nothing the second time.
    async fn repeat(&self, sql: &'static str, args: Vec<Value>) -> Result<(), StoreError> {
        self.patiently(|| async { self.update_deployment(sql, args.clone()).await })
            .await?;
        Ok(())
    }

    /// Whether exactly one was as the statement wants it. Not repeated by itself: the second time the answer would be no.
    async fn update_deployment(
        &self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        let count = write.tx.execute(sql, args).await?;
        write.commit().await?;
        self.bell.notify_waiters();
        Ok(count == 1)
    }

    /// Queues a command for the node's ramdisk; `line` is what comes after `id=N `. Returns N.
    pub async fn send_command(&self, deployment: &str, line: &str) -> Result<i64, StoreError> {
        let mut write = self.write().await?;
        let sql = "SELECT coalesce(max(id), 0) + 1 FROM commands WHERE deployment = $1";
        let id = match write.tx.row(sql, values![deployment]).await? {
            Some(row) => {
                let [id] = row.cells()?;
                id.int()?
            }
            None => 1,
        };
        let sql = "INSERT INTO commands (deployment, id, line) VALUES ($1, $2, $3)";
        let args = values![deployment, id, format!("id={id} {line}")];
        write.tx.execute(sql, args).await?;
        write.commit().await?;
        self.bell.notify_waiters();
        Ok(id)
    }

    /// The oldest command that has not been answered. Sent again after a lost answer: the ramdisk's `next` asks for it.
    pub async fn next_command(&self, deployment: &str) -> Result<Option<Command>, StoreError> {
        self.find_command(
            "SELECT id, line, status, message FROM commands WHERE deployment = $1 AND status IS NULL ORDER BY id LIMIT 1",
            values![deployment],
        )
        .await
    }

    pub async fn command(&self, deployment: &str, id: i64) -> Result<Option<Command>, StoreError> {
        self.find_command(
            "SELECT id, line, status, message FROM commands WHERE deployment = $1 AND id = $2",
            values![deployment, id],
        )
        .await
    }

    async fn find_command(
        &self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Option<Command>, StoreError> {
        let row = self.find(sql.into(), args).await?;
        let Some(row) = row else { return Ok(None) };
        let [id, line, status, message] = row.cells()?;
        Ok(Some(Command {
            id: id.int()?,
            line: line.text()?,
            status: status.maybe(Value::text)?,
            message: message.maybe(Value::text)?,
        }))
    }

    /// Notes a command's answer: false when there is no such command or it was answered before.
    pub async fn answer_command(
        &self,
        deployment: &str,
        id: i64,
        status: &str,
        message: &str,
    ) -> Result<bool, StoreError> {
        self.update_deployment(
            "UPDATE commands SET status = $3, message = $4 WHERE deployment = $1 AND id = $2 AND status IS NULL",
            values![deployment, id, status, message],
        )
        .await
    }

    /// Waits until something was written, here or by another process: rung at once, or after a short while.
    pub async fn changed(&self) {
        tokio::select! {
            () = self.bell.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

impl Write {
    /// Deployments that are open, and calls that are awaited.
    pub(super) async fn rename_calls(
        &mut self,
        moves: &BTreeMap<Addr, Addr>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT id, instance, node FROM deployments WHERE status <> 'over'";
        let open = self.tx.rows(sql, values![]).await?;
        // A node has one open deployment, and nodes may change names in a row: none has its new name before all have given up
        // their old ones.
        let sql = "UPDATE deployments SET node = id WHERE status <> 'over'";
        self.tx.execute(sql, values![]).await?;
        for row in open {
            let [id, instance, node] = row.cells()?;
            let (instance, node) = (renamed(instance, moves)?, renamed(node, moves)?);
            let sql = "UPDATE deployments SET instance = $2, node = $3 WHERE id = $1";
            self.tx.execute(sql, values![id, instance, node]).await?;
        }
        let sql = "SELECT token_sha256, instance FROM phones";
        for row in self.tx.rows(sql, values![]).await? {
            let [token, instance] = row.cells()?;
            let new = renamed(instance, moves)?;
            let sql = "UPDATE phones SET instance = $2 WHERE token_sha256 = $1";
            self.tx.execute(sql, values![token, new]).await?;
        }
        Ok(())
    }
}
