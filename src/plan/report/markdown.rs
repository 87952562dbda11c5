//! A comment on a pull request: what matters most first, and never longer than a comment may be.

use std::fmt::Write;

use super::{counts, disks, duration, risks};
use crate::plain::{plain_line, steers};
use crate::plan::forecast::Forecast;
use crate::plan::groups::{Group, GroupAttribute, groups};
use crate::plan::terms::terms;
use crate::plan::{AttributeChange, Plan};

/// What GitHub takes for one comment.
pub const CHARS_MAX: usize = 65_535;
/// Kept free for the last line.
const RESERVE: usize = 200;
const DISKS_MAX: usize = 100;
const WARNINGS_MAX: usize = 20;

/// The report. At most [`CHARS_MAX`] characters, whatever the plan.
pub fn markdown(plan: &Plan, forecast: &Forecast) -> String {
    let mut out = Bounded::default();
    out.push(&format!(
        "## bmctl plan `{}`\n\n",
        plan.id.get(..12).unwrap_or_default()
    ));
    out.push(&format!(
        "**{}**, {} steps, {}.\n\n",
        counts(plan),
        plan.steps.len(),
        duration(forecast)
    ));
    // Before the numbers: who reads that three machines change has to know that only these were looked at.
    for line in terms(plan) {
        out.push(&format!("{}\n\n", escape(&line)));
    }
    out.push(&risk_table(plan));
    out.push(&findings(plan));
    out.push(&lost(plan));
    let all = groups(plan);
    let mut left = 0;
    for group in &all {
        if !(out.push(&whole(group)) || out.push(&headline(group))) {
            left += group.members.len();
        }
    }
    out.push(&warnings(plan));
    if left > 0 {
        out.last(&format!(
            "\n{left} more changes do not fit here: `bmctl show PLAN` has them all.\n"
        ));
    }
    out.text
}

/// A text that takes a part whole or not at all.
#[derive(Default)]
struct Bounded {
    text: String,
    chars: usize,
}

impl Bounded {
    fn push(&mut self, part: &str) -> bool {
        self.fits(part, CHARS_MAX - RESERVE)
    }

    fn last(&mut self, part: &str) {
        self.fits(part, CHARS_MAX);
    }

    fn fits(&mut self, part: &str, most: usize) -> bool {
        let chars = part.chars().count();
        if self.chars + chars > most {
            return false;
        }
        self.chars += chars;
        self.text.push_str(part);
        true
    }
}

fn risk_table(plan: &Plan) -> String {
    if plan.is_empty() {
        return String::new();
    }
    let mut out = "| changes | risk |\n|---:|---|\n".to_owned();
    for (risk, n) in risks(plan) {
        let _ = writeln!(out, "| {n} | {} |", risk.describe());
    }
    out.push('\n');
    out
}

fn findings(plan: &Plan) -> String {
    let mut out = String::new();
    for finding in &plan.findings {
        let word = match finding.weight {
            crate::model::Weight::Block => "⛔ blocked",
            crate::model::Weight::Approve => "✋ needs approval",
            crate::model::Weight::Warn => "⚠️ policy",
        };
        let _ = writeln!(
            out,
            "- {word}: {} ({})",
            escape(&finding.message),
            escape(&finding.place)
        );
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// The disks, before anything else that is long: this is what nobody may overlook.
fn lost(plan: &Plan) -> String {
    let all = disks(plan);
    if all.is_empty() {
        return String::new();
    }
    let mut out = "### Disks\n\n".to_owned();
    for (change, text) in all.iter().take(DISKS_MAX) {
        let _ = writeln!(
            out,
            "- `{}` on {}",
            code(&change.addr.to_string()),
            escape(text)
        );
    }
    if all.len() > DISKS_MAX {
        let _ = writeln!(out, "- and {} more", all.len() - DISKS_MAX);
    }
    out.push('\n');
    out
}

fn headline(group: &Group<'_>) -> String {
    format!("- `{}` {}\n", group.action.symbol(), escape(&title(group)))
}

fn title(group: &Group<'_>) -> String {
    match group.members.as_slice() {
        [one] => format!("{} {}", one.addr, group.action.past()),
        _ => group.headline(),
    }
}

fn whole(group: &Group<'_>) -> String {
    let mut out = format!(
        "<details><summary><code>{}</code> {}</summary>\n\n",
        group.action.symbol(),
        escape(&title(group))
    );
    for reason in &group.reasons {
        let _ = writeln!(out, "- {}", escape(reason));
    }
    if !group.attributes.is_empty() {
        out.push_str(&fenced(&group.attributes));
    }
    if group.members.len() > 1 {
        let names: Vec<String> = group
            .members
            .iter()
            .map(|c| format!("`{}`", code(&c.addr.to_string())))
            .collect();
        let _ = writeln!(out, "\n{}", names.join(", "));
    }
    out.push_str("\n</details>\n");
    out
}

fn fenced(attributes: &[GroupAttribute<'_>]) -> String {
    let mut out = "\n```diff\n".to_owned();
    for attribute in attributes {
        if attribute.is_alike {
            out.push_str(&diff(attribute.first));
        } else {
            let _ = writeln!(out, "! {} (differs)", attribute.name);
        }
    }
    out.push_str("```\n");
    out
}

fn diff(attribute: &AttributeChange) -> String {
    let (before, after) = attribute.shown();
    let mut out = String::new();
    for (sign, value) in [("-", before), ("+", after)] {
        if let Some(text) = value {
            // A fence within a value would end the block.
            let text = text.replace("```", "'''");
            let _ = writeln!(out, "{sign} {} = {text}", attribute.name);
        }
    }
    out
}

fn warnings(plan: &Plan) -> String {
    let mut out = String::new();
    for warning in plan.warnings.iter().take(WARNINGS_MAX) {
        let _ = writeln!(out, "\n> **Warning:** {}", escape(warning));
    }
    if plan.warnings.len() > WARNINGS_MAX {
        let _ = writeln!(
            out,
            "\n> and {} more warnings",
            plan.warnings.len() - WARNINGS_MAX
        );
    }
    out
}

/// Text that cannot be markup: names and messages come from configurations and machines.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\n' | '\r' => out.push(' '),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '~' | '!' | '@' => {
                out.push('\\');
                out.push(c);
            }
            c if steers(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Within backticks nothing but a backtick counts.
fn code(text: &str) -> String {
    plain_line(text).replace('`', "'")
}
