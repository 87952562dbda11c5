//! Systems that run already are taken over.

use super::{Place, contains};

#[test]
fn a_running_system_is_taken_over_without_touching_its_machine() {
    let place = Place::new();
    let sim = ["--sim", "seed=7"];
    let run = |words: &[&str]| place.run(&[words, &sim].concat());
    let taken = run(&["import", "instance.db", "node.n[2]"]).expect(0);
    contains(
        &taken.out,
        &[
            "instance.db on node.n[2] will be taken over as it is",
            "1 to take over",
            " 0 failed",
        ],
    );
    for word in ["write disk", "power o"] {
        assert!(!taken.out.contains(word), "{}", taken.out);
    }
    // It is not in the configuration, and state remembers where it stands.
    let rest = run(&["plan"]).expect(0);
    assert!(!rest.out.contains("instance.db"), "{}", rest.out);
    contains(
        &run(&["import", "instance.none", "node.n[0]"])
            .expect(64)
            .err,
        &["is no declared instance"],
    );
    contains(
        &run(&["import", "instance.web", "node.zz"]).expect(64).err,
        &["is no declared node"],
    );
}

#[test]
fn running_systems_are_written_down_and_taken_over() {
    let place = Place::new();
    let sim = ["--sim", "seed=7"];
    let run = |words: &[&str]| place.run(&[words, &sim].concat());
    run(&["apply", "--target", "instance.web"]).expect(0);
    let nodes = [
        "import",
        "--generate-config",
        "fleet/running.hcl",
        "--nodes",
        "node.n[*]",
    ];
    // One carries an instance, and two images could be what is on the others.
    let unsure = run(&nodes).expect(1);
    contains(
        &unsure.err,
        &[
            "carries instance.web already",
            "say so with --image",
            "there is nothing to write",
        ],
    );
    let found = run(&[&nodes[..], &["--image", "image.disk"]].concat()).expect(0);
    contains(&found.out, &["Wrote fleet/running.hcl: 2 running systems"]);
    let path = place.dir.path().join("fleet/running.hcl");
    let text = std::fs::read_to_string(&path).unwrap();
    contains(
        &text,
        &[
            "running_n = {",
            "to       = instance.n[each.key]",
            "image       = image.disk",
            "prevent_destroy = true",
        ],
    );
    assert!(!text.contains("hunter2"), "{text}");
    place.run(&["fmt", "--check", "running.hcl"]).expect(0);
    // What somebody may have corrected is not written over.
    contains(
        &run(&[&nodes[..], &["--image", "image.disk"]].concat())
            .expect(64)
            .err,
        &["is there already"],
    );
    let taken = run(&["apply", "--target", "instance.n"]).expect(0);
    contains(&taken.out, &["2 to take over", " 0 failed"]);
    for word in ["write disk", "power o"] {
        assert!(!taken.out.contains(word), "{}", taken.out);
    }
    run(&["plan", "--target", "instance.n", "--detailed-exitcode"]).expect(0);
    let whose = run(&[
        "import",
        "--generate-config",
        "x.hcl",
        "--nodes",
        "node.zz*",
    ])
    .expect(64);
    contains(&whose.err, &["no declared node is meant"]);
}

#[test]
fn import_blocks_without_an_instance_get_one_written() {
    let place = Place::new();
    let sim = ["--sim", "seed=7"];
    let run = |words: &[&str]| place.run(&[words, &sim].concat());
    place.write("lab/main.hcl", "variable \"site\" {}\n\nvariable \"network\" {}\n\nnode \"m\" {\n  for_each  = toset([\"a b\"])\n  site      = var.site\n  arch      = \"x86_64\"\n  cpus      = 2\n  memory_mb = 1024\n  local_gb  = 10\n  root_device { serial = \"M\" }\n  power \"ipmi\" {\n    address  = \"127.0.0.2\"\n    user     = \"admin\"\n    password = \"x\"\n  }\n}\n\nnic \"m\" {\n  for_each = node.m\n  node     = each.value\n  network  = var.network\n  mac      = \"52:54:00:aa:00:01\"\n  pxe      = true\n}\n\noutput \"all\" {\n  value = { machines = node.m }\n}\n");
    place.write(
        "more.hcl",
        "module \"lab\" {\n  source = \"./lab\"\n  site   = site.lab\n  network = network.pxe\n}\n\nimport {\n  to = instance.old\n  id = module.lab.all.machines[\"a b\"]\n}\n",
    );
    contains(
        &run(&["plan"]).expect(1).err,
        &["E0611", "--generate-config"],
    );
    let write = [
        "import",
        "--generate-config",
        "fleet/old.hcl",
        "--image",
        "image.disk",
    ];
    run(&write).expect(0);
    let text = std::fs::read_to_string(place.dir.path().join("fleet/old.hcl")).unwrap();
    contains(
        &text,
        &["module.lab.all.machines[\"a b\"]", "instance \"old\" {"],
    );
    assert!(!text.contains("import {"), "{text}");
    contains(
        &run(&["plan", "--target", "instance.old"]).expect(0).out,
        &["will be taken over as it is"],
    );
}
