//! `bmctl pause`, `bmctl resume` and `bmctl abort`: what another terminal may ask of a run

use std::time::Duration;

use super::context::{self, ConfigArgs};
use super::out::Out;
use super::{CommandResult, Exit, Failure, Global, locate};
use crate::apply::{Request, WallClock};
use crate::drivers::Clock;
use crate::store::Store;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run; the one that goes on, without it
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// The run is a simulation, whose state is kept apart
    #[arg(long)]
    sim: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// How often it is looked whether the run has heard.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A run looks for requests every half second; one that has not heard by then is not there.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

pub async fn ask(global: &Global, args: Args, request: Request, out: &Out) -> CommandResult {
    let store = locate::open(global, &args.config, args.sim, out).await?;
    let run = match args.run {
        Some(run) => known(&store, run).await?,
        None => store.open_run().await?.ok_or_else(|| {
            Failure::new(
                Exit::Error,
                "no run goes on: expected an apply or a destroy in another terminal; `bmctl runs` lists those that were",
            )
        })?,
    };
    let by = context::whoami();
    let seq = store.ask(&run, request, &by, WallClock.now_ms()).await?;
    if !heard(&store, seq).await? {
        store.take_back(seq).await?;
        return Err(Failure::new(
            Exit::Error,
            format!(
                "run {run} has not answered within {} s: its process is gone or stands still; nothing was asked, and the next apply settles what a dead run has left",
                HEARD_WITHIN.as_secs()
            ),
        ));
    }
    out.line(&match request {
        Request::Pause => {
            format!("Run {run} is paused: what runs goes to its end. `bmctl resume` goes on.")
        }
        Request::Resume => format!("Run {run} goes on."),
        Request::Abort => {
            format!("Run {run} ends: what runs goes to its end, and nothing else is started.")
        }
    });
    Ok(Exit::Done)
}

async fn known(store: &Store, run: String) -> Result<String, Failure> {
    let runs = store.runs().await?;
    let why = match runs.iter().find(|r| r.id == run) {
        Some(row) if row.finished_ms.is_none() => return Ok(run),
        Some(_) => "it has ended",
        None => "there is none of this name",
    };
    Err(Failure::new(
        Exit::Error,
        format!("run {run}: {why}; `bmctl runs` lists them"),
    ))
}

async fn heard(store: &Store, seq: i64) -> Result<bool, Failure> {
    let limit = tokio::time::Instant::now() + HEARD_WITHIN;
    while tokio::time::Instant::now() < limit {
        if store.was_heard(seq).await? {
            return Ok(true);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(false)
}
