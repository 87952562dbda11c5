//! What is wrong is told with its place and the next move, and has its exit code.

use std::process::Command;

use super::{KEY, Place, contains};
use crate::fleet::CANARY;

#[test]
fn wrong_usage_is_64_and_help_is_no_error() {
    let place = Place::new();
    for args in [
        &["plan", "--no-such-flag"][..],
        &["no-such-command"],
        &["plan", "--sim", "loss=2"],
        &["plan", "--var", "no-equals-sign"],
        &[],
    ] {
        assert!(!place.run(args).expect(64).err.is_empty());
    }
    contains(
        &place.run(&["--help"]).expect(0).out,
        &["Exit codes: 0 done", "64 wrong usage"],
    );
    contains(&place.run(&["--version"]).expect(0).out, &["bmctl 0.1.0"]);
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let place = Place::new();
    // `run` refuses escapes of its own accord; here both ways of saying no are said.
    place.run_with(&["plan", "--refresh=false"], |c| {
        c.env("NO_COLOR", "1").env("TERM", "xterm-256color");
    });
    place
        .run(&["--color", "never", "plan", "--refresh=false"])
        .expect(0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_bmctl"));
    let always = command
        .args([
            "-C",
            "fleet",
            "--color",
            "always",
            "plan",
            "--refresh=false",
        ])
        .current_dir(place.dir.path())
        .env("BMCTL_KEY", KEY)
        .env("BMCTL_VAR_bmc_password", CANARY)
        .output()
        .unwrap();
    assert!(always.stdout.contains(&0x1b));
}

#[test]
fn every_mistake_of_a_file_is_told_with_its_place() {
    let place = Place::empty();
    place.write(
        "main.hcl",
        "network \"n\" {\n  cidr = \"10.0.0.0/33\"\n}\n\nflavor \"f\" {\n  cpus = \"many\"\n  memory_mb = 1\n  root_gb = 1\n}\n\n\
         instance \"i\" {\n  flavor = flavor.missing\n  image = image.missing\n}\n",
    );
    let told = place.run(&["validate"]).expect(1);
    contains(
        &told.err,
        &["main.hcl:2:", "main.hcl:6:", "main.hcl:12:", "main.hcl:13:"],
    );
    let json = place.run(&["validate", "--json"]).expect(1);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(value["valid"], false);
    let lines: Vec<u64> = value["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["primary"]["line"].as_u64().unwrap())
        .collect();
    for line in [2, 6, 12, 13] {
        assert!(lines.contains(&line), "{lines:?}");
    }
    contains(
        &place.run(&["plan"]).expect(1).err,
        &["main.hcl:2:", "main.hcl:13:"],
    );
}

#[test]
fn validate_accepts_what_is_right_and_leaves_nothing_behind() {
    let place = Place::new();
    contains(&place.run(&["validate"]).expect(0).out, &["valid"]);
    let value: serde_json::Value =
        serde_json::from_str(&place.run(&["validate", "--json"]).expect(0).out).unwrap();
    assert_eq!(value["valid"], true);
    assert!(!place.path(".bmctl").exists());
    // Rules over the fleet are checked too, without images and without state.
    place.write(
        "more.hcl",
        "flavor \"none\" {\n  cpus = 0\n  memory_mb = 1\n  root_gb = 1\n}\n",
    );
    contains(
        &place.run(&["validate"]).expect(1).err,
        &["E0510", "more.hcl:2:"],
    );
}

#[test]
fn a_missing_image_is_named_with_the_next_move() {
    let place = Place::new();
    std::fs::remove_file(place.path("vmlinuz")).unwrap();
    let told = place.run(&["plan", "--refresh=false"]).expect(1);
    contains(&told.err, &["image.part", "vmlinuz", "correct `source`"]);
}

#[test]
fn a_missing_directory_a_missing_variable_and_a_wrong_key_are_errors() {
    let place = Place::new();
    let nowhere = Command::new(env!("CARGO_BIN_EXE_bmctl"))
        .args(["-C", "nowhere", "plan"])
        .current_dir(place.dir.path())
        .env("BMCTL_KEY", KEY)
        .output()
        .unwrap();
    assert_eq!(nowhere.status.code(), Some(1));
    contains(&String::from_utf8_lossy(&nowhere.stderr), &["nowhere"]);
    let unset = place.run_with(&["plan", "--refresh=false"], |c| {
        c.env_remove("BMCTL_VAR_bmc_password");
    });
    contains(&unset.expect(1).err, &["bmc_password"]);
    let short = place.run_with(&["plan", "--refresh=false"], |c| {
        c.env("BMCTL_KEY", "abc");
    });
    contains(&short.expect(1).err, &["BMCTL_KEY", "64 hex digits"]);
}
