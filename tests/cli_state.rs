//! The state mended by hand, by the real program: what each command says, what it refuses, and that it can be undone.

use std::process::Stdio;

use bmctl::model::{InstancePhase, Recorded, Resource};
use bmctl::secret::Key32;
use bmctl::store::{Actor, Sealer, StateChange, Store, Surgery, TERM};

use crate::fleet::addr;
use crate::kill::Place;
use crate::store::run;

/// Three systems on five simulated machines.
fn applied() -> Place {
    let place = Place::new();
    place.want(0);
    place.expect(&["apply", "--sim", "seed=1"]);
    place
}

/// What it says on both streams, and how it ends.
fn tell(place: &Place, args: &[&str]) -> (i32, String) {
    let ended = place
        .command(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
    (ended.status.code().unwrap(), said)
}

#[track_caller]
fn says(place: &Place, args: &[&str], code: i32, parts: &[&str]) -> String {
    let (found, said) = tell(place, args);
    assert_eq!(found, code, "{args:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{args:?}: `{part}` is not in:\n{said}");
    }
    said
}

async fn open(place: &Place) -> Store {
    let sealer = Sealer::new(Key32::new([0; 32]));
    Store::open(&place.path(".bmctl/sim"), sealer)
        .await
        .unwrap()
}

fn recorded(place: &Place) -> Recorded {
    let mut out = None;
    run(async { out = Some(open(place).await.recorded().await.unwrap()) });
    out.unwrap()
}

const PLAN: [&str; 4] = ["plan", "--detailed-exitcode", "--sim", "seed=1"];

#[test]
fn a_resource_is_renamed_and_that_is_undone() {
    let place = applied();
    let before = recorded(&place).resources;
    let renamed = ["state", "mv", "instance.i[0]", "instance.j[0]", "--sim"];
    says(&place, &renamed, 0, &["instance.i[0] is instance.j[0]"]);
    says(
        &place,
        &renamed,
        1,
        &["nothing that state records would move"],
    );
    let taken = ["state", "mv", "instance.i[1]", "instance.i[2]", "--sim"];
    says(&place, &taken, 1, &["that address is taken"]);
    let other = ["state", "mv", "instance.i[1]", "node.x", "--sim"];
    says(
        &place,
        &other,
        1,
        &["instance.i[1] is of kind instance and node.x of kind node"],
    );
    let none = ["state", "mv", "i", "node.x", "--sim"];
    says(&place, &none, 64, &["expected an address such as"]);
    assert_ne!(recorded(&place).resources, before);
    let history = ["state", "history", "instance.j[0]", "--sim"];
    says(
        &place,
        &history,
        0,
        &["instance.i[0] moved to instance.j[0]  (state mv by process"],
    );
    says(
        &place,
        &["state", "undo", "--sim"],
        0,
        &["undone:", "moved to instance.j[0]"],
    );
    assert_eq!(recorded(&place).resources, before);
    says(&place, &PLAN, 0, &[]);

    // Everything in the root module into another is not a renaming of a module; one name for all of a count is.
    says(
        &place,
        &["state", "mv", "instance.i", "instance.k", "--sim"],
        0,
        &[
            "instance.i[0] is instance.k[0]",
            "instance.i[2] is instance.k[2]",
        ],
    );
    says(
        &place,
        &["state", "undo", "--sim", "--json"],
        0,
        &["\"moved_to\": \"instance.k[1]\""],
    );
    assert_eq!(recorded(&place).resources, before);
}

#[test]
fn what_is_forgotten_stays_on_its_machine_and_is_brought_back() {
    let place = applied();
    let before = recorded(&place).resources;
    let node = ["state", "rm", "node.n[0]", "--sim"];
    says(
        &place,
        &node,
        1,
        &["node.n[0] carries instance.i[0]; forget both"],
    );
    says(
        &place,
        &["state", "rm", "node.x", "--sim"],
        1,
        &["node.x is not in the state"],
    );
    assert_eq!(recorded(&place).resources, before);
    let both = ["state", "rm", "node.n[0]", "instance.i[0]", "--sim"];
    says(
        &place,
        &both,
        0,
        &["node.n[0] is forgotten", "its system stays on disk"],
    );
    assert_eq!(recorded(&place).resources.len(), before.len() - 2);
    says(&place, &PLAN, 2, &[]);
    says(
        &place,
        &["state", "undo", "--sim"],
        0,
        &["node.n[0] removed"],
    );
    assert_eq!(recorded(&place).resources, before);
    says(&place, &PLAN, 0, &[]);
}

