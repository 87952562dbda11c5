//! What booting nodes say and what is said to them, but for commands.
//!
//! The protocol is in docs/design/0001-deploy-channel.md. What is refused changes nothing here. What hands something out once is
//! found again by whoever asked for it when the answer to its COMMIT was lost, and by nobody else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::boot::BootEntry;
use super::deployments::{Deployment, DeploymentStatus, Kept, NewDeployment};
use super::handle::{Store, Write, cells};
use super::moves::renamed;
use super::sums::Table;
use super::value::{Value, values};
use super::{StoreError, to_json};
use crate::ids::Addr;
use crate::secret::Key32;
use crate::units::Mac;

/// An authenticated request's number, to be taken once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestProof {
    pub seq: i64,
}

/// What becomes of a deployment that is to be changed.
enum Verdict {
    Changed,
    /// This very change was made before: its answer was lost.
    MadeBefore,
    Refused,
}

impl Store {
    /// Opens a deployment and points the node's MACs at it. Earlier deployments of the node are over: nobody asks for them any
    /// more, and they go.
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
        if write
            .one(Table::Deployments, values![new.id])
            .await?
            .is_some()
        {
            return Ok(());
        }
        let earlier = write
            .find(Table::Deployments, "node = $1", values![new.node])
            .await?;
        for row in earlier {
            write.forget_deployment(Kept::read(row)?).await?;
        }
        let sql = "SELECT coalesce(max(number), 0) + 1 FROM deployments";
        let number = match write.tx.row(sql, values![]).await? {
            Some(row) => {
                let [number] = row.cells()?;
                number.int()?
            }
            None => 1,
        };
        let kept = Kept {
            id: new.id.to_owned(),
            instance: new.instance.to_string(),
            node: new.node.to_string(),
            macs: to_json("MACs", &entry.target().macs)?,
            token,
            key: None,
            expires_ms: new.expires_ms,
            served: 0,
            status: DeploymentStatus::Waiting,
            mac: None,
            last_seq: 0,
            report: None,
            trouble: None,
            number,
        };
        write.add(Table::Deployments, vec![kept.into_row()]).await?;
        write.put_boot(entry).await?;
        write.commit().await?;
        self.bell.notify_waiters();
        Ok(())
    }

    pub async fn deployment(&self, id: &str) -> Result<Option<Deployment>, StoreError> {
        self.find_deployment("id = $1", values![id]).await
    }

    /// The open deployment of a node. That there is none is said only when no row of the table is damaged or missing.
    pub async fn deployment_of(&self, node: &Addr) -> Result<Option<Deployment>, StoreError> {
        let found = self
            .find_deployment("node = $1 AND status <> 'over'", values![node])
            .await?;
        if found.is_none() {
            self.patiently(|| async { self.read().await?.all(Table::Deployments).await })
                .await?;
        }
        Ok(found)
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
        let found = self
            .patiently(|| async {
                let mut read = self.read().await?;
                read.find(Table::Deployments, which, args.clone()).await
            })
            .await?;
        let kept = found.into_iter().next().map(Kept::read).transpose()?;
        kept.map(|kept| self.unsealed(kept)).transpose()
    }

    /// Hands the boot script out: true the first time, false ever after.
    pub async fn serve_once(&self, id: &str) -> Result<bool, StoreError> {
        let mut random = [0u8; 8];
        getrandom::fill(&mut random).map_err(|e| StoreError::Random(e.to_string()))?;
        // Never 0, which is nobody's, and never 1, which is what the second form of the state noted.
        let call = i64::from_be_bytes(random) & i64::MAX | 2;
        self.change_deployment(id, |kept| {
            if kept.served == call {
                return Verdict::MadeBefore;
            }
            if kept.served != 0 || kept.status != DeploymentStatus::Waiting {
                return Verdict::Refused;
            }
            kept.served = call;
            Verdict::Changed
        })
        .await
    }

    /// The token becomes a key: true the first time, false ever after.
    pub async fn exchange(&self, id: &str, mac: Mac, key: &Key32) -> Result<bool, StoreError> {
        // Sealed anew for each call, so that no other call has the same bytes.
        let sealed = self.sealer.seal(id, key.expose())?;
        self.change_deployment(id, |kept| {
            if kept.key.as_ref() == Some(&sealed) {
                return Verdict::MadeBefore;
            }
            if kept.status != DeploymentStatus::Waiting {
                return Verdict::Refused;
            }
            kept.key = Some(sealed.clone());
            kept.mac = Some(mac.to_string());
            kept.status = DeploymentStatus::Exchanged;
            Verdict::Changed
        })
        .await
    }

    /// Takes a request's number: false when it, or a later one, was taken before.
    pub async fn take_seq(&self, id: &str, proof: RequestProof) -> Result<bool, StoreError> {
        let is_asked_again = AtomicBool::new(false);
        self.change_deployment(id, |kept| {
            let again = is_asked_again.swap(true, Ordering::Relaxed);
            if !matches!(
                kept.status,
                DeploymentStatus::Exchanged | DeploymentStatus::Ready
            ) {
                return Verdict::Refused;
            }
            if again && kept.last_seq == proof.seq {
                return Verdict::MadeBefore;
            }
            if kept.last_seq >= proof.seq {
                return Verdict::Refused;
            }
            kept.last_seq = proof.seq;
            Verdict::Changed
        })
        .await
    }

    pub async fn ready(&self, id: &str, report: &str) -> Result<(), StoreError> {
        self.change_deployment(id, |kept| {
            if kept.status != DeploymentStatus::Exchanged {
                return Verdict::Refused;
            }
            kept.status = DeploymentStatus::Ready;
            kept.report = Some(report.to_owned());
            Verdict::Changed
        })
        .await
        .map(drop)
    }

    /// Ends a deployment's channel for a reason that a person should read.
    pub async fn stop_deployment(&self, id: &str, trouble: &str) -> Result<(), StoreError> {
        self.change_deployment(id, |kept| {
            if kept.status == DeploymentStatus::Over {
                return Verdict::Refused;
            }
            kept.status = DeploymentStatus::Stopped;
            kept.trouble = Some(trouble.to_owned());
            Verdict::Changed
        })
        .await
        .map(drop)
    }

    pub async fn end_deployment(&self, node: &Addr) -> Result<(), StoreError> {
        self.patiently(|| async {
            let mut write = self.write().await?;
            let mut rows = Vec::new();
            for row in write
                .find(Table::Deployments, "node = $1", values![node])
                .await?
            {
                let mut kept = Kept::read(row)?;
                kept.status = DeploymentStatus::Over;
                rows.push(kept.into_row());
            }
            write.put(Table::Deployments, rows).await?;
            write.commit().await?;
            self.bell.notify_waiters();
            Ok(())
        })
        .await
    }

    /// Whether it is as `change` wants it. Asked again after an outage, `change` is asked again.
    async fn change_deployment(
        &self,
        id: &str,
        change: impl Fn(&mut Kept) -> Verdict,
    ) -> Result<bool, StoreError> {
        self.patiently(|| async {
            let mut write = self.write().await?;
            let Some(row) = write.one(Table::Deployments, values![id]).await? else {
                return Ok(false);
            };
            let mut kept = Kept::read(row)?;
            match change(&mut kept) {
                Verdict::Refused => return Ok(false),
                Verdict::MadeBefore => return Ok(true),
                Verdict::Changed => {}
            }
            write.put(Table::Deployments, vec![kept.into_row()]).await?;
            write.commit().await?;
            self.bell.notify_waiters();
            Ok(true)
        })
        .await
    }
}

impl Write {
    pub(super) async fn forget_deployment(&mut self, kept: Kept) -> Result<(), StoreError> {
        self.remove_commands(&kept.id).await?;
        self.remove(Table::Deployments, vec![values![kept.id]])
            .await
            .map(drop)
    }

    /// Deployments that are open, and calls that are awaited.
    pub(super) async fn rename_calls(
        &mut self,
        moves: &BTreeMap<Addr, Addr>,
    ) -> Result<(), StoreError> {
        let mut rows = Vec::new();
        for row in self.take_all(Table::Deployments).await? {
            let mut kept = Kept::read(row)?;
            if kept.status != DeploymentStatus::Over {
                kept.instance = renamed(Value::Text(kept.instance), moves)?;
                kept.node = renamed(Value::Text(kept.node), moves)?;
            }
            rows.push(kept.into_row());
        }
        self.add(Table::Deployments, rows).await?;
        let mut rows = Vec::new();
        for row in self.take_all(Table::Phones).await? {
            let [token, instance, expires, said] = cells(row)?;
            rows.push(values![token, renamed(instance, moves)?, expires, said]);
        }
        self.add(Table::Phones, rows).await
    }
}
