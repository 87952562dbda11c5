//! One page that needs nothing else: summary, risk, timeline, graph, and every change, to be searched.

use std::fmt::Write;

use super::{counts, disks, duration, risks};
use crate::plain::steers;
use crate::plan::draw::{self, Instances};
use crate::plan::forecast::{Forecast, human_time};
use crate::plan::terms::terms;
use crate::plan::{Change, Plan};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// A picture of more is a carpet.
const BOXES_MAX: usize = 400;
const BARS_MAX: usize = 300;

/// The page.
pub fn html(plan: &Plan, forecast: &Forecast) -> String {
    let id = plan.id.get(..12).unwrap_or_default();
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>bmctl plan {id}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    let _ = writeln!(out, "<header><h1>bmctl plan <code>{id}</code></h1>");
    let _ = writeln!(
        out,
        "<p><strong id=\"counts\">{}</strong>, {} steps, {}.</p></header>",
        escape(&counts(plan)),
        plan.steps.len(),
        escape(&duration(forecast))
    );
    for line in terms(plan) {
        let _ = writeln!(out, "<p class=\"terms\">{}</p>", escape(&line));
    }
    risk(&mut out, plan);
    findings(&mut out, plan);
    lost(&mut out, plan);
    timeline(&mut out, plan, forecast);
    graph(&mut out, plan);
    changes(&mut out, plan, forecast);
    let _ = write!(out, "<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    out
}

fn risk(out: &mut String, plan: &Plan) {
    out.push_str("<section id=\"risk\"><h2>Risk</h2><ul class=\"risks\">\n");
    for (risk, n) in risks(plan) {
        let _ = writeln!(
            out,
            "<li class=\"{}\"><b>{n}</b> {}</li>",
            risk.name(),
            risk.describe()
        );
    }
    out.push_str("</ul></section>\n");
}

fn findings(out: &mut String, plan: &Plan) {
    if plan.findings.is_empty() && plan.warnings.is_empty() {
        return;
    }
    out.push_str("<section id=\"warnings\"><h2>Policies and warnings</h2><ul>\n");
    for finding in &plan.findings {
        let weight = match finding.weight {
            crate::model::Weight::Block => "blocked",
            crate::model::Weight::Approve => "needs approval",
            crate::model::Weight::Warn => "policy",
        };
        let _ = writeln!(
            out,
            "<li><b>{weight}</b>: {} <code>{}</code></li>",
            escape(&finding.message),
            escape(&finding.place)
        );
    }
    for warning in &plan.warnings {
        let _ = writeln!(out, "<li>{}</li>", escape(warning));
    }
    out.push_str("</ul></section>\n");
}

fn lost(out: &mut String, plan: &Plan) {
    let all = disks(plan);
    if all.is_empty() {
        return;
    }
    out.push_str("<section id=\"disks\"><h2>Disks</h2><ul>\n");
    for (change, text) in all {
        let _ = writeln!(
            out,
            "<li><code>{}</code> on {}</li>",
            escape(&change.addr.to_string()),
            escape(&text)
        );
    }
    out.push_str("</ul></section>\n");
}

/// A bar for each change that takes time, in the order in which they begin.
fn timeline(out: &mut String, plan: &Plan, forecast: &Forecast) {
    let mut bars: Vec<_> = plan
        .changes
        .iter()
        .filter_map(|change| Some((change, *forecast.spans.get(&change.addr)?)))
        .filter(|(_, span)| span.end_ms > span.begin_ms)
        .collect();
    if bars.is_empty() {
        return;
    }
    bars.sort_by_key(|(change, span)| (span.begin_ms, span.end_ms, &change.addr));
    let total = forecast.p50_ms.max(1);
    out.push_str(
        "<section id=\"timeline\"><h2>Timeline, at the median</h2>\n<div class=\"bars\">\n",
    );
    for (change, span) in bars.iter().take(BARS_MAX) {
        let percent = |ms: u64| ms as f64 * 100.0 / total as f64;
        let _ = writeln!(
            out,
            "<div class=\"bar\"><span class=\"name\">{}</span><span class=\"track\"><span class=\"{}\" style=\"margin-left:{:.2}%;width:{:.2}%\" title=\"{} to {}\"></span></span></div>",
            escape(&change.addr.to_string()),
            change.risk.name(),
            percent(span.begin_ms),
            percent(span.end_ms - span.begin_ms).max(0.2),
            human_time(span.begin_ms),
            human_time(span.end_ms)
        );
    }
    out.push_str("</div>\n");
    if bars.len() > BARS_MAX {
        let _ = writeln!(out, "<p>and {} more</p>", bars.len() - BARS_MAX);
    }
    let critical = forecast.critical.iter().filter_map(|id| plan.step(*id));
    let path: Vec<String> = critical
        .map(|s| format!("{}: {}", s.subject, s.step.title()))
        .collect();
    let _ = writeln!(
        out,
        "<p>What the end waits for: {}.</p></section>",
        escape(&path.join(" → "))
    );
}

fn graph(out: &mut String, plan: &Plan) {
    let picture = draw::changes(plan, None, Instances::Together);
    if picture.cards.is_empty() || picture.cards.len() > BOXES_MAX {
        return;
    }
    let _ = writeln!(
        out,
        "<section id=\"graph\"><h2>Graph</h2><div class=\"graph\">{}</div></section>",
        draw::svg(&picture)
    );
}

fn changes(out: &mut String, plan: &Plan, forecast: &Forecast) {
    let _ = writeln!(
        out,
        "<section id=\"changes\"><h2>Changes</h2>\n<p><label>Search <input id=\"search\" type=\"search\" autocomplete=\"off\" placeholder=\"address, node, disk, attribute, risk\"></label> <span id=\"found\">{0} of {0}</span></p>",
        plan.changes.len()
    );
    for change in &plan.changes {
        one(out, plan, change, forecast);
    }
    out.push_str("</section>\n");
}

fn one(out: &mut String, plan: &Plan, change: &Change, forecast: &Forecast) {
    let on = change
        .node
        .as_ref()
        .map(|n| format!(" on {n}"))
        .unwrap_or_default();
    let _ = writeln!(
        out,
        "<details class=\"change\"><summary><code>{}</code> <code>{}</code>{} <span class=\"{}\">{}</span></summary>",
        escape(change.action.symbol()),
        escape(&change.addr.to_string()),
        escape(&on),
        change.risk.name(),
        change.risk.describe()
    );
    for reason in &change.reasons {
        let _ = writeln!(out, "<p>{}</p>", escape(reason));
    }
    if let Some(disk) = &change.disk {
        let _ = writeln!(out, "<p>disk: <b>{}</b></p>", escape(disk));
    }
    if !change.attributes.is_empty() {
        out.push_str("<table><tr><th>attribute</th><th>before</th><th>after</th></tr>\n");
        for attribute in &change.attributes {
            let (before, after) = attribute.shown();
            let forces = attribute
                .forces
                .as_ref()
                .map(|f| format!(" (forces {f})"))
                .unwrap_or_default();
            let _ = writeln!(
                out,
                "<tr><td>{}{}</td><td>{}</td><td>{}</td></tr>",
                escape(&attribute.name),
                escape(&forces),
                escape(&before.unwrap_or_default()),
                escape(&after.unwrap_or_default())
            );
        }
        out.push_str("</table>\n");
    }
    let steps = change.steps.iter().filter_map(|id| plan.step(*id));
    let titles: Vec<&str> = steps.map(|s| s.step.title()).collect();
    let _ = write!(out, "<p>{}", escape(&titles.join(" → ")));
    if let Some(span) = forecast.spans.get(&change.addr) {
        let late = forecast
            .late_ms
            .get(&change.addr)
            .copied()
            .unwrap_or(span.end_ms);
        let _ = write!(
            out,
            " ({} to {}, at worst {})",
            human_time(span.begin_ms),
            human_time(span.end_ms),
            human_time(late)
        );
    }
    out.push_str("</p></details>\n");
}

/// Text that cannot be markup, in elements and in quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if steers(c) && c != '\n' => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}
