//! `bmctl apply` and `bmctl destroy`

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::context::{self, Configured, PlanArgs, Session};
use super::events::{self, JsonFile};
use super::guards::Stage;
use super::out::Out;
use super::report::{Reporter, Style};
use super::{CommandResult, Exit, Failure, Global, guards, lock, plan as plan_command, verify};
use crate::apply::machine::BATCH_NOTES_MAX;
use crate::apply::outlet::Outlet;
use crate::apply::{self, ApplyError, Request, Run, Summary};
use crate::ids::Addr;
use crate::model::{Recorded, Resource};
use crate::plan::reads::stale_in_configuration;
use crate::plan::render::{Steps, View, render};
use crate::plan::{Intent, Plan, Step};
use crate::serve::{self, Probe, ServeError, Services, SiteSpec};
use crate::units::utc;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A saved plan; without it, plan now and ask
    #[arg(value_name = "PLAN")]
    file: Option<PathBuf>,
    /// Only take note in state of what is found of the machines
    #[arg(long, conflicts_with = "file")]
    refresh_only: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub struct DestroyArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub struct Common {
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Show every change by itself, however many are alike
    #[arg(long)]
    expand: bool,
    /// Do not ask
    #[arg(long)]
    auto_approve: bool,
    /// How long to wait for another apply to end, such as 30s or 10m
    #[arg(long, value_name = "TIME", value_parser = lock::time, default_value = "0s", hide_default_value = true)]
    lock_timeout: Duration,
    /// Write events as JSON lines to FILE, beside what is shown
    #[arg(long, value_name = "FILE")]
    json_into: Option<PathBuf>,
    /// Print events as JSON, one a line
    #[arg(long)]
    json: bool,
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let intent = match args.refresh_only {
        true => Intent::Refresh,
        false => Intent::Apply,
    };
    carry_out(global, args.common, args.file, intent, out).await
}

pub async fn destroy(global: &Global, args: DestroyArgs, out: &Out) -> CommandResult {
    carry_out(global, args.common, None, Intent::Destroy, out).await
}

async fn carry_out(
    global: &Global,
    args: Common,
    file: Option<PathBuf>,
    intent: Intent,
    out: &Out,
) -> CommandResult {
    let configured = context::configure(global, &args.plan.config, out)?;
    with_configuration(configured, args, file, intent, out).await
}

pub async fn with_configuration(
    configured: Configured,
    args: Common,
    file: Option<PathBuf>,
    intent: Intent,
    out: &Out,
) -> CommandResult {
    if file.is_some() && args.plan.select.is_given() {
        let text = "a saved plan is carried out as it is: --target, --exclude and --replace belong to `bmctl plan`";
        return Err(Failure::new(Exit::Usage, text));
    }
    let saved = file.as_deref().map(plan_command::load).transpose()?;
    let trusted = &configured.loaded.settings.trusted_keys;
    verify::signature(trusted, saved.as_ref().map(|(_, signer)| signer.as_ref()))?;
    let saved = saved.map(|(plan, _)| plan);
    let (session, lease) =
        Session::open_alone(configured, &args.plan, args.lock_timeout, out).await?;
    let ended = tokio::select! {
        ended = under_lease(&session, args, saved, intent, out) => ended,
        lost = lease.lost() => return Err(lost.into()),
    };
    let released = lease.release().await;
    let exit = ended?;
    released?;
    Ok(exit)
}

async fn under_lease(
    session: &Session,
    args: Common,
    saved: Option<Plan>,
    intent: Intent,
    out: &Out,
) -> CommandResult {
    let from_file = saved.is_some();
    settle(session, out).await?;
    let plan = match saved {
        Some(mut plan) => {
            // Its id names it in journal and reports, and was checked with its seal.
            let id = plan.id.clone();
            session.judge(&mut plan, out).await?;
            plan.id = id;
            plan_command::check(&plan)?;
            plan
        }
        None => session.plan(intent, args.plan.refresh, out).await?,
    };
    if !args.json {
        out.print(&render(
            &plan,
            View {
                color: out.color(),
                steps: Steps::Shown,
                alike: plan_command::alike(args.expand),
            },
        ));
    }
    // Also of a plan without changes: `plan` says so too.
    guards::enforce(&plan, &args.plan.guards, Stage::Apply)?;
    if plan.is_empty() {
        return nothing_to_do(&plan, &args, out);
    }
    let approved = args.auto_approve || from_file || args.plan.sim.is_some();
    if !approved && !confirm(intent, out)? {
        return Ok(Exit::Declined);
    }
    if from_file {
        // Before anything is sealed or served for it.
        apply::fits(&plan, &session.store.recorded().await?).map_err(stale)?;
        check_configuration(session, &plan)?;
    }
    session.seal(&plan).await?;
    if !args.json && session.world.is_none() {
        tell_end(session, &plan, out).await?;
    }
    let reporter = reporter(&args, out)?;
    for event in events::of_plan(&plan) {
        reporter.event(&event);
    }
    let ended = with_services(session, &plan, &reporter, out).await;
    reporter.close();
    let (summary, interrupted) = ended?;
    tell(&summary, &plan, out, args.json);
    Ok(exit_of(&summary, interrupted))
}

