//! Reports of a plan: what a reviewer reads in a comment or a browser.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use bmctl::apply::forecast::forecast;
use bmctl::config::policies::{Object, Says};
use bmctl::diag::Color;
use bmctl::ids::Key;
use bmctl::model::{Finding, Fleet, Observed, Recorded, Weight};
use bmctl::plain::steers;
use bmctl::plan::forecast::{Durations, Spread};
use bmctl::plan::render::{Alike, Steps, View, render};
use bmctl::plan::{Change, Intent, Plan, report, view};

use crate::fleet::{CANARY, Memory, addr, facts_of, load, plan, without_mistakes};

fn redeployed(count: usize) -> Plan {
    let base = include_str!("plan/base.hcl");
    let rack = format!(
        "node \"n\" {{\n  count = {count}\n  site = site.lab\n  arch = \"x86_64\"\n  cpus = 2\n  memory_mb = 2048\n  local_gb = 20\n  \
         root_device {{ serial = \"S${{count.index}}\" }}\n  power \"ipmi\" {{\n    address = cidrhost(\"10.98.0.0/16\", count.index + 1)\n    user = \"admin\"\n    password = \"{CANARY}\"\n  }}\n}}\n\
         nic \"n\" {{\n  count = {count}\n  node = node.n[count.index]\n  network = network.pxe\n  mac = format(\"52:54:00:00:%02x:%02x\", floor(count.index / 256), count.index % 256)\n  pxe = true\n}}\n"
    );
    let web = |image: &str| {
        format!(
            "instance \"web\" {{\n  count = {count}\n  flavor = flavor.small\n  image = image.{image}\n  user_data = \"<script>{CANARY}\"\n}}\n"
        )
    };
    let loaded = |image: &str| {
        without_mistakes(load(&[
            ("base.hcl", base),
            ("rack.hcl", &rack),
            ("main.hcl", &web(image)),
        ]))
    };
    let (before, after) = (loaded("part"), loaded("disk"));
    let (mut memory, seen) = (Memory::new(), Observed::default());
    let first = plan(
        &before.fleet,
        &memory.recorded,
        &seen,
        &facts_of(&before.fleet),
        Intent::Apply,
    )
    .unwrap();
    memory.seal(&before.fleet, &first);
    memory.apply(&first, |_| false);
    plan(
        &after.fleet,
        &memory.recorded,
        &seen,
        &facts_of(&after.fleet),
        Intent::Apply,
    )
    .unwrap()
}

#[test]
fn a_comment_says_what_is_lost_and_holds_nothing_that_could_be_markup() {
    let mut plan = redeployed(5);
    plan.findings.push(Finding {
        policy: "few".to_owned(),
        weight: Weight::Approve,
        message: "policy.few: @everyone <img src=x onerror=alert(1)> | `x`".to_owned(),
        place: "main.hcl:3:1".to_owned(),
    });
    let text = report::markdown(&plan, &forecast(&plan, &Durations::default(), 0));
    assert!(text.contains("**5 to re-deploy**"), "{text}");
    assert!(
        text.contains("| 5 | re-deploys, root data lost |"),
        "{text}"
    );
    assert!(text.contains("- `instance.web[3]` on node.n"), "{text}");
    assert!(text.contains("ALL DATA LOST"), "{text}");
    assert!(text.contains("+ image = \"image.disk ("), "{text}");
    assert!(
        text.contains(
            "needs approval: policy.few: \\@everyone &lt;img src=x onerror=alert(1)&gt; \\| \\`x\\`"
        ),
        "{text}"
    );
    assert!(!text.contains("<img") && !text.contains(CANARY));
}

#[test]
fn a_comment_is_never_longer_than_a_comment_may_be() {
    let plan = redeployed(5);
    let template: Vec<Change> = plan.changes.clone();
    let mut huge = plan;
    huge.changes.clear();
    for n in 0..3000 {
        // Names of their own, so that nothing can be told as one.
        for change in &template {
            let mut change = change.clone();
            change.addr = addr(&format!(
                "instance.web{n}{}",
                change.addr.key.as_ref().unwrap()
            ));
            huge.changes.push(change);
        }
    }
    let text = report::markdown(&huge, &forecast(&huge, &Durations::default(), 0));
    assert!(text.chars().count() <= report::CHARS_MAX);
    assert!(
        text.chars().count() > report::CHARS_MAX - 2000,
        "it uses what it has"
    );
    assert!(
        text.contains("**15000 to re-deploy**") && text.contains("more changes do not fit here")
    );
    assert!(
        text.contains("and 14900 more"),
        "the disks that are not named are counted"
    );
}

