//! `bmctl show`

use std::path::PathBuf;

use super::context::ConfigArgs;
use super::events::first;
use super::out::Out;
use super::report::{Reporter, Style};
use super::table::table;
use super::{CommandResult, Exit, Global, locate, plan as plan_command, runs};
use crate::model::event::Event;
use crate::model::{InstancePhase, InstanceRecord};
use crate::plan::forecast::human_time;
use crate::plan::planfile;
use crate::plan::render::{Steps, View, render};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A plan file, or a run such as r-0123456789ab; without it, the instances that state records
    #[arg(value_name = "PLAN|RUN")]
    file: Option<PathBuf>,
    /// What the simulated state of `--sim` records, or a run of it
    #[arg(long)]
    sim: bool,
    #[command(flatten)]
    config: ConfigArgs,
    /// Show every change of a plan by itself, however many are alike
    #[arg(long)]
    expand: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    if let Some(run) = args.file.as_deref().and_then(run_named) {
        return show_run(global, &args, &run, out).await;
    }
    if let Some(path) = &args.file {
        let (plan, signer) = plan_command::load(path)?;
        if args.json {
            out.print(&String::from_utf8_lossy(&planfile::json(&plan)?));
        } else {
            out.print(&render(
                &plan,
                View {
                    color: out.color(),
                    steps: Steps::Shown,
                    alike: plan_command::alike(args.expand),
                },
            ));
            match signer {
                Some(key) => out.note(&format!("Signed by {key}.")),
                None => out.note("Not signed."),
            }
        }
        return Ok(Exit::Done);
    }
    let store = locate::open(global, &args.config, args.sim, out).await?;
    let recorded = store.recorded().await?;
    let instances = recorded
        .resources
        .iter()
        .filter_map(|(addr, resource)| Some((addr, resource.as_instance()?)));
    if args.json {
        let all: serde_json::Map<String, serde_json::Value> = instances
            .map(|(addr, record)| Ok((addr.to_string(), serde_json::to_value(record)?)))
            .collect::<Result<_, serde_json::Error>>()?;
        out.line(&serde_json::to_string_pretty(&all)?);
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 7]> = instances
        .map(|(addr, record)| row(&addr.to_string(), record))
        .collect();
    if rows.is_empty() {
        out.line("No instances are recorded.");
        return Ok(Exit::Done);
    }
    let header = [
        "instance", "node", "phase", "address", "image", "root", "said",
    ];
    out.line(&table(header, &rows));
    Ok(Exit::Done)
}

fn row(addr: &str, record: &InstanceRecord) -> [String; 7] {
    let open: Vec<String> = record.unproven.iter().map(ToString::to_string).collect();
    let open = match open.is_empty() {
        true => String::new(),
        false => format!(", gates not passed: {}", open.join(", ")),
    };
    let phase = match &record.phase {
        InstancePhase::Deploying => "deploying".to_owned(),
        InstancePhase::Running => "running".to_owned(),
        InstancePhase::Off => "off".to_owned(),
        InstancePhase::Destroying => "destroying".to_owned(),
        InstancePhase::NeedsAttention(why) => format!("needs attention: {why}"),
    };
    let addresses: Vec<String> = record.addresses.iter().map(ToString::to_string).collect();
    let said = record.phoned.as_ref();
    [
        addr.to_owned(),
        record.node.to_string(),
        format!("{phase}{open}"),
        addresses.join(", "),
        format!(
            "{} ({})",
            record.desired.image,
            record.image_facts.sha256.short()
        ),
        said.map(|p| p.root.clone()).unwrap_or_default(),
        said.map(|p| format!("{} at {}", p.hostname, p.address))
            .unwrap_or_default(),
    ]
}

/// A run's id, when the argument is one and no file has that name.
fn run_named(argument: &std::path::Path) -> Option<String> {
    let text = argument.to_str()?;
    let is_id = text
        .strip_prefix("r-")
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    (is_id && !argument.exists()).then(|| text.to_owned())
}

/// The same lines, from the same renderer, as when the run was live.
async fn show_run(global: &Global, args: &Args, run: &str, out: &Out) -> CommandResult {
    let store = locate::open(global, &args.config, args.sim, out).await?;
    let style = match args.json {
        true => Style::Json,
        false => Style::Told,
    };
    let reporter = Reporter::new(style, out.as_answer(), None);
    let events = runs::events_of(&store, run).await?;
    reporter.event(&first());
    for event in &events {
        reporter.event(event);
    }
    reporter.close();
    if let (false, Some(end)) = (args.json, events.last().and_then(end_of)) {
        out.line(&end);
    }
    Ok(Exit::Done)
}

fn end_of(event: &Event) -> Option<String> {
    let Event::RunFinished {
        run,
        done,
        already_done,
        failed,
        blocked,
        not_started,
        elapsed_ms,
    } = event
    else {
        return None;
    };
    let took = human_time(*elapsed_ms);
    Some(format!(
        "\nRun {run} took {took}: {done} done, {already_done} already done, {failed} failed, {blocked} blocked, {not_started} not started."
    ))
}
