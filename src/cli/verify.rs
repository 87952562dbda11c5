//! `bmctl verify`: whether a saved plan would be carried out, without carrying it out.

use std::path::PathBuf;

use super::context::{self, ConfigArgs};
use super::out::Out;
use super::{CommandResult, Exit, Failure, Global, plan as plan_command};
use crate::plan::reads::{Stale, stale_in_configuration, stale_in_state};
use crate::signing::PublicKey;

/// Check that a saved plan is whole, signed where that is asked for, and still fits configuration and state
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A plan file, as `bmctl plan --out FILE` writes it
    #[arg(value_name = "PLAN")]
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
    /// Check against the simulated state of `--sim`
    #[arg(long)]
    sim: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let (plan, signer) = plan_command::load(&args.file)?;
    plan_command::check(&plan)?;
    let configured = context::configure(global, &args.config, out)?;
    let settings = &configured.loaded.settings;
    signature(&settings.trusted_keys, Some(signer.as_ref()))?;
    let (store, _) =
        context::open_store(&configured.root, &settings.state, &configured.key, args.sim).await?;
    store.check_key().await?;
    let recorded = store.recorded().await?;
    let mut stale: Vec<String> = Vec::new();
    if plan.made_from.lineage != recorded.lineage {
        stale.push("the plan was made from another state".to_owned());
    } else if plan.made_from.workspace != recorded.workspace {
        stale.push("the plan was made in another workspace".to_owned());
    } else if plan.made_from.serial > recorded.serial {
        stale.push("the state is older than the one the plan was made from".to_owned());
    } else {
        let state = stale_in_state(&plan, &recorded);
        let configuration = stale_in_configuration(&plan, configured.fleet());
        let said = |list: Vec<Stale>, of: &'static str| {
            list.into_iter().map(move |s| format!("{of}: {s}"))
        };
        stale.extend(said(state, "state"));
        stale.extend(said(configuration, "configuration"));
    }
    if args.json {
        let told = serde_json::json!({
            "plan": plan.id,
            "signed_by": signer.as_ref().map(ToString::to_string),
            "stale": stale,
        });
        out.line(&serde_json::to_string_pretty(&told)?);
    } else {
        let signed = signer.map_or_else(|| "not signed".to_owned(), |k| format!("signed by {k}"));
        let id = plan.id.get(..12).unwrap_or_default();
        out.line(&format!(
            "Plan {id}: whole, {signed}, {} steps.",
            plan.steps.len()
        ));
        match stale.as_slice() {
            [] => out
                .line("It fits the configuration and the state: `bmctl apply` would carry it out."),
            _ => out.line("It is stale:"),
        }
        stale.iter().for_each(|line| out.line(&format!("  {line}")));
    }
    Ok(if stale.is_empty() {
        Exit::Done
    } else {
        Exit::Stale
    })
}

/// `trusted_keys`: only a saved plan that one of them signed is carried out. The outer `None` means there is no saved plan.
pub fn signature(trusted: &[PublicKey], signer: Option<Option<&PublicKey>>) -> Result<(), Failure> {
    if trusted.is_empty() {
        return Ok(());
    }
    let why = match signer {
        None => "only signed plans are carried out here (trusted_keys): run `bmctl plan --out FILE --sign KEY`, then `bmctl apply FILE`".to_owned(),
        Some(None) => "the plan is not signed, and trusted_keys asks for it: nothing was done".to_owned(),
        Some(Some(key)) if trusted.contains(key) => return Ok(()),
        Some(Some(key)) => format!("the plan is signed by {key}, which is none of trusted_keys: nothing was done"),
    };
    Err(Failure::new(Exit::Refused, why))
}
