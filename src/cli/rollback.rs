//! `bmctl rollback RUN`: the plan that undoes a run, as far as it can be undone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::context::{self, PlanArgs, Session};
use super::out::Out;
use super::{CommandResult, Exit, Failure, Global, plan as plan_command};
use crate::model::{Observed, Recorded, Resource};
use crate::plan::render::{Steps, View, render};
use crate::plan::rollback::{self, Before};
use crate::plan::{self, Intent, Plan, PlanInput};
use crate::store::{Did, Which};

/// Plan the inverse of a run, and say what of it has none
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As `bmctl runs` lists it
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    plan: PlanArgs,
    /// Write the plan to FILE, for `bmctl apply FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A run that changed more than this is planned from the configuration of its commit.
const CHANGES_MAX: u32 = 200_000;

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let configured = context::configure(global, &args.plan.config, out)?;
    let session = Session::open(configured, &args.plan).await?;
    let before = before(&session, &args.run).await?;
    let recorded = session.store.recorded().await?;
    let runs = session.store.runs().await?;
    let ran = match runs.iter().find(|r| r.id == args.run) {
        Some(row) => session.store.plan(&row.plan).await?,
        None => None,
    };
    let (plan, lost) = make(&session, &recorded, &before, ran.as_ref(), &args.run, out)?;
    plan_command::check(&plan)?;
    out.print(&render(
        &plan,
        View {
            color: out.color(),
            steps: Steps::Shown,
            alike: crate::plan::render::Alike::Together,
        },
    ));
    if !lost.is_empty() {
        out.line("\nWhat has no inverse:");
        lost.iter().for_each(|line| out.line(&format!("  {line}")));
    }
    if let Some(path) = &args.out {
        plan_command::save(&plan, path, None)?;
        let path = path.display();
        out.line(&format!(
            "\nSaved as {path}. To carry it out: bmctl apply {path}"
        ));
    }
    out.line("The configuration still says what the run did: take it back there too, or the next apply does it again.");
    Ok(Exit::Done)
}

/// The record of each address before the run: its first change tells.
async fn before(session: &Session, run: &str) -> Result<Before, Failure> {
    let mut before: Before = BTreeMap::new();
    for past in session
        .store
        .history(Which::OfRun(run), CHANGES_MAX)
        .await?
    {
        let was = match past.did {
            Did::Created => None,
            Did::Changed | Did::Removed => match &past.before {
                Some(text) => Some(serde_json::from_str::<Resource>(text)?),
                None => None,
            },
            Did::Moved(to) => {
                let text = format!(
                    "{run} gave {} the address {to}: take the `moved` block back, or `bmctl state mv {to} {}`, and apply",
                    past.addr, past.addr
                );
                return Err(Failure::new(Exit::Error, text));
            }
            Did::Claimed | Did::Released => continue,
        };
        before.entry(past.addr).or_insert(was);
    }
    if before.is_empty() {
        let text = format!(
            "{run} has changed nothing in the state, or is no run; `bmctl runs` lists them"
        );
        return Err(Failure::new(Exit::Error, text));
    }
    Ok(before)
}

fn make(
    session: &Session,
    recorded: &Recorded,
    before: &Before,
    ran: Option<&Plan>,
    run: &str,
    out: &Out,
) -> Result<(Plan, Vec<String>), Failure> {
    let inverse = rollback::inverse(recorded, before, ran);
    let input = PlanInput {
        fleet: &inverse.fleet,
        recorded,
        observed: &Observed::default(),
        facts: &inverse.facts,
        intent: Intent::Apply,
        selection: &inverse.selection,
    };
    let mut plan = plan::make(&input).map_err(|diagnostics| {
        out.diagnostics(&diagnostics, &session.configured.loaded.sources);
        Failure::told(Exit::Error)
    })?;
    rollback::of_no_configuration(&mut plan, run);
    Ok((plan, inverse.lost))
}
