//! The commands around the language: what they explain is true, and what they print is what was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bmctl::config::explain::{Example, explanations};
use bmctl::diag::Diagnostic;
use bmctl::ids::Addr;
use bmctl::model::{Fleet, ImageFacts, Observed, Recorded, rules};
use bmctl::plan::{Intent, PlanInput, make};

use crate::fleet::{facts_of, load, rendered};

/// What the examples of E05xx and E06xx lean on.
const BASE: &str = concat!(
    include_str!("plan/base.hcl"),
    r#"
node "spare" {
  count     = 2
  site      = site.lab
  arch      = "x86_64"
  cpus      = 2
  memory_mb = 4096
  local_gb  = 20
  power "ipmi" {
    address  = "10.98.1.${count.index}"
    user     = "admin"
    password = "x"
  }
}
nic "spare" {
  count   = 2
  node    = node.spare[count.index]
  network = network.pxe
  mac     = "52:54:00:00:01:0${count.index}"
  pxe     = true
}
"#
);

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Codes stand in the source as literals; those of a file's tests are made up.
#[test]
fn every_code_is_explained() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let pattern = regex::Regex::new("\"(E[0-9]{4})\"").unwrap();
    let mut used = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        used.extend(pattern.captures_iter(code).map(|c| c[1].to_owned()));
    }
    let explained: BTreeSet<String> = explanations().iter().map(|e| e.code.to_owned()).collect();
    assert!(used.len() > 50);
    assert_eq!(
        used, explained,
        "left: in the source; right: in docs/diagnostics.md"
    );
}

/// What is wrong with an example, up to the plan.
fn mistakes(example: &Example) -> Vec<Diagnostic> {
    let leaning = matches!(example.mark, "hcl refused" | "hcl part");
    let base = if leaning { BASE } else { "" };
    let loaded = match example.mark {
        "hcl values" => load(&[
            ("main.hcl", "variable \"size\" {\n  default = 1\n}\n"),
            ("bmctl.vars.hcl", example.text),
        ]),
        _ => load(&[("base.hcl", base), ("main.hcl", example.text)]),
    };
    let mut found: Vec<Diagnostic> = loaded.diagnostics.iter().cloned().collect();
    if found.is_empty() && leaning {
        let facts = facts_of(&loaded.fleet);
        found = rules::check(&loaded.fleet, &facts);
        if found.is_empty() {
            found = refusals(&loaded.fleet, &facts);
        }
    }
    for d in &found {
        assert!(d.is_error(), "{}", rendered([d].into_iter(), &loaded));
    }
    found
}

fn refusals(fleet: &Fleet, facts: &BTreeMap<Addr, ImageFacts>) -> Vec<Diagnostic> {
    let input = PlanInput {
        fleet,
        recorded: &Recorded::default(),
        observed: &Observed::default(),
        facts,
        intent: Intent::Apply,
    };
    match make(&input) {
        Ok(_) => Vec::new(),
        Err(found) => found.into_iter().collect(),
    }
}

/// A wrong example has its own mistake and no other; the right one has none.
#[test]
fn examples_are_wrong_and_right_as_they_say() {
    let mut run = 0;
    let mut told = Vec::new();
    for one in explanations() {
        let Some(wrong) = one.wrong else {
            continue;
        };
        let codes: BTreeSet<&str> = mistakes(&wrong).iter().map(|d| d.code).collect();
        if codes != BTreeSet::from([one.code]) {
            told.push(format!("the wrong example of {} gives {codes:?}", one.code));
        }
        let right = one
            .right
            .unwrap_or_else(|| panic!("{} has no right example", one.code));
        for d in mistakes(&right) {
            told.push(format!(
                "the right example of {}: {} {}",
                one.code, d.code, d.message
            ));
        }
        run += 1;
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert!(run > 45, "only {run} examples");
}
