//! Saved plans, parts of a fleet, and what has moved.

use std::os::unix::fs::PermissionsExt;

use super::{CONFIGURATION, Place, contains, mode};

#[test]
fn a_saved_plan_is_refused_when_configuration_or_state_have_moved_on() {
    let place = Place::new();
    let sim = ["--sim", "seed=7"];
    let plan = [&["plan", "--out", "plan.json"][..], &sim].concat();
    place.run(&plan).expect(0);
    let changed = CONFIGURATION.replace("root_gb   = 1", "root_gb   = 2");
    place.write("main.hcl", &changed);
    let apply = [&["apply", "plan.json"][..], &sim].concat();
    contains(
        &place.run(&apply).expect(5).err,
        &["configuration is not what the plan was made from"],
    );
    place.write("main.hcl", CONFIGURATION);
    place.run(&apply).expect(0);
    contains(
        &place.run(&apply).expect(5).err,
        &[
            "not so any more",
            "instance.web: was not in the state, and is",
        ],
    );
}

#[test]
fn what_has_moved_keeps_its_state_and_its_secrets() {
    let place = Place::new();
    let sim = ["--sim", "seed=7"];
    place.run(&[&["apply"][..], &sim].concat()).expect(0);
    let renamed = CONFIGURATION
        .replace("node \"n\"", "node \"rack\"")
        .replace("node.n[", "node.rack[")
        .replace("instance \"web\"", "instance \"front\"");
    let moved = "moved {\n  from = node.n\n  to   = node.rack\n}\nmoved {\n  from = instance.web\n  to   = instance.front\n}\n";
    let hostname = renamed.replace("user_data =", "hostname = \"web\"\n  user_data =");
    place.write("main.hcl", format!("{hostname}{moved}"));
    let plan = place.run(&[&["plan"][..], &sim].concat()).expect(0);
    contains(
        &plan.out,
        &[
            "node.rack[2] keeps everything but its address",
            "4 to move; 1 steps",
        ],
    );
    place.run(&[&["apply"][..], &sim].concat()).expect(0);
    let rest = place.run(&[&["plan", "--detailed-exitcode"][..], &sim].concat());
    contains(&rest.expect(0).out, &["No changes."]);
    // Only with the secrets under the new names can it be taken down.
    place.write("main.hcl", "");
    let gone = place.run(&[&["apply"][..], &sim].concat()).expect(0);
    contains(&gone.out, &["13 to destroy", " 0 failed"]);
}

#[test]
fn signatures_are_asked_for_where_keys_are_trusted() {
    let place = Place::new();
    let sim = ["--sim", "seed=7"];
    let run = |words: &[&str]| place.run(&[words, &sim].concat());
    let public = place.run(&["keygen", "ci.key"]).expect(0).out;
    assert_eq!(mode(&place.dir.path().join("ci.key")), 0o600);
    place.run(&["keygen", "other.key"]).expect(0);
    contains(
        &place.run(&["keygen", "ci.key"]).expect(1).err,
        &["is never written over"],
    );
    let trusting = format!(
        "bmctl {{\n  trusted_keys = [\"{}\"]\n}}\n{CONFIGURATION}",
        public.trim()
    );
    place.write("main.hcl", &trusting);
    contains(&run(&["apply"]).expect(7).err, &["only signed plans"]);
    run(&["plan", "--out", "bare.json"]).expect(0);
    contains(
        &run(&["apply", "bare.json"]).expect(7).err,
        &["is not signed"],
    );
    run(&["plan", "--out", "by-other.json", "--sign", "other.key"]).expect(0);
    contains(
        &run(&["apply", "by-other.json"]).expect(7).err,
        &["none of trusted_keys"],
    );
    run(&["plan", "--out", "good.json", "--sign", "ci.key"]).expect(0);
    let verified = place.run(&["verify", "good.json", "--sim"]).expect(0);
    contains(&verified.out, &["whole, signed by ed25519:", "It fits"]);
    run(&["apply", "good.json"]).expect(0);
    let stale = place
        .run(&["verify", "good.json", "--sim", "--json"])
        .expect(5);
    contains(&stale.out, &["state: instance.web: was not in the state"]);
    let runs: serde_json::Value =
        serde_json::from_str(&place.run(&["runs", "--sim", "--json"]).expect(0).out).unwrap();
    let first = runs[0]["run"].as_str().unwrap();
    run(&["rollback", first, "--out", "back.json", "--sign", "ci.key"]).expect(0);
    run(&["apply", "back.json"]).expect(0);
    std::fs::set_permissions(
        place.dir.path().join("ci.key"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    contains(
        &run(&["plan", "--out", "x.json", "--sign", "ci.key"])
            .expect(1)
            .err,
        &["expected mode 0600"],
    );
}

#[test]
fn a_part_of_the_fleet_is_planned_for() {
    let place = Place::new();
    let sim = ["--sim", "seed=7"];
    let run = |words: &[&str]| place.run(&[words, &sim].concat());
    place.write("targets", "# the first one\ninstance.web\n");
    let one = run(&["plan", "--target-file", "fleet/targets"]).expect(0);
    contains(&one.out, &["instance.web on node.n[0] will be created"]);
    assert!(!one.out.contains("instance.db"), "{}", one.out);
    place.write("empty", "# none\n");
    contains(
        &run(&["plan", "--target-file", "fleet/empty"])
            .expect(64)
            .err,
        &["found none"],
    );
    contains(
        &run(&["plan", "--target", "web"]).expect(64).err,
        &["label:KEY=VALUE"],
    );
    contains(
        &run(&["plan", "--target", "instance.wbe"]).expect(1).err,
        &["E0616"],
    );
    run(&["plan", "--out", "all.json"]).expect(0);
    contains(
        &run(&["apply", "all.json", "--exclude", "instance.db"])
            .expect(64)
            .err,
        &["a saved plan is carried out as it is"],
    );
    run(&["apply", "--target", "instance.web"]).expect(0);
    let again = run(&[
        "apply",
        "--replace",
        "instance.web",
        "--target",
        "instance.web",
    ]);
    contains(
        &again.expect(0).out,
        &["asked for with --replace", "1 to re-deploy"],
    );
}
