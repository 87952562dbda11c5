//! `bmctl state`

use std::time::Duration;

use super::context::ConfigArgs;
use super::out::Out;
use super::{
    CommandResult, Exit, Failure, Global, history, locate, lock, prune, surgery, transfer,
};
use crate::apply::WallClock;
use crate::drivers::Clock as _;
use crate::ids::Addr;
use crate::store::{Actor, Forgotten, Store, Verified};

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
        /// The simulated state of `--sim`
        #[arg(long)]
        sim: bool,
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
        /// The simulated state of `--sim`
        #[arg(long)]
        sim: bool,
        /// Such as 'node.rack["r1-01"]'
        address: Addr,
    },
    /// Read all of the state and of its journal, and check every checksum
    Verify {
        #[command(flatten)]
        config: ConfigArgs,
        /// The simulated state of `--sim`
        #[arg(long)]
        sim: bool,
    },
    /// Show what became of the records: when, by whom, and what they were before
    History(history::Args),
    /// Give a resource, or all of a module, another address in the state
    Mv(surgery::MoveArgs),
    /// Forget resources; what is on the machines stays
    Rm(surgery::RemoveArgs),
    /// Put back what the last change by hand has changed
    Undo(surgery::UndoArgs),
    /// Forget runs and history that are long past
    Prune(prune::Args),
    /// Print all of the state as JSON, its secrets sealed: what is recorded, without runs and history
    Pull(transfer::PullArgs),
    /// Put what pull has printed into the place of the state; runs and history here stay, and those of where it was pulled do not
    /// come along: `bmctl init --migrate-state` carries them
    Push(transfer::PushArgs),
    /// Take a state that is older than one that was seen here, such as a copy that was brought back on purpose; or a new key
    Accept {
        #[command(flatten)]
        config: ConfigArgs,
        /// The simulated state of `--sim`
        #[arg(long)]
        sim: bool,
        /// The key that sealed the secrets is lost: forget them, and let the next apply seal those of the configuration. Passwords and
        /// user data count as changed then
        #[arg(long)]
        new_key: bool,
    },
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    match args.command {
        Command::History(args) => history::run(global, args, out).await,
        Command::Mv(args) => surgery::rename(global, args, out).await,
        Command::Rm(args) => surgery::remove(global, args, out).await,
        Command::Prune(args) => prune::run(global, args, out).await,
        Command::Pull(args) => transfer::pull(global, args, out).await,
        Command::Push(args) => transfer::push(global, args, out).await,
        Command::Undo(args) => surgery::undo(global, args, out).await,
        Command::List {
            config,
            sim,
            prefix,
            json,
        } => {
            let store = locate::open(global, &config, sim, out).await?;
            list(&store, prefix, json, out).await
        }
        Command::Show {
            config,
            sim,
            address,
        } => {
            let store = locate::open(global, &config, sim, out).await?;
            show(&store, &address, out).await
        }
        Command::Verify { config, sim } => {
            verify(&locate::open(global, &config, sim, out).await?, out).await
        }
        Command::Accept {
            config,
            sim,
            new_key: true,
        } => accept_key(global, &config, sim, out).await,
        Command::Accept {
            config,
            sim,
            new_key: false,
        } => {
            let store = locate::open(global, &config, sim, out).await?;
            let serial = store.accept().await?;
            out.line(&format!("Taken: the state with serial {serial}."));
            Ok(Exit::Done)
        }
    }
}

async fn accept_key(global: &Global, config: &ConfigArgs, sim: bool, out: &Out) -> CommandResult {
    let located = locate::locate(global, config, out)?;
    let (store, _) = located.open(sim).await?;
    let lease = lock::acquire(&store, &located.root, Duration::ZERO, out).await?;
    let forgotten = store
        .fenced(&lease)
        .forget_sealed(&Actor::here(), WallClock.now_ms())
        .await;
    lease.release().await?;
    let Forgotten {
        secrets,
        deployments,
    } = forgotten?;
    if (secrets, deployments) == (0, 0) {
        out.line("Nothing was forgotten: the key opens what is sealed.");
        return Ok(Exit::Done);
    }
    out.line(&format!(
        "Forgotten: {secrets} sealed secrets. The next apply seals those of the configuration; the BMC of a node \
         that has left it is out of reach."
    ));
    if deployments > 0 {
        out.line(&format!(
            "Given up: {deployments} deployments, whose ramdisks only answer to the old key. The next apply powers their nodes off \
             and begins those that were under way anew."
        ));
    }
    Ok(Exit::Done)
}

async fn list(store: &Store, prefix: Option<String>, json: bool, out: &Out) -> CommandResult {
    let prefix = prefix.unwrap_or_default();
    let recorded = store.recorded().await?;
    let addresses = recorded.resources.keys().map(ToString::to_string);
    let all: Vec<String> = addresses.filter(|a| a.starts_with(&prefix)).collect();
    if json {
        out.line(&serde_json::to_string_pretty(&all)?);
    } else {
        all.iter().for_each(|addr| out.line(addr));
    }
    Ok(Exit::Done)
}

async fn show(store: &Store, address: &Addr, out: &Out) -> CommandResult {
    let recorded = store.recorded().await?;
    let resource = recorded.resources.get(address).ok_or_else(|| {
        Failure::new(
            Exit::Error,
            format!("{address} is not in the state; `bmctl state list` shows what is"),
        )
    })?;
    out.line(&serde_json::to_string_pretty(resource)?);
    Ok(Exit::Done)
}

async fn verify(store: &Store, out: &Out) -> CommandResult {
    let Verified {
        rows,
        records,
        changes,
    } = store.verify().await?;
    out.line(&format!(
        "Whole: {rows} rows, {records} records of the journal and {changes} changes of the history in the {}.",
        store.place()
    ));
    Ok(Exit::Done)
}
