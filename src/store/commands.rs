//! Commands to the ramdisks of booting nodes, and what they answer.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use super::StoreError;
use super::handle::{Store, Write, cells};
use super::sums::Table;
use super::value::{Value, values};

/// A command to a ramdisk and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub id: i64,
    pub line: String,
    /// `ok` or `error`, when it has answered.
    pub status: Option<String>,
    pub message: Option<String>,
}

/// How often another process's writes are looked for.
const POLL: Duration = Duration::from_millis(200);

const OF_DEPLOYMENT: &str = "deployment = $1 ORDER BY id";

impl Store {
    /// Queues a command for the node's ramdisk; `line` is what comes after `id=N `. Returns N. One sender at a time has a
    /// deployment: a command that is found under the number it was given is the one that was sent.
    pub async fn send_command(&self, deployment: &str, line: &str) -> Result<i64, StoreError> {
        let given = AtomicI64::new(0);
        self.patiently(|| async {
            let mut write = self.write().await?;
            let all = write
                .find(Table::Commands, OF_DEPLOYMENT, values![deployment])
                .await?;
            let sent = commands(deployment, all)?;
            let earlier = given.load(Ordering::Relaxed);
            if sent.iter().any(|c| c.id == earlier) {
                return Ok(earlier);
            }
            let id = sent.last().map_or(0, |c| c.id) + 1;
            given.store(id, Ordering::Relaxed);
            let line = format!("id={id} {line}");
            let row = values![deployment, id, line, Value::Null, Value::Null];
            write.add(Table::Commands, vec![row]).await?;
            write.commit().await?;
            self.bell.notify_waiters();
            Ok(id)
        })
        .await
    }

    /// The oldest command that has not been answered. Sent again after a lost answer: the ramdisk's `next` asks for it.
    pub async fn next_command(&self, deployment: &str) -> Result<Option<Command>, StoreError> {
        let all = self.commands_of(deployment).await?;
        Ok(all.into_iter().find(|c| c.status.is_none()))
    }

    /// One that was sent.
    pub async fn command(&self, deployment: &str, id: i64) -> Result<Command, StoreError> {
        let all = self.commands_of(deployment).await?;
        let found = all.into_iter().find(|c| c.id == id);
        found.ok_or_else(|| missing(deployment, id))
    }

    async fn commands_of(&self, deployment: &str) -> Result<Vec<Command>, StoreError> {
        self.patiently(|| async {
            let mut read = self.read().await?;
            let args = values![deployment];
            let all = read.find(Table::Commands, OF_DEPLOYMENT, args).await?;
            commands(deployment, all)
        })
        .await
    }

    /// Notes a command's answer: false when there is no such command or it was answered before.
    pub async fn answer_command(
        &self,
        deployment: &str,
        id: i64,
        status: &str,
        message: &str,
    ) -> Result<bool, StoreError> {
        let is_asked_again = AtomicBool::new(false);
        self.patiently(|| async {
            let again = is_asked_again.swap(true, Ordering::Relaxed);
            let mut write = self.write().await?;
            let key = values![deployment, id];
            let Some(row) = write.one(Table::Commands, key).await? else {
                return Ok(false);
            };
            let [deployment, id, line, known, said] = cells(row)?;
            let (answer, text) = (Value::from(status), Value::from(message));
            if known != Value::Null {
                return Ok(again && known == answer && said == text);
            }
            let row = vec![deployment, id, line, answer, text];
            write.put(Table::Commands, vec![row]).await?;
            write.commit().await?;
            self.bell.notify_waiters();
            Ok(true)
        })
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

fn missing(deployment: &str, id: i64) -> StoreError {
    let what = format!("command {id} of deployment {deployment}");
    StoreError::corrupt(what, "it is missing")
}

/// All of a deployment: they are numbered from 1, so that one is missing is noticed. Who sent the last one asks for it by number.
fn commands(deployment: &str, rows: Vec<Vec<Value>>) -> Result<Vec<Command>, StoreError> {
    let mut out = Vec::with_capacity(rows.len());
    for (expected, row) in (1..).zip(rows) {
        let [_, id, line, status, message] = cells(row)?;
        let id = id.int()?;
        if id != expected {
            return Err(missing(deployment, expected));
        }
        out.push(Command {
            id,
            line: line.text()?,
            status: status.maybe(Value::text)?,
            message: message.maybe(Value::text)?,
        });
    }
    Ok(out)
}

impl Write {
    pub(super) async fn remove_commands(&mut self, deployment: &str) -> Result<(), StoreError> {
        let all = self
            .find(Table::Commands, OF_DEPLOYMENT, values![deployment])
            .await?;
        let keys = all.into_iter().map(|row| row.into_iter().take(2).collect());
        let keys = keys.collect();
        self.remove(Table::Commands, keys).await.map(drop)
    }
}
