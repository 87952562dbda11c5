//! What a plan was made from, as digests: a saved plan is carried out only when that is still so.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256 as Hasher};

use super::moves::about;
use crate::ids::Addr;
use crate::model::{Fleet, Ignore, Import};
use crate::units::Sha256;

/// The configuration's fingerprint: what is declared, secrets by their keyed fingerprints.
pub fn fingerprint(fleet: &Fleet) -> Sha256 {
    let mut hash = Hasher::new();
    let mut add = |part: Result<Vec<u8>, serde_json::Error>| hash.update(part.unwrap_or_default());
    add(serde_json::to_vec(&fleet.networks));
    add(serde_json::to_vec(&fleet.sites));
    add(serde_json::to_vec(&fleet.flavors));
    add(serde_json::to_vec(&fleet.images));
    add(serde_json::to_vec(&fleet.nodes));
    add(serde_json::to_vec(&fleet.nics));
    add(serde_json::to_vec(&fleet.instances));
    for window in &fleet.windows {
        add(serde_json::to_vec(window));
    }
    for rule in &fleet.rollouts {
        add(serde_json::to_vec(rule));
    }
    let Fleet {
        moved,
        removed,
        imports,
        ..
    } = fleet;
    let statements = moved
        .iter()
        .map(|m| format!("\nmoved {} {}", m.from, m.to))
        .chain(
            removed
                .iter()
                .map(|r| format!("\nremoved {} {}", r.from, r.destroy)),
        )
        .chain(
            imports
                .iter()
                .map(|i| format!("\nimport {} {}", i.to, i.node)),
        );
    for statement in statements {
        add(Ok(statement.into_bytes()));
    }
    let ruled = fleet.lifecycle.keys().chain(fleet.depends_on.keys());
    let ruled: BTreeSet<&Addr> = ruled.chain(&fleet.prevent_destroy).collect();
    let rules = Rules::of(fleet);
    for addr in ruled {
        for rule in rules.about(addr) {
            add(Ok(format!("\n{addr}{rule}").into_bytes()));
        }
    }
    Sha256(hash.finalize().into())
}

/// What is said about resources beside their blocks: a plan that was made before `removed` said to leave something alone is not to
/// be carried out after.
pub(super) struct Rules<'a> {
    fleet: &'a Fleet,
    /// One block may take over a whole fleet.
    imports: BTreeMap<&'a Addr, Vec<&'a Import>>,
}

impl<'a> Rules<'a> {
    pub(super) fn of(fleet: &'a Fleet) -> Rules<'a> {
        let mut imports: BTreeMap<&Addr, Vec<&Import>> = BTreeMap::new();
        for import in &fleet.imports {
            imports.entry(&import.to).or_default().push(import);
        }
        Rules { fleet, imports }
    }

    pub(super) fn about(&self, addr: &Addr) -> Vec<String> {
        let fleet = self.fleet;
        let mut out = Vec::new();
        if fleet.prevent_destroy.contains(addr) {
            out.push("\nprevent_destroy".to_owned());
        }
        for other in fleet.depends_on.get(addr).into_iter().flatten() {
            out.push(format!("\ndepends_on {other}"));
        }
        if let Some(rules) = fleet.lifecycle.get(addr) {
            match &rules.ignore_changes {
                Ignore::All => out.push("\nignores all".to_owned()),
                Ignore::These(names) => out.extend(names.iter().map(|n| format!("\nignores {n}"))),
            }
            for trigger in &rules.replace_triggered_by {
                let attribute = trigger.attribute.as_deref().unwrap_or("*");
                out.push(format!("\nfollows {} {attribute}", trigger.addr));
            }
        }
        let moved = fleet.moved.iter();
        for moved in moved.filter(|m| about(&m.from, addr) || about(&m.to, addr)) {
            out.push(format!("\nmoved {} {}", moved.from, moved.to));
        }
        for removed in fleet.removed.iter().filter(|r| about(&r.from, addr)) {
            out.push(format!("\nremoved {} {}", removed.from, removed.destroy));
        }
        for import in self.imports.get(addr).into_iter().flatten() {
            out.push(format!("\nimport {} {}", import.to, import.node));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{FileId, Span};
    use crate::model::{Removed, Subject};

    #[test]
    fn a_plan_is_of_what_was_said_too() {
        let plain = Fleet::default();
        let mut fleet = Fleet::default();
        fleet.removed.push(Removed {
            from: Subject::Resource("instance.web".parse().unwrap()),
            destroy: false,
            span: Span::new(FileId(0), 0..0),
        });
        assert_ne!(fingerprint(&plain), fingerprint(&fleet));
        let mut taken_down = fleet.clone();
        taken_down.removed[0].destroy = true;
        assert_ne!(fingerprint(&taken_down), fingerprint(&fleet));
    }
}