/// A program that reads events is told that there are none.
fn nothing_to_do(plan: &Plan, args: &Common, out: &Out) -> CommandResult {
    let reporter = reporter(args, out)?;
    if args.json || args.json_into.is_some() {
        let all = events::of_plan(plan);
        all.iter().for_each(|event| reporter.event(event));
    }
    reporter.close();
    Ok(Exit::Done)
}

fn exit_of(summary: &Summary, interrupted: bool) -> Exit {
    let is_incomplete = summary.failed + summary.blocked > 0;
    let waits_for_window = !interrupted && !summary.outside.is_empty();
    if is_incomplete || waits_for_window {
        Exit::Incomplete
    } else if interrupted || summary.not_started > 0 {
        Exit::Interrupted
    } else {
        Exit::Done
    }
}

fn reporter(args: &Common, out: &Out) -> Result<Reporter, Failure> {
    let style = match args.json {
        true => Style::Json,
        false => Style::choose(),
    };
    let file = args.json_into.as_deref().map(JsonFile::create);
    Ok(Reporter::new(style, *out, file.transpose()?))
}

async fn with_services(
    session: &Session,
    plan: &Plan,
    reporter: &Reporter,
    out: &Out,
) -> Result<(Summary, bool), Failure> {
    let services = match session.world {
        Some(_) => Vec::new(),
        None => start_services(session, plan, reporter).await?,
    };
    let ended = execute(session, plan, reporter, out).await;
    for service in services {
        service.stop().await;
    }
    ended
}

async fn settle(session: &Session, out: &Out) -> Result<(), Failure> {
    let settling = apply::settle(&session.store, &session.drivers);
    let settled = match &session.world {
        None => settling.await?,
        Some(world) => tokio::select! {
            settled = settling => settled?,
            () = world.pass_time() => Vec::new(),
        },
    };
    for line in settled {
        out.note(&format!("recovery: {line}"));
    }
    Ok(())
}

async fn tell_end(session: &Session, plan: &Plan, out: &Out) -> Result<(), Failure> {
    let now = session.drivers.clock.now_ms();
    let expected = plan_command::forecast(plan, &session.store.durations().await?, now);
    let at = |ms: u64| utc(now.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)));
    let left_out = expected.left_out();
    let left_out = left_out.map_or(String::new(), |text| format!(" {text}."));
    out.note(&format!(
        "Expected end: {}, at worst {}.{left_out}",
        at(expected.p50_ms),
        at(expected.p95_ms)
    ));
    Ok(())
}

/// A saved plan names where credentials come from; what the configuration says of the resources it touches must be what it was
/// made from.
fn check_configuration(session: &Session, plan: &Plan) -> Result<(), Failure> {
    let stale = stale_in_configuration(plan, session.configured.fleet());
    if stale.is_empty() {
        return Ok(());
    }
    let lines = apply::lines(&stale);
    Err(Failure::new(
        Exit::Stale,
        format!(
            "nothing was done: the configuration is not what the plan was made from; plan again{lines}"
        ),
    ))
}

fn confirm(intent: Intent, out: &Out) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            Exit::Declined,
            "nobody can be asked: standard input is not a terminal; use --auto-approve, or apply a saved plan",
        ));
    }
    let what = match intent {
        Intent::Apply => "carry this out",
        Intent::Destroy => "destroy all of this",
        Intent::Refresh => "take note of this",
    };
    out.print(&format!(
        "\nShall bmctl {what}? Only `yes` is taken as yes: "
    ));
    let _ = std::io::stdout().flush();
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    let yes = answer.trim() == "yes";
    if !yes {
        out.line("Nothing was done.");
    }
    Ok(yes)
}

