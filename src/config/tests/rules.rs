//! `lifecycle`, `dynamic`, conditions, and what is said about addresses.

use super::{codes, load_all, load_text, rendered};
use crate::config::codes as c;
use crate::config::{Loaded, MemorySources};
use crate::diag::Severity;
use crate::model::{Ignore, Subject};

fn good(text: &str) -> Loaded {
    let loaded = load_text(text);
    assert!(
        loaded.diagnostics.iter().next().is_none(),
        "{}",
        rendered(&loaded)
    );
    loaded
}

fn wrong(text: &str, expected: &[&str], texts: &[&str]) {
    let loaded = load_text(text);
    let shown = rendered(&loaded);
    assert_eq!(codes(&loaded), expected, "{shown}");
    for text in texts {
        assert!(shown.contains(text), "no `{text}` in:\n{shown}");
    }
}

const FLEET: &str = "network \"n\" { cidr = \"10.0.0.0/24\" }\n\
    network \"m\" { cidr = \"10.0.1.0/24\" }\n\
    flavor \"f\" {\n  cpus = 1\n  memory_mb = 1\n  root_gb = 1\n}\n\
    image \"i\" {\n  type = \"disk\"\n  source = \"i.img\"\n}\n";

fn instance(body: &str) -> String {
    format!("{FLEET}instance \"web\" {{\n  flavor = flavor.f\n  image = image.i\n{body}\n}}\n")
}

#[test]
fn dynamic_blocks_are_blocks() {
    let loaded = good(&instance(
        "  dynamic \"address\" {\n    for_each = { n = \"10.0.0.9\", m = null }\n    iterator = it\n    content {\n      network = it.key == \"n\" ? network.n : network.m\n      ip = it.value\n    }\n  }",
    ));
    let web = loaded.fleet.instances.values().next().unwrap();
    let found: Vec<(String, Option<String>)> = web
        .addresses
        .iter()
        .map(|a| (a.network.to_string(), a.ip.map(|ip| ip.to_string())))
        .collect();
    assert_eq!(
        found,
        [
            ("network.m".to_owned(), None),
            ("network.n".to_owned(), Some("10.0.0.9".to_owned()))
        ]
    );
}

#[test]
fn dynamic_blocks_have_labels_and_are_counted() {
    let node = |power: &str| {
        format!(
            "{FLEET}site \"s\" {{\n  network = network.n\n  address = \"10.0.0.1\"\n}}\nnode \"a\" {{\n  site = site.s\n  arch = \"x86_64\"\n  cpus = 1\n  memory_mb = 1\n  local_gb = 1\n{power}\n}}\n"
        )
    };
    let power = |each: &str, labels: &str| {
        node(&format!(
            "  dynamic \"power\" {{\n    for_each = {each}\n    labels = {labels}\n    content {{\n      address = power.value\n      user = \"u\"\n      password = \"p\"\n    }}\n  }}"
        ))
    };
    assert_eq!(
        good(&power("[\"10.9.0.1\"]", "[\"ipmi\"]"))
            .fleet
            .nodes
            .len(),
        1
    );
    wrong(
        &power("[]", "[\"ipmi\"]"),
        &[c::MISSING],
        &["a block `power` is required"],
    );
    wrong(
        &power("[\"10.9.0.1\", \"10.9.0.2\"]", "[\"ipmi\"]"),
        &[c::DUPLICATE],
        &["only one block `power`"],
    );
    wrong(
        &power("[\"10.9.0.1\"]", "[]"),
        &[c::LABELS],
        &["takes 1 labels, found 0"],
    );
    wrong(&power("1", "[]"), &[c::EXPANSION], &["takes a collection"]);
    wrong(
        &instance("  dynamic \"adress\" {\n    for_each = []\n    content {\n    }\n  }"),
        &[c::UNKNOWN_BLOCK],
        &["did you mean `address`?"],
    );
    wrong(
        &instance(
            "  dynamic \"address\" {\n    for_each = [1]\n    network = network.n\n    content {\n    }\n  }",
        ),
        &[c::UNKNOWN_ATTRIBUTE],
        &["goes into content { }"],
    );
}

