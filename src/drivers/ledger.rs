//! What the engine keeps for itself, in the store.

use std::sync::Arc;

use async_trait::async_trait;

use super::agent::random_key;
use super::{Clock, Done, Ledger};
use crate::ids::Addr;
use crate::model::recorded::Phoned;
use crate::secret::Secret;
use crate::store::{Store, StoreError};

pub struct StoreLedger {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Ledger for StoreLedger {
    async fn claim(&self, node: &Addr, instance: &Addr) -> Done<()> {
        Ok(self.store.claim(node, instance).await?)
    }

    async fn bmc_password(&self, node: &Addr) -> Done<Secret> {
        Ok(self.store.secret(&format!("{node}/password")).await?)
    }

    async fn user_data(&self, instance: &Addr) -> Done<Option<Secret>> {
        match self.store.secret(&format!("{instance}/user_data")).await {
            Ok(secret) => Ok(Some(secret)),
            Err(StoreError::NoSecret(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn phone_token(&self, instance: &Addr, lifetime_s: u32) -> Done<Secret> {
        let token = hex::encode(random_key()?.expose());
        let expires = self.clock.now_ms() + i64::from(lifetime_s) * 1000;
        self.store.expect_phone(instance, &token, expires).await?;
        Ok(Secret::new(token))
    }

    async fn phoned(&self, instance: &Addr) -> Done<Phoned> {
        loop {
            if let Some(said) = self.store.phoned(instance).await? {
                return Ok(said);
            }
            self.store.changed().await;
        }
    }
}
