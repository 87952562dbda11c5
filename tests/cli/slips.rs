//! What somebody gets who has slipped, or who sees bmctl for the first time: the next move, and never a plan for another fleet.

use super::{Place, contains};

/// Nothing declared is a plan to take everything down: a slip in `-C` must not be one.
#[test]
fn a_directory_without_configuration_is_a_mistake() {
    let place = Place::empty();
    place.write("values.vars.hcl", "x = 1\n");
    for args in [
        &["validate"][..],
        &["plan", "--refresh=false"],
        &["apply", "--auto-approve", "--sim", "seed=1"],
    ] {
        contains(
            &place.run(args).expect(1).err,
            &["error[E0107]", "*.hcl or *.bmctl.json", "-C DIR"],
        );
    }
    std::fs::remove_file(place.path("values.vars.hcl")).unwrap();
    for args in [
        &["show"][..],
        &["runs"],
        &["state", "list"],
        &["lock", "list"],
    ] {
        contains(
            &place.run(args).expect(1).err,
            &["neither a configuration nor a state", "-C DIR"],
        );
    }
    assert!(!place.path(".bmctl").exists());
    place.write("main.hcl", "");
    place.run(&["validate"]).expect(0);
    contains(
        &place.run(&["plan", "--refresh=false"]).expect(0).out,
        &["No changes."],
    );
}

/// A state that was somewhere else yesterday is told, since the new one is a plan to make everything again.
#[test]
fn a_state_that_was_elsewhere_is_told() {
    let place = Place::new();
    let pulled = {
        let sim = ["--sim", "seed=1"];
        place
            .run(&[&["apply", "--auto-approve"][..], &sim].concat())
            .expect(0);
        place.run(&["state", "pull", "--sim"]).expect(0).out
    };
    place.write("pulled.json", pulled);
    let file = place.path("pulled.json");
    place
        .run(&["state", "push", file.to_str().unwrap()])
        .expect(0);
    let plan = ["plan", "--refresh=false"];
    let here = place.run(&plan).expect(0);
    assert!(!here.err.contains("Warning"), "{}", here.err);
    place.write(
        "state.hcl",
        "bmctl {\n  state \"sqlite\" {\n    path = \"other\"\n  }\n}\n",
    );
    let there = place.run(&plan).expect(0);
    contains(
        &there.err,
        &[
            "other/state.db is new and empty",
            "has had its state in",
            "init --migrate-state",
        ],
    );
}

#[test]
fn a_pattern_that_names_nothing_is_told_what_there_is() {
    let place = Place::new();
    let target = |pattern| place.run(&["plan", "--refresh=false", "--target", pattern]);
    contains(
        &target("label:rakc=r1").expect(1).err,
        &["E0616", "no node has"],
    );
    contains(&target("instance.wbe").expect(1).err, &["'instance.web"]);
    contains(
        &target("instance.web[a]").expect(64).err,
        &["or the shell takes its quotes"],
    );
}

/// The report says it too: who reads that two things change has to know that only these were looked at.
#[test]
fn what_a_plan_is_confined_to_is_in_every_form_of_it() {
    let place = Place::new();
    let (md, html) = (place.path("p.md"), place.path("p.html"));
    let args = ["plan", "--refresh=false", "--target", "flavor.small"];
    let reports = [
        "--report",
        md.to_str().unwrap(),
        "--report",
        html.to_str().unwrap(),
    ];
    let told = place.run(&[&args[..], &reports].concat()).expect(0).out;
    let page = std::fs::read_to_string(html).unwrap();
    let comment = std::fs::read_to_string(md).unwrap();
    for text in [told, page, comment] {
        contains(
            &text,
            &["Confined: only flavor.small; the rest is not compared."],
        );
    }
}

/// Whoever waits behind what has failed is one line, not one a step; all of them are in the counts.
#[test]
fn what_was_not_begun_is_told_once_of_each() {
    let place = Place::new();
    let failed = place
        .run(&["apply", "--auto-approve", "--sim", "seed=1,write_fail=1"])
        .expect(3);
    let lines = |subject: &str| {
        let of = |line: &&str| line.starts_with(subject) && line.contains(": blocked by");
        failed.err.lines().filter(of).count()
    };
    assert_eq!(lines("instance.db: "), 1, "{}", failed.err);
    contains(&failed.out, &[" blocked, 0 not started."]);
}

#[test]
fn files_that_are_not_there_or_there_already_are_told_with_the_next_move() {
    let place = Place::new();
    contains(
        &place.run(&["apply", "no.plan"]).expect(1).err,
        &["there is no such plan file; `bmctl plan --out FILE`"],
    );
    let key = place.path("k");
    let keygen = ["keygen", key.to_str().unwrap()];
    place.run(&keygen).expect(0);
    contains(
        &place.run(&keygen).expect(1).err,
        &["a key is never written over"],
    );
    contains(
        &place.run(&["show"]).expect(0).out,
        &["No instances are recorded."],
    );
    contains(
        &place
            .run(&[
                "plan",
                "--sim",
                "seed=1",
                "--out",
                place.path("p").to_str().unwrap(),
            ])
            .expect(0)
            .out,
        &["--sim seed=N"],
    );
    place
        .run(&["--no-color", "plan", "--refresh=false"])
        .expect(0);
    let said = place.run_with(&["validate"], |c| {
        c.env("BMCTL_LOG", "loud");
    });
    contains(&said.err, &["BMCTL_LOG: expected error, warn", "`loud`"]);
}

/// Of a state without records nobody says that the machines are as they should be.
#[test]
fn nothing_to_take_down_is_said_to_be_that() {
    let place = Place::new();
    for args in [&["destroy"][..], &["plan", "--destroy"]] {
        let told = place
            .run(&[args, &["--sim", "seed=1"]].concat())
            .expect(0)
            .out;
        contains(
            &told,
            &["No changes. Nothing is recorded that could be taken down."],
        );
    }
}
