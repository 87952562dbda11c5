//! One-shot tokens of instances that are to phone home, and what they said; only the token's digest is kept.

use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use super::handle::{Store, cells};
use super::sums::Table;
use super::value::{Value, values};
use super::{StoreError, from_json, parse, to_json};
use crate::ids::Addr;
use crate::model::recorded::Phoned;

impl Store {
    /// Lets an instance phone home once with this token; earlier tokens of the instance are void.
    pub async fn expect_phone(
        &self,
        instance: &Addr,
        token: &str,
        expires_ms: i64,
    ) -> Result<(), StoreError> {
        self.patiently(|| async {
            let mut write = self.write().await?;
            let earlier = write
                .find(Table::Phones, "instance = $1", values![instance])
                .await?;
            let keys = earlier.into_iter().map(|r| r.into_iter().take(1).collect());
            write.remove(Table::Phones, keys.collect()).await?;
            let row = values![digest(token), instance, expires_ms, Value::Null];
            write.add(Table::Phones, vec![row]).await?;
            write.commit().await
        })
        .await
    }

    /// Notes what an instance said: its address, or `None` when the token is unknown, late or used.
    pub async fn phone(
        &self,
        token: &str,
        said: &Phoned,
        now_ms: i64,
    ) -> Result<Option<Addr>, StoreError> {
        let said = Value::from(to_json("a call", said)?);
        let is_asked_again = AtomicBool::new(false);
        self.patiently(|| async {
            let again = is_asked_again.swap(true, Ordering::Relaxed);
            let mut write = self.write().await?;
            let Some(row) = write.one(Table::Phones, values![digest(token)]).await? else {
                return Ok(None);
            };
            let [token, instance, expires, known] = cells(row)?;
            let caller = parse("a call", &instance.clone().text()?)?;
            if again && known == said {
                return Ok(Some(caller));
            }
            if known != Value::Null || expires.clone().int()? <= now_ms {
                return Ok(None);
            }
            let row = vec![token, instance, expires, said.clone()];
            write.put(Table::Phones, vec![row]).await?;
            write.commit().await?;
            self.bell.notify_waiters();
            Ok(Some(caller))
        })
        .await
    }

    /// What an instance that is expected to call has said. That none is expected is said only when no row of the table is
    /// damaged or missing.
    pub async fn phoned(&self, instance: &Addr) -> Result<Option<Phoned>, StoreError> {
        self.patiently(|| async {
            let mut read = self.read().await?;
            let found = read
                .find(Table::Phones, "instance = $1", values![instance])
                .await?;
            let Some(row) = found.into_iter().next() else {
                return read.all(Table::Phones).await.map(|_| None);
            };
            let [_, _, _, said] = cells(row)?;
            let said = said.maybe(Value::text)?;
            said.map(|s| from_json("a call", &s)).transpose()
        })
        .await
    }
}

fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}
