//! `bmctl state mv`, `state rm`, `state undo` and `bmctl untaint`: the state mended by hand, machines left alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::context::ConfigArgs;
use super::out::Out;
use super::{CommandResult, Exit, Failure, Global, history, locate, lock};
use crate::apply::WallClock;
use crate::drivers::Clock as _;
use crate::ids::Addr;
use crate::model::{Recorded, Resource, Subject};
use crate::plan::surgery;
use crate::store::{Actor, Lease, StateChange, Store, Surgery};

/// Which state, and how long to wait for it
#[derive(Debug, clap::Args)]
pub struct Whose {
    #[command(flatten)]
    config: ConfigArgs,
    /// The simulated state of `--sim`
    #[arg(long)]
    sim: bool,
    /// How long to wait for an apply to end, such as 30s or 10m
    #[arg(long, value_name = "TIME", value_parser = lock::time, default_value = "0s", hide_default_value = true)]
    lock_timeout: Duration,
}

#[derive(Debug, clap::Args)]
pub struct MoveArgs {
    /// An address, or a module such as module.pool
    #[arg(value_parser = surgery::subject)]
    from: Subject,
    #[arg(value_parser = surgery::subject)]
    to: Subject,
    #[command(flatten)]
    whose: Whose,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// Addresses, or modules such as module.pool
    #[arg(required = true, value_name = "ADDRESS", value_parser = surgery::subject)]
    addresses: Vec<Subject>,
    #[command(flatten)]
    whose: Whose,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct UndoArgs {
    /// Undo everything that was done by hand after SERIAL, rather than the last command
    serial: Option<u64>,
    #[command(flatten)]
    whose: Whose,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Call an instance well that needs attention, after having looked at it
#[derive(Debug, clap::Args)]
pub struct UntaintArgs {
    /// Such as 'instance.web[0]'
    address: Addr,
    #[command(flatten)]
    whose: Whose,
}

/// The state with the right to change it.
pub struct Table {
    pub store: Store,
    /// Where files that go with it are kept.
    pub dir: PathBuf,
    lease: Lease,
    recorded: Recorded,
}

impl Table {
    pub async fn open(global: &Global, whose: &Whose, out: &Out) -> Result<Table, Failure> {
        let located = locate::locate(global, &whose.config, out)?;
        let (store, dir) = located.open(whose.sim).await?;
        let lease = lock::acquire(&store, &located.root, whose.lock_timeout, out).await?;
        let store = store.fenced(&lease);
        let recorded = store.recorded().await?;
        Ok(Table {
            store,
            dir,
            lease,
            recorded,
        })
    }

    async fn operate(&self, what: Surgery, changes: &[StateChange]) -> Result<u64, Failure> {
        let (by, now) = (Actor::here(), WallClock.now_ms());
        Ok(self.store.operate(what, &by, now, changes).await?)
    }

    /// Gives the right back, whatever became of it.
    pub async fn close<T>(self, ended: Result<T, Failure>) -> Result<T, Failure> {
        let released = self.lease.release().await;
        let ended = ended?;
        released?;
        Ok(ended)
    }
}

pub async fn rename(global: &Global, args: MoveArgs, out: &Out) -> CommandResult {
    let table = Table::open(global, &args.whose, out).await?;
    let ended = table.rename(&args, out).await;
    table.close(ended).await
}

pub async fn remove(global: &Global, args: RemoveArgs, out: &Out) -> CommandResult {
    let table = Table::open(global, &args.whose, out).await?;
    let ended = table.remove(&args, out).await;
    table.close(ended).await
}

pub async fn undo(global: &Global, args: UndoArgs, out: &Out) -> CommandResult {
    let table = Table::open(global, &args.whose, out).await?;
    let ended = table.undo(&args, out).await;
    table.close(ended).await
}

pub async fn untaint(global: &Global, args: UntaintArgs, out: &Out) -> CommandResult {
    let table = Table::open(global, &args.whose, out).await?;
    let ended = table.untaint(&args.address, out).await;
    table.close(ended).await
}

impl Table {
    async fn rename(&self, args: &MoveArgs, out: &Out) -> CommandResult {
        let moves = surgery::renamings(&self.recorded, &args.from, &args.to)?;
        let change = StateChange::Move(moves.clone());
        let serial = self.operate(Surgery::Move, &[change]).await?;
        if args.json {
            let said = serde_json::json!({ "serial": serial, "moved": moves });
            out.line(&serde_json::to_string_pretty(&said)?);
            return Ok(Exit::Done);
        }
        for (from, to) in &moves {
            out.line(&format!("{from} is {to}"));
        }
        out.note("The configuration must call them so too, or the next plan takes them down.");
        Ok(Exit::Done)
    }

    async fn remove(&self, args: &RemoveArgs, out: &Out) -> CommandResult {
        let forgotten = surgery::removals(&self.recorded, &args.addresses)?;
        let stays = surgery::left_alone(&self.recorded, &forgotten);
        let changes = self.forget(&forgotten);
        let serial = self.operate(Surgery::Remove, &changes).await?;
        if args.json {
            let said =
                serde_json::json!({ "serial": serial, "forgotten": forgotten, "stays": stays });
            out.line(&serde_json::to_string_pretty(&said)?);
            return Ok(Exit::Done);
        }
        for addr in &forgotten {
            out.line(&format!("{addr} is forgotten"));
        }
        for line in &stays {
            out.line(line);
        }
        out.note("`bmctl state undo` brings the records back.");
        Ok(Exit::Done)
    }

    /// Secrets stay sealed under their names, so that what is forgotten can be brought back whole.
    fn forget(&self, forgotten: &BTreeSet<Addr>) -> Vec<StateChange> {
        let mut changes = Vec::new();
        for addr in forgotten {
            changes.push(StateChange::Remove(addr.clone()));
            if let Some(Resource::Instance(record)) = self.recorded.resources.get(addr) {
                changes.push(StateChange::Unclaim {
                    node: record.node.clone(),
                    instance: addr.clone(),
                });
            }
        }
        changes
    }

    async fn undo(&self, args: &UndoArgs, out: &Out) -> CommandResult {
        let (by, now) = (Actor::here(), WallClock.now_ms());
        let undone = self.store.undo(args.serial, &by, now).await?;
        if args.json {
            let all = undone.iter().map(|past| history::json(past, None));
            let said = serde_json::json!({ "undone": all.collect::<Vec<_>>() });
            out.line(&serde_json::to_string_pretty(&said)?);
            return Ok(Exit::Done);
        }
        for past in &undone {
            out.line(&format!("undone: {}", history::line(past)));
        }
        out.note("That is in the history too: `bmctl state undo` takes it back, `bmctl state undo SERIAL` goes further back.");
        Ok(Exit::Done)
    }

    async fn untaint(&self, addr: &Addr, out: &Out) -> CommandResult {
        let record = surgery::untainted(&self.recorded, addr)?;
        let power = record.desired.power_state;
        let well = StateChange::Put(addr.clone(), Box::new(Resource::Instance(Box::new(record))));
        self.operate(Surgery::Untaint, &[well]).await?;
        let power = match power {
            crate::model::PowerState::On => "running",
            crate::model::PowerState::Off => "off",
        };
        out.line(&format!(
            "{addr} is recorded as {power}; `bmctl plan` looks whether it is."
        ));
        Ok(Exit::Done)
    }
}