#[test]
fn lifecycle_is_read_whole() {
    let loaded = good(&instance(
        "  lifecycle {\n    prevent_destroy = true\n    ignore_changes = [user_data, match_labels[\"role\"]]\n    replace_triggered_by = [image.i.kernel_args, flavor.f]\n    precondition {\n      condition = flavor.f.cpus == 1\n      error_message = \"one\"\n    }\n    postcondition {\n      condition = self.hostname == \"web\"\n      error_message = \"web\"\n    }\n  }",
    ));
    let addr = "instance.web".parse().unwrap();
    let rules = &loaded.fleet.lifecycle[&addr];
    let ignored = ["user_data", "match_labels.role"].map(str::to_owned);
    assert_eq!(rules.ignore_changes, Ignore::These(ignored.into()));
    let triggers: Vec<_> = rules
        .replace_triggered_by
        .iter()
        .map(|t| (t.addr.to_string(), t.attribute.as_deref()))
        .collect();
    assert_eq!(
        triggers,
        [
            ("image.i".to_owned(), Some("kernel_args")),
            ("flavor.f".to_owned(), None)
        ]
    );
    assert!(loaded.fleet.prevent_destroy.contains(&addr));
    assert!(
        loaded.fleet.origins[&addr]
            .attributes
            .contains_key("lifecycle.prevent_destroy")
    );
    let all = good(&instance("  lifecycle {\n    ignore_changes = all\n  }"));
    assert_eq!(all.fleet.lifecycle[&addr].ignore_changes, Ignore::All);
}

#[test]
fn lifecycle_is_checked() {
    let rule = |rule: &str| instance(&format!("  lifecycle {{\n    {rule}\n  }}"));
    wrong(
        &rule("ignore_changes = [usr_data]"),
        &[c::UNKNOWN_ATTRIBUTE],
        &["did you mean `user_data`?"],
    );
    wrong(
        &rule("ignore_changes = \"all\""),
        &[c::LIFECYCLE],
        &["`all` or a list"],
    );
    wrong(
        &rule("create_before_destroy = true"),
        &[c::UNKNOWN_ATTRIBUTE],
        &["one system at a time"],
    );
    wrong(
        &rule("prevent_destory = true"),
        &[c::UNKNOWN_ATTRIBUTE],
        &["did you mean `prevent_destroy`?"],
    );
    wrong(
        &rule("prevent_destroy = true\n  }\n  lifecycle {"),
        &[c::DUPLICATE],
        &["one block"],
    );
    wrong(
        &rule("replace_triggered_by = [1]"),
        &[c::LIFECYCLE],
        &["list of resources"],
    );
    wrong(
        &rule("replace_triggered_by = [image.i.nothing]"),
        &[c::NO_SUCH_ELEMENT],
        &["no attribute `nothing`"],
    );
    wrong(
        "flavor \"f\" {\n  cpus = 1\n  memory_mb = 1\n  root_gb = 1\n  lifecycle {\n    replace_triggered_by = [flavor.f]\n  }\n}\n",
        &[c::CYCLE],
        &[],
    );
    wrong(
        &rule(
            "precondition {\n      condition = flavor.f.cpus > 1\n      error_message = \"needs two, has ${flavor.f.cpus}\"\n    }",
        ),
        &[c::CONDITION],
        &["instance.web: needs two, has 1", "this does not hold"],
    );
    wrong(
        &rule(
            "postcondition {\n      condition = self.power_state == \"off\"\n      error_message = \"is ${self.power_state}\"\n    }",
        ),
        &[c::CONDITION],
        &["instance.web: is on"],
    );
    wrong(
        &rule(
            "precondition {\n      condition = self.hostname == \"\"\n      error_message = \"x\"\n    }",
        ),
        &[c::NO_EACH],
        &["only in a postcondition"],
    );
}

#[test]
fn checks_warn_and_outputs_refuse() {
    let check = |condition: &str| {
        format!(
            "variable \"v\" {{\n  default = 1\n}}\ncheck \"c\" {{\n  assert {{\n    condition = {condition}\n    error_message = \"v is ${{var.v}}\"\n  }}\n}}\n"
        )
    };
    good(&check("var.v == 1"));
    let warned = load_text(&check("var.v == 2"));
    assert!(!warned.diagnostics.has_errors());
    let shown = rendered(&warned);
    assert!(shown.contains("warning[E0316]: check.c: v is 1"), "{shown}");
    assert!(
        warned
            .diagnostics
            .iter()
            .all(|d| d.severity == Severity::Warning)
    );
    wrong(
        "check \"c\" {\n}\n",
        &[c::MISSING],
        &["`assert` is required"],
    );
    wrong(
        "output \"o\" {\n  value = 1\n  precondition {\n    condition = 1 == 2\n    error_message = \"no\"\n  }\n}\n",
        &[c::CONDITION],
        &["output.o: no"],
    );
}

