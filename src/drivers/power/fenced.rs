//! Power that is touched only while the right to apply is held: a process that was paused past its lease and comes back must not
//! switch a machine that another has taken up since.

use std::sync::Arc;

use async_trait::async_trait;

use crate::drivers::{Done, DriverError, PowerAct, PowerLook, Stop, Trouble};
use crate::model::{BootSeen, Firmware, PowerSeen};
use crate::plan::Bmc;
use crate::plan::step::{BootDevice, Persistence};
use crate::secret::Secret;

/// Asks before each act whether the lease still counts, by this machine's own clock: that needs no answer from anybody.
pub struct Fenced {
    pub inner: Arc<dyn PowerAct>,
    pub is_sure: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Fenced {
    fn check(&self, bmc: &Bmc) -> Done<()> {
        if (self.is_sure)() {
            return Ok(());
        }
        Err(DriverError::new(
            Trouble::Conflict,
            format!(
                "{}: the right to apply is lost or past its term: nothing was sent to the BMC",
                bmc.node
            ),
        ))
    }
}

#[async_trait]
impl PowerLook for Fenced {
    async fn status(&self, bmc: &Bmc, password: &Secret) -> Done<PowerSeen> {
        self.inner.status(bmc, password).await
    }

    async fn boot_device(&self, bmc: &Bmc, password: &Secret) -> Done<BootSeen> {
        self.inner.boot_device(bmc, password).await
    }
}

#[async_trait]
impl PowerAct for Fenced {
    async fn on(&self, bmc: &Bmc, password: &Secret) -> Done<()> {
        self.check(bmc)?;
        self.inner.on(bmc, password).await
    }

    async fn off(&self, bmc: &Bmc, password: &Secret, how: Stop) -> Done<()> {
        self.check(bmc)?;
        self.inner.off(bmc, password, how).await
    }

    async fn reset(&self, bmc: &Bmc, password: &Secret) -> Done<()> {
        self.check(bmc)?;
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
        self.check(bmc)?;
        self.inner
            .set_boot_device(bmc, password, device, persistence, firmware)
            .await
    }
}
