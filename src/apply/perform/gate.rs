//! Gates: a deployed instance is asked until it is as its rollout wants it, or the time is over.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::super::lifecycle::Fact;
use super::{Ended, done};
use crate::drivers::{Asked, Done, DriverError, Drivers, Look, Trouble};
use crate::ids::Addr;
use crate::model::Check;
use crate::model::event::Outcome;
use crate::plan::step::PassGate;

/// One look at a port takes no longer than this: what answers later is not up.
const LOOK: Duration = Duration::from_secs(10);

/// Asks until it is passed. A failure says what was found last, and that the instance stays what it is.
pub(super) async fn pass(pass: &PassGate, drivers: &Drivers) -> Ended {
    let PassGate { instance, gate, .. } = pass;
    let passed = match &gate.check {
        Check::PhoneHome => call(pass, drivers).await,
        Check::Tcp { port } => match at(pass, *port) {
            Ok(at) => ask(pass, Look::Tcp { at }, drivers).await,
            Err(why) => Err(why),
        },
        Check::Http { port, path, status } => match at(pass, *port) {
            Ok(at) => {
                let status = *status;
                ask(pass, Look::Http { at, path, status }, drivers).await
            }
            Err(why) => Err(why),
        },
        Check::Command { argv } => ask(pass, Look::Command { argv }, drivers).await,
    };
    passed.map_err(|found| {
        let text = format!(
            "gate `{gate}` was not passed: {found}; {instance} stays as it was deployed: mend what the gate asks for and apply again, it is asked before anybody else begins"
        );
        DriverError::new(found.kind, text)
    })
}

fn at(pass: &PassGate, port: u16) -> Done<SocketAddrV4> {
    let address = pass.address.ok_or_else(|| {
        DriverError::new(
            Trouble::Conflict,
            format!("the plan knows no address of {}; plan again", pass.instance),
        )
    })?;
    Ok(SocketAddrV4::new(address, port))
}

/// Looks, and looks again after each interval, for as long as the gate may take.
async fn ask(pass: &PassGate, look: Look<'_>, drivers: &Drivers) -> Ended {
    let gate = &pass.gate;
    let end_ms = drivers.clock.now_ms() + i64::from(gate.timeout_s) * 1000;
    let mut asked = 0u32;
    loop {
        let left = time_until(end_ms, drivers);
        // A program has all the time there is: only whoever wrote it knows how long it takes.
        let limit = match look {
            Look::Tcp { .. } | Look::Http { .. } => left.min(LOOK),
            Look::Command { .. } => left,
        };
        let about = Asked {
            instance: &pass.instance,
            node: &pass.node,
            hostname: pass.hostname.as_str(),
            address: pass.address,
            look,
            limit,
        };
        asked = asked.saturating_add(1);
        let error = match drivers.gates.look(&about).await {
            Ok(found) => return done(found),
            Err(error) => error,
        };
        let interval = Duration::from_secs(u64::from(gate.interval_s));
        if error.kind == Trouble::Conflict {
            return Err(error);
        }
        if time_until(end_ms, drivers) <= interval {
            let times = if asked == 1 { "" } else { "s" };
            let text = format!(
                "{error} (asked {asked} time{times} within {} s)",
                gate.timeout_s
            );
            return Err(DriverError::new(Trouble::TimedOut, text));
        }
        drivers.clock.sleep(interval).await;
    }
}

fn time_until(end_ms: i64, drivers: &Drivers) -> Duration {
    let left_ms = end_ms.saturating_sub(drivers.clock.now_ms());
    Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
}

async fn call(pass: &PassGate, drivers: &Drivers) -> Ended {
    let timeout_s = pass.gate.timeout_s;
    tokio::select! {
        biased;
        said = phone_home(&pass.instance, pass.hostname.as_str(), drivers) => said,
        () = drivers.clock.sleep(Duration::from_secs(u64::from(timeout_s))) => Err(DriverError::new(
            Trouble::TimedOut,
            format!("no call within {timeout_s} s; look at the instance's console"),
        )),
    }
}

pub(super) async fn phone_home(instance: &Addr, hostname: &str, drivers: &Drivers) -> Ended {
    let said = drivers.ledger.phoned(instance).await?;
    if said.hostname != hostname {
        return Err(DriverError::new(
            Trouble::Conflict,
            format!(
                "{instance} phoned home as {}, expected {hostname}; is another system on its disk?",
                said.hostname
            ),
        ));
    }
    let detail = format!("{} at {}, root {}", said.hostname, said.address, said.root);
    Ok((Outcome::Done { detail }, Some(Fact::Phoned(said))))
}