/// An escape sequence in a name could hide the line that says which disk is lost.
#[test]
fn no_text_steers_what_shows_it() {
    let mut plan = redeployed(5);
    let evil = "\u{1b}[8m\u{202e}\u{9b}2K\r";
    plan.findings.push(Finding {
        policy: "few".to_owned(),
        weight: Weight::Warn,
        message: format!("policy.few: {evil}"),
        place: "main.hcl:3:1".to_owned(),
    });
    plan.warnings.push(evil.to_owned());
    for change in &mut plan.changes {
        change.reasons.push(format!("{evil}\nPlan: nothing to do"));
        change.disk = Some(format!("serial {evil}\n"));
        change.addr.key = Some(Key::Text(evil.into()));
    }
    let expected = forecast(&plan, &Durations::default(), 0);
    let view = |alike| View {
        color: Color::Never,
        steps: Steps::Shown,
        alike,
    };
    for text in [
        render(&plan, view(Alike::Together)),
        render(&plan, view(Alike::Apart)),
        report::markdown(&plan, &expected),
        report::html(&plan, &expected),
    ] {
        assert!(text.contains("\\u{1b}"), "{text}");
        let steering = text.chars().find(|c| steers(*c) && *c != '\n');
        assert_eq!(steering, None, "{text}");
        let is_page = text.starts_with("<!doctype html>");
        assert!(is_page || !text.lines().any(|l| l.starts_with("Plan: nothing")));
    }
}

/// The median of a write decides the end when only one may go on at a time.
#[test]
fn a_forecast_knows_budgets_and_history() {
    let plan = redeployed(5);
    let spread = |p50_ms, p95_ms| Spread {
        p50_ms,
        p95_ms,
        count: 10,
    };
    let titles = plan
        .steps
        .iter()
        .map(|s| (s.step.title().to_owned(), spread(0, 0)));
    let mut known: BTreeMap<String, Spread> = titles.collect();
    known.insert("write disk".to_owned(), spread(60_000, 90_000));
    let durations = Durations(known);
    let wide = forecast(&plan, &durations, 0);
    assert_eq!((wide.p50_ms, wide.p95_ms), (60_000, 90_000));
    assert_eq!(wide.guessed, Vec::<String>::new());
    let mut narrow = plan.clone();
    for budget in narrow.budgets.values_mut() {
        budget.writes = 2;
    }
    let narrow_time = forecast(&narrow, &durations, 0);
    assert_eq!(narrow_time.p50_ms, 180_000);
    let writes = narrow_time
        .critical
        .iter()
        .map(|id| narrow.step(*id).unwrap().step.title());
    assert_eq!(writes.collect::<Vec<_>>(), ["write disk"; 3]);
    assert!(!forecast(&plan, &Durations::default(), 0).guessed.is_empty());
}

/// In a browser that is not ours: no error, every change, and the search leaves what fits.
#[test]
#[ignore = "needs chromium: make test-browser"]
fn the_page_works_in_a_browser() {
    let plan = redeployed(12);
    let page = report::html(&plan, &forecast(&plan, &Durations::default(), 0));
    assert!(!page.contains(CANARY));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plan.html");
    std::fs::write(&file, page).unwrap();
    let whole = dom(&file, "");
    assert!(whole.contains("id=\"found\">12 of 12<"), "{whole}");
    assert!(whole.contains("<section id=\"timeline\">") && whole.contains("<svg"));
    assert_eq!(whole.matches("<details class=\"change\"").count(), 12);
    let searched = dom(&file, "#q=serial+S7");
    assert!(searched.contains("id=\"found\">1 of 12<"), "{searched}");
    assert_eq!(
        searched
            .matches("<details class=\"change\" hidden=\"\">")
            .count(),
        11
    );
}

fn dom(file: &Path, hash: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let out = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("file://{}{hash}", file.display()))
        .output()
        .expect("chromium is installed (scripts/setup.sh)");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap()
}

/// The names that `validate` knows are those that a plan has, with the types that it takes them for.
#[test]
fn what_a_condition_may_ask_is_what_a_plan_answers() {
    let seen = view::for_conditions(&redeployed(1), &Fleet::default(), &Recorded::default());
    let mut objects = Vec::new();
    agree(&Says::Known(Object::Plan), &seen, "plan", &mut objects);
    for object in [
        Object::Plan,
        Object::Actions,
        Object::Risks,
        Object::Change,
        Object::Difference,
    ] {
        assert!(objects.contains(&object), "{object:?} was not looked at");
    }
}

fn agree(says: &Says, value: &serde_json::Value, at: &str, objects: &mut Vec<Object>) {
    let wrong = format!("{at}: {says:?} is {value}");
    match says {
        Says::Bool => assert!(value.is_boolean(), "{at}: {value}"),
        Says::Number => assert!(value.is_number(), "{at}: {value}"),
        Says::Text => assert!(value.is_string() || value.is_null(), "{at}: {value}"),
        Says::Many(each) => {
            for value in value.as_array().expect(&wrong) {
                agree(each, value, at, objects);
            }
        }
        Says::ByName(each) => {
            for (name, value) in value.as_object().expect(&wrong) {
                agree(each, value, &format!("{at}.{name}"), objects);
            }
        }
        Says::Known(object) => {
            objects.push(*object);
            let value = value.as_object().expect(&wrong);
            let names: Vec<&str> = value.keys().map(String::as_str).collect();
            assert_eq!(names, object.names(), "{at}");
            for (name, value) in value {
                let says = object.attribute(name).unwrap();
                agree(&says, value, &format!("{at}.{name}"), objects);
            }
        }
        Says::Unknown => {}
    }
}
