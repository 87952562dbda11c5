//! Plan and apply against the simulated rack: what is printed, and what is touched.

use std::os::unix::fs::PermissionsExt;

use super::{Place, contains};

#[test]
fn a_plan_is_text_json_or_a_file_and_its_exit_code_says_if_there_are_changes() {
    let place = Place::new();
    let plan = ["plan", "--refresh=false"];
    let shown = place.run(&plan).expect(0);
    contains(
        &shown.out,
        &["instance.web on", "Plan: 13 to create", "user_data"],
    );
    contains(
        &shown.out,
        &["(sensitive value)", "serial S0, 10 GiB: ALL DATA LOST"],
    );
    place
        .run(&[&plan[..], &["--detailed-exitcode"]].concat())
        .expect(2);

    let json = place.run(&[&plan[..], &["--json"]].concat()).expect(0);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(value["changes"].as_array().unwrap().len(), 13);

    place
        .run(&[&plan[..], &["--out", "plan.json"]].concat())
        .expect(0);
    // `--out` is relative to where the command was started, as a shell's redirection is.
    let file = place.dir.path().join("plan.json");
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let mut saved: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    // The file is the plan and its seal.
    assert!(saved.as_object_mut().unwrap().remove("seal").is_some());
    assert_eq!(saved, value);
    let again = place.run(&["show", "plan.json"]).expect(0);
    contains(&shown.out, &[&again.out]);

    let text = String::from_utf8(bytes).unwrap();
    std::fs::write(&file, text.replace("\"S0\"", "\"S9\"")).unwrap();
    for command in [&["show", "plan.json"][..], &["apply", "plan.json"]] {
        let refused = place.run(command).expect(1);
        contains(&refused.err, &["plan.json", "changed after it was made"]);
    }
    std::fs::write(&file, text.replacen("\"format\": 1", "\"format\": 99", 1)).unwrap();
    contains(
        &place.run(&["show", "plan.json"]).expect(1).err,
        &["format 1, found 99"],
    );
    std::fs::write(&file, "{").unwrap();
    contains(
        &place.run(&["show", "plan.json"]).expect(1).err,
        &["not a plan file"],
    );
}

#[test]
fn a_simulated_apply_leaves_nothing_to_do_and_never_touches_the_real_state() {
    let place = Place::new();
    let sim = ["--sim", "seed=7"];
    let done = place.run(&[&["apply"][..], &sim].concat()).expect(0);
    contains(&done.out, &[" 0 failed, 0 blocked, 0 not started."]);
    contains(&done.err, &["instance.web: write disk: done"]);
    let rest = place.run(&[&["plan", "--detailed-exitcode"][..], &sim].concat());
    contains(&rest.expect(0).out, &["No changes."]);
    let real = place.run(&["plan", "--refresh=false", "--detailed-exitcode"]);
    contains(&real.expect(2).out, &["Plan: 13 to create"]);
    contains(&place.run(&["state", "list"]).expect(0).out, &[]);
    assert_eq!(place.run(&["state", "list"]).expect(0).out, "");

    let gone = place.run(&[&["destroy"][..], &sim].concat()).expect(0);
    contains(&gone.out, &["13 to destroy", " 0 failed"]);
    contains(
        &place.run(&[&["destroy"][..], &sim].concat()).expect(0).out,
        &["No changes."],
    );
}

#[test]
fn a_simulated_failure_is_told_and_the_next_apply_brings_it_to_its_end() {
    let place = Place::new();
    let failed = place
        .run(&["apply", "--sim", "seed=1,write_fail=1"])
        .expect(3);
    contains(
        &failed.err,
        &["instance.web: write disk: FAILED", "simulated write error"],
    );
    contains(&failed.out, &[" 2 failed, 10 blocked, 0 not started."]);
    let resumed = place.run(&["apply", "--sim", "seed=1"]).expect(0);
    contains(&resumed.out, &["2 to resume", " 0 failed"]);
}

/// A program that reads events can tell "nothing to do" from "it said nothing".
#[test]
fn a_plan_without_changes_is_a_stream_too() {
    let place = Place::new();
    let sim = ["--sim", "seed=7"];
    place.run(&[&["apply"][..], &sim].concat()).expect(0);
    let again = place
        .run(&[&["apply", "--json"][..], &sim].concat())
        .expect(0);
    let lines: Vec<&str> = again.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", again.out);
    contains(lines[1], &["\"event\":\"planned\"", "\"changes\":0"]);
}

#[test]
fn events_are_json_lines() {
    let place = Place::new();
    let done = place.run(&["apply", "--sim", "seed=7", "--json"]).expect(0);
    let events: Vec<serde_json::Value> = done
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&events[0]["event"], &events[0]["format"]),
        (&"stream".into(), &1.into())
    );
    let changes = events.iter().filter(|e| e["event"] == "planned_change");
    let changes: Vec<_> = changes.map(|e| &e["change"]).collect();
    assert_eq!(changes.len(), 13);
    let web = changes
        .iter()
        .find(|c| c["addr"] == "instance.web")
        .unwrap();
    assert!(
        web["attributes"].as_array().unwrap().len() > 8,
        "the whole difference"
    );
    let started = events.iter().find(|e| e["event"] == "run_started").unwrap();
    let last = events.last().unwrap();
    assert_eq!(
        (&last["event"], &last["failed"]),
        (&"run_finished".into(), &0.into())
    );
    let finished = events.iter().filter(|e| e["event"] == "step_finished");
    assert_eq!(finished.count() as u64, started["steps"].as_u64().unwrap());
}

#[test]
fn nobody_is_asked_when_there_is_no_terminal() {
    let place = Place::new();
    let args = ["apply", "--refresh=false"];
    let refused = place.run(&args).expect(6);
    contains(
        &refused.err,
        &["standard input is not a terminal", "--auto-approve"],
    );
    assert_eq!(
        place.run(&["state", "list"]).expect(0).out,
        "",
        "something was done"
    );
}

/// A rehearsal's plan is for the rehearsal's state; nothing is sealed or served for it elsewhere.
#[test]
fn a_plan_of_a_simulation_is_not_for_the_machines() {
    let place = Place::new();
    let planned = ["plan", "--sim", "seed=7", "--out", "p.bmctl"];
    place.run(&planned).expect(0);
    let refused = place.run(&["apply", "p.bmctl"]).expect(5);
    contains(&refused.err, &["made from another state", "plan again"]);
}
