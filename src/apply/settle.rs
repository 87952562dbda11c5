//! Before anything else a run settles what an earlier one left in doubt.

use super::{perform, recover};
use crate::drivers::Drivers;
use crate::store::{StateChange, Store, StoreError};

/// Settles every step that an earlier run started and did not finish (design rule 7). Returns what was found, a line each. Whoever
/// calls it holds the right to apply: a run without an end is dead.
pub async fn settle(store: &Store, drivers: &Drivers) -> Result<Vec<String>, StoreError> {
    let mut lines = Vec::new();
    let state = store.recorded().await?.resources;
    for entry in store.unfinished().await? {
        let step = &entry.step;
        let seen = match recover::question(&step.step) {
            recover::Question::Power(bmc) => Some(perform::look_at_power(drivers, bmc).await),
            recover::Question::Nothing => None,
        };
        let verdict = recover::verdict(&step.step, seen.as_ref());
        let changes: Vec<StateChange> = recover::changes(step, &verdict, &state);
        let text = verdict.to_string();
        store
            .settled(&entry, &text, &changes, drivers.clock.now_ms())
            .await?;
        lines.push(format!(
            "{}: {} of an earlier run: {text}",
            step.subject,
            step.step.title()
        ));
    }
    store.close_dead_runs(drivers.clock.now_ms()).await?;
    Ok(lines)
}
