//! `bmctl lock`, and how apply takes the lock.

use std::path::Path;
use std::time::{Duration, Instant};

use super::context::ConfigArgs;
use super::out::Out;
use super::{CommandResult, Exit, Failure, Global, locate};
use crate::drivers::child;
use crate::store::{Actor, Force, Lease, LeaseRow, Store, StoreError, TERM, Waiting};
use crate::units::utc;

/// Who may apply: list it, or take it away
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show who holds the lock: since when, from which host and CI job, and when it expires
    List {
        #[command(flatten)]
        config: ConfigArgs,
        /// The lock of the simulated state of `--sim`
        #[arg(long)]
        sim: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take the lock from a holder that is gone; with --force, from one that lives
    Release {
        #[command(flatten)]
        config: ConfigArgs,
        /// The lock of the simulated state of `--sim`
        #[arg(long)]
        sim: bool,
        /// Even when its holder seems to live: that apply ends without writing anything more
        #[arg(long)]
        force: bool,
    },
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    match args.command {
        Command::List { config, sim, json } => {
            let store = locate::open(global, &config, sim, out).await?;
            let mut held: Vec<LeaseRow> = store.leases().await?;
            held.retain(|lease| lease.holder.is_some());
            if json {
                let all: Vec<_> = held.iter().map(as_json).collect();
                out.line(&serde_json::to_string_pretty(&all)?);
                return Ok(Exit::Done);
            }
            if held.is_empty() {
                out.line("Nobody holds the lock.");
            }
            held.iter().for_each(|lease| show(lease, out));
        }
        Command::Release { config, sim, force } => {
            let store = locate::open(global, &config, sim, out).await?;
            let force = if force { Force::Yes } else { Force::No };
            let released = store.release(force).await.map_err(refused)?;
            match released.holder {
                Some(holder) => out.line(&format!("Released; it was held by {holder}.")),
                None => out.line("Nobody held the lock."),
            }
        }
    }
    Ok(Exit::Done)
}

fn as_json(lease: &LeaseRow) -> serde_json::Value {
    serde_json::json!({
        "lock": lease.name,
        "holder": lease.holder,
        "since": utc(lease.since_ms),
        "expires": utc(lease.expires_ms),
        "is_held": lease.is_held(),
    })
}

fn show(lease: &LeaseRow, out: &Out) {
    let Some(holder) = &lease.holder else { return };
    let state = if lease.is_held() {
        let left = lease.expires_ms - lease.now_ms;
        format!("expires in {} s unless renewed", left / 1000)
    } else {
        "expired, or its process is gone: the next apply takes it".to_owned()
    };
    out.line(&format!(
        "{}: process {} of {}",
        lease.name, holder.pid, holder.user
    ));
    out.line(&format!("  host    {}", holder.host));
    out.line(&format!("  since   {}", utc(lease.since_ms)));
    if let Some(job) = &holder.ci_job {
        out.line(&format!("  CI job  {job}"));
    }
    if let Some(commit) = &holder.commit {
        out.line(&format!("  commit  {commit}"));
    }
    out.line(&format!("  {state}"));
}

/// Between two attempts to get what another holds.
const RETRY: Duration = Duration::from_millis(500);

/// Shortens the lease, for tests that wait for its end: milliseconds.
const TERM_VARIABLE: &str = "BMCTL_LEASE_MS";

/// Takes the right to apply, waiting up to `wait` for whoever has it.
pub async fn acquire(
    store: &Store,
    root: &Path,
    wait: Duration,
    out: &Out,
) -> Result<Lease, Failure> {
    let term = std::env::var(TERM_VARIABLE)
        .ok()
        .and_then(|t| t.parse().ok());
    let term = term.map_or(TERM, Duration::from_millis);
    let mut by = Actor::here();
    by.commit = commit(root);
    let begun = Instant::now();
    let mut told = false;
    loop {
        match store.acquire(&by, term).await {
            Err(StoreError::Locked { holder }) if begun.elapsed() < wait => {
                if !told {
                    out.note(&format!("Waiting for another apply ({holder}) ..."));
                    told = true;
                }
                tokio::time::sleep(RETRY).await;
            }
            ended => return ended.map_err(refused),
        }
    }
}

/// Tells the person who watches that nothing goes on because the state database does not answer.
pub fn teller(out: Out) -> impl Fn(&Waiting) + Send + Sync + 'static {
    move |waiting| match waiting {
        Waiting::Since { seconds: 0, why } => {
            out.note(&format!("Waiting for the state database: {why}"));
        }
        Waiting::Since { seconds, .. } => {
            out.note(&format!(
                "Still waiting for the state database, for {seconds} s."
            ));
        }
        Waiting::Over { seconds } => {
            out.note(&format!(
                "The state database is back after {seconds} s; going on."
            ));
        }
    }
}

fn refused(error: StoreError) -> Failure {
    let exit = if matches!(
        error,
        StoreError::Locked { .. } | StoreError::StillHeld { .. }
    ) {
        Exit::Locked
    } else {
        Exit::Error
    };
    Failure::new(exit, error.to_string())
}

/// The commit of the configuration, when it is in a git repository.
fn commit(root: &Path) -> Option<String> {
    let told = child::fetching("git")
        .arg("-C")
        .arg(root)
        .args(["rev-parse", "--verify", "--quiet", "HEAD"])
        .output()
        .ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    let text = text.trim();
    (told.status.success() && !text.is_empty()).then(|| text.to_owned())
}

/// `90`, `90s`, `10m`, `2h`.
pub fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a time such as 30s, 10m or 2h, found `{text}`");
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, text.get(number.len()..).unwrap_or_default()),
        None => (text, "s"),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "h" => number.checked_mul(3600),
        "m" => number.checked_mul(60),
        _ => Some(number),
    };
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(time("90"), Ok(Duration::from_secs(90)));
        assert_eq!(time("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(time("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "m", "1d", "-1s", "99999999999999999999h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
