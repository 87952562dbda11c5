//! What somebody may have meant by a pattern that names nothing.

use std::collections::BTreeSet;

use super::Pattern;
use crate::model::Node;
use crate::plain::plain_line;

/// Names that are listed before the rest is counted.
const NAMES_MAX: usize = 10;

/// The next move, from what there is among these nodes.
pub fn instead_of<'a>(pattern: &Pattern, nodes: impl Iterator<Item = &'a Node>) -> String {
    let key = match pattern {
        Pattern::Label { key, value: _ } => key,
        Pattern::Address(_) | Pattern::Glob(_) => {
            return "`bmctl state list` shows what is recorded; addresses are written as the plan shows them, \
                    within ' ' where they have quotes: 'instance.web[\"a\"]'"
                .to_owned();
        }
    };
    let nodes: Vec<&Node> = nodes.collect();
    let values: BTreeSet<&String> = nodes.iter().filter_map(|n| n.labels.get(key)).collect();
    let keys: BTreeSet<&String> = nodes.iter().flat_map(|n| n.labels.keys()).collect();
    match (values.is_empty(), keys.is_empty()) {
        (false, _) => format!("nodes have {} = {}", plain_line(key), first_of(&values)),
        (true, false) => format!(
            "no node has a label {}; there are {}",
            plain_line(key),
            first_of(&keys)
        ),
        (true, true) => "no node has labels: `labels = { rack = \"r1\" }` gives it one".to_owned(),
    }
}

fn first_of(names: &BTreeSet<&String>) -> String {
    let first = names.iter().take(NAMES_MAX);
    let mut out: Vec<String> = first.map(|name| plain_line(name)).collect();
    let more = names.len().saturating_sub(NAMES_MAX);
    out.extend((more > 0).then(|| format!("{more} more")));
    out.join(", ")
}
