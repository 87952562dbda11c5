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
        selection: &bmctl::plan::Selection::default(),
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

struct Ended {
    code: i32,
    out: String,
    err: String,
}

/// Runs `bmctl` in a directory that holds these files, with a text as standard input.
fn run(files: &[(&str, &str)], args: &[&str], input: &str) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let stdin = dir.path().join(".stdin");
    std::fs::write(&stdin, input).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_bmctl"))
        .arg("-C")
        .arg(dir.path())
        .args(args)
        .env_clear()
        .env("HOME", dir.path())
        .stdin(std::fs::File::open(stdin).unwrap())
        .output()
        .unwrap();
    assert!(
        !dir.path().join(".local").exists(),
        "no terminal, no history"
    );
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

const VALUES: &str = r#"
variable "password" {
  default   = "hunter2"
  sensitive = true
}
locals {
  rack = { a = 1, b = [true, null] }
}
network "n" {
  cidr = "10.0.0.0/24"
}
output "rack" { value = local.rack }
output "list" { value = tolist(["x"]) }
output "name" { value = "a\"b" }
output "net" { value = network.n }
output "secret" {
  value     = var.password
  sensitive = true
}
"#;

#[test]
fn the_console_answers_line_by_line_and_says_at_the_end_if_all_had_a_value() {
    let files = [("main.hcl", VALUES)];
    let all = run(
        &files,
        &["console"],
        "1 + 1\n\n# a comment\nupper(\n  \"x\"\n)\nlocal.rack\nvar.password",
    );
    let shown =
        "2\n\"X\"\n{\n  \"a\" = 1\n  \"b\" = [\n    true,\n    null,\n  ]\n}\n(sensitive value)\n";
    assert_eq!(
        (all.code, all.out.as_str(), all.err.as_str()),
        (0, shown, "")
    );
    let some = run(
        &files,
        &["console", "--var", "password=x"],
        "nosuch\n1 +\nnetwork.n.cidr\n[",
    );
    assert_eq!((some.code, some.out.as_str()), (1, "\"10.0.0.0/24\"\n"));
    for part in ["E0401", "E0101", "E0102", "bmctl explain E0401"] {
        assert!(some.err.contains(part), "{}", some.err);
    }
    let left = run(&files, &["console"], "1\nexit\nnosuch\n");
    assert_eq!((left.code, left.out.as_str()), (0, "1\n"));
}

#[test]
fn outputs_print_as_a_terraform_user_knows_them() {
    let files = [("main.hcl", VALUES)];
    let all = run(&files, &["output"], "");
    let shown = "list = tolist([\n  \"x\",\n])\nname = \"a\\\"b\"\nnet = network.n\nrack = {\n  \"a\" = 1\n  \"b\" = [\n    true,\n    null,\n  ]\n}\nsecret = <sensitive>\n";
    assert_eq!((all.code, all.out.as_str()), (0, shown), "{}", all.err);
    let json = run(&files, &["output", "--json"], "");
    assert!(!json.out.contains("hunter2"), "{}", json.out);
    let parsed: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(parsed["rack"]["value"]["b"][0], true);
    assert_eq!(parsed["rack"]["type"][1]["b"][1][0], "bool");
    assert_eq!(
        parsed["list"]["type"],
        serde_json::json!(["list", "string"])
    );
    assert_eq!(parsed["secret"]["sensitive"], true);
    for (args, out) in [
        (&["output", "name"][..], "\"a\\\"b\"\n"),
        (&["output", "name", "--raw"], "a\"b"),
        (&["output", "secret"], "<sensitive>\n"),
        (&["output", "secret", "--raw"], "hunter2"),
        (&["output", "secret", "--json"], "\"hunter2\"\n"),
    ] {
        let ended = run(&files, args, "");
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (0, out),
            "{args:?}: {}",
            ended.err
        );
    }
    for (args, code, word) in [
        (&["output", "nam"][..], 1, "did you mean `name`?"),
        (&["output", "rack", "--raw"], 1, "use --json"),
        (&["output", "--raw"], 64, "NAME"),
    ] {
        let ended = run(&files, args, "");
        assert_eq!(ended.code, code, "{args:?}");
        assert!(ended.err.contains(word), "{}", ended.err);
    }
    let none = run(&[("main.hcl", "")], &["output"], "");
    assert!(none.code == 0 && none.out.is_empty() && none.err.contains("no outputs"));
}

#[test]
fn what_is_explained_is_a_code_or_a_path() {
    for (args, code, word) in [
        (&["explain", "e0303"][..], 0, "Right:"),
        (&["explain", "E0303", "--json"], 0, "\"meaning\""),
        (&["explain", "node.power.port"], 0, "623"),
        (&["explain", "nodes"], 64, "did you mean `node`?"),
        (&["explain", "E9999"], 64, "--list"),
        (&["explain", "--list"], 0, "E0101  the text is not HCL\n"),
        (&["schema"], 0, "instance  A system on a node.\n"),
        (&["schema", "node"], 0, "power \"ipmi\" { }  once"),
        (&["schema", "node.powr"], 64, "did you mean `node.power`?"),
        (&["schema", "--json", "node.power"], 0, "\"cipher_suite\""),
    ] {
        let ended = run(&[], args, "");
        assert_eq!(ended.code, code, "{args:?}");
        let text = if code == 0 { &ended.out } else { &ended.err };
        assert!(text.contains(word), "{args:?}: {text}");
    }
    let table: serde_json::Value =
        serde_json::from_str(&run(&[], &["schema", "--json"], "").out).unwrap();
    assert_eq!(
        table["node"]["blocks"]["power"]["attributes"]["password"]["sensitive"],
        true
    );
}

