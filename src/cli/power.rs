//! `bmctl power`

use std::collections::BTreeMap;

use super::context::{self, ConfigArgs, Session, bmc_of};
use super::out::Out;
use super::{CommandResult, Exit, Failure, Global, look};
use crate::drivers::{PowerLook, Stop};
use crate::ids::Addr;
use crate::model::PowerSeen;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do
    #[arg(value_enum)]
    verb: Verb,
    /// Addresses of nodes; `status` without any asks all
    #[arg(value_name = "NODE")]
    nodes: Vec<Addr>,
    #[command(flatten)]
    config: ConfigArgs,
    /// Also on nodes that a running apply is working on
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Verb {
    Status,
    On,
    /// Hard, at once
    Off,
    /// By the ACPI button; the system may take its time, or refuse
    Soft,
    Reset,
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let configured = context::configure(global, &args.config, out)?;
    let session = Session::open(configured, &context::PlanArgs::default()).await?;
    let fleet = session.configured.fleet();
    let chosen: Vec<&Addr> = if args.nodes.is_empty() && args.verb == Verb::Status {
        fleet.nodes.keys().collect()
    } else {
        args.nodes.iter().collect()
    };
    if chosen.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "name the nodes, such as 'node.rack[\"r1-01\"]'",
        ));
    }
    let mut asked = Vec::new();
    for addr in chosen {
        let node = fleet.nodes.get(addr).ok_or_else(|| {
            Failure::new(
                Exit::Error,
                format!("{addr} is not a declared node; `bmctl state list node.` shows some"),
            )
        })?;
        let bmc = bmc_of(addr, node, session.site_of(node));
        asked.push((bmc, node.power.password().text.clone()));
    }
    if args.verb != Verb::Status && !args.force {
        let busy = look::busy(&session.store).await?;
        if let Some((bmc, run)) = asked
            .iter()
            .find_map(|(b, _)| Some((b, busy.get(&b.node)?)))
        {
            let text = format!(
                "{} is being worked on by {run}: nothing was done; wait for its end, or --force",
                bmc.node
            );
            return Err(Failure::new(Exit::Refused, text));
        }
    }
    let power = &session.drivers.power;
    let mut failed = false;
    for (bmc, password) in asked.iter().filter(|_| args.verb != Verb::Status) {
        let done = match args.verb {
            Verb::Status => Ok(()),
            Verb::On => power.on(bmc, password).await,
            Verb::Off => power.off(bmc, password, Stop::Hard).await,
            Verb::Soft => power.off(bmc, password, Stop::Soft).await,
            Verb::Reset => power.reset(bmc, password).await,
        };
        if let Err(error) = done {
            failed = true;
            out.error(&format!("{}: {error}", bmc.node));
        }
    }
    let look_only: std::sync::Arc<dyn PowerLook> = power.clone();
    let seen = look::look(look_only, asked).await.power;
    failed |= seen.values().any(|s| matches!(s, PowerSeen::Unknown(_)));
    show(&seen, args.json, out)?;
    Ok(if failed { Exit::Error } else { Exit::Done })
}

fn show(seen: &BTreeMap<Addr, PowerSeen>, json: bool, out: &Out) -> Result<(), Failure> {
    if json {
        let all: BTreeMap<String, &PowerSeen> =
            seen.iter().map(|(a, s)| (a.to_string(), s)).collect();
        out.line(&serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    for (addr, seen) in seen {
        out.line(&match seen {
            PowerSeen::On => format!("{addr}: on"),
            PowerSeen::Off => format!("{addr}: off"),
            PowerSeen::Unknown(why) => format!("{addr}: unknown ({why})"),
        });
    }
    Ok(())
}
