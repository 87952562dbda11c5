//! One exchange with a BMC at a time, and a rest between two: boards lose sessions, or their mind, when they are hurried.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::drivers::{Clock, Done, PowerAct, PowerLook, Stop};
use crate::model::{BootSeen, Firmware, PowerSeen};
use crate::plan::Bmc;
use crate::plan::step::{BootDevice, Persistence};
use crate::secret::Secret;
use crate::units::BmcEndpoint;

/// Everything that this process asks of BMCs goes through it, whoever asks: steps, looks, what gives back.
pub struct Paced {
    inner: Arc<dyn PowerAct>,
    clock: Arc<dyn Clock>,
    /// Held during an exchange; in it, when the last one ended.
    turns: Mutex<BTreeMap<BmcEndpoint, Arc<Turn<Option<i64>>>>>,
}

impl Paced {
    pub fn over(inner: Arc<dyn PowerAct>, clock: Arc<dyn Clock>) -> Paced {
        Paced {
            inner,
            clock,
            turns: Mutex::default(),
        }
    }

    fn turn_of(&self, bmc: &Bmc) -> Arc<Turn<Option<i64>>> {
        // A panic while it was held is a bug that was reported; the map is still whole.
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(bmc.endpoint).or_default().clone()
    }

    fn rest(&self, bmc: &Bmc, ended_ms: Option<i64>) -> Option<Duration> {
        let until_ms = ended_ms?.saturating_add(i64::from(bmc.interval_ms));
        let left_ms = until_ms.saturating_sub(self.clock.now_ms());
        // A clock that was set back must not make a rest of an hour.
        let left_ms = left_ms.min(i64::from(bmc.interval_ms));
        let left_ms = u64::try_from(left_ms).ok().filter(|ms| *ms > 0)?;
        Some(Duration::from_millis(left_ms))
    }

    /// Waits until the BMC may be spoken to; its turn lasts until what is given is dropped.
    async fn turn(&self, bmc: &Bmc) -> Exchange {
        let turn = self.turn_of(bmc).lock_owned().await;
        if let Some(rest) = self.rest(bmc, *turn) {
            self.clock.sleep(rest).await;
        }
        Exchange {
            turn,
            clock: self.clock.clone(),
        }
    }
}

/// It ends when it is dropped, also by whoever has lost patience: the BMC has heard it all the same.
struct Exchange {
    turn: OwnedMutexGuard<Option<i64>>,
    clock: Arc<dyn Clock>,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        *self.turn = Some(self.clock.now_ms());
    }
}

#[async_trait]
impl PowerLook for Paced {
    async fn status(&self, bmc: &Bmc, password: &Secret) -> Done<PowerSeen> {
        let _exchange = self.turn(bmc).await;
        self.inner.status(bmc, password).await
    }

    async fn boot_device(&self, bmc: &Bmc, password: &Secret) -> Done<BootSeen> {
        let _exchange = self.turn(bmc).await;
        self.inner.boot_device(bmc, password).await
    }

    fn rest_before(&self, bmc: &Bmc) -> Option<Duration> {
        let turn = self.turn_of(bmc);
        let ended_ms = *turn.try_lock().ok()?;
        self.rest(bmc, ended_ms)
    }
}

#[async_trait]
impl PowerAct for Paced {
    async fn on(&self, bmc: &Bmc, password: &Secret) -> Done<()> {
        let _exchange = self.turn(bmc).await;
        self.inner.on(bmc, password).await
    }

    async fn off(&self, bmc: &Bmc, password: &Secret, how: Stop) -> Done<()> {
        let _exchange = self.turn(bmc).await;
        self.inner.off(bmc, password, how).await
    }

    async fn reset(&self, bmc: &Bmc, password: &Secret) -> Done<()> {
        let _exchange = self.turn(bmc).await;
        self.inner.reset(bmc, password).await
    }

    async fn set_boot_device(
        &self,
        bmc: &Bmc,
        password: &Secret,
        device: BootDevice,
        persistence: Persistence,
        firmware: Firmware,
    ) -> Done<()> {
        let _exchange = self.turn(bmc).await;
        self.inner
            .set_boot_device(bmc, password, device, persistence, firmware)
            .await
    }
}
