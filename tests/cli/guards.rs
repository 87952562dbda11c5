//! Policies, limits and rollouts between a plan and the machines.

use super::{CONFIGURATION, Place, contains};

#[test]
fn guards_stand_between_a_plan_and_the_machines() {
    let place = Place::new();
    let sim = ["--sim", "seed=7"];
    let run = |words: &[&str]| place.run(&[words, &sim].concat());
    contains(
        &run(&["apply", "--max-destructive", "1"]).expect(7).err,
        &["destroys 2 systems or disks, --max-destructive allows 1"],
    );
    let policy = |severity: &str| {
        format!(
            "{CONFIGURATION}\nlocals {{ most = 1 }}\npolicy \"few\" {{\n  severity = \"{severity}\"\n  condition = plan.risks.destroys_data <= local.most\n  \
             error_message = \"more than ${{local.most}} at once\"\n}}\n"
        )
    };
    place.write("main.hcl", policy("block"));
    let blocked = run(&["plan", "--out", "plan.json"]).expect(7);
    contains(
        &blocked.err,
        &[
            "error[E0618]",
            "policy.few: more than 1 at once",
            "plan.risks.destroys_data is 2",
            "main.hcl:",
        ],
    );
    contains(&blocked.out, &["2 destroys all data"]);
    contains(
        &run(&["apply", "plan.json"]).expect(7).err,
        &["nothing was done, refused by policy.few"],
    );
    place.write("main.hcl", policy("approve"));
    run(&["plan"]).expect(0);
    contains(&run(&["apply"]).expect(7).err, &["--approve few says yes"]);
    contains(
        &run(&["apply", "--approve", "fews"]).expect(64).err,
        &["there is no policy of that name; did you mean `few`?"],
    );
    run(&["apply", "--approve", "few", "--target", "instance.web"]).expect(0);
    place.write("main.hcl", policy("warn"));
    run(&["apply"]).expect(0);
    for (severity, code) in [("warn", 0), ("approve", 0), ("block", 7)] {
        // A guard that cannot be asked does not open the way.
        place.write(
            "main.hcl",
            policy(severity).replace("plan.risks.destroys_data", "length(plan.changes[9].steps)"),
        );
        let slip = run(&["plan", "--replace", "instance.db"]).expect(code);
        contains(
            &slip.out,
            &["policy.few cannot be asked: a tuple of 1 has no such element"],
        );
    }
    let wrong = policy("warn").replace("local.most\n", "local.mst\n");
    place.write("main.hcl", wrong);
    contains(
        &place.run(&["validate"]).expect(1).err,
        &["did you mean `most`?"],
    );
    let wrong = policy("warn").replace("plan.risks.destroys_data", "plan.risks.destroy_data");
    place.write("main.hcl", wrong);
    contains(
        &place.run(&["validate"]).expect(1).err,
        &[
            "plan.risks has no attribute `destroy_data`",
            "did you mean `destroys_data`?",
        ],
    );
    let quorum = CONFIGURATION.replace(
        "local_gb  = 10",
        "local_gb  = 10\n  labels = { role = \"db\" }",
    );
    place.write(
        "main.hcl",
        format!("{quorum}\npolicy \"quorum\" {{\n  at_most_down {{\n    labels = {{ role = \"db\" }}\n    n = 1\n  }}\n}}\n"),
    );
    run(&["plan", "--replace", "instance.db"]).expect(0);
    let both = run(&[
        "plan",
        "--replace",
        "instance.db",
        "--replace",
        "instance.web",
    ])
    .expect(7);
    contains(
        &both.err,
        &[
            "at most 1 of the group may be down at once, 2 would be (0 already)",
            "node.n[0] is taken down",
        ],
    );
    let rollout = |failures: usize| {
        format!("rollout \"one_by_one\" {{\n  wave = 1\n  failures = {failures}\n}}\n")
    };
    let both = &[
        "plan",
        "--replace",
        "instance.db",
        "--replace",
        "instance.web",
        "--out",
        "both.plan",
    ];
    place.write("turns.hcl", rollout(0));
    contains(
        &run(both).expect(0).out,
        &["Rollout one_by_one: 2 waves of 1, stops at the first failure."],
    );
    // Who has failed stays down, and the next would go down beside it.
    place.write("turns.hcl", rollout(1));
    let verified = place.run(&["verify", "--sim", "both.plan"]).expect(5);
    contains(
        &verified.out,
        &["rollout one_by_one is declared in another way"],
    );
    run(both).expect(7);
}

/// What is waited for, what a gate found and what to do next are told in lines; the next plan says whom it asks again.
#[test]
fn a_rollout_tells_who_waits_and_what_a_gate_found() {
    let place = Place::new();
    let gate = "rollout \"turns\" {\n  wave = 1\n  gate \"command\" {\n    command = [\"./smoke.sh\"]\n    timeout = 20\n  }\n}\n";
    place.write("turns.hcl", gate);
    let failed = place
        .run(&["apply", "--sim", "seed=7,gate_fail=1"])
        .expect(3);
    contains(
        &failed.err,
        &[
            "claim node waits for wave 2 of 2 of rollout turns",
            "gate command: FAILED after",
            "gate `command ./smoke.sh` was not passed",
            "stays as it was deployed: mend what the gate asks for and apply again",
            "blocked by rollout turns: 1 failed, at most 0 may",
        ],
    );
    let told = failed.err.matches("waits for wave 2 of 2").count();
    assert_eq!(told, 1, "{}", failed.err);
    let next = place
        .run(&["plan", "--sim", "seed=7", "--out", "next.plan"])
        .expect(0);
    contains(
        &next.out,
        &[
            "Rollout turns: 1 asked again, 1 wave of 1, each has to pass `command ./smoke.sh`",
            "has not passed `command ./smoke.sh` of an earlier run",
            "finish, gate command",
        ],
    );
    // A saved plan runs no program that the configuration does not have.
    place.write("turns.hcl", gate.replace("smoke", "other"));
    let stale = place
        .run(&["apply", "--sim", "seed=7", "next.plan"])
        .expect(5);
    contains(
        &stale.err,
        &["no rollout has gate `command ./smoke.sh` for it"],
    );
    place.write("turns.hcl", gate);
    let mended = place
        .run(&["apply", "--sim", "seed=7", "next.plan"])
        .expect(0);
    contains(&mended.err, &["gate command: done after"]);
}
