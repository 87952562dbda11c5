//! What stands between a plan and the machines: policies, quorums, `--max-destructive`.

use super::context::Session;
use super::out::Out;
use super::{Exit, Failure};
use crate::config::{Loaded, Policy, Rule, did_you_mean, policies};
use crate::diag::{Diagnostic, Diagnostics};
use crate::model::{Finding, Observed, Recorded, Weight};
use crate::plan::{Plan, quorum, view};

#[derive(Debug, Clone, Default, clap::Args)]
pub struct GuardArgs {
    /// Refuse a plan that destroys more than N systems or the data of more than N disks
    #[arg(long, value_name = "N")]
    max_destructive: Option<usize>,
    /// Say yes to what the policy NAME wants approved (may be given again)
    #[arg(long, value_name = "NAME")]
    approve: Vec<String>,
}

/// What is to be approved need not be when a plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Plan,
    Apply,
}

/// A slip in `--approve` would approve nothing, and be found out in CI.
pub fn are_declared(args: &GuardArgs, loaded: &Loaded) -> Result<(), Failure> {
    let names: Vec<&str> = loaded
        .policies
        .list
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    let mut unknown = args
        .approve
        .iter()
        .filter(|name| !names.contains(&name.as_str()));
    match unknown.next() {
        Some(name) => {
            let near = did_you_mean(name, names).map_or(String::new(), |near| format!("; {near}"));
            let text = format!("--approve {name}: there is no policy of that name{near}");
            Err(Failure::new(Exit::Usage, text))
        }
        None => Ok(()),
    }
}

/// Asks every policy of the configuration, tells what does not hold, and notes it in the plan, whose id is the caller's to give.
pub fn judge(
    session: &Session,
    plan: &mut Plan,
    recorded: &Recorded,
    observed: &Observed,
    out: &Out,
) {
    let loaded = &session.configured.loaded;
    if loaded.policies.list.is_empty() && plan.findings.is_empty() {
        return;
    }
    let fleet = &loaded.fleet;
    let asks = |p: &Policy| matches!(p.rule, Rule::Condition);
    let (mut findings, mut told) = match loaded.policies.list.iter().any(asks) {
        true => policies::judge(loaded, view::for_conditions(plan, fleet, recorded)),
        false => Default::default(),
    };
    for policy in &loaded.policies.list {
        let Rule::AtMostDown(group) = &policy.rule else {
            continue;
        };
        let Some(text) = quorum::broken(group, plan, fleet, recorded, observed) else {
            continue;
        };
        let mut d = Diagnostic::error(
            crate::config::codes::POLICY_BROKEN,
            format!("policy.{}: {text}", policy.name),
        )
        .at(policy.header, "this policy")
        .help(
            "take fewer at once (--target, a `rollout` block), or bring back those that are down",
        );
        d.severity = policies::severity(policy.weight);
        findings.push(Finding {
            policy: policy.name.clone(),
            weight: policy.weight,
            message: d.message.clone(),
            place: policies::place(&d, loaded),
        });
        told.push(d);
    }
    tell(&told, session, out);
    plan.findings = findings;
}

fn tell(told: &Diagnostics, session: &Session, out: &Out) {
    out.diagnostics(told, &session.configured.loaded.sources);
}

/// Whether the plan may be carried out: `Err` says what forbids it, and what would allow it.
pub fn enforce(plan: &Plan, args: &GuardArgs, stage: Stage) -> Result<(), Failure> {
    let refuse = |text: String| Err(Failure::new(Exit::Refused, text));
    let destructive = plan.destructive();
    if let Some(most) = args.max_destructive.filter(|most| destructive > *most) {
        return refuse(format!(
            "the plan destroys {destructive} systems or disks, --max-destructive allows {most}: nothing was done"
        ));
    }
    let is_missing = |f: &&Finding| match f.weight {
        Weight::Warn => false,
        Weight::Approve => stage == Stage::Apply && !args.approve.contains(&f.policy),
        Weight::Block => true,
    };
    // What each has found was told in full when it was judged.
    let missing: Vec<String> = plan
        .findings
        .iter()
        .filter(is_missing)
        .map(|f| match f.weight {
            Weight::Approve => format!("policy.{0} (--approve {0} says yes to it)", f.policy),
            Weight::Warn | Weight::Block => format!("policy.{}", f.policy),
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    refuse(format!(
        "nothing was done, refused by {}",
        missing.join(", ")
    ))
}
