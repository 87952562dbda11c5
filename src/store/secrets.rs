//! Secrets that state must keep, sealed under their names.

use std::collections::BTreeMap;

use super::StoreError;
use super::handle::{Store, cells};
use super::sums::Table;
use super::value::values;
use crate::secret::Secret;

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
            Ok(())
        })
        .await
    }

    /// Forgets what is sealed with a key that is lost, and how much it was; none of it when the key is there after all.
    pub async fn forget_sealed(&self) -> Result<usize, StoreError> {
        match self.check_key().await {
            Ok(()) => return Ok(0),
            Err(StoreError::WrongKey(_)) => {}
            Err(other) => return Err(other),
        }
        let mut write = self.write().await?;
        let gone = write.take_all(Table::Secrets).await?.len();
        write.commit().await?;
        Ok(gone)
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
