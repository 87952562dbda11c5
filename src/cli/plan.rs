//! `bmctl plan`

use std::path::{Path, PathBuf};

use super::context::{self, PlanArgs, Session};
use super::out::Out;
use super::whole::{self, Readers};
use super::{CommandResult, Exit, Failure, Global, events, guards, keygen};
use crate::apply::forecast::{Pace, Walk, of_walks};
use crate::plan::forecast::{Durations, Forecast, human_time};
use crate::plan::render::{Alike, Steps, View, render};
use crate::plan::{Intent, Plan, audit, planfile, report};
use crate::signing::{PrivateKey, PublicKey};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    /// Write the plan to FILE, for `bmctl apply FILE` and `bmctl show FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Sign the file with the private key in KEY (made by `bmctl keygen KEY`)
    #[arg(long, value_name = "KEY", requires = "out")]
    sign: Option<PathBuf>,
    /// Write a report to FILE: .md for a comment on a pull request, .html for a page to search in (may be given again)
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    /// Write the plan's events as JSON lines to FILE, beside what is shown
    #[arg(long, value_name = "FILE")]
    json_into: Option<PathBuf>,
    /// Exit with 2 when there are changes
    #[arg(long)]
    detailed_exitcode: bool,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
    /// Plan to take down everything that state records
    #[arg(long)]
    destroy: bool,
    /// Plan only to take note in state of what is found of the machines
    #[arg(long, conflicts_with = "destroy")]
    refresh_only: bool,
    /// Show every change by itself, however many are alike
    #[arg(long)]
    expand: bool,
    /// Leave the steps out
    #[arg(long)]
    no_steps: bool,
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let configured = context::configure(global, &args.plan.config, out)?;
    let session = Session::open(configured, &args.plan).await?;
    let intent = match (args.destroy, args.refresh_only) {
        (true, _) => Intent::Destroy,
        (false, true) => Intent::Refresh,
        (false, false) => Intent::Apply,
    };
    let plan = session.plan(intent, args.plan.refresh, out).await?;
    let now_ms = session.drivers.clock.now_ms();
    let is_expected = !args.json || !args.report.is_empty();
    let durations = session.store.durations().await?;
    let expected = is_expected.then(|| forecast(&plan, &durations, now_ms));
    if let Some(path) = &args.out {
        let key = args.sign.as_deref().map(keygen::private_key).transpose()?;
        save(&plan, path, key.as_ref())?;
    }
    if let Some(expected) = &expected {
        for path in &args.report {
            report(&plan, expected, path)?;
        }
    }
    if let Some(path) = &args.json_into {
        write_whole(path, &events::lines(&events::of_plan(&plan))?)?;
    }
    if args.json {
        out.print(&String::from_utf8_lossy(&planfile::json(&plan)?));
    } else {
        let steps = if args.no_steps {
            Steps::Hidden
        } else {
            Steps::Shown
        };
        out.print(&render(
            &plan,
            View {
                color: out.color(),
                steps,
                alike: alike(args.expand),
            },
        ));
        if let Some(expected) = &expected {
            out.print(&expected_time(&plan, expected));
        }
        if let Some(path) = &args.out {
            out.line(&saved_as(path, args.plan.sim.is_some()));
        }
    }
    guards::enforce(&plan, &args.plan.guards, guards::Stage::Plan)?;
    Ok(match (args.detailed_exitcode, plan.is_empty()) {
        (true, false) => Exit::Changes,
        _ => Exit::Done,
    })
}

/// A simulated plan fits the simulated state alone, so what carries it out says that too.
pub fn saved_as(path: &Path, is_simulated: bool) -> String {
    let path = path.display();
    match is_simulated {
        true => format!("\nSaved as {path}. To carry it out: bmctl apply {path} --sim seed=N"),
        false => format!("\nSaved as {path}. To carry it out: bmctl apply {path}"),
    }
}

/// What is to be expected of a run that begins at this moment: its usual course and its slow one, gone through side by side.
pub fn forecast(plan: &Plan, durations: &Durations, now_ms: i64) -> Forecast {
    let walk = |pace| Walk::through(plan, durations, now_ms, pace);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| walk(Pace::Slow));
        let median = walk(Pace::Median);
        of_walks(plan, durations, median, joined(slow))
    })
}

/// What another thread has made; its panic goes on here.
pub fn joined<T>(other: std::thread::ScopedJoinHandle<'_, T>) -> T {
    match other.join() {
        Ok(made) => made,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// One line, and what it is worth.
pub fn expected_time(plan: &Plan, forecast: &Forecast) -> String {
    if plan.is_empty() {
        return String::new();
    }
    let times = (human_time(forecast.p50_ms), human_time(forecast.p95_ms));
    let basis = match forecast.guessed.len() {
        0 => "from earlier runs".to_owned(),
        1 => "1 kind of step was never measured here, and is guessed".to_owned(),
        n => format!("{n} kinds of step were never measured here, and are guessed"),
    };
    let left_out = forecast.left_out();
    let left_out = left_out.map_or(String::new(), |text| format!(" {text}."));
    format!(
        "Time: about {}, at worst about {} ({basis}).{left_out}\n",
        times.0, times.1
    )
}

pub fn alike(expand: bool) -> Alike {
    match expand {
        true => Alike::Apart,
        false => Alike::Together,
    }
}

/// The second opinion: a plan that breaks a rule is a bug, and is not shown as if it were good.
pub fn check(plan: &Plan) -> Result<(), Failure> {
    let findings = audit::audit(plan);
    if findings.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Error,
        format!(
            "a bug in bmctl: the plan breaks its own rules: {}",
            findings.join("; ")
        ),
    ))
}

fn report(plan: &Plan, forecast: &Forecast, path: &Path) -> Result<(), Failure> {
    let kind = path.extension().and_then(std::ffi::OsStr::to_str);
    let text = match kind {
        Some("md") => report::markdown(plan, forecast),
        Some("html") => report::html(plan, forecast),
        Some(_) | None => {
            let text = format!(
                "--report {}: expected a name that ends in .md or .html",
                path.display()
            );
            return Err(Failure::new(Exit::Usage, text));
        }
    };
    write_whole(path, text.as_bytes())
}

/// Whole or not at all, readable by its owner: it says which machines lose what.
pub fn save(plan: &Plan, path: &Path, key: Option<&PrivateKey>) -> Result<(), Failure> {
    write_whole(path, &planfile::write(plan, key)?)
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    whole::write(path, Readers::Owner, bytes)
        .map_err(|e| Failure::new(Exit::Error, format!("{}: {e}", path.display())))
}

/// Reads a plan file, bounded; and who signed it, if somebody did.
pub fn load(path: &Path) -> Result<(Plan, Option<PublicKey>), Failure> {
    let trouble = |e: std::io::Error| {
        let is_missing = e.kind() == std::io::ErrorKind::NotFound;
        let found = match is_missing {
            true => "there is no such plan file; `bmctl plan --out FILE` writes one".to_owned(),
            false => e.to_string(),
        };
        Failure::new(Exit::Error, format!("{}: {found}", path.display()))
    };
    let size = std::fs::metadata(path).map_err(trouble)?.len();
    if size > planfile::BYTES_MAX {
        return Err(Failure::new(
            Exit::Error,
            format!("{}: {size} bytes is no plan file", path.display()),
        ));
    }
    let bytes = std::fs::read(path).map_err(trouble)?;
    planfile::read(&bytes)
        .map_err(|e| Failure::new(Exit::Error, format!("{}: {e}", path.display())))
}
