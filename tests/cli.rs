//! The real program in directories of its own: exit codes, streams, files and their modes, and that no secret is in any of them.

mod closed;
mod guards;
mod mistakes;
mod saved;
mod simulated;
mod slips;
mod taken_back;
mod takeover;
mod told;

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

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
