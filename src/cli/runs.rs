//! `bmctl runs` and `bmctl why`: what was done, when, by whom, and how it ended.

use serde_json::json;

use super::context::ConfigArgs;
use super::out::Out;
use super::table::table;
use super::{CommandResult, Exit, Failure, Global, locate, prune};
use crate::ids::Addr;
use crate::model::event::{Event, Outcome};
use crate::plain::plain_line;
use crate::plan::Change;
use crate::store::{Happened, PlanPart, Record, RunRow, Store};
use crate::units::utc;

/// List the runs of apply
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// The runs of the simulated state of `--sim`
    #[arg(long)]
    sim: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Tell why a resource is as it is: the run, the plan, the commit and every step
#[derive(Debug, clap::Args)]
pub struct WhyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Such as 'instance.web["a"]'
    address: Addr,
    /// In the simulated state of `--sim`
    #[arg(long)]
    sim: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let store = locate::open(global, &args.config, args.sim, out).await?;
    let runs = store.runs().await?;
    if args.json {
        let all: Vec<_> = runs.iter().map(as_json).collect();
        out.line(&serde_json::to_string_pretty(&all)?);
        return Ok(Exit::Done);
    }
    if runs.is_empty() {
        out.line("No run yet.");
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 6]> = runs.iter().map(row).collect();
    let header = ["run", "began", "took", "by", "plan", "ended"];
    out.line(&table(header, &rows));
    if let Some(pruned) = prune::told(&store).await? {
        out.note(&format!("Not listed: {pruned}."));
    }
    Ok(Exit::Done)
}

fn row(run: &RunRow) -> [String; 6] {
    [
        run.id.clone(),
        utc(run.started_ms),
        took(run),
        by(run),
        run.plan.get(..12).unwrap_or_default().to_owned(),
        ended(run),
    ]
}

fn as_json(run: &RunRow) -> serde_json::Value {
    json!({
        "run": run.id,
        "plan": run.plan,
        "began": utc(run.started_ms),
        "began_ms": run.started_ms,
        "ended_ms": run.finished_ms,
        "outcome": run.outcome,
        "by": run.by,
    })
}

fn took(run: &RunRow) -> String {
    let Some(end) = run.finished_ms else {
        return "-".to_owned();
    };
    let ms = u64::try_from(end.saturating_sub(run.started_ms)).unwrap_or(0);
    crate::plan::forecast::human_time(ms)
}

fn by(run: &RunRow) -> String {
    run.by
        .as_ref()
        .map_or_else(|| "?".to_owned(), ToString::to_string)
}

fn ended(run: &RunRow) -> String {
    run.outcome
        .clone()
        .unwrap_or_else(|| "goes on, or died".to_owned())
}

pub async fn why(global: &Global, args: WhyArgs, out: &Out) -> CommandResult {
    let store = locate::open(global, &args.config, args.sim, out).await?;
    let records = store.records_about(&args.address).await?;
    let runs = store.runs().await?;
    let recorded = store.resource(&args.address).await?;
    let Some(last) = records.iter().rfind(|r| r.is_of_begun()).or(records.last()) else {
        let text = match recorded.is_some() {
            true => {
                "is in the state, and no run has noted anything of it here; `bmctl state history` shows what was done by hand"
            }
            false => {
                "is not in the state, and no run has noted anything of it; `bmctl state list` shows what is"
            }
        };
        let why = format!("{} {text}", args.address);
        return Err(prune::not_found(&store, &why).await);
    };
    let run = runs.iter().find(|r| r.id == last.run);
    let of_run: Vec<&Record> = records.iter().filter(|r| r.run == last.run).collect();
    let plan = part_of(&store, run, &args.address, &of_run).await?;
    let change = plan.as_ref().and_then(|p| p.change.as_ref());
    if args.json {
        let told = json!({
            "address": args.address,
            "run": run.map(as_json),
            "change": change,
            "steps": of_run.iter().map(|r| step_json(r, plan.as_ref())).collect::<Vec<_>>(),
            "record": recorded,
        });
        out.line(&serde_json::to_string_pretty(&told)?);
        return Ok(Exit::Done);
    }
    match recorded.is_some() {
        true => out.line(&args.address.to_string()),
        false => out.line(&format!("{} is no longer in the state", args.address)),
    }
    if let Some(run) = run {
        tell_run(run, out);
    }
    if let Some(change) = change {
        tell_change(change, out);
    }
    out.line("  steps:");
    let lines = of_run.iter().filter_map(|r| step_line(r, plan.as_ref()));
    lines.for_each(|text| out.line(&format!("    {text}")));
    if let Some(kept) = records.last().filter(|r| r.run != last.run) {
        out.line(&format!("  left as it is by run {}:", kept.run));
        let run = runs.iter().find(|r| r.id == kept.run);
        let plan = part_of(&store, run, &args.address, &[kept]).await?;
        let line = step_line(kept, plan.as_ref());
        line.iter()
            .for_each(|text| out.line(&format!("    {text}")));
    }
    Ok(Exit::Done)
}

