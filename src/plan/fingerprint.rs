//! What a plan was made from, as digests: a saved plan is carried out only when that is still so.

use sha2::{Digest, Sha256 as Hasher};

use crate::model::{Fleet, Ignore};
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
    for rule in rules_of(fleet) {
        add(Ok(rule.into_bytes()));
    }
    Sha256(hash.finalize().into())
}

/// What is said about resources: a plan that was made before `removed` said to leave something alone is not to be applied after.
fn rules_of(fleet: &Fleet) -> Vec<String> {
    let mut out = Vec::new();
    for addr in &fleet.prevent_destroy {
        out.push(format!("\nprevent_destroy {addr}"));
    }
    for (addr, before) in &fleet.depends_on {
        for other in before {
            out.push(format!("\n{addr} depends_on {other}"));
        }
    }
    for (addr, rules) in &fleet.lifecycle {
        match &rules.ignore_changes {
            Ignore::All => out.push(format!("\n{addr} ignores all")),
            Ignore::These(names) => {
                out.extend(names.iter().map(|n| format!("\n{addr} ignores {n}")));
            }
        }
        for trigger in &rules.replace_triggered_by {
            let attribute = trigger.attribute.as_deref().unwrap_or("*");
            out.push(format!("\n{addr} follows {} {attribute}", trigger.addr));
        }
    }
    for moved in &fleet.moved {
        out.push(format!("\nmoved {} {}", moved.from, moved.to));
    }
    for removed in &fleet.removed {
        out.push(format!("\nremoved {} {}", removed.from, removed.destroy));
    }
    for import in &fleet.imports {
        out.push(format!("\nimport {} {}", import.to, import.node));
    }
    out
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
