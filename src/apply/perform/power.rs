//! Power and boot device: look, and only when it is not as it is to be, send the command, once, and look again.

use std::time::Duration;

use super::{Ended, already, done};
use crate::drivers::{Done, DriverError, Drivers, Stop, Trouble};
use crate::model::{Firmware, PowerSeen};
use crate::plan::Bmc;
use crate::plan::step::{BootDevice, Manner, Persistence};
use crate::secret::Secret;

/// How often a BMC is asked whether the power has changed: often enough for a fast one, seldom enough for a slow one.
const POWER_POLL: Duration = Duration::from_millis(500);
/// After this a command that changed nothing is sent once more.
const POWER_RESEND: Duration = Duration::from_secs(20);

/// The BMC's word on a node's power; a failed question is "unknown", with its reason.
pub async fn look_at_power(drivers: &Drivers, bmc: &Bmc) -> PowerSeen {
    let seen = async {
        let password = drivers.ledger.bmc_password(&bmc.node).await?;
        drivers.power.status(bmc, &password).await
    };
    seen.await.unwrap_or_else(|e| PowerSeen::Unknown(e.message))
}

/// Look, and only when the node is off, send the command and look until it is on.
pub(super) async fn on(bmc: &Bmc, drivers: &Drivers) -> Ended {
    let password = drivers.ledger.bmc_password(&bmc.node).await?;
    if is_surely(bmc, drivers, &password, &PowerSeen::On).await? {
        return already("on");
    }
    switch(bmc, drivers, &password, Switch::On).await?;
    done("on")
}

/// Look first: a node that was off when the plan was made and is on by now is in somebody's use, and stays as it is.
pub(super) async fn off(
    bmc: &Bmc,
    how: Manner,
    planned: Option<&PowerSeen>,
    drivers: &Drivers,
) -> Ended {
    let password = drivers.ledger.bmc_password(&bmc.node).await?;
    if is_surely(bmc, drivers, &password, &PowerSeen::Off).await? {
        return already("off");
    }
    if planned == Some(&PowerSeen::Off) {
        return Err(DriverError::new(
            Trouble::Conflict,
            format!(
                "{} was off when the plan was made and is on: somebody has switched it on since; nothing was done, plan again",
                bmc.node
            ),
        ));
    }
    if let Manner::Soft { grace_s } = how {
        let grace = Duration::from_secs(u64::from(grace_s));
        // A BMC or a system that knows no button has the same end: the grace passes.
        let asked = drivers.power.off(bmc, &password, Stop::Soft).await.is_ok();
        if asked {
            tokio::select! {
                biased;
                () = reach(bmc, drivers, &password, &PowerSeen::Off) => {
                    return done("off, in order");
                }
                () = drivers.clock.sleep(grace) => {}
            }
        }
    }
    switch(bmc, drivers, &password, Switch::Off).await?;
    done(match how {
        Manner::Hard => "off",
        Manner::Soft { .. } => "switched off: the system did not end by itself",
    })
}

#[derive(Clone, Copy)]
enum Switch {
    On,
    Off,
}

/// Sends the command once, and a second time only after a long silence: boards are upset by a stream of them (row P20).
async fn switch(bmc: &Bmc, drivers: &Drivers, password: &Secret, to: Switch) -> Done<()> {
    let wanted = match to {
        Switch::On => PowerSeen::On,
        Switch::Off => PowerSeen::Off,
    };
    loop {
        match to {
            Switch::On => drivers.power.on(bmc, password).await?,
            Switch::Off => drivers.power.off(bmc, password, Stop::Hard).await?,
        }
        tokio::select! {
            biased;
            () = reach(bmc, drivers, password, &wanted) => return Ok(()),
            () = drivers.clock.sleep(POWER_RESEND) => {}
        }
    }
}

/// Looks until it is so. BMCs are often mute while the power changes: silence here is waited out, within the step's limit.
async fn reach(bmc: &Bmc, drivers: &Drivers, password: &Secret, wanted: &PowerSeen) {
    loop {
        drivers.clock.sleep(POWER_POLL).await;
        if is_surely(bmc, drivers, password, wanted).await == Ok(true) {
            return;
        }
    }
}

/// Two looks that agree: boards have been seen to say what was, or what will be, while the relay moves, and nobody looks again
/// at a node that is said to be off already.
async fn is_surely(
    bmc: &Bmc,
    drivers: &Drivers,
    password: &Secret,
    wanted: &PowerSeen,
) -> Done<bool> {
    if known(bmc, drivers, password).await? != *wanted {
        return Ok(false);
    }
    drivers.clock.sleep(POWER_POLL).await;
    Ok(known(bmc, drivers, password).await? == *wanted)
}

async fn known(bmc: &Bmc, drivers: &Drivers, password: &Secret) -> Done<PowerSeen> {
    match drivers.power.status(bmc, password).await? {
        PowerSeen::Unknown(why) => Err(DriverError::new(
            Trouble::Silent,
            format!(
                "power of {}: the BMC at {} cannot say ({why}); nothing was done",
                bmc.node, bmc.endpoint
            ),
        )),
        seen @ (PowerSeen::On | PowerSeen::Off) => Ok(seen),
    }
}

/// A hint that the machine follows at its next start; only the BMC's word tells whether it was taken.
pub(super) async fn set_boot_device(
    bmc: &Bmc,
    device: BootDevice,
    persistence: Persistence,
    firmware: Firmware,
    drivers: &Drivers,
) -> Ended {
    let password = drivers.ledger.bmc_password(&bmc.node).await?;
    drivers
        .power
        .set_boot_device(bmc, &password, device, persistence, firmware)
        .await?;
    done("accepted")
}
