//! `bmctl state pull` and `state push`

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::context::ConfigArgs;
use super::out::Out;
use super::surgery::{Table, Whose};
use super::{CommandResult, Exit, Failure, Global, locate};
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
    let store = locate::open(global, &args.config, args.sim, out).await?;
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
    let backup = keep(&table.dir, old.serial, &old.to_text()?)?;
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

/// How many states with one serial are kept in one place; who pushes that often looks after them.
const BACKUPS_MAX: u32 = 1000;

/// On disk before anything is replaced. Another workspace, or another state that was here, may have had the same serial: what was
/// kept of it stays.
fn keep(dir: &Path, serial: u64, text: &str) -> Result<PathBuf, Failure> {
    let first = format!("backup-{serial}.json");
    let others = (2..=BACKUPS_MAX).map(|nth| format!("backup-{serial}-{nth}.json"));
    for name in std::iter::once(first).chain(others) {
        let path = dir.join(name);
        match put(&path, text) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            ended => {
                return ended
                    .map(|()| path.clone())
                    .map_err(|e| Failure::new(Exit::Error, format!("{}: {e}", path.display())));
            }
        }
    }
    let place = dir.display();
    Err(Failure::new(
        Exit::Error,
        format!(
            "{place}: there are {BACKUPS_MAX} backups with serial {serial}; put them elsewhere"
        ),
    ))
}

fn put(path: &Path, text: &str) -> std::io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(mut file) => {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        }
        // A push that was refused has kept the same before.
        Err(error)
            if error.kind() == ErrorKind::AlreadyExists
                && std::fs::read(path).is_ok_and(|had| had == text.as_bytes()) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}