#[test]
fn an_instance_is_called_well_when_it_has_a_system() {
    let place = applied();
    let web = addr("instance.i[0]");
    let untaint = ["untaint", "instance.i[0]", "--sim"];
    says(&place, &untaint, 1, &["does not need attention"]);
    says(
        &place,
        &["untaint", "node.n[0]", "--sim"],
        1,
        &["only an instance needs attention"],
    );
    let before = recorded(&place);
    let Resource::Instance(record) = before.resources[&web].clone() else {
        panic!("{web} is an instance");
    };
    let ill = |written: bool| {
        let mut record = record.clone();
        record.phase = InstancePhase::NeedsAttention("its key is still good".to_owned());
        record.disk = record.disk.filter(|_| written);
        let change = StateChange::Put(web.clone(), Box::new(Resource::Instance(record)));
        run(async {
            let store = open(&place).await;
            let here = Actor::here();
            store
                .operate(Surgery::Untaint, &here, 1, &[change])
                .await
                .unwrap();
        });
    };
    ill(false);
    says(
        &place,
        &untaint,
        1,
        &["its key is still good", "no system to call well"],
    );
    ill(true);
    says(
        &place,
        &untaint,
        0,
        &["instance.i[0] is recorded as running"],
    );
    assert_eq!(recorded(&place).resources, before.resources);
    says(&place, &PLAN, 0, &[]);
}

#[test]
fn nothing_is_mended_while_an_apply_goes_on() {
    let place = applied();
    let before = recorded(&place);
    run(async {
        let store = open(&place).await;
        let lease = store.acquire(&Actor::here(), TERM).await.unwrap();
        for args in [
            &["state", "mv", "instance.i[0]", "instance.j", "--sim"][..],
            &["state", "rm", "instance.i[0]", "--sim"],
            &["state", "undo", "--sim"],
            &["untaint", "instance.i[0]", "--sim"],
        ] {
            says(&place, args, 4, &["another apply holds the state"]);
        }
        lease.release().await.unwrap();
    });
    assert_eq!(recorded(&place), before);
}

#[test]
fn a_state_is_pulled_and_pushed_and_the_old_one_is_kept() {
    let place = applied();
    let first = says(&place, &["state", "pull", "--sim"], 0, &["\"format\": 2"]);
    let file = place.path("pulled.json");
    std::fs::write(&file, &first).unwrap();
    let file = file.to_str().unwrap();
    let rename = ["state", "mv", "instance.i[0]", "instance.j[0]", "--sim"];
    says(&place, &rename, 0, &[]);
    let push = ["state", "push", file, "--sim"];
    says(&place, &push, 1, &["older than the state"]);
    let force = ["state", "push", file, "--force", "--sim"];
    let second = says(&place, &["state", "pull", "--sim"], 0, &["instance.j[0]"]);
    let pulled: serde_json::Value = serde_json::from_str(&second).unwrap();
    // A backup with this serial is there: of the push that was refused, and then of another workspace.
    let taken = place.path(&format!(".bmctl/sim/backup-{}.json", pulled["serial"]));
    assert_eq!(std::fs::read_to_string(&taken).unwrap(), second);
    std::fs::write(&taken, "of another workspace").unwrap();
    says(
        &place,
        &force,
        0,
        &["what was there before is in", "backup-", "-2.json"],
    );
    says(&place, &PLAN, 0, &[]);
    assert_eq!(
        std::fs::read_to_string(&taken).unwrap(),
        "of another workspace"
    );
    let backup = taken.with_file_name(format!("backup-{}-2.json", pulled["serial"]));
    assert_eq!(std::fs::read_to_string(&backup).unwrap(), second);
    let mode = std::os::unix::fs::PermissionsExt::mode(&backup.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    says(&place, &["state", "undo", "--sim"], 1, &["push the backup"]);
    std::fs::write(
        file,
        first.replace("\"memory_mb\": 512", "\"memory_mb\": 513"),
    )
    .unwrap();
    says(
        &place,
        &force,
        1,
        &["its checksum is", "was changed or cut"],
    );
}

/// Under another key all fingerprints differ, and a plan would have passwords and user data changed that are not.
#[test]
fn another_key_plans_nothing() {
    let place = applied();
    let before = recorded(&place);
    let other = |args: &[&str], code: i32, part: &str| {
        let ended = place
            .command(args)
            .env("BMCTL_KEY", "02".repeat(32))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(part), "{args:?}: {said}");
    };
    let saved = place.path("saved.plan").display().to_string();
    place.expect(&["plan", "--sim", "seed=1", "--out", &saved]);
    let refused = "the sealing key is not the one it was sealed with";
    for args in [
        vec!["plan", "--sim", "seed=1"],
        vec!["apply", "--sim", "seed=1"],
        vec!["destroy", "--sim", "seed=1"],
        vec!["apply", "--sim", "seed=1", &saved],
        vec!["verify", "--sim", &saved],
    ] {
        other(&args, 1, refused);
    }
    other(&["state", "list", "--sim"], 0, "instance.i[0]");
    assert_eq!(recorded(&place), before);
    let accept = ["state", "accept", "--new-key", "--sim"];
    says(&place, &accept, 0, &["Nothing was forgotten"]);
    says(&place, &PLAN, 0, &[]);

    // The key is lost: what it sealed is forgotten, and sealed anew from the configuration.
    other(&accept, 0, "Forgotten:");
    let history = ["state", "history", "--sim"];
    other(
        &history,
        0,
        "node.n[0] changed  (state accept --new-key by ",
    );
    other(&["state", "undo", "--sim"], 1, "there is nothing to undo");
    other(&["apply", "--sim", "seed=1"], 0, "0 failed");
    other(&PLAN, 0, "No changes");
    says(&place, &PLAN, 1, &[refused]);
}

