//! `bmctl rollback RUN`: the plan that undoes a run, as far as it can be undone.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::context::{self, PlanArgs, Session};
use super::out::Out;
use super::{CommandResult, Exit, Failure, Global, guards, keygen, plan as plan_command, prune};
use crate::drivers::image::facts;
use crate::ids::Addr;
use crate::model::{Fleet, ImageFacts, Observed, Resource};
use crate::plan::render::{Steps, View, render};
use crate::plan::rollback::{self, Before};
use crate::plan::{Intent, Plan, PlanInput, Step};
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
    /// Sign the file with the private key in KEY (made by `bmctl keygen KEY`)
    #[arg(long, value_name = "KEY", requires = "out")]
    sign: Option<PathBuf>,
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
    let declared = session.configured.fleet();
    let inverse = rollback::inverse(&recorded, &before, ran.as_ref(), declared);
    let run = &args.run;
    if inverse.selection.targets.is_empty() {
        out.line(&format!(
            "Nothing to take back: what {run} made is not in the state any more."
        ));
        return Ok(Exit::Done);
    }
    let selection = rollback::narrowed(inverse.selection, session.selection.clone());
    let wanted = PlanInput {
        fleet: &inverse.fleet,
        recorded: &recorded,
        observed: &Observed::default(),
        facts: &inverse.facts,
        intent: Intent::Apply,
        selection: &selection,
    };
    let mut plan = session.plan_for(&wanted, args.plan.refresh, out).await?;
    rollback::of_no_configuration(&mut plan, run);
    protected(&plan, declared)?;
    let lost = inverse.lost.iter().filter(|lost| plan.is_about(&lost.addr));
    let lost: Vec<String> = lost.map(ToString::to_string).collect();
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
    let files = to_put_back(&plan, &inverse.fleet, &session.configured.root);
    if !files.is_empty() {
        out.line("\nWhat has to be put back before the plan is applied:");
        files.iter().for_each(|line| out.line(&format!("  {line}")));
    }
    if let Some(path) = &args.out {
        let key = args.sign.as_deref().map(keygen::private_key).transpose()?;
        plan_command::save(&plan, path, key.as_ref())?;
        out.line(&plan_command::saved_as(path, args.plan.sim.is_some()));
    }
    guards::enforce(&plan, &args.plan.guards, guards::Stage::Plan)?;
    out.line("The configuration still says what the run did: take it back there too, or the next apply does it again.");
    Ok(Exit::Done)
}

/// Images whose files are not those that the plan writes: what was deployed before the run may have been replaced since.
fn to_put_back(plan: &Plan, fleet: &Fleet, root: &Path) -> BTreeSet<String> {
    let written = plan.steps.iter().filter_map(|planned| {
        let Step::WriteDisk(write) = &planned.step else {
            return None;
        };
        Some((&write.image, &write.facts))
    });
    let written: BTreeMap<&Addr, &ImageFacts> = written.collect();
    let told = written.into_iter().filter_map(|(addr, wanted)| {
        let image = fleet.images.get(addr)?;
        match facts::read(root, image) {
            Ok(found) if found == *wanted => None,
            Ok(found) if found.sha256 == wanted.sha256 => Some(format!(
                "{addr}: its kernel or initrd is another file than the one that was deployed"
            )),
            Ok(found) => Some(format!(
                "{addr}: {} is {}, the plan writes {}",
                image.source,
                found.sha256.short(),
                wanted.sha256.short()
            )),
            Err(error) => Some(format!("{addr}: {error}")),
        }
    });
    told.collect()
}

/// The record of each address before the run: its first change tells.
async fn before(session: &Session, run: &str) -> Result<Before, Failure> {
    let mut before = Before::default();
    let all = session
        .store
        .history(Which::OfRun(run), CHANGES_MAX)
        .await?;
    // What is done together has one serial: names that it gives are those of the next.
    for together in all.chunk_by(|a, b| a.serial == b.serial) {
        let mut named = Vec::new();
        for past in together {
            let was = before.moved.get(&past.addr).unwrap_or(&past.addr).clone();
            if let Did::Moved(to) = &past.did {
                named.push((past.addr.clone(), to.clone(), was.clone()));
            }
            match past.did {
                Did::Claimed | Did::Released => continue,
                Did::Created | Did::Changed | Did::Removed | Did::Moved(_) => {}
            }
            if let Entry::Vacant(first) = before.records.entry(was) {
                let text = past.before.as_deref();
                first.insert(text.map(serde_json::from_str::<Resource>).transpose()?);
            }
        }
        named
            .iter()
            .for_each(|(old, _, _)| drop(before.moved.remove(old)));
        before
            .moved
            .extend(named.into_iter().map(|(_, new, was)| (new, was)));
    }
    before.moved.retain(|is, was| is != was);
    if before.records.is_empty() {
        let why = format!(
            "{run} has changed nothing in the state, or is no run; `bmctl runs` lists them"
        );
        return Err(prune::not_found(&session.store, &why).await);
    }
    Ok(before)
}

/// What the configuration protects is not lost by a way around it.
fn protected(plan: &Plan, declared: &Fleet) -> Result<(), Failure> {
    let is_protected = |addr: &Addr| {
        let instance = declared.instances.get(addr);
        instance.is_some_and(|i| i.prevent_destroy) || declared.prevent_destroy.contains(addr)
    };
    let mut lost = plan.changes.iter().filter(|c| c.is_destructive());
    match lost.find(|c| is_protected(&c.addr)) {
        Some(change) => {
            let what = change.action.verb();
            let text = format!(
                "{}: the inverse would {what} it, and its lifecycle says prevent_destroy",
                change.addr
            );
            Err(Failure::new(Exit::Refused, text))
        }
        None => Ok(()),
    }
}
