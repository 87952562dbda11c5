//! Which properties are blocks: JSON itself does not say.

/// What stands behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// Its strings are templates.
    Attribute,
    /// Its strings are expressions as the native form writes them: types, and references to what is declared.
    Expression,
    /// One object, or a list of them, below so many levels of labels.
    Block { labels: usize },
}

const RESOURCES: [&str; 7] = [
    "network", "site", "flavor", "image", "node", "nic", "instance",
];

/// The language's own blocks.
pub fn property(around: &[&str], name: &str) -> Property {
    let block = |labels| Property::Block { labels };
    let in_resource = |kind: &str| RESOURCES.contains(&kind);
    match (around, name) {
        ([], name) if in_resource(name) => block(1),
        ([], "variable" | "output" | "module" | "check" | "policy" | "rollout" | "window") => {
            block(1)
        }
        ([], "bmctl" | "locals" | "moved" | "removed" | "import") => block(0),
        (["bmctl"], "state") => block(1),
        (["variable"], "validation") => block(0),
        (["variable"], "type") => Property::Expression,
        (["output"], "precondition") => block(0),
        (["check"], "assert") => block(0),
        (["check"], "data") => block(2),
        (["policy" | "rollout"], "at_most_down") => block(0),
        (["removed"], "lifecycle") => block(0),
        (["moved"] | ["removed"] | ["import"], "from" | "to") => Property::Expression,
        (["network"], "dhcp") => block(0),
        (["rollout"], "gate") => block(1),
        (["site"], "limits") => block(0),
        (["site", "limits"], "per_label") => block(1),
        (["node"], "power") => block(1),
        (["node"], "root_device" | "serial_console") => block(0),
        (["instance"], "address" | "drift") => block(0),
        ([kind], "lifecycle") if in_resource(kind) => block(0),
        ([kind, "lifecycle"], "precondition" | "postcondition") if in_resource(kind) => block(0),
        ([kind, "lifecycle"], "ignore_changes" | "replace_triggered_by") if in_resource(kind) => {
            Property::Expression
        }
        ([kind, ..], "dynamic") if in_resource(kind) => block(1),
        ([.., "dynamic"], "content") => block(0),
        ([.., "dynamic"], "iterator") => Property::Expression,
        ([_], "depends_on") => Property::Expression,
        _ => Property::Attribute,
    }
}
