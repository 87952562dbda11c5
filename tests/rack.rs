//! The whole job on the virtual rack: real machines of QEMU, a real IPMI stack, DHCP, HTTP, iSCSI. Needs root and the packages
//! of scripts/setup.sh: `make test-rack`. Ignored otherwise, because they take minutes, not because they may fail.

mod disk;
mod faults;
mod gates;
mod secrets;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const MIB: u64 = 1024 * 1024;
const BMCTL: &str = env!("CARGO_BIN_EXE_bmctl");
static MADE: std::sync::Once = std::sync::Once::new();

/// A rack of its own in a directory of its own; taken down when the test ends, however it ends.
struct Rack {
    dir: tempfile::TempDir,
}

impl Rack {
    fn up(firmware: &[&str]) -> Rack {
        Rack::prepared(firmware, |_| {})
    }

    /// A rack in a directory where `prepare` has put something before.
    fn prepared(firmware: &[&str], prepare: impl FnOnce(&Path)) -> Rack {
        let rack = Rack {
            dir: tempfile::Builder::new()
                .prefix("bmctl-rack-")
                .tempdir()
                .unwrap(),
        };
        prepare(rack.path());
        let nodes = firmware.len().to_string();
        let mut args = vec!["rack", "up", "--nodes", &nodes];
        for one in firmware {
            args.extend(["--firmware", one]);
        }
        rack.must(&args);
        // Made once for all tests of a run: the same bytes every time.
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rack-images");
        MADE.call_once(|| {
            let shared = shared.display().to_string();
            must(
                Command::new(BMCTL).args(["-C", &shared, "rack", "images"]),
                &shared,
            );
            must(
                Command::new(BMCTL).args(["-C", &shared, "ramdisk", "build"]),
                &shared,
            );
        });
        must(
            Command::new("cp")
                .arg("-r")
                .arg(shared.join("images"))
                .arg(rack.path()),
            "cp",
        );
        must(
            Command::new("cp")
                .arg("-r")
                .arg(shared.join(".bmctl/ramdisk"))
                .arg(rack.path().join(".bmctl/")),
            "cp",
        );
        rack
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BMCTL);
        command
            .arg("-C")
            .arg(self.path())
            .args(args)
            .env("BMCTL_KEY", "5a".repeat(32))
            .stdin(Stdio::null());
        command
    }

    /// A command inside the rack's network.
    fn inside(&self, args: &[&str]) -> Command {
        let path = self.path().display().to_string();
        let mut all = vec!["rack", "exec", "--", BMCTL, "-C", &path];
        all.extend(args);
        self.command(&all)
    }

    fn must(&self, args: &[&str]) -> String {
        must(&mut self.command(args), &args.join(" "))
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path().join("main.hcl"), text).unwrap();
    }

    fn edit_inventory(&self, from: &str, to: &str) {
        let file = self.path().join("rack.hcl");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.contains(from),
            "{from} is not in the inventory:\n{text}"
        );
        std::fs::write(file, text.replacen(from, to, 1)).unwrap();
    }

    /// Applies and returns the exit code and everything said.
    fn apply(&self) -> (i32, String) {
        let output = self.inside(&["apply", "--auto-approve"]).output().unwrap();
        (output.status.code().unwrap_or(-1), said(&output))
    }

    fn plan_is_empty(&self) -> bool {
        let output = self
            .inside(&["plan", "--detailed-exitcode"])
            .output()
            .unwrap();
        match output.status.code() {
            Some(0) => true,
            Some(2) => false,
            other => panic!("plan ended with {other:?}: {}", said(&output)),
        }
    }

    fn instances(&self) -> serde_json::Value {
        let output = self.inside(&["show", "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&output)))
    }

    fn disk(&self, node: &str) -> PathBuf {
        let found = must(
            Command::new("find")
                .arg(self.path().join(".bmctl/rack"))
                .args(["-name", "disk*", "-path", &format!("*{node}*")]),
            "find",
        );
        PathBuf::from(
            found
                .lines()
                .next()
                .unwrap_or_else(|| panic!("no disk of {node}")),
        )
    }

    fn consoles(&self) -> String {
        let mut out = String::new();
        let found = must(
            Command::new("find")
                .arg(self.path().join(".bmctl/rack"))
                .args(["-name", "console.log"]),
            "find",
        );
        for log in found.lines() {
            let text =
                String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
            let tail: Vec<&str> = text.lines().rev().take(25).collect();
            let _ = writeln!(
                out,
                "--- {log}\n{}",
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
        out
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        let output = self.command(&["rack", "down", "--purge"]).output();
        if let Ok(output) = output
            && !output.status.success()
        {
            eprintln!("rack down: {}", said(&output));
        }
    }
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn must(command: &mut Command, what: &str) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(output.status.success(), "{what}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Network, site, flavor and both images; `site` adds lines to the site.
fn base(site: &str) -> String {
    format!(
        r#"
network "pxe" {{
  cidr = "10.99.0.0/24"
  dhcp {{
    start = "10.99.0.50"
    end   = "10.99.0.150"
  }}
}}
site "lab" {{
  network     = network.pxe
  address     = "10.99.0.1"
  kernel_args = "console=ttyS0 quiet"
  {site}
}}
flavor "small" {{
  cpus      = 1
  memory_mb = 512
  root_gb   = 1
  swap_mb   = 64
}}
image "partition" {{
  type        = "partition"
  source      = "images/partition.img"
  kernel      = "images/vmlinuz"
  initrd      = "images/initrd"
  kernel_args = "console=ttyS0 quiet"
}}
image "disk" {{
  type   = "disk"
  source = "images/disk.qcow2"
}}
"#
    )
}

fn instance(name: &str, node: &str, image: &str, more: &str) -> String {
    format!(
        r#"
instance "{name}" {{
  flavor   = flavor.small
  image    = image.{image}
  node     = node.{node}
  hostname = "{name}"
  address {{
    network = network.pxe
  }}
  {more}
}}
"#
    )
}

#[test]
#[ignore = "needs root and the rack's packages"]
fn a_killed_apply_is_continued() {
    let rack = Rack::up(&["bios"]);
    rack.write(&(base("") + &instance("web", "r1-01", "partition", "")));
    let mut child = rack
        .inside(&["apply", "--auto-approve", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let started = lines.find(|l| {
        l.as_ref()
            .is_ok_and(|l| l.contains("step_started") && l.contains("write disk"))
    });
    assert!(
        started.is_some(),
        "the write never started: {}",
        rack.consoles()
    );
    // The process itself, not `rack exec` around it: nobody gets to tidy up.
    must(
        Command::new("pkill").args([
            "-KILL",
            "-f",
            &format!("^{BMCTL} -C {} apply", rack.path().display()),
        ]),
        "pkill",
    );
    let _ = child.wait();

    let (code, text) = rack.apply();
    assert_eq!(code, 0, "{text}\n{}", rack.consoles());
    assert!(
        text.contains("recovery: ") && text.contains("write disk of an earlier run"),
        "{text}"
    );
    let said = &rack.instances()["instance.web"]["phoned"];
    assert_eq!(said["hostname"], "web");
    assert!(
        said["root"]
            .as_str()
            .is_some_and(|r| r.starts_with("/dev/")),
        "{said}"
    );
    assert!(rack.plan_is_empty());
}

/// A saved plan pins the image: bytes that changed since are not written.
#[test]
#[ignore = "needs root and the rack's packages"]
fn a_changed_image_is_refused() {
    let rack = Rack::up(&["bios"]);
    rack.write(&(base("") + &instance("web", "r1-01", "partition", "")));
    let file = rack.path().join("web.plan").display().to_string();
    must(&mut rack.inside(&["plan", "--out", &file]), "plan --out");
    let image = rack.path().join("images/partition.img");
    let good = std::fs::read(&image).unwrap();
    let mut bad = good.clone();
    bad[40 * MIB as usize] ^= 1;
    std::fs::write(&image, &bad).unwrap();
    let output = rack.inside(&["apply", &file]).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains("check image") && text.contains("the file changed since the plan"),
        "{text}"
    );
    assert!(!text.contains("written and verified"), "{text}");
    std::fs::write(&image, &good).unwrap();
    let (code, text) = rack.apply();
    assert_eq!(code, 0, "{text}\n{}", rack.consoles());
}

/// Its own table may be overwritten after a destruction; to somebody without that memory it is somebody else's data.
#[test]
#[ignore = "needs root and the rack's packages"]
fn a_foreign_table_is_refused() {
    let rack = Rack::up(&["bios"]);
    let config = base("") + &instance("web", "r1-01", "partition", "");
    rack.write(&config);
    let (code, text) = rack.apply();
    assert_eq!(code, 0, "{text}\n{}", rack.consoles());
    must(&mut rack.inside(&["destroy", "--auto-approve"]), "destroy");
    let (code, text) = rack.apply();
    assert_eq!(code, 0, "{text}\n{}", rack.consoles());

    for file in [
        "state.db",
        "state.db-wal",
        "state.db-shm",
        "state.mark",
        "high-water",
    ] {
        let _ = std::fs::remove_file(rack.path().join(".bmctl").join(file));
    }
    // The second refusal matters as much as the first: having been refused makes no table ours.
    for _ in 0..2 {
        let (code, text) = rack.apply();
        assert_eq!(code, 3, "{text}");
        assert!(
            text.contains("carries a partition table that bmctl did not write (mbr:"),
            "{text}"
        );
    }
    rack.write(&config.replace("hostname", "on_existing_data = \"overwrite\"\n  hostname"));
    let (code, text) = rack.apply();
    assert_eq!(code, 0, "{text}\n{}", rack.consoles());
}

/// The seeds' way: pxelinux.0 and its configuration by MAC over TFTP, kernel and ramdisk too (rows P15, S2.10).
#[test]
#[ignore = "needs root and the rack's packages"]
fn pxelinux_over_tftp() {
    let rack = Rack::up(&["bios"]);
    rack.write(&(base("bios_loader = \"pxelinux\"") + &instance("web", "r1-01", "partition", "")));
    let (code, text) = rack.apply();
    assert_eq!(code, 0, "{text}\n{}", rack.consoles());
    assert_eq!(
        rack.instances()["instance.web"]["phoned"]["hostname"],
        "web"
    );
}

#[test]
#[ignore = "needs root and the rack's packages"]
fn the_demo_passes() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/demo.sh");
    let output = Command::new(script)
        .env("BMCTL", BMCTL)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let last = text
        .lines()
        .rfind(|l| l.starts_with("demo: "))
        .unwrap_or_default();
    assert!(
        last.starts_with("demo: 3 of 3 instances booted from their own disk in "),
        "{text}"
    );
}
