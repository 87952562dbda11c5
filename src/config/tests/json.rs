//! The JSON form of whole configurations, and of values for variables.

use super::{codes, load_all, rendered};
use crate::config::codes as c;
use crate::config::{MemorySources, VariableInput, VariableOrigin};

const FLAVOR: &str = r#"{
  "//": "made by a program",
  "variable": { "sizes": { "type": "map(object({ cpus = number, root_gb = optional(number, 10) }))" } },
  "flavor": {
    "f": {
      "for_each": "${var.sizes}",
      "cpus": "${each.value.cpus}",
      "memory_mb": 1024,
      "root_gb": "${each.value.root_gb}",
      "extra_specs": { "cpu_arch": "s== ${lower(\"X86_64\")}" },
      "lifecycle": { "prevent_destroy": true, "ignore_changes": ["extra_specs"] }
    }
  },
  "output": { "cpus": { "value": "${[for f in flavor.f : f.cpus]}" } }
}"#;

#[test]
fn json_is_the_same_language() {
    let sources = MemorySources::default()
        .file("made.bmctl.json", FLAVOR)
        .file("other.json", "not read")
        .file("more.hcl", "output \"root\" {\n  value = flavor.f[\"small\"].root_gb\n}\n")
        .file("bmctl.vars.json", "{ \"sizes\": { \"small\": { \"cpus\": 1 } } }")
        .file("b.auto.vars.json", "{ \"sizes\": { \"small\": { \"cpus\": 2 }, \"large\": { \"cpus\": 8, \"root_gb\": 40 } } }")
        .file("a.auto.vars.hcl", "sizes = {}\n");
    let loaded = load_all(sources, &[]);
    assert_eq!(codes(&loaded), Vec::<&str>::new(), "{}", rendered(&loaded));
    assert_eq!(loaded.fleet.outputs["cpus"].value.to_string(), "[8,2]");
    assert_eq!(loaded.fleet.outputs["root"].value.to_string(), "10");
    let small = &loaded.fleet.flavors[&"flavor.f[\"small\"]".parse().unwrap()];
    assert_eq!(small.extra_specs["cpu_arch"], "s== x86_64");
    assert_eq!(loaded.fleet.prevent_destroy.len(), 2);
}

#[test]
fn mistakes_in_json_have_places() {
    let wrong = FLAVOR
        .replace("\"memory_mb\": 1024", "\"memroy_mb\": 1024")
        .replace(
            "\"cpus\": \"${each.value.cpus}\"",
            "\"cpus\": \"${each.value.}\"",
        );
    let loaded = load_all(MemorySources::default().file("made.bmctl.json", wrong), &[]);
    let shown = rendered(&loaded);
    assert!(shown.contains("made.bmctl.json:7:"), "{shown}");
    assert!(
        shown.contains("did you mean `memory_mb`?") || codes(&loaded).contains(&c::NO_VALUE),
        "{shown}"
    );
    assert!(codes(&loaded).contains(&c::SYNTAX), "{shown}");
}

/// A line of a file of values is a secret until the opposite is known.
#[test]
fn values_that_do_not_parse_are_not_shown() {
    let main = "variable \"password\" {\n  sensitive = true\n}\n";
    for (name, text) in [
        ("bmctl.vars.hcl", "password = \"hunter2\n"),
        ("x.auto.vars.hcl", "password = hunter2 hunter2\n"),
        ("bmctl.vars.json", "{ \"password\": hunter2 }"),
        (
            "bmctl.vars.json",
            "{ \"password\": \"hunter2\" \"hunter2\" }",
        ),
    ] {
        let loaded = load_all(
            MemorySources::default()
                .file("main.hcl", main)
                .file(name, text),
            &[],
        );
        let shown = rendered(&loaded);
        assert!(
            loaded.diagnostics.has_errors() && !shown.contains("hunter2"),
            "{shown}"
        );
        assert!(shown.contains(&format!("{name}:1:")), "{shown}");
    }
    let file = VariableInput {
        name: String::new(),
        text: "{ \"password\": ".to_owned(),
        origin: VariableOrigin::File {
            path: "p.json".to_owned(),
        },
    };
    let loaded = load_all(MemorySources::default().file("main.hcl", main), &[file]);
    assert!(
        rendered(&loaded).contains("p.json:1:"),
        "{}",
        rendered(&loaded)
    );
}

#[test]
fn an_empty_property_is_told_as_well() {
    let text = "{ \"locals\": {}, \"node\": {}, \"variabel\": {}, \"nosuch\": { \"a\": {} } }";
    let loaded = load_all(MemorySources::default().file("a.bmctl.json", text), &[]);
    assert_eq!(codes(&loaded), [c::UNKNOWN_ATTRIBUTE, c::UNKNOWN_BLOCK]);
    assert!(rendered(&loaded).contains("did you mean `variable`?"));
}
