//! Plans as data: each `tests/plan/*.case` tells what there was, what is wanted, and the plan that is to come of it.
//!
//! A case is a title and sections. `--- both FILE...` names files of `tests/plan/` and HCL that belong to every
//! configuration of the case. Each `--- before` is a configuration that was applied; `--- fails` after it lists steps that
//! failed in doing so (`instance.a: write disk`). `--- facts` says what is known of images from there on
//! (`images/a.img sha256=other size=4GiB`). `--- observed` says what was seen (`node.a off`). `--- after` or `--- destroy` is
//! the configuration to plan for, after `--- select target:PATTERN exclude:PATTERN replace:PATTERN` when only a part is; `--- plan` or `--- errors` what is expected. `BMCTL_BLESS=1` writes what was found.
//!
//! Of every case is checked, too, that its plan, once done, leaves nothing to do.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use bmctl::config::Loaded;
use bmctl::diag::Color;
use bmctl::ids::Addr;
use bmctl::model::{BootSeen, Fleet, ImageFacts, Observed, PowerSeen};
use bmctl::plan::render::{Alike, Steps, View, render};
use bmctl::plan::{Intent, Plan, Selection, Step};

use crate::fleet::{
    CANARY, Memory, addr, digest, facts_of, load, plan, plan_of, rendered, without_mistakes,
};

struct Section {
    name: String,
    arguments: Vec<String>,
    body: String,
}

#[test]
fn every_case_plans_as_it_says() {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "case"))
        .collect();
    paths.sort();
    assert!(paths.len() > 40, "only {} cases were found", paths.len());
    let mut wrong = String::new();
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let checked = std::panic::catch_unwind(|| check(&path));
        if let Err(what) = checked.unwrap_or_else(|panic| Err(message(panic.as_ref()))) {
            let _ = writeln!(wrong, "=== {name}\n{what}");
        }
    }
    assert!(wrong.is_empty(), "BMCTL_BLESS=1 accepts changes\n{wrong}");
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap_or_default()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan")
}

fn check(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).unwrap();
    let (title, sections) = split(&text);
    assert!(title.starts_with("# "), "a case begins with its title");
    let Some((expected, told)) = sections.split_last() else {
        return Err("no section".to_owned());
    };
    let (kind, found) = outcome(told);
    if (expected.name.as_str(), expected.body.as_str()) == (kind, found.as_str()) {
        return Ok(());
    }
    if std::env::var_os("BMCTL_BLESS").is_some() {
        let head = text.rfind("\n--- ").map_or(text.as_str(), |at| &text[..at]);
        std::fs::write(path, format!("{head}\n--- {kind}\n{found}")).unwrap();
        return Ok(());
    }
    let diff = similar::TextDiff::from_lines(&expected.body, &found);
    let head = format!("expected {}, found {kind}:", expected.name);
    Err(format!("{head}\n{}", diff.unified_diff().context_radius(3)))
}

fn split(text: &str) -> (&str, Vec<Section>) {
    let (title, rest) = text.split_once("\n--- ").unwrap_or((text, ""));
    let sections = rest.split("\n--- ").map(|part| {
        let (head, body) = part.split_once('\n').unwrap_or((part, ""));
        let mut words = head.split_whitespace().map(str::to_owned);
        let body = body.trim_end_matches('\n');
        Section {
            name: words.next().unwrap_or_default(),
            arguments: words.collect(),
            body: if body.is_empty() {
                String::new()
            } else {
                format!("{body}\n")
            },
        }
    });
    (title, sections.collect())
}

/// A case being told, section by section.
#[derive(Default)]
struct Story {
    shared: Vec<(String, String)>,
    said: BTreeMap<String, String>,
    observed: Observed,
    selection: Selection,
    memory: Memory,
}

fn outcome(told: &[Section]) -> (&'static str, String) {
    let mut story = Story {
        memory: Memory::new(),
        ..Story::default()
    };
    for (at, section) in told.iter().enumerate() {
        let last = at + 1 == told.len();
        match section.name.as_str() {
            "both" => story.share(section),
            "facts" => story.learn(&section.body),
            "observed" => story.see(&section.body),
            "before" => {
                let fails = told.get(at + 1).filter(|s| s.name == "fails");
                story.happened(&section.body, fails.map_or("", |s| &s.body));
            }
            "fails" => {}
            "select" => story.select(&section.arguments),
            "after" if last => return story.ends(&section.body, Intent::Apply),
            "destroy" if last => return story.ends(&section.body, Intent::Destroy),
            "refresh" if last => return story.ends(&section.body, Intent::Refresh),
            other => panic!("section {other} is not known or not in its place"),
        }
    }
    panic!("there is neither `after` nor `destroy` before what is expected")
}

