//! `rollout`: who goes in turn, and how.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codes;
use super::decode::Reader;
use super::eval::Scope;
use super::gates;
use super::report::Report;
use super::syntax::ast::Block;
use crate::diag::Diagnostic;
use crate::model::rollout::{AtMostDown, Rule};

/// The root module's, by name.
pub(super) fn read(scope: &Scope<'_>, report: &Report) -> Vec<Rule> {
    let declared = scope.env.declared.rollouts.iter();
    let rules = declared.filter_map(|(name, block)| rule(name, block, scope, report));
    rules.collect()
}

/// A rollout that stands where it would hold nobody back.
pub(super) fn of_called(blocks: &BTreeMap<Arc<str>, Block>, report: &Report) {
    for block in blocks.values() {
        let text = "a `rollout` block stands in the root module";
        let d = Diagnostic::error(codes::ROLLOUT, text).at(block.header, "in a module");
        report.push(d.help(
            "how a change goes through the fleet is for the root module to say: move it there",
        ));
    }
}

fn rule(name: &str, block: &Block, scope: &Scope<'_>, report: &Report) -> Option<Rule> {
    let subject = format!("rollout.{name}");
    let mut reader = Reader::new(block, scope, report, &subject);
    let match_labels = reader.or("match_labels", BTreeMap::new());
    let canary = reader.optional("canary");
    let wave = reader.required("wave");
    let at_most_down = reader.block("at_most_down", |r| {
        let (label, at_most) = (r.required("label"), r.required("n"));
        if at_most == Some(0) {
            r.wrong_value("n", "with 0, nobody could ever begin");
        }
        Some(AtMostDown {
            label: label?,
            at_most: at_most?,
        })
    });
    let failures_max = reader.or("failures", 0);
    let pause_s = reader.or("pause", 0);
    let gates = reader.labelled_blocks("gate", 1, gates::read);
    reader.finish().0?;
    Some(Rule {
        name: name.to_owned(),
        match_labels,
        canary,
        wave: wave?,
        at_most_down,
        failures_max,
        pause_s,
        gates,
    })
}
