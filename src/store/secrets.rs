//! Secrets that state must keep, sealed under their names.

use std::collections::{BTreeMap, BTreeSet};

use super::actor::Actor;
use super::deployments::{DeploymentStatus, Kept};
use super::handle::{Store, cells};
use super::history::Did;
use super::sums::Table;
use super::surgery::{Surgery, deed};
use super::value::values;
use super::{StoreError, parse, to_json};
use crate::ids::Addr;
use crate::secret::Secret;

/// How much nobody can open any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub secrets: usize,
    /// Of those that were under way.
    pub deployments: usize,
}

impl Store {
    /// Seals a secret under a name such as `node.a/password`.
    pub async fn put_secret(&self, name: &str, secret: &Secret) -> Result<(), StoreError> {
        self.put_secrets(&[(name.to_owned(), secret.clone())]).await
    }

    /// Seals many in one transaction; a fleet has thousands. Of two with one name the later one holds.
    pub async fn put_secrets(&self, secrets: &[(String, Secret)]) -> Result<(), StoreError> {
        let mut sealed = BTreeMap::new();
        for (name, secret) in secrets {
            sealed.insert(name, self.sealer.seal(name, secret.expose().as_bytes())?);
        }
        let rows: Vec<_> = sealed
            .into_iter()
            .map(|(name, sealed)| values![name.as_str(), sealed])
            .collect();
        self.patiently(|| async {
            let mut write = self.write().await?;
            write.put(Table::Secrets, rows.clone()).await?;
            write.commit().await
        })
        .await
    }

    /// Whether the key is that of the state. One secret tells: under another key all fingerprints differ too, and every password and
    /// all user data would look changed.
    pub async fn check_key(&self) -> Result<(), StoreError> {
        self.patiently(|| async {
            let mut read = self.read().await?;
            let first = "name = (SELECT min(name) FROM secrets)";
            for row in read.find(Table::Secrets, first, values![]).await? {
                let [name, sealed] = cells(row)?;
                self.sealer.open(&name.text()?, &sealed.blob()?)?;
            }
            let last = "number = (SELECT max(number) FROM deployments WHERE status <> 'over')";
            for row in read.find(Table::Deployments, last, values![]).await? {
                self.unsealed(Kept::read(row)?)?;
            }
            Ok(())
        })
        .await
    }

    /// Forgets what is sealed with a key that is lost, and how much it was; none of it when the key is there after all. A deployment
    /// that is under way cannot be gone on with: its ramdisk is asked with the old key.
    pub async fn forget_sealed(&self, by: &Actor, at_ms: i64) -> Result<Forgotten, StoreError> {
        match self.check_key().await {
            Ok(()) => return Ok(Forgotten::default()),
            Err(StoreError::WrongKey(_)) => {}
            Err(other) => return Err(other),
        }
        let mut write = self.write().await?;
        let gone = write.take_all(Table::Secrets).await?;
        let mut whose = BTreeSet::new();
        for row in &gone {
            let [name, _] = cells(row.clone())?;
            let name = name.text()?;
            let addr = name
                .rsplit_once('/')
                .map_or(name.as_str(), |(addr, _)| addr);
            whose.insert(parse::<Addr>("the name of a secret", addr)?);
        }
        for addr in whose {
            let row = write.one(Table::Resources, values![&addr]).await?;
            let body = row.map(|row| cells(row).and_then(|[_, body]| body.text()));
            // What has left the state may have secrets there, so that it can be brought back.
            let record = body.transpose()?;
            write.remember_change(addr, Did::Changed, record);
        }
        let mut deployments = 0;
        for row in write.all(Table::Deployments).await? {
            let kept = Kept::read(row)?;
            if self.sealer.open(&kept.id, &kept.token).is_err() {
                deployments += usize::from(kept.status != DeploymentStatus::Over);
                write.forget_deployment(kept).await?;
            }
        }
        let by = to_json("who changes the state", by)?;
        write.head.serial += 1;
        let forgotten = deed(Surgery::AcceptKey, &by, at_ms);
        write.put_history(forgotten).await?;
        write.commit().await?;
        Ok(Forgotten {
            secrets: gone.len(),
            deployments,
        })
    }

    pub async fn secret(&self, name: &str) -> Result<Secret, StoreError> {
        self.patiently(|| async {
            let row = self
                .read()
                .await?
                .one(Table::Secrets, values![name])
                .await?
                .ok_or_else(|| StoreError::NoSecret(name.to_owned()))?;
            let [_, sealed] = cells(row)?;
            self.sealer.open_text(name, &sealed.blob()?)
        })
        .await
    }
}
