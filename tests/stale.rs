//! Stale by node: a saved plan holds while what it read about its own machines holds, whatever happens to the others.

use std::collections::BTreeMap;

use bmctl::config::Loaded;
use bmctl::ids::Addr;
use bmctl::model::{ImageFacts, Observed};
use bmctl::plan::reads::{Stale, stale_in_configuration, stale_in_state};
use bmctl::plan::{Intent, Plan, Selection};

use crate::fleet::{Memory, facts_of, load, plan_of, without_mistakes};

const BASE: &str = include_str!("plan/base.hcl");
const NODES: &str = include_str!("plan/nodes.hcl");

struct Site {
    wanted: Loaded,
    facts: BTreeMap<Addr, ImageFacts>,
}

fn site(instances: &str) -> Site {
    let files = [
        ("base.hcl", BASE),
        ("nodes.hcl", NODES),
        ("main.hcl", instances),
    ];
    let wanted = without_mistakes(load(&files));
    let facts = facts_of(&wanted.fleet);
    Site { wanted, facts }
}

impl Site {
    fn plan(&self, memory: &Memory, targets: &[&str]) -> Plan {
        let selection = Selection {
            targets: targets.iter().map(|t| t.parse().unwrap()).collect(),
            ..Selection::default()
        };
        let seen = Observed::default();
        let (fleet, recorded) = (&self.wanted.fleet, &memory.recorded);
        plan_of(
            fleet,
            recorded,
            &seen,
            &self.facts,
            Intent::Apply,
            &selection,
        )
        .unwrap()
    }

    fn apply(&self, memory: &mut Memory, plan: &Plan) {
        memory.seal(&self.wanted.fleet, plan);
        memory.apply(plan, |_| false);
    }
}

fn web(image: &str) -> String {
    format!(
        "instance \"web\" {{\n  for_each = toset([\"a\", \"b\"])\n  flavor = flavor.small\n  image = image.{image}\n  \
         address {{ network = network.pxe }}\n}}\n"
    )
}

fn deployed(image: &str) -> Memory {
    let site = site(&web(image));
    let mut memory = Memory::new();
    let all = site.plan(&memory, &[]);
    site.apply(&mut memory, &all);
    memory
}

fn told(stale: &[Stale]) -> String {
    let lines: Vec<String> = stale.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn plans_on_other_nodes_apply_in_either_order() {
    let wanted = site(&web("disk"));
    let before = deployed("part");
    let a = wanted.plan(&before, &[r#"instance.web["a"]"#]);
    let b = wanted.plan(&before, &[r#"instance.web["b"]"#]);
    assert!(a.changes.len() == 1 && b.changes.len() == 1);
    let mut ends = Vec::new();
    for (first, second) in [(&a, &b), (&b, &a)] {
        let mut memory = before.clone();
        wanted.apply(&mut memory, first);
        assert_eq!(told(&stale_in_state(second, &memory.recorded)), "");
        wanted.apply(&mut memory, second);
        assert!(wanted.plan(&memory, &[]).is_empty());
        ends.push(memory);
    }
    assert_eq!(ends[0].recorded.resources, ends[1].recorded.resources);
}

#[test]
fn of_plans_that_overlap_the_second_is_refused_and_says_what_changed() {
    let wanted = site(&web("disk"));
    let mut memory = deployed("part");
    let one = wanted.plan(&memory, &[r#"instance.web["a"]"#]);
    let both = wanted.plan(&memory, &[]);
    wanted.apply(&mut memory, &one);
    let stale = stale_in_state(&both, &memory.recorded);
    assert_eq!(
        told(&stale),
        r#"instance.web["a"]: its record has changed: image was "image.part (b29c1878b6b0)", is "image.disk (72236d7ae191)""#
    );
    // And a plan is not carried out twice.
    assert_eq!(stale_in_state(&one, &memory.recorded).len(), 1);
}

#[test]
fn two_new_instances_do_not_get_one_node_or_one_address() {
    let named = |name: &str| {
        format!(
            "instance \"{name}\" {{\n  flavor = flavor.small\n  image = image.disk\n  address {{ network = network.pxe }}\n}}\n"
        )
    };
    let mut memory = Memory::new();
    let nothing = site("");
    let inventory = nothing.plan(&memory, &[]);
    nothing.apply(&mut memory, &inventory);
    // Two branches, each with an instance of its own, planned from one state.
    let (x, y) = (site(&named("x")), site(&named("y")));
    let (of_x, of_y) = (x.plan(&memory, &[]), y.plan(&memory, &["instance.y"]));
    x.apply(&mut memory, &of_x);
    let stale = told(&stale_in_state(&of_y, &memory.recorded));
    assert!(
        stale.contains(r#"node.n["a"]: was free, is taken by instance.x"#),
        "{stale}"
    );
    assert!(
        stale.contains("instance.y: was to get 10.99.0.2, which instance.x has by now"),
        "{stale}"
    );
}

#[test]
fn a_merge_that_concerns_others_leaves_a_plan_good_and_one_that_concerns_it_does_not() {
    let memory = deployed("part");
    let wanted = site(&web("disk"));
    let made = wanted.plan(&memory, &[r#"instance.web["a"]"#]);
    let stale = |text: &str| {
        let files = [("base.hcl", BASE), ("nodes.hcl", NODES), ("main.hcl", text)];
        let merged = without_mistakes(load(&files));
        told(&stale_in_configuration(&made, &merged.fleet))
    };
    let other = "flavor \"huge\" {\n  cpus = 16\n  memory_mb = 1024\n  root_gb = 4\n}\n";
    assert_eq!(stale(&format!("{}{other}", web("disk"))), "");
    let protected = web("disk").replace(
        "image.disk",
        "image.disk\n  lifecycle {\n    prevent_destroy = true\n  }",
    );
    assert!(
        stale(&protected).starts_with(r#"instance.web["a"]: is declared in another way"#),
        "{}",
        stale(&protected)
    );
    assert!(
        stale("").contains("was declared, and is not"),
        "{}",
        stale("")
    );
    let left = "removed {\n  from = instance.web\n  lifecycle {\n    destroy = false\n  }\n}\n";
    assert!(!stale(left).is_empty());
}

#[test]
fn a_nic_that_was_swapped_in_the_configuration_makes_a_plan_stale() {
    let memory = deployed("part");
    let wanted = site(&web("disk"));
    let made = wanted.plan(&memory, &[r#"instance.web["a"]"#]);
    let swapped = NODES.replace("52:54:00:00:00:0", "52:54:00:00:01:0");
    let files = [
        ("base.hcl", BASE),
        ("nodes.hcl", swapped.as_str()),
        ("main.hcl", &web("disk")),
    ];
    let merged = without_mistakes(load(&files));
    let stale = told(&stale_in_configuration(&made, &merged.fleet));
    assert_eq!(
        stale,
        r#"nic.n["a"]: is declared in another way than the plan was made from"#
    );
}
