//! `window`: when machines may be taken down.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codes;
use super::decode::Reader;
use super::eval::Scope;
use super::report::Report;
use super::syntax::ast::Block;
use crate::diag::Diagnostic;
use crate::model::window::{Day, Window, Zone};

/// The root module's, by name.
pub(super) fn read(scope: &Scope<'_>, report: &Report) -> Vec<Window> {
    let declared = scope.env.declared.windows.iter();
    let windows = declared.filter_map(|(name, block)| window(name, block, scope, report));
    windows.collect()
}

/// A window that stands where nothing would keep to it.
pub(super) fn of_called(blocks: &BTreeMap<Arc<str>, Block>, report: &Report) {
    for block in blocks.values() {
        let text = "a `window` block stands in the root module";
        let d = Diagnostic::error(codes::WINDOW, text).at(block.header, "in a module");
        report.push(
            d.help("when machines may be taken down is for the root module to say: move it there"),
        );
    }
}

fn window(name: &str, block: &Block, scope: &Scope<'_>, report: &Report) -> Option<Window> {
    let subject = format!("window.{name}");
    let mut reader = Reader::new(block, scope, report, &subject);
    let match_labels = reader.or("match_labels", BTreeMap::new());
    let days: Vec<Day> = reader.or("days", Vec::new());
    let from = reader.required("from");
    let to = reader.required("to");
    let zone = reader.or("zone", Zone(0));
    reader.finish().0?;
    Some(Window {
        name: name.to_owned(),
        match_labels,
        days: days.into_iter().collect(),
        from: from?,
        to: to?,
        zone,
    })
}
