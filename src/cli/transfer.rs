//! `bmctl state pull` and `state push`

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::context::{self, ConfigArgs};
use super::out::Out;
use super::surgery::{Table, Whose};
use super::{CommandResult, Exit, Failure, Global};
use crate::apply::WallClock;
use crate::drivers::Clock as _;
use crate::store::{Actor, Export, Force};

#[derive(Debug, clap::Args)]
pub struct PullArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The simulated state of `--sim`
    #[arg(long)]
    sim: bool,
}

#[derive(Debug, clap::Args)]
pub struct PushArgs {
    /// What `bmctl state pull` has printed; `-` reads standard input
    file: PathBuf,
    /// Even when it is older, of another state, or steps of a run are in doubt
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    whose: Whose,
}

pub async fn pull(global: &Global, args: PullArgs, out: &Out) -> CommandResult {
    let configured = context::configure(global, &args.config, out)?;
    let backend = &configured.loaded.settings.state;
    let (store, _) =
        context::open_store(&configured.root, backend, &configured.key, args.sim).await?;
    out.print(&store.pull().await?.to_text()?);
    Ok(Exit::Done)
}

pub async fn push(global: &Global, args: PushArgs, out: &Out) -> CommandResult {
    let export = Export::from_text(&read(&args.file)?)?;
    let table = Table::open(global, &args.whose, out).await?;
    let ended = replace(&table, &export, &args, out).await;
    table.close(ended).await
}

async fn replace(table: &Table, export: &Export, args: &PushArgs, out: &Out) -> CommandResult {
    let force = if args.force { Force::Yes } else { Force::No };
    let old = table.store.pull().await?;
    let backup = table.dir.join(format!("backup-{}.json", old.serial));
    keep(&backup, &old.to_text()?)?;
    let (by, now) = (Actor::here(), WallClock.now_ms());
    let serial = table.store.push(export, force, &by, now).await?;
    out.line(&format!(
        "The state is the one that was pushed, with serial {serial}; what was there before is in {}. Runs and history are those of this place, as before.",
        backup.display()
    ));
    Ok(Exit::Done)
}

fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let found = match file.as_os_str() == "-" {
        true => std::io::stdin().read_to_string(&mut text).map(|_| text),
        false => std::fs::read_to_string(file),
    };
    found.map_err(|e| Failure::new(Exit::Error, format!("{}: {e}", file.display())))
}

/// On disk before anything is replaced.
fn keep(path: &Path, text: &str) -> Result<(), Failure> {
    let put = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    put().map_err(|e| Failure::new(Exit::Error, format!("{}: {e}", path.display())))
}
