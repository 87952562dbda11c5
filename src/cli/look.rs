//! Looking at the metal before planning: power of the nodes a plan would touch, in parallel, bounded in time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::drivers::PowerLook;
use crate::ids::Addr;
use crate::model::{BootSeen, Observed, PowerSeen};
use crate::plan::Bmc;
use crate::secret::Secret;
use crate::store::{Happened, LeaseRow, Store, StoreError};

/// Handshakes at once; more lose packets.
const AT_ONCE: usize = 512;
/// A BMC that has not answered by then is unknown, not off.
const LIMIT: Duration = Duration::from_secs(15);

/// Nodes that a run which goes on has still to do something to, and the name of that run.
pub async fn busy(store: &Store) -> Result<BTreeMap<Addr, String>, StoreError> {
    let held = store.leases().await?.iter().any(LeaseRow::is_held);
    let Some(run) = store.open_run().await?.filter(|_| held) else {
        return Ok(BTreeMap::new());
    };
    let runs = store.runs().await?;
    let plan = match runs.iter().find(|r| r.id == run) {
        Some(row) => store.plan(&row.plan).await?,
        None => None,
    };
    let records = store.records_of_run(&run).await?;
    let ended: BTreeSet<_> = records
        .iter()
        .filter(|r| r.what != Happened::Started)
        .map(|r| r.step)
        .collect();
    let steps = plan.iter().flat_map(|p| &p.steps);
    let open = steps.filter(|s| !ended.contains(&s.id));
    Ok(open
        .filter_map(|s| Some((s.node.clone()?, format!("run {run}"))))
        .collect())
}

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
            // Who has not answered is not asked twice.
            let boot = match &seen {
                PowerSeen::Unknown(_) => None,
                PowerSeen::On | PowerSeen::Off => Some(boot(power.as_ref(), &bmc, &password).await),
            };
            (bmc.node, seen, boot)
        });
    }
    let mut observed = Observed::default();
    while let Some(done) = tasks.join_next().await {
        if let Ok((node, seen, boot)) = done {
            if let Some(boot) = boot {
                observed.boot.insert(node.clone(), boot);
            }
            observed.power.insert(node, seen);
        }
    }
    observed
}

async fn boot(power: &dyn PowerLook, bmc: &Bmc, password: &Secret) -> BootSeen {
    match tokio::time::timeout(LIMIT, power.boot_device(bmc, password)).await {
        Ok(Ok(seen)) => seen,
        Ok(Err(error)) => BootSeen::Unknown(error.message),
        Err(_) => BootSeen::Unknown(format!("no answer within {} s", LIMIT.as_secs())),
    }
}