/// What looks back says that something was pruned, and does not fail of it; what looks ahead is as before.
#[test]
fn what_was_pruned_is_said_to_be() {
    let place = applied();
    place.want(1);
    place.expect(&["apply", "--sim", "seed=1"]);
    let runs = says(&place, &["runs", "--sim", "--json"], 0, &[]);
    let runs: Vec<serde_json::Value> = serde_json::from_str(&runs).unwrap();
    let [first, last] = [&runs[0], &runs[1]].map(|r| r["run"].as_str().unwrap());
    let before = recorded(&place);
    let (_, forecast) = tell(
        &place,
        &["plan", "--sim", "seed=1", "--replace", "instance.i[0]"],
    );

    says(
        &place,
        &["state", "prune", "--sim"],
        64,
        &["--before", "--keep"],
    );
    says(
        &place,
        &["state", "prune", "--sim", "--keep", "0"],
        64,
        &["1.."],
    );
    let old = ["state", "prune", "--sim", "--before", "1970-01-01"];
    says(&place, &old, 0, &["nothing was pruned"]);
    let prune = ["state", "prune", "--sim", "--keep", "1"];
    says(
        &place,
        &prune,
        0,
        &["Pruned: 1 runs", "What is recorded is as it was"],
    );
    assert_eq!(recorded(&place), before);

    let listed = says(
        &place,
        &["runs", "--sim"],
        0,
        &[last, "Not listed", "was pruned"],
    );
    assert!(!listed.contains(first), "{listed}");
    says(
        &place,
        &["show", "--sim", first],
        1,
        &["there is no run", "was pruned"],
    );
    says(&place, &["show", "--sim", last], 0, &[]);
    let rollback = ["rollback", "--sim", "seed=1", first];
    says(&place, &rollback, 1, &["is no run", "was pruned"]);
    says(&place, &["rollback", "--sim", "seed=1", last], 0, &[]);
    says(
        &place,
        &["why", "--sim", "node.n[4]"],
        1,
        &["no run has noted", "was pruned"],
    );
    let node = says(&place, &["why", "--sim", "node.n[3]"], 1, &["was pruned"]);
    assert!(!node.contains("brought in by hand"), "{node}");
    says(&place, &["why", "--sim", "instance.i[0]"], 0, &["run r-"]);
    says(
        &place,
        &["state", "history", "--sim"],
        0,
        &["Not shown", "was pruned"],
    );
    says(&place, &["state", "undo", "--sim"], 1, &["nothing to undo"]);
    let (_, again) = tell(
        &place,
        &["plan", "--sim", "seed=1", "--replace", "instance.i[0]"],
    );
    assert_eq!(again, forecast);
    says(&place, &PLAN, 0, &[]);
}

