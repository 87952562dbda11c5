//! `bmctl state`

use super::context::{self, ConfigArgs};
use super::out::Out;
use super::{CommandResult, Exit, Failure, Global, lock};
use crate::ids::Addr;
use crate::store::Verified;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the addresses that state records
    List {
        #[command(flatten)]
        config: ConfigArgs,
        /// Only those that start with PREFIX
        prefix: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one resource as state records it
    Show {
        #[command(flatten)]
        config: ConfigArgs,
        /// Such as 'node.rack["r1-01"]'
        address: Addr,
    },
    /// List the runs of apply
    Runs {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Read all of the state and of its journal, and check every checksum
    Verify {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Take a state that is older than one that was seen here, such as a copy that was brought back on purpose
    Accept {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let config = match &args.command {
        Command::List { config, .. }
        | Command::Show { config, .. }
        | Command::Runs { config }
        | Command::Verify { config }
        | Command::Accept { config } => config,
    };
    let configured = context::configure(global, config, out)?;
    let (store, _) = context::open_store(
        &configured.root,
        &configured.loaded.settings.state,
        &configured.key,
        false,
    )
    .await?;
    match args.command {
        Command::List {
            prefix,
            json,
            config: _,
        } => {
            let prefix = prefix.unwrap_or_default();
            let recorded = store.recorded().await?;
            let all: Vec<String> = recorded
                .resources
                .keys()
                .map(ToString::to_string)
                .filter(|a| a.starts_with(&prefix))
                .collect();
            if json {
                out.line(&serde_json::to_string_pretty(&all)?);
            } else {
                all.iter().for_each(|addr| out.line(addr));
            }
        }
        Command::Show { address, config: _ } => {
            let recorded = store.recorded().await?;
            let resource = recorded.resources.get(&address).ok_or_else(|| {
                Failure::new(
                    Exit::Error,
                    format!("{address} is not in the state; `bmctl state list` shows what is"),
                )
            })?;
            out.line(&serde_json::to_string_pretty(resource)?);
        }
        Command::Runs { config: _ } => {
            for run in store.runs().await? {
                let outcome = run.outcome.as_deref().unwrap_or("did not end");
                let by = run.by.map(|by| format!("  by {by}")).unwrap_or_default();
                let started = lock::utc(run.started_ms);
                out.line(&format!("{}  {started}  {outcome}{by}", run.id));
            }
        }
        Command::Verify { config: _ } => {
            let Verified { rows, records } = store.verify().await?;
            out.line(&format!(
                "Whole: {rows} rows and {records} records of the journal in the {}.",
                store.place()
            ));
        }
        Command::Accept { config: _ } => {
            let serial = store.accept().await?;
            out.line(&format!("Taken: the state with serial {serial}."));
        }
    }
    Ok(Exit::Done)
}
