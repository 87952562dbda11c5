//! Every example, and the example of every module, makes the plan that stands beside it in `plan.txt`. `BMCTL_BLESS=1` writes
//! what was found.

use std::path::{Path, PathBuf};

use bmctl::config::{self, MemorySources, VariableInput, VariableOrigin};
use bmctl::diag::{Color, FileId};
use bmctl::model::{Observed, Recorded};
use bmctl::plan::render::{Alike, Steps, View, render};
use bmctl::plan::{Intent, PlanInput, make};

use crate::fleet::{CANARY, facts_of, rendered};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn examples() -> Vec<PathBuf> {
    let below = |name: &str| {
        std::fs::read_dir(root().join(name))
            .unwrap()
            .map(|e| e.unwrap().path())
    };
    let mut out: Vec<PathBuf> = below("examples").collect();
    // Scripts, not a configuration.
    out.retain(|path| path.file_name().is_none_or(|name| name != "ci"));
    out.extend(below("modules").map(|module| module.join("example")));
    out.sort();
    out
}

fn files_below(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// The way from a directory to a file, with `..`.
fn from(dir: &Path, file: &Path) -> String {
    let shared = dir.ancestors().find(|a| file.starts_with(a)).unwrap();
    let up = dir.strip_prefix(shared).unwrap().components().count();
    let down = file.strip_prefix(shared).unwrap().display();
    format!("{}{down}", "../".repeat(up))
}

/// The example as its commands see it: its own files, and the modules.
fn sources(dir: &Path) -> MemorySources {
    let mut files = Vec::new();
    files_below(dir, &mut files);
    files_below(&root().join("modules"), &mut files);
    let named = files
        .iter()
        .map(|f| (from(dir, f), std::fs::read(f).unwrap()));
    named.fold(MemorySources::default(), |all, (name, bytes)| {
        all.file(&name, bytes)
    })
}

fn variables() -> Vec<VariableInput> {
    let secret = |name: &str| VariableInput {
        name: name.to_owned(),
        text: CANARY.to_owned(),
        origin: VariableOrigin::Env,
    };
    ["bmc_password", "pm_password"].map(secret).to_vec()
}

fn plan_of(dir: &Path) -> String {
    let loaded = config::load(".", &variables(), &sources(dir));
    let told = rendered(loaded.diagnostics.iter(), &loaded);
    assert!(told.is_empty(), "{}:\n{told}", dir.display());
    let facts = facts_of(&loaded.fleet);
    let input = PlanInput {
        fleet: &loaded.fleet,
        recorded: &Recorded::default(),
        observed: &Observed::default(),
        facts: &facts,
        intent: Intent::Apply,
        selection: &bmctl::plan::Selection::default(),
    };
    let plan = make(&input)
        .unwrap_or_else(|d| panic!("{}:\n{}", dir.display(), rendered(d.iter(), &loaded)));
    let view = View {
        color: Color::Never,
        steps: Steps::Shown,
        alike: Alike::Together,
    };
    render(&plan, view)
}

#[test]
fn examples_make_the_plans_beside_them() {
    let mut seen = 0;
    let mut wrong = String::new();
    for dir in examples() {
        // Its machines are those of a virtual rack, which `bmctl rack up` writes beside it; the rack's tests plan it.
        if dir.ends_with("quickstart") {
            continue;
        }
        seen += 1;
        let found = plan_of(&dir);
        assert!(!found.contains(CANARY), "{} shows a secret", dir.display());
        let path = dir.join("plan.txt");
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if found == expected {
            continue;
        }
        if std::env::var_os("BMCTL_BLESS").is_some() {
            std::fs::write(&path, found).unwrap();
            continue;
        }
        let diff = similar::TextDiff::from_lines(&expected, &found);
        wrong.push_str(&format!(
            "{}:\n{}\n",
            path.display(),
            diff.unified_diff().context_radius(3)
        ));
    }
    assert!(wrong.is_empty(), "BMCTL_BLESS=1 accepts changes\n{wrong}");
    assert!(seen >= 6, "only {seen} examples");
}

/// What ships is laid out as `bmctl fmt` lays it out.
#[test]
fn what_ships_is_formatted() {
    let mut files = Vec::new();
    for folder in ["modules", "examples"] {
        files_below(&root().join(folder), &mut files);
    }
    for file in files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "hcl"))
    {
        let text = std::fs::read_to_string(file).unwrap();
        let found = config::format::format(FileId(0), &text).unwrap();
        assert_eq!(found, text, "{}", file.display());
    }
}

/// What the module `rack` says of a table, with passwords in it.
fn rack_says(table: &str) -> String {
    let fleet = r#"
network "pxe" {
  cidr = "10.99.0.0/24"
}
site "lab" {
  network = network.pxe
  address = "10.99.0.1"
}
module "rack" {
  source  = "./modules/rack"
  csv     = file("rack.csv")
  site    = site.lab
  network = network.pxe
}
"#;
    let sources = sources(&root().join("modules"));
    let named = sources.files.into_iter();
    let mut sources = MemorySources::default();
    for (name, bytes) in named {
        sources = sources.file(&format!("modules/{name}"), bytes);
    }
    let sources = sources.file("main.hcl", fleet).file("rack.csv", table);
    let loaded = config::load(".", &[], &sources);
    let said = rendered(loaded.diagnostics.iter(), &loaded);
    assert!(!said.contains(CANARY), "{said}");
    said
}

#[test]
fn a_rack_that_is_wrong_says_what_and_no_password() {
    let line = "a,52:54:00:00:00:01,10.98.0.1,4,4096,20,hunter2\n";
    let header = "name,mac,bmc,cpus,memory_mb,local_gb,password\n";
    for (table, expected) in [
        (format!("{header}{line}"), ""),
        (
            format!("\u{feff}Name, MAC ,BMC,cpus,memory_mb,local_gb,Password\r\n{line}\r\n"),
            "",
        ),
        (header.to_owned(), ""),
        (String::new(), "the table cannot be read"),
        (
            "52:54:00:00:00:01,admin,hunter2,10.98.0.1,4,4096,20\n".repeat(2),
            "the table has no column mac, bmc, cpus, memory_mb, local_gb; its first line",
        ),
        (
            format!("{header}{line}b,52:54:00:00:00:02,hunter2\n"),
            "not so line 3",
        ),
        (
            format!("{header}{line}{line}"),
            "more than one machine is called a",
        ),
        (
            format!("{header}{}", line.replace(",4,", ",four,")),
            "expected a number, found \"four\"",
        ),
        (
            format!("{header}{}", line.replace("52:54:00:00:00:01", "")),
            "a machine needs a MAC",
        ),
    ] {
        let said = rack_says(&table);
        assert!(said.contains(expected), "{table}\n{said}");
        assert_eq!(said.is_empty(), expected.is_empty(), "{table}\n{said}");
    }
}
