//! A plan as people read it: the way Terraform users know, and what a change to metal costs beside it.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use super::layout::Layout;
use super::{Action, AttributeChange, Change, Plan, Risk, Step};
use crate::diag::Color;

/// How much is shown.
#[derive(Debug, Clone, Copy)]
pub struct View {
    pub color: Color,
    /// The steps of every change, and values of attributes that do not matter to a review.
    pub steps: Steps,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steps {
    Shown,
    Hidden,
}

/// The whole plan. Ends with a newline.
pub fn render(plan: &Plan, view: View) -> String {
    let mut out = String::new();
    if plan.is_empty() {
        out.push_str(if plan.warnings.is_empty() {
            "No changes. The machines are as the configuration says.\n"
        } else {
            "No changes, as far as could be seen.\n"
        });
        warnings(&mut out, plan, view);
        return out;
    }
    out.push_str("bmctl will do the following:\n\n");
    for change in &plan.changes {
        render_change(&mut out, plan, change, view);
    }
    summary(&mut out, plan, view);
    warnings(&mut out, plan, view);
    out
}

fn warnings(out: &mut String, plan: &Plan, view: View) {
    for warning in &plan.warnings {
        let _ = writeln!(out, "{} {warning}", paint(view.color, yellow(), "Warning:"));
    }
}

fn render_change(out: &mut String, plan: &Plan, change: &Change, view: View) {
    let style = style_of(change.action);
    let verb = match change.action {
        Action::Create => "will be created",
        Action::Update => "will be updated in place",
        Action::Redeploy => "will be re-deployed",
        Action::Replace => "will be replaced",
        Action::Resume => "will be brought to its end",
        Action::Adopt => "will be taken over as it is",
        Action::Move => "keeps everything but its address",
        Action::Forget => "will be forgotten, and left as it is",
        Action::Delete => "will be destroyed",
    };
    let on = change
        .node
        .as_ref()
        .map(|n| format!(" on {n}"))
        .unwrap_or_default();
    let _ = writeln!(out, "  # {}{on} {verb}", change.addr);
    for reason in &change.reasons {
        let _ = writeln!(out, "  #   {reason}");
    }
    let symbol = paint(view.color, style, &format!("{:>3}", change.action.symbol()));
    let _ = writeln!(out, "{symbol} {} {{", change.addr);
    let width = change
        .attributes
        .iter()
        .map(|a| a.name.len())
        .max()
        .unwrap_or(0);
    for attribute in &change.attributes {
        render_attribute(out, attribute, width, view);
    }
    if change.unchanged > 0 {
        let plural = if change.unchanged == 1 { "" } else { "s" };
        let _ = writeln!(
            out,
            "        # ({} unchanged attribute{plural} hidden)",
            change.unchanged
        );
    }
    if let Some(disk) = &change.disk {
        let loses = match (change.action, erases(plan, change), keeps(plan, change)) {
            (Action::Delete, false, _) => "left as it is",
            (_, _, true) => "ALL DATA LOST but for the ephemeral partition",
            _ => "ALL DATA LOST",
        };
        let what = paint(view.color, red(), loses);
        let _ = writeln!(out, "      ! disk: {disk}: {what}");
    }
    let _ = writeln!(
        out,
        "      ! risk: {}",
        paint(view.color, risk_style(change.risk), change.risk.describe())
    );
    if view.steps == Steps::Shown && change.node.is_some() {
        let titles: Vec<&str> = change
            .steps
            .iter()
            .filter_map(|id| plan.step(*id))
            .map(|s| s.step.title())
            .collect();
        wrap_steps(out, &titles);
    }
    out.push_str("    }\n\n");
}

fn erases(plan: &Plan, change: &Change) -> bool {
    change
        .steps
        .iter()
        .filter_map(|id| plan.step(*id))
        .any(|s| matches!(s.step, Step::EraseDisk { .. } | Step::WriteDisk(_)))
}

/// Whether the write leaves a partition as it is.
fn keeps(plan: &Plan, change: &Change) -> bool {
    let mut steps = change.steps.iter().filter_map(|id| plan.step(*id));
    steps.any(|s| {
        matches!(&s.step, Step::WriteDisk(write)
            if matches!(&write.layout, Layout::Partitions { partitions, .. } if partitions.iter().any(|p| p.keep)))
    })
}

/// `steps: a > b > c`, folded at 100 columns.
fn wrap_steps(out: &mut String, titles: &[&str]) {
    const COLUMNS: usize = 100;
    let mut line = "      > ".to_owned();
    for (n, title) in titles.iter().enumerate() {
        let piece = if n + 1 == titles.len() {
            (*title).to_owned()
        } else {
            format!("{title}, ")
        };
        if line.len() + piece.len() > COLUMNS {
            let _ = writeln!(out, "{}", line.trim_end());
            line = "        ".to_owned();
        }
        line.push_str(&piece);
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

fn render_attribute(out: &mut String, attribute: &AttributeChange, width: usize, view: View) {
    let (symbol, style) = match (&attribute.before, &attribute.after) {
        (None, _) => ("+", green()),
        (Some(_), None) => ("-", red()),
        (Some(_), Some(_)) => ("~", yellow()),
    };
    let show = |value: &Option<Value>| match (attribute.sensitive, value) {
        (true, _) => "(sensitive value)".to_owned(),
        (false, Some(value)) => literal(value),
        (false, None) => "null".to_owned(),
    };
    let value = match (&attribute.before, &attribute.after) {
        (None, after) => show(after),
        (before, None) => format!("{} -> null", show(before)),
        (Some(_), Some(_)) if attribute.sensitive => "(sensitive value)".to_owned(),
        (before, after) => format!("{} -> {}", show(before), show(after)),
    };
    let forces = attribute
        .forces
        .as_ref()
        .map(|f| format!(" # forces {f}"))
        .unwrap_or_default();
    let _ = writeln!(
        out,
        "      {} {:width$} = {value}{forces}",
        paint(view.color, style, symbol),
        attribute.name
    );
}

/// A value as HCL, on one line.
pub fn literal(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(literal).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(k, v)| format!("{k} = {}", literal(v)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::String(text) => format!("{:?}", printable(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Long texts are cut: a plan is for reading.
fn printable(text: &str) -> String {
    const CHARS_MAX: usize = 120;
    if text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    text.chars()
        .take(CHARS_MAX - 3)
        .chain("...".chars())
        .collect()
}

fn summary(out: &mut String, plan: &Plan, view: View) {
    let mut actions: BTreeMap<Action, usize> = BTreeMap::new();
    let mut risks: BTreeMap<Risk, usize> = BTreeMap::new();
    for change in &plan.changes {
        *actions.entry(change.action).or_default() += 1;
        *risks.entry(change.risk).or_default() += 1;
    }
    let count = |action| actions.get(&action).copied().unwrap_or(0);
    let rarer = [
        (Action::Adopt, "to take over"),
        (Action::Move, "to move"),
        (Action::Forget, "to forget"),
    ];
    let rarer = rarer.map(|(action, what)| match count(action) {
        0 => String::new(),
        n => format!(", {n} {what}"),
    });
    let rarer = rarer.concat();
    let _ = writeln!(
        out,
        "Plan: {} to create, {} to update, {} to re-deploy, {} to replace, {} to resume, {} to destroy{}; {} steps.",
        count(Action::Create),
        count(Action::Update),
        count(Action::Redeploy),
        count(Action::Replace),
        count(Action::Resume),
        count(Action::Delete),
        rarer,
        plan.steps.len()
    );
    let words: Vec<String> = Risk::ALL
        .into_iter()
        .filter_map(|risk| {
            let n = risks.get(&risk)?;
            Some(format!(
                "{n} {}",
                paint(view.color, risk_style(risk), risk.describe())
            ))
        })
        .collect();
    let _ = writeln!(out, "Risk: {}.", words.join("; "));
}

pub fn paint(color: Color, style: Style, text: &str) -> String {
    match color {
        Color::Always => format!("{style}{text}{style:#}"),
        Color::Never => text.to_owned(),
    }
}

fn style_of(action: Action) -> Style {
    match action {
        Action::Create | Action::Adopt => green(),
        Action::Update | Action::Resume | Action::Move | Action::Forget => yellow(),
        Action::Redeploy | Action::Replace | Action::Delete => red(),
    }
}

fn risk_style(risk: Risk) -> Style {
    match risk {
        Risk::InPlace => green(),
        Risk::Reboots => yellow(),
        Risk::Redeploys | Risk::DestroysData | Risk::ReplacesElsewhere => red(),
    }
}

fn green() -> Style {
    AnsiColor::Green.on_default()
}

fn yellow() -> Style {
    AnsiColor::Yellow.on_default()
}

fn red() -> Style {
    AnsiColor::Red.on_default()
}
