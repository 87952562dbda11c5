//! `bmctl state history`

use super::context::ConfigArgs;
use super::out::Out;
use super::{CommandResult, Exit, Global, locate, prune};
use crate::ids::Addr;
use crate::store::{By, Did, Past, Which};
use crate::units::utc;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what became of this resource
    address: Option<Addr>,
    #[command(flatten)]
    config: ConfigArgs,
    /// The simulated state of `--sim`
    #[arg(long)]
    sim: bool,
    /// Show no more than the last N changes
    #[arg(long, value_name = "N", default_value_t = 1000)]
    last: u32,
    /// Print JSON, with the records before and after
    #[arg(long)]
    json: bool,
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let store = locate::open(global, &args.config, args.sim, out).await?;
    let which = match &args.address {
        Some(addr) => Which::Of(addr),
        None => Which::All,
    };
    let all = store.history(which, args.last).await?;
    if let Some(pruned) = prune::told(&store).await? {
        out.note(&format!("Not shown: {pruned}."));
    }
    if args.json {
        let after = store.afterwards(&all).await?;
        let rows = all.iter().zip(after);
        let rows: Vec<serde_json::Value> = rows
            .map(|(past, after)| json(past, after.as_deref()))
            .collect();
        out.line(&serde_json::to_string_pretty(&rows)?);
        return Ok(Exit::Done);
    }
    all.iter().for_each(|past| out.line(&line(past)));
    Ok(Exit::Done)
}

pub fn line(past: &Past) -> String {
    let what = match &past.did {
        Did::Moved(to) => format!("{} moved to {to}", past.addr),
        Did::Released => format!(
            "{} taken from {}",
            past.addr,
            past.before.as_deref().unwrap_or("its instance")
        ),
        Did::Created | Did::Changed | Did::Removed | Did::Claimed => {
            format!("{} {}", past.addr, past.did.as_str())
        }
    };
    let who = match &past.by {
        By::Run(run) => format!("run {run}"),
        By::Person(actor) => format!("{} by {actor}", past.op),
    };
    format!("{:>6}  {}  {what}  ({who})", past.serial, utc(past.at_ms))
}

pub fn json(past: &Past, after: Option<&str>) -> serde_json::Value {
    let record = |text: Option<&str>| match text.map(serde_json::from_str) {
        Some(Ok(value)) => value,
        // A claim names its instance as it is.
        Some(Err(_)) => serde_json::Value::from(text),
        None => serde_json::Value::Null,
    };
    let (run, person) = match &past.by {
        By::Run(run) => (Some(run), None),
        By::Person(actor) => (None, Some(actor)),
    };
    serde_json::json!({
        "serial": past.serial,
        "at": utc(past.at_ms),
        "run": run,
        "person": person,
        "op": past.op,
        "address": past.addr,
        "did": past.did.as_str(),
        "moved_to": match &past.did {
            Did::Moved(to) => Some(to),
            Did::Created | Did::Changed | Did::Removed | Did::Claimed | Did::Released => None,
        },
        "before": record(past.before.as_deref()),
        "after": record(after),
    })
}
