//! A plan for people who were not at the terminal: a comment on a pull request, or a page to search in. Takes a plan and what is
//! forecast of it; gives text. Never reads a clock or a file.

mod html;
mod markdown;

use super::forecast::{Forecast, human_time};
use super::render::fate_of_disk;
use super::{Action, Change, Plan, Risk};

pub use html::html;
pub use markdown::{CHARS_MAX, markdown};

/// `3 to create, 1 to re-deploy`; what there is none of is left out.
fn counts(plan: &Plan) -> String {
    let all = Action::ALL.into_iter().filter_map(|action| {
        let n = plan.changes.iter().filter(|c| c.action == action).count();
        (n > 0).then(|| format!("{n} to {}", action.verb()))
    });
    let all: Vec<String> = all.collect();
    match all.as_slice() {
        [] => "No changes".to_owned(),
        all => all.join(", "),
    }
}

impl Action {
    /// What is to be done to it.
    pub fn verb(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Update => "update in place",
            Action::Redeploy => "re-deploy",
            Action::Replace => "replace elsewhere",
            Action::Resume => "bring to its end",
            Action::Adopt => "take over",
            Action::Move => "move in state",
            Action::Forget => "forget",
            Action::Delete => "destroy",
        }
    }
}

/// Every risk class that occurs, with its count, the worst last.
fn risks(plan: &Plan) -> Vec<(Risk, usize)> {
    let counted = Risk::ALL.into_iter().map(|risk| {
        let n = plan.changes.iter().filter(|c| c.risk == risk).count();
        (risk, n)
    });
    counted.filter(|(_, n)| *n > 0).collect()
}

/// Changes that name a disk, with what becomes of it.
fn disks(plan: &Plan) -> Vec<(&Change, String)> {
    let named = plan.changes.iter().filter_map(|change| {
        let disk = change.disk.as_ref()?;
        let node = change.node.as_ref()?;
        Some((
            change,
            format!("{node}, {disk}: {}", fate_of_disk(plan, change)),
        ))
    });
    named.collect()
}

fn duration(forecast: &Forecast) -> String {
    let guessed = match forecast.guessed.as_slice() {
        [] => String::new(),
        _ => "; some steps have never been measured here".to_owned(),
    };
    let left_out = forecast.left_out();
    let left_out = left_out.map_or(String::new(), |text| format!("; {text}"));
    format!(
        "about {}, at worst about {}{guessed}{left_out}",
        human_time(forecast.p50_ms),
        human_time(forecast.p95_ms)
    )
}