/// From a file to a server: the same resources there, nothing to do, and the old state refuses.
#[test]
fn a_state_moves_to_another_backend_and_the_old_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = crate::postgres::shared();
    let workspace = crate::postgres::workspace();
    let bmctl = |args: &[&str], code: i32| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bmctl"));
        let ended = command
            .args(args)
            .current_dir(dir.path())
            .env("BMCTL_KEY", "07".repeat(32))
            .env("BMCTL_PG", server.url().expose())
            .output()
            .unwrap();
        let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{args:?}: {said}");
        said
    };
    let rest = "network \"pxe\" {\n  cidr = \"10.99.0.0/24\"\n}\n\nflavor \"small\" {\n  cpus      = 1\n  memory_mb = 512\n  root_gb   = 4\n}\n";
    let write = |settings: &str| {
        std::fs::write(dir.path().join("main.hcl"), format!("{settings}{rest}")).unwrap()
    };
    write("");
    bmctl(&["apply", "--auto-approve"], 0);
    let past = || {
        let runs = bmctl(&["runs", "--json"], 0);
        let run: Vec<serde_json::Value> = serde_json::from_str(&runs).unwrap();
        let run = run[0]["run"].as_str().unwrap();
        let told = [
            vec!["show", run],
            vec!["why", "flavor.small"],
            vec!["state", "history"],
            vec!["state", "pull"],
        ];
        let told = told.map(|args| bmctl(&args, 0));
        runs.clone() + &told.concat()
    };
    let before = past();
    let said = bmctl(&["init", "--migrate-state"], 64);
    assert!(said.contains("--from DIR"), "{said}");
    write(&format!(
        "bmctl {{\n  state \"postgres\" {{\n    url       = env(\"BMCTL_PG\")\n    workspace = \"{workspace}\"\n  }}\n}}\n"
    ));
    let said = bmctl(&["init", "--migrate-state"], 0);
    assert!(said.contains("4 records of the journal"), "{said}");
    assert_eq!(past(), before);
    bmctl(&["state", "verify"], 0);
    assert!(!said.contains(server.url().expose()), "{said}");
    bmctl(&["plan", "--detailed-exitcode"], 0);
    let said = bmctl(&["init", "--migrate-state"], 1);
    assert!(said.contains("was moved to"), "{said}");
    write("");
    let said = bmctl(&["plan"], 1);
    assert!(
        said.contains("was moved to") && said.contains("nothing is read or written here"),
        "{said}"
    );
}

/// `--sim` by itself means the same state everywhere; what makes a history is told which, and what looks at it is not.
#[test]
fn a_simulation_needs_no_seed() {
    let place = Place::new();
    place.want(0);
    says(&place, &["apply", "--sim"], 0, &["0 failed"]);
    says(
        &place,
        &["plan", "--sim", "--detailed-exitcode"],
        0,
        &["No changes"],
    );
    says(
        &place,
        &["plan", "--sim", "seed=1", "--detailed-exitcode"],
        0,
        &["No changes"],
    );
    says(&place, &["runs", "--sim"], 0, &["done"]);
    says(&place, &["plan", "--sim", "loss=2"], 64, &["from 0 to 1"]);
}

/// Whoever pauses a run at night from another terminal has neither the variables of the pipeline nor a configuration that is whole.
#[test]
fn what_looks_at_the_state_asks_for_no_variable_and_no_mistake_elsewhere() {
    let place = applied();
    std::fs::write(
        place.path("more.hcl"),
        "variable \"bmc_password\" {\n  type = string\n}\nnode \"half\" {\n  arch = var.bmc_password +\n}\n",
    )
    .unwrap();
    says(&place, &["plan", "--sim", "seed=1"], 1, &["E0701", "E0101"]);
    let (_, listed) = tell(&place, &["runs", "--sim", "--json"]);
    let runs: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let run = runs[0]["run"].as_str().unwrap();
    for (args, code, part) in [
        (&["state", "list"][..], 0, "instance.i[0]"),
        (&["state", "show", "instance.i[0]"], 0, "running"),
        (&["state", "history"], 0, "instance.i[0] created"),
        (&["state", "verify"], 0, "Whole:"),
        (&["state", "pull"], 0, "lineage"),
        (&["state", "rm", "instance.i[0]"], 0, "is forgotten"),
        (&["state", "undo"], 0, "undone:"),
        (
            &["state", "accept", "--new-key"],
            0,
            "Nothing was forgotten",
        ),
        (&["lock", "list"], 0, "Nobody holds the lock."),
        (&["why", "instance.i[0]"], 0, "because it was to"),
        (&["show"], 0, "instance.i[0]"),
        (&["show", run], 0, run),
        (&["pause"], 1, "no run goes on"),
        (&["abort", run], 1, "it has ended"),
    ] {
        let args = [args, &["--sim"]].concat();
        says(&place, &args, code, &[part]);
    }
    // But never another state than the one that is configured.
    std::fs::write(
        place.path("more.hcl"),
        "bmctl {\n  state \"sqlite\" { path = \n}\n",
    )
    .unwrap();
    says(
        &place,
        &["state", "list", "--sim"],
        1,
        &["E0101", "more.hcl"],
    );
}
