//! Promises to other programs: the schemas are those of the types, what is written fits them, and samples of released formats
//! are still read.

use std::path::{Path, PathBuf};
use std::process::Command;

use bmctl::plan::{planfile, schema};
use jsonschema::Validator;

fn root(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

fn validator(name: &str) -> Validator {
    let text = std::fs::read_to_string(root("schemas").join(name)).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

fn fits(validator: &Validator, value: &serde_json::Value, what: &str) {
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|e| format!("{} at {}", e, e.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what}: {}", errors.join("\n"));
}

#[test]
fn written_schemas_are_those_of_the_types() {
    for (name, content) in schema::files() {
        let found = std::fs::read_to_string(root("schemas").join(name)).unwrap_or_default();
        assert!(
            found == content,
            "schemas/{name} is stale: run `cargo run -- schema --write schemas`"
        );
    }
}

const CONFIGURATION: &str = r#"
network "pxe" { cidr = "10.99.0.0/24" }
site "lab" {
  network = network.pxe
  address = "10.99.0.1"
}
flavor "small" {
  cpus      = 1
  memory_mb = 512
  root_gb   = 1
}
image "disk" {
  type   = "disk"
  source = "disk.img"
}
node "n" {
  count     = 2
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
    password = "x"
  }
}
nic "n" {
  count   = 2
  node    = node.n[count.index]
  network = network.pxe
  mac     = "52:54:00:00:00:0${count.index}"
  pxe     = true
}
instance "web" {
  count     = 2
  flavor    = flavor.small
  image     = image.disk
  user_data = "x"
  address { network = network.pxe }
}
policy "few" {
  severity      = "warn"
  condition     = plan.destructive < 2
  error_message = "many"
}
"#;

#[test]
fn what_is_written_fits_the_schemas() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("main.hcl"), CONFIGURATION).unwrap();
    let mut disk = vec![0u8; 4096];
    disk[440..444].copy_from_slice(&[1, 2, 3, 4]);
    disk[446 + 4] = 0x83;
    disk[446 + 8..][..8].copy_from_slice(&[1, 0, 0, 0, 7, 0, 0, 0]);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(dir.path().join("disk.img"), disk).unwrap();
    let bmctl = |args: &[&str], code: i32| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bmctl"));
        let out = command
            .args(args)
            .current_dir(dir.path())
            .env("BMCTL_KEY", "07".repeat(32))
            .output()
            .unwrap();
        assert_eq!(
            out.status.code(),
            Some(code),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
    };
    bmctl(&["keygen", "k"], 0);
    bmctl(
        &[
            "plan",
            "--sim",
            "seed=1",
            "--out",
            "p.bmctl",
            "--sign",
            "k",
            "--target",
            "instance.web[0]",
            "--json-into",
            "p.jsonl",
        ],
        0,
    );
    bmctl(
        &[
            "apply",
            "p.bmctl",
            "--sim",
            "seed=1,write_fail=1",
            "--json-into",
            "a.jsonl",
        ],
        3,
    );
    let plan = std::fs::read_to_string(dir.path().join("p.bmctl")).unwrap();
    fits(
        &validator("plan.json"),
        &serde_json::from_str(&plan).unwrap(),
        "plan",
    );
    let events = validator("events.json");
    for name in ["p.jsonl", "a.jsonl"] {
        let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text.lines().count() > 5);
        for line in text.lines() {
            fits(&events, &serde_json::from_str(line).unwrap(), line);
        }
    }
    if std::env::var_os("BMCTL_BLESS").is_some() && !root("state/samples/plan-1.bmctl").exists() {
        std::fs::write(root("state/samples/plan-1.bmctl"), &plan).unwrap();
        std::fs::copy(
            dir.path().join("a.jsonl"),
            root("state/samples/events-1.jsonl"),
        )
        .unwrap();
    }
}

/// A sample is never written again: what was released is read for ever.
#[test]
fn samples_of_released_formats_are_still_read() {
    let bytes = std::fs::read(root("state/samples/plan-1.bmctl")).unwrap();
    let (plan, signer) = planfile::read(&bytes).unwrap();
    assert!(signer.is_some() && plan.steps.len() > 10 && plan.format == 1);
    fits(
        &validator("plan.json"),
        &serde_json::from_slice(&bytes).unwrap(),
        "sample",
    );
    let events = std::fs::read_to_string(root("state/samples/events-1.jsonl")).unwrap();
    let mut seen = 0;
    for line in events.lines() {
        let event: bmctl::model::event::Event = serde_json::from_str(line).unwrap();
        let again = serde_json::to_value(&event).unwrap();
        let was: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(again, was, "an event of format 1 has become another");
        seen += 1;
    }
    assert!(seen > 20);
}
