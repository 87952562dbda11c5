//! Rollback.

use super::{CONFIGURATION, Place, contains};

#[test]
fn a_run_is_taken_back_as_far_as_it_can_be() {
    let place = Place::new();
    let sim = ["--sim", "seed=7"];
    let run = |words: &[&str]| place.run(&[words, &sim].concat());
    run(&["apply"]).expect(0);
    let changed = CONFIGURATION
        .replace("root_gb   = 1", "root_gb   = 2")
        .replace("instance \"db\" {", "instance \"extra\" {\n  flavor = flavor.small\n  image  = image.disk\n}\n\ninstance \"db\" {");
    place.write("main.hcl", &changed);
    run(&["apply"]).expect(0);
    let runs: serde_json::Value =
        serde_json::from_str(&place.run(&["runs", "--sim", "--json"]).expect(0).out).unwrap();
    let second = runs[1]["run"].as_str().unwrap();
    let planned = run(&["rollback", second, "--out", "back.json"]).expect(0);
    contains(
        &planned.out,
        &[
            "instance.extra on node.n[2] will be destroyed",
            "2 to re-deploy",
            "What has no inverse:",
            "instance.web: disk ",
            "was written over in step",
            "The configuration still says",
        ],
    );
    let protected = changed.replace(
        "instance \"extra\" {",
        "instance \"extra\" {\n  lifecycle {\n    prevent_destroy = true\n  }",
    );
    // What is left out, or not asked for, stays as it is.
    let kept = run(&["rollback", second, "--exclude", "instance.extra"]).expect(0);
    contains(&kept.out, &["0 to destroy", "2 to re-deploy"]);
    let only = run(&["rollback", second, "--target", "instance.extra"]).expect(0);
    contains(&only.out, &["1 to destroy", "0 to re-deploy"]);
    // What is lost elsewhere is not what this plan is about.
    assert!(!only.out.contains("no inverse"), "{}", only.out);
    let web = run(&["rollback", second, "--target", "instance.web"]).expect(0);
    contains(&web.out, &["instance.web: disk "]);
    assert!(!web.out.contains("instance.db: disk "), "{}", web.out);
    place.write("main.hcl", &protected);
    contains(
        &run(&["rollback", second]).expect(7).err,
        &[
            "instance.extra: the inverse would destroy it",
            "prevent_destroy",
        ],
    );
    place.write("main.hcl", &changed);
    run(&["apply", "back.json"]).expect(0);
    place.write("main.hcl", CONFIGURATION);
    let rest = run(&["plan", "--detailed-exitcode"]).expect(0);
    contains(&rest.out, &["No changes."]);
    contains(&run(&["rollback", "r-none"]).expect(1).err, &["is no run"]);

    // What the run made is gone again, and the rest of it is still taken back; then all of it is gone.
    let first = runs[0]["run"].as_str().unwrap();
    run(&["rollback", second]).expect(0);
    run(&["destroy"]).expect(0);
    let over = run(&["rollback", first]).expect(0);
    contains(&over.out, &["Nothing to take back"]);
}

/// The text that a run replaced is sealed no more: no disk is written for it, and none is written with an empty one unless it is said.
#[test]
fn user_data_that_is_gone_is_no_reason_to_write_a_disk() {
    let place = Place::new();
    let sim = ["--sim", "seed=7"];
    let run = |words: &[&str]| place.run(&[words, &sim].concat());
    let first = CONFIGURATION.replace(
        "  user_data =",
        "  on_user_data_change = \"redeploy\"\n  user_data =",
    );
    place.write("main.hcl", &first);
    run(&["apply"]).expect(0);
    let second = first.replace("#cloud-config\\n", "#cloud-config\\n# new\\n");
    assert_ne!(first, second);
    let last = || {
        let runs = place.run(&["runs", "--sim", "--json"]).expect(0).out;
        let runs: serde_json::Value = serde_json::from_str(&runs).unwrap();
        let last = runs.as_array().unwrap().last().unwrap();
        last["run"].as_str().unwrap().to_owned()
    };
    place.write("main.hcl", &second);
    contains(&run(&["apply"]).expect(0).out, &["1 to re-deploy"]);
    let back = run(&["rollback", &last(), "--out", "back.plan"]).expect(0);
    contains(
        &back.out,
        &[
            "No changes.",
            "instance.web: the user data it had is not kept: it keeps that of today",
            "instance.web: disk S",
        ],
    );
    run(&["apply", "back.plan"]).expect(0);
    contains(&run(&["plan"]).expect(0).out, &["No changes."]);
    run(&["destroy", "--target", "instance.web"]).expect(0);
    let back = run(&["rollback", &last()]).expect(0);
    contains(
        &back.out,
        &[
            "instance.web on node.n",
            "will be created",
            "the user data it had is not kept: when it is written anew, it is with empty user data",
        ],
    );
}

#[test]
fn a_run_that_gave_names_is_taken_back_with_them() {
    let place = Place::new();
    let sim = ["--sim", "seed=7"];
    let run = |words: &[&str]| place.run(&[words, &sim].concat());
    run(&["apply"]).expect(0);
    // Nodes and an instance change names, and something is made under no old name.
    let renamed = CONFIGURATION
        .replace("node \"n\" {", "moved {\n  from = node.n\n  to   = node.rack\n}\n\nmoved {\n  from = instance.db\n  to   = instance.store\n}\n\nnode \"rack\" {")
        .replace("node.n[", "node.rack[")
        .replace("instance \"db\"", "instance \"store\"")
        .replace("root_gb   = 1", "root_gb   = 2");
    place.write("main.hcl", &renamed);
    run(&["apply"]).expect(0);
    let runs: serde_json::Value =
        serde_json::from_str(&place.run(&["runs", "--sim", "--json"]).expect(0).out).unwrap();
    let second = runs[1]["run"].as_str().unwrap();
    let planned = run(&["rollback", second, "--out", "back.bmctl"]).expect(0);
    contains(
        &planned.out,
        &[
            "is node.rack[1] under another address",
            "is instance.store under another address",
            "instance.db: disk S0 on node.n[0] was written over in step",
        ],
    );
    run(&["apply", "back.bmctl"]).expect(0);
    place.write("main.hcl", CONFIGURATION);
    let rest = run(&["plan", "--detailed-exitcode"]).expect(0);
    contains(&rest.out, &["No changes."]);
}

/// The image that was deployed before may not be there any more: that is told when the plan is made, not in front of the machines.
#[test]
fn a_rollback_says_which_files_have_to_be_put_back() {
    let place = Place::new();
    let run = |words: &[&str]| place.run(&[words, &["--sim", "seed=7"]].concat());
    let earlier = std::fs::read(place.path("disk.img")).unwrap();
    run(&["apply"]).expect(0);
    let mut later = earlier.clone();
    later.extend([7; 512]);
    place.write("disk.img", &later);
    run(&["apply"]).expect(0);
    let listed = place.run(&["runs", "--sim", "--json"]).expect(0).out;
    let runs: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let second = runs[1]["run"].as_str().unwrap();
    contains(
        &run(&["rollback", second]).expect(0).out,
        &[
            "What has to be put back before the plan is applied:",
            "image.disk: disk.img is ",
            ", the plan writes ",
        ],
    );
    place.write("disk.img", &earlier);
    let good = run(&["rollback", second]).expect(0).out;
    assert!(!good.contains("put back before"), "{good}");
    std::fs::remove_file(place.path("disk.img")).unwrap();
    contains(
        &run(&["rollback", second]).expect(0).out,
        &["put back before", "image.disk: "],
    );
}