/// What the plan of a run says of a resource and of the steps that these records are about.
async fn part_of(
    store: &Store,
    run: Option<&RunRow>,
    addr: &Addr,
    records: &[&Record],
) -> Result<Option<PlanPart>, Failure> {
    let Some(run) = run else { return Ok(None) };
    let steps = records.iter().map(|r| r.step).collect();
    Ok(store.plan_about(&run.plan, addr, &steps).await?)
}

fn tell_run(run: &RunRow, out: &Out) {
    let (began, who, end) = (utc(run.started_ms), by(run), ended(run));
    out.line(&format!("  run {}, {began}, by {who}: {end}", run.id));
    if let Some(commit) = run.by.as_ref().and_then(|b| b.commit.as_ref()) {
        out.line(&format!("  commit {commit}"));
    }
    out.line(&format!("  plan {}", run.plan));
}

fn tell_change(change: &Change, out: &Out) {
    out.line(&format!("  because it was to {}:", change.action.verb()));
    for reason in &change.reasons {
        out.line(&format!("    {}", plain_line(reason)));
    }
    for attribute in &change.attributes {
        if let (Some(before), after) = attribute.shown() {
            let after = after.unwrap_or_else(|| "null".to_owned());
            out.line(&format!("    {}: {before} -> {after}", attribute.name));
        }
    }
}

fn title(record: &Record, plan: Option<&PlanPart>) -> String {
    let step = plan.and_then(|p| p.steps.get(&record.step));
    step.map_or_else(
        || format!("step {}", record.step),
        |s| s.step.title().to_owned(),
    )
}

fn step_json(record: &Record, plan: Option<&PlanPart>) -> serde_json::Value {
    let what = match &record.what {
        Happened::Started => json!({ "what": "started" }),
        Happened::Finished(outcome) => json!({ "what": "finished", "outcome": outcome }),
        Happened::Settled(text) => json!({ "what": "settled", "text": text }),
        Happened::Noted(text) => json!({ "what": "noted", "text": text }),
    };
    json!({ "at": utc(record.at_ms), "at_ms": record.at_ms, "step": record.step, "title": title(record, plan), "is": what })
}

/// Starts say nothing that ends do not; one without an end is settled by the next run.
fn step_line(record: &Record, plan: Option<&PlanPart>) -> Option<String> {
    let told = match &record.what {
        Happened::Started => return None,
        Happened::Finished(outcome) => match outcome {
            Outcome::Done { detail } => format!("done ({detail})"),
            Outcome::AlreadyDone { detail } => format!("already done ({detail})"),
            Outcome::Failed { why } => format!("FAILED: {why}"),
            Outcome::Blocked { by } => format!("blocked by {by}"),
            Outcome::Outside { why } => format!("not started: outside of {why}"),
            Outcome::NotStarted => "not started".to_owned(),
        },
        Happened::Settled(text) => format!("was left in doubt; {text}"),
        Happened::Noted(text) => text.clone(),
    };
    Some(format!(
        "{}  {}: {told}",
        utc(record.at_ms),
        title(record, plan)
    ))
}

/// The events of a run that is over, from its plan and its records: what the live run showed, shown again.
pub async fn events_of(store: &Store, run: &str) -> Result<Vec<Event>, Failure> {
    let runs = store.runs().await?;
    let Some(row) = runs.iter().find(|r| r.id == run) else {
        let why = format!("there is no run {run}; `bmctl runs` lists them");
        return Err(prune::not_found(store, &why).await);
    };
    let records = store.records_of_run(run).await?;
    let plan = store.plan(&row.plan).await?;
    Ok(crate::apply::replay::events(row, plan.as_ref(), &records))
}