impl Story {
    fn share(&mut self, section: &Section) {
        for name in &section.arguments {
            let text = std::fs::read_to_string(folder().join(name)).unwrap();
            self.shared.push((name.clone(), text));
        }
        if !section.body.is_empty() {
            self.shared
                .push(("both.hcl".to_owned(), section.body.clone()));
        }
    }

    fn learn(&mut self, body: &str) {
        for line in body.lines() {
            let (source, words) = line.split_once(' ').unwrap();
            self.said.insert(source.to_owned(), words.to_owned());
        }
    }

    fn select(&mut self, arguments: &[String]) {
        for argument in arguments {
            let (option, pattern) = argument.split_once(':').unwrap();
            let pattern = pattern.parse().unwrap();
            match option {
                "target" => self.selection.targets.push(pattern),
                "exclude" => self.selection.excludes.push(pattern),
                "replace" => self.selection.replace.push(pattern),
                other => panic!("option {other}"),
            }
        }
    }

    fn see(&mut self, body: &str) {
        for line in body.lines() {
            let (node, power) = line.split_once(' ').unwrap();
            let boot = match power {
                "boot pxe" => Some(BootSeen::Pxe),
                "boot disk" => Some(BootSeen::Disk),
                "boot cd" => Some(BootSeen::Other(5)),
                "boot unset" => Some(BootSeen::Unset),
                _ => None,
            };
            if let Some(boot) = boot {
                self.observed.boot.insert(addr(node), boot);
                continue;
            }
            if let Some(run) = power.strip_prefix("busy ") {
                self.observed.busy.insert(addr(node), run.to_owned());
                continue;
            }
            let seen = match power {
                "on" => PowerSeen::On,
                "off" => PowerSeen::Off,
                why => PowerSeen::Unknown(why.to_owned()),
            };
            self.observed.power.insert(addr(node), seen);
        }
    }

    fn load(&self, body: &str) -> Loaded {
        let mut files: Vec<(&str, &str)> = vec![("main.hcl", body)];
        files.extend(self.shared.iter().map(|(n, t)| (n.as_str(), t.as_str())));
        load(&files)
    }

    fn facts(&self, fleet: &Fleet) -> BTreeMap<Addr, ImageFacts> {
        let mut all = facts_of(fleet);
        for (addr, facts) in &mut all {
            let words = self.said.get(&fleet.images[addr].source);
            for word in words.map_or("", String::as_str).split_whitespace() {
                let (name, value) = word.split_once('=').unwrap();
                match name {
                    "sha256" => facts.sha256 = digest(value),
                    "kernel" => facts.kernel_sha256 = Some(digest(value)),
                    "size" => facts.virtual_size = bytes(value),
                    "uuid" if value == "none" => facts.fs_uuid = None,
                    other => panic!("fact {other}"),
                }
            }
        }
        all
    }

    fn happened(&mut self, body: &str, fails: &str) {
        let loaded = without_mistakes(self.load(body));
        let facts = self.facts(&loaded.fleet);
        let made = plan(
            &loaded.fleet,
            &self.memory.recorded,
            &Observed::default(),
            &facts,
            Intent::Apply,
        );
        let made = made.unwrap_or_else(|d| panic!("before: {}", rendered(d.iter(), &loaded)));
        let mut hits = 0;
        for line in fails.lines() {
            let matches = |s: &&bmctl::plan::PlannedStep| title(s) == line;
            hits += usize::from(made.steps.iter().any(|s| matches(&s)));
        }
        assert_eq!(
            hits,
            fails.lines().count(),
            "a step that fails is not in the plan"
        );
        self.memory.seal(&loaded.fleet, &made);
        self.memory
            .apply(&made, |step| fails.lines().any(|line| line == title(step)));
    }

