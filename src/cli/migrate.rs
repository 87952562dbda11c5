//! `bmctl init --migrate-state`: the state goes to the backend that the configuration names.

use std::path::Path;
use std::time::Duration;

use super::context::ConfigArgs;
use super::locate::{self, Located};
use super::out::Out;
use super::{CommandResult, Exit, Failure, Global, lock};
use crate::config::StateBackend;
use crate::secret::Secret;
use crate::store::{Sealer, Store, Verified, Workspace};

/// The workspace of a state in PostgreSQL when none is named.
const WORKSPACE: &str = "default";

/// Carries everything over, with runs, journal and history, reads it back, and marks the old state as moved.
pub async fn run(
    global: &Global,
    config: &ConfigArgs,
    from: Option<&str>,
    out: &Out,
) -> CommandResult {
    let located = locate::locate(global, config, out)?;
    let old = open_old(&located, from).await?;
    let (new, _) = located.open(false).await?;
    if old.place() == new.place() {
        let text = "the state is where the configuration says already: nothing was done";
        return Err(Failure::new(Exit::Usage, text));
    }
    let alone = Duration::ZERO;
    let old_lease = lock::acquire(&old, &located.root, alone, out).await?;
    let new_lease = lock::acquire(&new, &located.root, alone, out).await?;
    let (old, new) = (old.fenced(&old_lease), new.fenced(&new_lease));
    if let Some(open) = old.unfinished().await?.first() {
        let text = format!(
            "{}: a step of run {} is in doubt ({}): apply once more with the old backend, then migrate",
            old.place(),
            open.run,
            open.step.subject
        );
        return Err(Failure::new(Exit::Error, text));
    }
    let Verified {
        rows,
        records,
        changes,
    } = new.take_over(&old).await?;
    new_lease.release().await?;
    old.mark_moved(new.place()).await?;
    out.line(&format!(
        "Moved from {} to {}, and read back there: {rows} rows, {records} records of the journal and {changes} changes of the history. The old state is kept, and refused from here on.",
        old.place(),
        new.place()
    ));
    Ok(Exit::Done)
}

/// `DIR` of a state in SQLite, `env:NAME` or `env:NAME/WORKSPACE` of one in PostgreSQL. Left out, it is `.bmctl` for a
/// configuration that names PostgreSQL.
async fn open_old(located: &Located, from: Option<&str>) -> Result<Store, Failure> {
    let sealer = Sealer::new(located.key.clone());
    let sqlite = match (from, &located.backend) {
        (Some(from), _) => match from.strip_prefix("env:") {
            Some(named) => {
                let (name, workspace) = named.split_once('/').unwrap_or((named, WORKSPACE));
                let url = std::env::var(name).map_err(|_| {
                    Failure::new(
                        Exit::Usage,
                        format!("--from env:{name}: there is no such variable"),
                    )
                })?;
                let workspace = Workspace::Real(workspace.to_owned());
                return Ok(Store::connect(&Secret::new(url), &workspace, sealer).await?);
            }
            None => from,
        },
        (None, StateBackend::Postgres { .. }) => ".bmctl",
        (None, StateBackend::Sqlite { .. }) => {
            let text = "--migrate-state: say where the state is: --from DIR, or --from env:NAME for the URL of a PostgreSQL server";
            return Err(Failure::new(Exit::Usage, text));
        }
    };
    let dir = located.root.join(sqlite);
    if !is_state(&dir) {
        let text = format!("{}: there is no state.db to migrate from", dir.display());
        return Err(Failure::new(Exit::Error, text));
    }
    Ok(Store::open(&dir, sealer).await?)
}

fn is_state(dir: &Path) -> bool {
    dir.join("state.db").is_file()
}
