//! What is said of a plan as a whole, in every form of it: what it is confined to, its windows, its rollouts.

use super::rollout::describe;
use super::{Confined, Intent, Pattern, Plan};

/// What a plan is confined to, before the rest is counted.
const PATTERNS_MAX: usize = 20;

/// What holds for the plan as a whole, a sentence each: what it is confined to, its windows, its rollouts.
pub fn terms(plan: &Plan) -> Vec<String> {
    let mut out: Vec<String> = plan.confined.iter().map(confined).collect();
    out.extend(plan.windows.iter().map(|kept| {
        let count = kept.members.len();
        format!(
            "Window {}: {count} begin only when they are up again before it closes.",
            kept.window.name
        )
    }));
    out.extend(plan.rollouts.iter().map(|r| format!("{}.", describe(r))));
    out
}

fn confined(confined: &Confined) -> String {
    let list = |patterns: &[Pattern]| {
        let first = patterns.iter().take(PATTERNS_MAX).map(ToString::to_string);
        let mut texts: Vec<String> = first.collect();
        let more = patterns.len().saturating_sub(PATTERNS_MAX);
        texts.extend((more > 0).then(|| format!("and {more} more")));
        texts.join(", ")
    };
    let mut said = Vec::new();
    if !confined.to.targets.is_empty() {
        said.push(format!("only {}", list(&confined.to.targets)));
    }
    if !confined.to.excludes.is_empty() {
        said.push(format!("without {}", list(&confined.to.excludes)));
    }
    format!("Confined: {}; the rest is not compared.", said.join(", "))
}

/// What follows from a plan without changes.
pub fn unchanged(plan: &Plan) -> &'static str {
    if !plan.warnings.is_empty() {
        return ", as far as could be seen.";
    }
    match (plan.intent, &plan.confined) {
        (Intent::Destroy, None) => ". Nothing is recorded that could be taken down.",
        (Intent::Destroy, Some(_)) => ". Nothing of it is recorded that could be taken down.",
        (Intent::Refresh, _) => ". What was found of the machines is what state has.",
        (Intent::Apply, None) => ". The machines are as the configuration says.",
        (Intent::Apply, Some(_)) if plan.inverse_of.is_some() => {
            ". What the run did is taken back."
        }
        (Intent::Apply, Some(_)) => ". What was compared is as the configuration says.",
    }
}