/// Two of everything, and a resource whose key wants escaping.
const FLEET: &str = r#"
network "pxe" {
  cidr = "10.99.0.0/24"
}
site "lab" {
  network = network.pxe
  address = "10.99.0.1"
}
flavor "f" {
  for_each  = toset(["a\"<&>", "b"])
  cpus      = 1
  memory_mb = 1
  root_gb   = 1
}
node "n" {
  count     = 100
  site      = site.lab
  arch      = "x86_64"
  cpus      = 1
  memory_mb = 1
  local_gb  = 1
  power "ipmi" {
    address  = "10.98.0.1"
    port     = 1000 + count.index
    user     = "u"
    password = "p"
  }
}
nic "n" {
  count   = 100
  node    = node.n[count.index]
  network = network.pxe
  mac     = format("52:54:00:00:00:%02x", count.index)
}
"#;

/// A reading of the DOT that bmctl writes: boxes by number, and arrows between boxes that exist.
fn read_dot(text: &str) -> (BTreeMap<usize, String>, Vec<(usize, usize)>) {
    let body = text
        .strip_prefix("digraph bmctl {\n")
        .unwrap()
        .strip_suffix("}\n")
        .unwrap();
    let number = |n: &str| {
        n.trim()
            .strip_prefix('n')
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };
    let mut boxes = BTreeMap::new();
    let mut arrows = Vec::new();
    for line in body.lines().map(|l| l.trim().strip_suffix(';').unwrap()) {
        if line.starts_with("rankdir") || line.starts_with("node [") {
            continue;
        }
        match line.split_once(" [label = \"") {
            Some((id, rest)) => {
                let mut label = String::new();
                let mut letters = rest.chars();
                loop {
                    match letters.next().unwrap() {
                        '"' => break,
                        '\\' => {
                            label.extend(letters.next().map(|c| if c == 'n' { '\n' } else { c }))
                        }
                        c => label.push(c),
                    }
                }
                assert!(letters.as_str().starts_with(", color = \"#"), "{line}");
                boxes.insert(number(id), label);
            }
            None => {
                let (from, to) = line.split_once(" -> ").unwrap();
                arrows.push((number(from), number(to)));
            }
        }
    }
    assert!(
        arrows
            .iter()
            .all(|(a, b)| boxes.contains_key(a) && boxes.contains_key(b))
    );
    (boxes, arrows)
}

#[test]
fn a_configuration_is_drawn_with_its_instances_together_or_apart() {
    let files = [("main.hcl", FLEET)];
    let together = run(&files, &["graph", "--all"], "");
    assert_eq!(together.code, 0, "{}", together.err);
    let (boxes, arrows) = read_dot(&together.out);
    let titles: Vec<&str> = boxes.values().map(String::as_str).collect();
    assert_eq!(
        titles,
        [
            "network.pxe",
            "site.lab",
            "flavor.f (2)",
            "node.n (100)",
            "nic.n (100)"
        ]
    );
    assert_eq!(
        arrows,
        [(1, 0), (3, 1), (4, 3)],
        "a nic waits for its network through its node"
    );
    let apart = run(&files, &["graph", "--all", "--expand"], "");
    let (boxes, arrows) = read_dot(&apart.out);
    assert_eq!((boxes.len(), arrows.len()), (204, 201));
    assert!(
        boxes.values().any(|t| t == "flavor.f[\"a\\\"<&>\"]"),
        "{boxes:?}"
    );
}

#[test]
fn a_picture_is_well_formed_and_no_box_covers_another() {
    let ended = run(
        &[("main.hcl", FLEET)],
        &["graph", "--all", "--expand", "--format", "svg"],
        "",
    );
    let document = roxmltree::Document::parse(&ended.out).unwrap();
    let number = |n: &roxmltree::Node<'_, '_>, name: &str| {
        n.attribute(name).unwrap().parse::<u32>().unwrap()
    };
    let rects: Vec<[u32; 4]> = document
        .descendants()
        .filter(|n| n.has_tag_name("rect"))
        .map(|n| ["x", "y", "width", "height"].map(|name| number(&n, name)))
        .collect();
    assert_eq!(rects.len(), 204);
    for (i, [x, y, w, h]) in rects.iter().enumerate() {
        for [ox, oy, ow, oh] in &rects[i + 1..] {
            let apart = x + w <= *ox || ox + ow <= *x || y + h <= *oy || oy + oh <= *y;
            assert!(apart, "two boxes at {x},{y}");
        }
    }
}

#[test]
fn a_plan_is_drawn_as_resources_or_steps() {
    let files = [("main.hcl", FLEET)];
    let sim = ["--sim", "seed=1"];
    let changes = run(&files, &[&["graph"], &sim[..]].concat(), "");
    assert_eq!(changes.code, 0, "{}", changes.err);
    let (boxes, _) = read_dot(&changes.out);
    assert!(
        boxes.values().any(|t| t.starts_with("+ node.n (100)")),
        "{boxes:?}"
    );
    let steps = run(
        &files,
        &[&["graph", "--type", "steps"], &sim[..]].concat(),
        "",
    );
    let (boxes, _) = read_dot(&steps.out);
    assert_eq!(boxes.len(), 204, "each is recorded");
    let nothing = run(&[("main.hcl", "")], &["graph"], "");
    assert!(nothing.err.contains("--all draws"), "{}", nothing.err);
    assert_eq!(
        run(&files, &["graph", "--all", "--type", "steps"], "").code,
        64
    );
}
