//! `bmctl state`

use super::context::{self, ConfigArgs};
use super::out::Out;
use super::{CommandResult, Exit, Failure, Global};
use crate::ids::Addr;

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
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let config = match &args.command {
        Command::List { config, .. } | Command::Show { config, .. } | Command::Runs { config } => {
            config
        }
    };
    let configured = context::configure(global, config, out)?;
    let (store, _) = context::open_store(
        &configured.root,
        &configured.loaded.settings.state,
        &configured.key,
        false,
    )
    .await?;
    let recorded = store.recorded().await?;
    match args.command {
        Command::List {
            prefix,
            json,
            config: _,
        } => {
            let prefix = prefix.unwrap_or_default();
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
                out.line(&format!(
                    "{}  started {} ms  {outcome}",
                    run.id, run.started_ms
                ));
            }
        }
    }
    Ok(Exit::Done)
}