async fn execute(
    session: &Session,
    plan: &Plan,
    reporter: &Reporter,
    out: &Out,
) -> Result<(Summary, bool), Failure> {
    let random = crate::drivers::agent::random_key()?;
    let run = Run {
        id: format!("r-{}", hex::encode(&random.expose()[..6])),
        plan,
        store: &session.store,
        drivers: session.drivers.clone(),
        notes_max: BATCH_NOTES_MAX,
    };
    let shown = reporter.clone();
    let outlet = Outlet::new(move |event| shown.event(&event));
    let mut report = |event| outlet.push(event);
    if let Some(world) = &session.world {
        world.learn(plan)?;
        let summary = apply::simulate(&run, world, &mut report)
            .await
            .map_err(stale)?;
        return Ok((summary, false));
    }
    let (sender, requests) = mpsc::channel(4);
    let interrupted = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = interrupted.clone();
    let notes = *out;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    let asked = async move {
        // Without a handler Ctrl-C ends the process at once, which the next apply survives too.
        if tokio::signal::ctrl_c().await.is_ok() {
            seen.store(true, std::sync::atomic::Ordering::Relaxed);
            notes.note("\nInterrupted: running steps go to their end, none is started. Once more to abort.");
            let _ = sender.send(Request::Abort).await;
            let _ = tokio::signal::ctrl_c().await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let watch = async move {
        tokio::select! {
            () = asked => {}
            // A supervisor that says "end" does not want to wait for an image.
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    };
    tokio::select! {
        summary = run.execute(requests, &mut report) => {
            let summary = summary.map_err(stale)?;
            Ok((summary, interrupted.load(std::sync::atomic::Ordering::Relaxed)))
        }
        () = watch => Err(Failure::new(
            Exit::Interrupted,
            "aborted: what was running is unknown; the next apply looks at it first and goes on from there",
        )),
    }
}

fn stale(error: ApplyError) -> Failure {
    let exit = match error {
        ApplyError::Stale(_)
        | ApplyError::OldState { .. }
        | ApplyError::OtherState { .. }
        | ApplyError::OtherWorkspace { .. } => Exit::Stale,
        ApplyError::Store(_) | ApplyError::Audit(_) => Exit::Error,
    };
    Failure::new(exit, error.to_string())
}

/// Boot services of every site the plan needs and nobody serves: the smallest set-up is one command.
async fn start_services(
    session: &Session,
    plan: &Plan,
    reporter: &Reporter,
) -> Result<Vec<Services>, Failure> {
    let recorded = session.store.recorded().await?;
    let mut out = Vec::new();
    for (addr, spec) in sites_of(session, plan, &recorded) {
        match serve::probe(&spec, &recorded.lineage).await {
            Probe::Ours => continue,
            Probe::Nobody => {}
            Probe::SomebodyElse(answer) => {
                return Err(ServeError::Held {
                    site: addr,
                    address: spec.site.address,
                    port: spec.site.http_port,
                    answer,
                }
                .into());
            }
        }
        let log = reporter.log(addr);
        let services = serve::start(
            spec,
            session.store.clone(),
            session.drivers.clock.clone(),
            log,
        )
        .await?;
        out.push(services);
    }
    Ok(out)
}

fn sites_of(session: &Session, plan: &Plan, recorded: &Recorded) -> BTreeMap<Addr, SiteSpec> {
    let mut out = BTreeMap::new();
    for step in &plan.steps {
        let (Step::BootDeploy { target, .. } | Step::BootInstance { target, .. }) = &step.step
        else {
            continue;
        };
        if out.contains_key(&target.site) {
            continue;
        }
        if let Some(spec) = site_spec(session, recorded, &target.site) {
            out.insert(target.site.clone(), spec);
        }
    }
    out
}

/// A site as declared or, when it has left the configuration, as recorded.
pub fn site_spec(session: &Session, recorded: &Recorded, addr: &Addr) -> Option<SiteSpec> {
    let fleet = session.configured.fleet();
    let site = fleet
        .sites
        .get(addr)
        .cloned()
        .or_else(|| match recorded.resources.get(addr) {
            Some(Resource::Site(site)) => Some(site.clone()),
            _ => None,
        })?;
    let network = fleet.networks.get(&site.network).cloned().or_else(|| {
        match recorded.resources.get(&site.network) {
            Some(Resource::Network(network)) => Some(network.clone()),
            _ => None,
        }
    })?;
    Some(SiteSpec {
        work: work_dir(&session.state_dir, addr),
        leases: session.state_dir.join(leases_name(addr)),
        addr: addr.clone(),
        site,
        network,
        root: session.configured.root.clone(),
    })
}

/// Outside the state directory: dnsmasq reads it as another user, and the state directory is closed to all others.
fn work_dir(state: &Path, site: &Addr) -> PathBuf {
    let digest = Sha256::digest(format!("{}\n{site}", state.display()));
    PathBuf::from("/run/bmctl").join(hex::encode(&digest[..8]))
}

/// `leases-<name>`. A site of a module or with a key has a digest behind its name: its address is no file name.
fn leases_name(site: &Addr) -> String {
    let name = &site.name;
    if site.module.is_empty() && site.key.is_none() {
        return format!("leases-{name}");
    }
    let digest = Sha256::digest(site.to_string());
    format!("leases-{name}.{}", hex::encode(&digest[..8]))
}

/// The end report: done, already done, failed and blocked, each failure with its reason.
fn tell(summary: &Summary, plan: &Plan, out: &Out, json: bool) {
    if json {
        return;
    }
    let Summary {
        done,
        already_done,
        failed,
        blocked,
        not_started,
        outside,
        failures,
    } = summary;
    out.line(&format!(
        "\nApply of plan {}: {done} done, {already_done} already done, {failed} failed, {blocked} blocked, {not_started} not started.",
        &plan.id.get(..12).unwrap_or_default()
    ));
    for (subject, step, why) in failures {
        out.error(&format!("{subject}: {step}: {why}"));
    }
    if !outside.is_empty() {
        out.line(&format!(
            "{} not begun, outside of their windows: apply again when these are open.",
            outside.len()
        ));
    }
    if failed + blocked > 0 {
        out.line("What failed is not undone: mend the cause and apply again; what is done is not done again.");
    }
}
