//! What is told afterwards: runs, reasons, reports.

use super::{Place, contains, mode};
use crate::fleet::CANARY;

#[test]
fn a_run_is_told_again_and_says_why_things_are_as_they_are() {
    let place = Place::new();
    let sim = ["--sim", "seed=7,write_fail=1"];
    let live = place
        .run(
            &[
                &[
                    "apply",
                    "--json-into",
                    "events.jsonl",
                    "--target",
                    "instance.db",
                ][..],
                &sim,
            ]
            .concat(),
        )
        .expect(3);
    let file = place.dir.path().join("events.jsonl");
    assert_eq!(mode(&file), 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
    let runs = place.run(&["runs", "--sim"]).expect(0).out;
    contains(&runs, &["incomplete", " UTC"]);
    let json: serde_json::Value =
        serde_json::from_str(&place.run(&["runs", "--sim", "--json"]).expect(0).out).unwrap();
    let id = json[0]["run"].as_str().unwrap().to_owned();
    let again = place.run(&["show", &id, "--sim"]).expect(0);
    for line in live.err.lines().filter(|l| l.starts_with("instance.db: ")) {
        // Times are the journal's, to the millisecond; the words are the same.
        let (step, _) = line.split_once(" after ").unwrap_or((line, ""));
        contains(&again.out, &[step]);
    }
    contains(
        &again.out,
        &[
            "write disk: FAILED",
            "blocked by instance.db: write disk",
            "1 failed",
        ],
    );
    contains(
        &place.run(&["show", "--sim"]).expect(0).out,
        &["instance.db"],
    );
    let real = place.run(&["show"]).expect(0).out;
    assert!(!real.contains("instance.db"), "{real}");
    let why = place.run(&["why", "instance.db", "--sim"]).expect(0).out;
    contains(
        &why,
        &[
            &id,
            "it was to create",
            "check disk: done",
            "write disk: FAILED",
        ],
    );
    // A run that did not begin with it has not made it what it is.
    place.write(
        "nights.hcl",
        "window \"nights\" {\n  from = \"12:00\"\n  to   = \"12:01\"\n}\n",
    );
    place
        .run(&["apply", "--sim", "seed=7", "--target", "instance.db"])
        .expect(3);
    let why = place.run(&["why", "instance.db", "--sim"]).expect(0).out;
    contains(
        &why,
        &[
            &id,
            "write disk: FAILED",
            "left as it is by run r-",
            "window nights",
        ],
    );
    contains(
        &place.run(&["why", "instance.none", "--sim"]).expect(1).err,
        &["no run has noted"],
    );
    contains(
        &place.run(&["show", "r-ffff", "--sim"]).expect(1).err,
        &["there is no run r-ffff"],
    );
}

#[test]
fn reports_are_written_beside_the_plan() {
    let place = Place::new();
    let told = place
        .run(&[
            "plan",
            "--sim",
            "seed=7",
            "--report",
            "plan.md",
            "--report",
            "plan.html",
            "--json-into",
            "plan.jsonl",
        ])
        .expect(0);
    contains(&told.out, &["Time: about ", "guessed"]);
    let read = |name: &str| std::fs::read_to_string(place.dir.path().join(name)).unwrap();
    contains(
        &read("plan.md"),
        &["13 to create", "`instance.db` on node.n"],
    );
    contains(&read("plan.html"), &["<!doctype html>", "instance.web"]);
    contains(&read("plan.jsonl"), &["\"event\":\"planned\""]);
    for name in ["plan.md", "plan.html", "plan.jsonl"] {
        assert!(!read(name).contains(CANARY), "{name} holds a secret");
    }
    let wrong = place
        .run(&["plan", "--sim", "seed=7", "--report", "plan.pdf"])
        .expect(64);
    contains(&wrong.err, &["ends in .md or .html"]);
}
