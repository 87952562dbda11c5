//! One-shot tokens of instances that are to phone home, and what they said; only the token's digest is kept.

use sha2::{Digest, Sha256};

use super::handle::Store;
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
            let sql = "DELETE FROM phones WHERE instance = $1";
            write.tx.execute(sql, values![instance]).await?;
            let sql = "INSERT INTO phones (token_sha256, instance, expires_at) VALUES ($1, $2, $3)";
            let args = values![digest(token), instance, expires_ms];
            write.tx.execute(sql, args).await?;
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
        let mut write = self.write().await?;
        let sql = "UPDATE phones SET said = $2 WHERE token_sha256 = $1 AND said IS NULL AND expires_at > $3 RETURNING instance";
        let args = values![digest(token), to_json("a call", said)?, now_ms];
        let row = write.tx.row(sql, args).await?;
        write.commit().await?;
        self.bell.notify_waiters();
        let Some(row) = row else { return Ok(None) };
        let [instance] = row.cells()?;
        parse("a call", &instance.text()?).map(Some)
    }

    pub async fn phoned(&self, instance: &Addr) -> Result<Option<Phoned>, StoreError> {
        self.patiently(|| async {
            let sql = "SELECT said FROM phones WHERE instance = $1";
            let row = self.read().await?.tx.row(sql, values![instance]).await?;
            let Some(row) = row else { return Ok(None) };
            let [said] = row.cells()?;
            let said = said.maybe(Value::text)?;
            said.map(|s| from_json("a call", &s)).transpose()
        })
        .await
    }
}

fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}