#[test]
fn validation_may_look_at_other_values() {
    let text = "variable \"low\" {\n  default = 5\n}\nvariable \"high\" {\n  default = 3\n  validation {\n    condition = var.high > var.low\n    error_message = \"must be more than ${var.low}\"\n  }\n}\n";
    wrong(text, &[c::VALIDATION], &["var.high: must be more than 5"]);
}

#[test]
fn moves_name_addresses_that_need_not_exist() {
    let text = format!(
        "{FLEET}moved {{\n  from = node.old\n  to = node.rack[\"a\"]\n}}\nmoved {{\n  from = module.a\n  to = module.b[0]\n}}\nremoved {{\n  from = module.b[0].instance.x\n  lifecycle {{\n    destroy = false\n  }}\n}}\nimport {{\n  for_each = {{ a = \"n1\" }}\n  to = instance.web[each.key]\n  id = \"node.rack[\\\"${{each.value}}\\\"]\"\n}}\n"
    );
    let fleet = good(&text).fleet;
    let shown: Vec<String> = fleet
        .moved
        .iter()
        .map(|m| format!("{} {}", m.from, m.to))
        .collect();
    assert_eq!(shown, ["node.old node.rack[\"a\"]", "module.a module.b[0]"]);
    assert!(
        matches!(&fleet.removed[0].from, Subject::Resource(a) if a.to_string() == "module.b[0].instance.x")
    );
    assert!(!fleet.removed[0].destroy);
    let import = &fleet.imports[0];
    assert_eq!(
        (import.to.to_string(), import.node.to_string()),
        (
            "instance.web[\"a\"]".to_owned(),
            "node.rack[\"n1\"]".to_owned()
        )
    );
}

#[test]
fn moves_are_checked() {
    for (text, code, said) in [
        (
            "moved {\n  from = node.a\n  to = nic.b\n}\n",
            c::MOVES,
            "cannot become",
        ),
        (
            "moved {\n  from = node.a\n}\n",
            c::MISSING,
            "`moved` needs `to`",
        ),
        (
            "moved {\n  from = \"node.a\"\n  to = node.b\n}\n",
            c::MOVES,
            "not an address",
        ),
        (
            "moved {\n  from = node.a\n  to = node.b[var.x]\n}\n",
            c::MOVES,
            "not an address",
        ),
        (
            "removed {\n  from = node.a\n  destroy = false\n}\n",
            c::UNKNOWN_ATTRIBUTE,
            "no attribute `destroy`",
        ),
        (
            "import {\n  to = node.a\n  id = \"x\"\n}\n",
            c::MOVES,
            "cannot be imported",
        ),
        (
            "import {\n  to = instance.a\n  id = \"x\"\n}\n",
            c::MOVES,
            "the node that instance.a stands on",
        ),
    ] {
        wrong(text, &[code], &[said]);
    }
}

#[test]
fn what_is_said_in_a_module_is_about_the_module() {
    let sources = MemorySources::default()
        .file("main.hcl", "module \"m\" {\n  source = \"./m\"\n  count = 1\n}\n")
        .file("m/m.hcl", "moved {\n  from = node.a\n  to = node.b\n}\nbmctl {\n  required_version = \">= 0.1\"\n}\n");
    let loaded = load_all(sources.clone(), &[]);
    assert_eq!(
        loaded.fleet.moved[0].to.to_string(),
        "module.m[0].node.b",
        "{}",
        rendered(&loaded)
    );
    let sources = sources
        .file("m/s.hcl", "")
        .file("m/m.hcl", "bmctl {\n  state \"sqlite\" {\n  }\n}\n");
    assert_eq!(codes(&load_all(sources, &[])), [c::UNKNOWN_BLOCK]);
}

#[test]
fn a_part_of_an_attribute_is_ignored_only_where_it_has_parts() {
    let rule = |names: &str| {
        instance(&format!(
            "  lifecycle {{\n    ignore_changes = [{names}]\n  }}"
        ))
    };
    good(&rule("match_labels[\"role\"], match_labels.zone"));
    for name in ["hostname.x", "address.ip", "ssh_keys.first"] {
        wrong(&rule(name), &[c::LIFECYCLE], &["as a whole, or not at all"]);
    }
}

#[test]
fn an_import_stands_in_the_root_module() {
    let sources = MemorySources::default()
        .file("main.hcl", "module \"m\" {\n  source = \"./m\"\n}\n")
        .file(
            "m/m.hcl",
            "import {\n  to = instance.a\n  id = \"node.a\"\n}\n",
        );
    let loaded = load_all(sources, &[]);
    assert_eq!(codes(&loaded), [c::MOVES], "{}", rendered(&loaded));
}
