//! The real program in directories of its own: exit codes, streams, files and their modes, and that no secret is in any of them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::fleet::CANARY;

pub const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// Two systems on three machines; `hunter2` is the password of every BMC and in the user data.
const CONFIGURATION: &str = r##"
variable "bmc_password" {
  type      = string
  sensitive = true
}

network "pxe" {
  cidr = "10.99.0.0/24"
}

site "lab" {
  network = network.pxe
  address = "10.99.0.1"
}

flavor "small" {
  cpus      = 1
  memory_mb = 512
  root_gb   = 1
}

image "part" {
  type   = "partition"
  source = "part.img"
  kernel = "vmlinuz"
  initrd = "initrd"
}

image "disk" {
  type   = "disk"
  source = "disk.img"
}

node "n" {
  count     = 3
  site      = site.lab
  arch      = "x86_64"
  cpus      = 2
  memory_mb = 1024
  local_gb  = 10
  root_device { serial = "S${count.index}" }
  power "ipmi" {
    address  = "127.0.0.1"
    port     = 60000 + count.index
    user     = "admin"
    password = var.bmc_password
  }
}

nic "n" {
  count   = 3
  node    = node.n[count.index]
  network = network.pxe
  mac     = "52:54:00:00:00:0${count.index}"
  pxe     = true
}

instance "web" {
  flavor    = flavor.small
  image     = image.part
  user_data = "#cloud-config\npassword: ${var.bmc_password}\n"
  address { network = network.pxe }
}

instance "db" {
  flavor = flavor.small
  image  = image.disk
}
"##;

pub struct Place {
    pub dir: TempDir,
}

pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    fn empty() -> Place {
        Place {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// A configuration with its images, in the folder `fleet`.
    pub fn new() -> Place {
        let place = Place::empty();
        let mut part = vec![0u8; 4096];
        part[1024 + 0x38..][..2].copy_from_slice(&[0x53, 0xef]);
        part[1024 + 0x68..][..16].copy_from_slice(&[9; 16]);
        let mut disk = vec![0u8; 4096];
        disk[440..444].copy_from_slice(&[1, 2, 3, 4]);
        disk[446 + 4] = 0x83;
        disk[446 + 8..][..8].copy_from_slice(&[1, 0, 0, 0, 7, 0, 0, 0]);
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        place.write("main.hcl", CONFIGURATION);
        place.write("part.img", part);
        place.write("disk.img", disk);
        place.write("vmlinuz", "kernel");
        place.write("initrd", "initrd");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("fleet").join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Runs `bmctl -C fleet ...` without a terminal.
    fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, |_| {})
    }

    pub fn run_with(&self, args: &[&str], change: impl FnOnce(&mut Command)) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bmctl"));
        command
            .args(["-C", "fleet"])
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("BMCTL_KEY", KEY)
            .env("BMCTL_VAR_bmc_password", CANARY)
            .stdin(Stdio::null());
        change(&mut command);
        let output = command.output().unwrap();
        let ended = Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        for text in [&ended.out, &ended.err] {
            assert!(!text.contains(CANARY), "{args:?} shows a secret:\n{text}");
            assert!(
                !text.contains('\x1b'),
                "{args:?} writes escapes to a pipe:\n{text}"
            );
        }
        ended
    }
}

impl Ended {
    #[track_caller]
    pub fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "out:\n{}\nerr:\n{}", self.out, self.err);
        self
    }
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

pub fn files_below(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, out);
        }
        out.push(path);
    }
}

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

/// A rehearsal's plan is for the rehearsal's state; nothing is sealed or served for it elsewhere.
#[test]
fn a_plan_of_a_simulation_is_not_for_the_machines() {
    let place = Place::new();
    let planned = ["plan", "--sim", "seed=7", "--out", "p.bmctl"];
    place.run(&planned).expect(0);
    let refused = place.run(&["apply", "p.bmctl"]).expect(5);
    contains(&refused.err, &["made from another state", "plan again"]);
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

/// State, sealed secrets, plans and journals: nobody else reads them, and no password is in them.
#[test]
fn what_is_written_is_closed_to_others_and_holds_no_secret() {
    let place = Place::new();
    // They are there already, open to everybody.
    let told = ["plan.json", "events.json", "report.md"].map(|name| place.dir.path().join(name));
    for file in &told {
        std::fs::write(file, "").unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    place
        .run(&[
            "plan",
            "--refresh=false",
            "--out",
            "plan.json",
            "--json-into",
            "events.json",
            "--report",
            "report.md",
        ])
        .expect(0);
    for file in &told {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    place.run(&["apply", "--sim", "seed=7"]).expect(0);
    let state = place.path(".bmctl");
    for dir in [&state, &state.join("sim")] {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
    for file in ["state.db", "sim/state.db", "high-water", "open.lock"] {
        assert_eq!(mode(&state.join(file)), 0o600, "{file}");
    }
    let mut all = Vec::new();
    files_below(place.dir.path(), &mut all);
    assert!(all.len() > 8);
    for path in all.iter().filter(|p| p.is_file()) {
        let bytes = std::fs::read(path).unwrap();
        let found = bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes());
        assert!(!found, "{} holds a secret", path.display());
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn without_a_key_one_is_made_that_only_its_owner_reads() {
    let place = Place::new();
    let no_key = |c: &mut Command| {
        c.env_remove("BMCTL_KEY");
    };
    place
        .run_with(&["plan", "--refresh=false"], no_key)
        .expect(0);
    let key = place.dir.path().join(".config/bmctl/key");
    assert_eq!(mode(&key), 0o600);
    let first = std::fs::read(&key).unwrap();
    place
        .run_with(&["plan", "--refresh=false"], no_key)
        .expect(0);
    assert_eq!(std::fs::read(&key).unwrap(), first);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    contains(
        &place
            .run_with(&["plan", "--refresh=false"], no_key)
            .expect(1)
            .err,
        &["expected mode 0600", "chmod 600"],
    );
}

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
    contains(&place.run(&["keygen", "ci.key"]).expect(1).err, &["exists"]);
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
        &["refused by policy, nothing was done"],
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
