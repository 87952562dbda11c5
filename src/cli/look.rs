//! Looking at the metal before planning: power of the nodes a plan would touch, in parallel, bounded in time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::drivers::PowerLook;
use crate::ids::Addr;
use crate::model::{Observed, PowerSeen};
use crate::plan::Bmc;
use crate::secret::Secret;

/// Handshakes at once; more lose packets.
const AT_ONCE: usize = 512;
/// A BMC that has not answered by then is unknown, not off.
const LIMIT: Duration = Duration::from_secs(15);

/// Asks every BMC once. A silent one is `Unknown` with its reason.
pub async fn look(power: Arc<dyn PowerLook>, nodes: Vec<(Bmc, Secret)>) -> Observed {
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (bmc, password) in nodes {
        let (power, gate) = (power.clone(), gate.clone());
        tasks.spawn(async move {
            // The semaphore is never closed.
            let _permit = gate.acquire().await;
            let seen = match tokio::time::timeout(LIMIT, power.status(&bmc, &password)).await {
                Ok(Ok(seen)) => seen,
                Ok(Err(error)) => PowerSeen::Unknown(error.message),
                Err(_) => PowerSeen::Unknown(format!("no answer within {} s", LIMIT.as_secs())),
            };
            (bmc.node, seen)
        });
    }
    let mut power: BTreeMap<Addr, PowerSeen> = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        if let Ok((node, seen)) = done {
            power.insert(node, seen);
        }
    }
    Observed { power }
}