    fn ends(mut self, body: &str, intent: Intent) -> (&'static str, String) {
        let loaded = self.load(body);
        if loaded.diagnostics.has_errors() {
            return (
                "errors",
                rendered(loaded.diagnostics.iter(), &loaded) + "\n",
            );
        }
        let facts = match intent {
            Intent::Apply => self.facts(&loaded.fleet),
            Intent::Destroy | Intent::Refresh => BTreeMap::new(),
        };
        let make = |memory: &Memory, observed: &Observed, selection: &Selection| {
            let recorded = &memory.recorded;
            plan_of(&loaded.fleet, recorded, observed, &facts, intent, selection)
        };
        let (kind, text) = match make(&self.memory, &self.observed, &self.selection) {
            Ok(made) => {
                if intent == Intent::Apply {
                    self.memory.seal(&loaded.fleet, &made);
                }
                self.memory.apply(&made, |_| false);
                self.memory.check();
                self.selection.replace.clear();
                let rest = make(&self.memory, &Observed::default(), &self.selection);
                let rest = rest.unwrap_or_else(|d| panic!("then: {}", rendered(d.iter(), &loaded)));
                assert!(
                    rest.is_empty(),
                    "once done, there is more to do:\n{}",
                    shown(&rest)
                );
                ("plan", shown(&made) + &disks(&made))
            }
            Err(d) => ("errors", rendered(d.iter(), &loaded) + "\n"),
        };
        assert!(!text.contains(CANARY), "a secret is shown:\n{text}");
        (kind, text)
    }
}

fn title(step: &bmctl::plan::PlannedStep) -> String {
    format!("{}: {}", step.subject, step.step.title())
}

fn shown(plan: &Plan) -> String {
    let view = View {
        color: Color::Never,
        steps: Steps::Shown,
        alike: Alike::Together,
    };
    render(plan, view)
}

/// What the rendering leaves out and a disk depends on: whom a write expects, and what it may overwrite.
fn disks(plan: &Plan) -> String {
    let mut out = String::new();
    for step in &plan.steps {
        match &step.step {
            Step::WriteDisk(w) if w.disk.serial.is_some() || !w.known_tables.is_empty() => {
                let serial = w.disk.serial.as_deref().unwrap_or("any");
                let tables = w.known_tables.len();
                let _ = writeln!(
                    out,
                    "(writes {}: serial {serial}, tables known: {tables})",
                    w.node
                );
            }
            Step::EraseDisk { node, disk, .. } => {
                let serial = disk.serial.as_deref().unwrap_or("any");
                let hints = disk.root_device.describe();
                let _ = writeln!(out, "(erases {node}: serial {serial}, by {hints})");
            }
            _ => {}
        }
    }
    out
}

fn bytes(text: &str) -> u64 {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "GiB" => bmctl::units::GIB,
        "MiB" => bmctl::units::MIB,
        other => panic!("unit {other}"),
    };
    digits.parse::<u64>().unwrap() * unit
}

/// The language refuses circles between blocks; the planner takes no fleet's word for it.
#[test]
fn a_circle_that_the_language_did_not_see_is_refused() {
    let base = include_str!("plan/base.hcl");
    let nodes = include_str!("plan/nodes.hcl");
    let text =
        "instance \"i\" {\n  count  = 3\n  flavor = flavor.small\n  image  = image.disk\n}\n";
    let mut loaded = load(&[("base.hcl", base), ("nodes.hcl", nodes), ("main.hcl", text)]);
    let fleet = &mut loaded.fleet;
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let name = |n: i32| addr(&format!("instance.i[{n}]"));
        fleet.depends_on.insert(name(from), vec![name(to)]);
    }
    let (memory, facts) = (Memory::new(), facts_of(fleet));
    let make = |fleet: &Fleet| {
        let seen = Observed::default();
        plan(fleet, &memory.recorded, &seen, &facts, Intent::Apply)
    };
    let told = make(fleet).unwrap_err();
    assert_eq!(told[0].code, "E0606");
    assert!(
        told[0]
            .message
            .ends_with("instance.i[0] -> instance.i[1] -> instance.i[2]")
    );
    fleet.depends_on.remove(&addr("instance.i[2]"));
    let made = make(fleet).unwrap();
    let finish = |n: u32| {
        let subject = addr(&format!("instance.i[{n}]"));
        let is = |s: &&bmctl::plan::PlannedStep| {
            s.subject == subject && matches!(s.step, Step::Finish { .. })
        };
        made.steps.iter().find(is).unwrap().id
    };
    assert!(finish(2) < finish(1) && finish(1) < finish(0));
}
