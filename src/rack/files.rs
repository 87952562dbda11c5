//! The files of a rack, all below `.bmctl/rack/`, readable by their owner alone.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::RackError;
use super::machine::{BMC_COMMANDS, lan_conf, qemu_script};
use super::spec::{Firmware, NodeSpec, Place};

pub const BMC_USER: &str = "admin";
/// IPMI 2.0 passwords have at most 20 bytes, and some tools send 16.
const PASSWORD_SIZE: usize = 16;
const PASSWORD_LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const GIB: u64 = 1 << 30;
const CHASSIS: &str = include_str!("chassis.sh");
pub const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// Where things are.
#[derive(Debug, Clone)]
pub struct Home {
    pub dir: PathBuf,
}

impl Home {
    /// `module` is the root module's directory.
    pub fn new(module: &Path) -> Self {
        Self {
            dir: module.join(".bmctl/rack"),
        }
    }

    pub fn record(&self) -> PathBuf {
        self.dir.join("rack.json")
    }

    pub fn password(&self) -> PathBuf {
        self.dir.join("bmc.password")
    }

    pub fn chassis(&self) -> PathBuf {
        self.dir.join("chassis.sh")
    }

    pub fn node(&self, name: &str) -> PathBuf {
        self.dir.join("nodes").join(name)
    }

    /// Makes the directory and what all machines share. Returns the password of their BMCs, which outlives a rack.
    pub fn prepare(&self) -> Result<String, RackError> {
        private_dir(&self.dir)?;
        write_private(&self.chassis(), CHASSIS.as_bytes())?;
        let path = self.password();
        if let Ok(there) = fs::read_to_string(&path)
            && there.len() == PASSWORD_SIZE
        {
            return Ok(there);
        }
        let password = new_password().map_err(|e| RackError::Io {
            operation: "draw random bytes for",
            path: path.clone(),
            source: std::io::Error::other(e.to_string()),
        })?;
        // No newline: the configuration reads the file as it is.
        write_private(&path, password.as_bytes())?;
        Ok(password)
    }
}

fn new_password() -> Result<String, getrandom::Error> {
    let mut bytes = [0; PASSWORD_SIZE];
    getrandom::fill(&mut bytes)?;
    Ok(bytes
        .iter()
        .map(|b| char::from(PASSWORD_LETTERS[usize::from(b % 32)]))
        .collect())
}

/// Refuses a directory whose path ipmi_sim could not hand to its program.
pub fn check_dir(dir: &Path) -> Result<(), RackError> {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,=:@%~".contains(c);
    if dir.to_string_lossy().chars().all(plain) {
        return Ok(());
    }
    Err(RackError::Spec {
        what: "directory".to_owned(),
        expected: "a path without blanks, quotes and shell characters, since ipmi_sim cannot take one",
        found: format!("{:?}", dir.display()),
    })
}

/// Makes a directory only its owner may enter, and those above it.
pub fn private_dir(dir: &Path) -> Result<(), RackError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(RackError::io("make directory", dir))?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
        .map_err(RackError::io("protect directory", dir))
}

/// Writes a file only its owner may read, complete or not at all.
pub fn write_private(path: &Path, data: &[u8]) -> Result<(), RackError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let put = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".writing-")
            .tempfile_in(dir)?;
        file.write_all(data)?;
        file.persist(path)?;
        Ok(())
    };
    put().map_err(RackError::io("write", path))
}

/// One machine's directory: its disk, its firmware's variables, its BMC's configuration and the line that starts it.
/// A disk and variables that are there already are kept.
pub fn prepare_node(
    home: &Home,
    node: &NodeSpec,
    place: &Place,
    address: Ipv4Addr,
    password: &str,
) -> Result<(), RackError> {
    let dir = home.node(&node.name);
    private_dir(&dir)?;
    private_dir(&dir.join("bmc"))?;
    let disk = dir.join("disk.raw");
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&disk)
        .map_err(RackError::io("make disk", &disk))?;
    file.set_len(u64::from(node.disk_gb) * GIB)
        .map_err(RackError::io("size disk", &disk))?;
    let vars = dir.join("vars.fd");
    if node.firmware == Firmware::Uefi && !vars.exists() {
        let data = fs::read(OVMF_VARS).map_err(|_| RackError::Missing {
            program: "the UEFI firmware OVMF_VARS_4M.fd",
            package: "ovmf",
        })?;
        write_private(&vars, &data)?;
    }
    for old in ["qemu.pid", "boot"] {
        let _ = fs::remove_file(dir.join(old));
    }
    write_private(
        &dir.join("qemu.sh"),
        qemu_script(&dir, node, place).as_bytes(),
    )?;
    write_private(
        &dir.join("lan.conf"),
        lan_conf(home, &dir, node, place, address, password).as_bytes(),
    )?;
    write_private(&dir.join("bmc.cmd"), BMC_COMMANDS.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_private_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let password = home.prepare().unwrap();
        assert_eq!(password.len(), PASSWORD_SIZE);
        assert_eq!(home.prepare().unwrap(), password);
        assert_eq!(fs::read_to_string(home.password()).unwrap(), password);
        assert_eq!(
            fs::metadata(home.password()).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::metadata(&home.dir).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn an_old_disk_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let node = NodeSpec::new("a", Firmware::Bios);
        let address = Ipv4Addr::new(10, 99, 0, 1);
        prepare_node(&home, &node, &Place::new(1), address, "secret").unwrap();
        let disk = home.node("a").join("disk.raw");
        assert_eq!(fs::metadata(&disk).unwrap().len(), 4 * GIB);
        let mut file = fs::OpenOptions::new().write(true).open(&disk).unwrap();
        file.write_all(b"kept").unwrap();
        prepare_node(&home, &node, &Place::new(1), address, "secret").unwrap();
        let mut head = [0; 4];
        std::io::Read::read_exact(&mut fs::File::open(&disk).unwrap(), &mut head).unwrap();
        assert_eq!(&head, b"kept");
    }

    #[test]
    fn a_directory_ipmi_sim_cannot_take_is_refused() {
        let error = check_dir(Path::new("/a b")).unwrap_err();
        assert!(error.to_string().contains("without blanks"), "{error}");
        check_dir(Path::new("/home/a_b/r-1.x")).unwrap();
    }

    /// A node directory whose QEMU is a script that keeps the orders it gets.
    fn chassis(dir: &Path) -> impl Fn(&str) -> (bool, String) {
        fs::write(dir.join("chassis.sh"), CHASSIS).unwrap();
        let qemu = "echo \"order $1\" >>\"${0%/*}/orders\"\nwhile read -r line; do\n  \
                    echo \"$line\" >>\"${0%/*}/orders\"\n  echo '{\"return\": {}}'\ndone\n";
        fs::write(dir.join("qemu.sh"), qemu).unwrap();
        let dir = dir.to_owned();
        move |request| {
            let mut command = std::process::Command::new("sh");
            let output = command
                .arg(dir.join("chassis.sh"))
                .arg(&dir)
                .args(request.split(' '))
                .output()
                .unwrap();
            (
                output.status.success(),
                String::from_utf8(output.stdout).unwrap().trim().to_owned(),
            )
        }
    }

    #[test]
    fn a_chassis_keeps_power_and_boot_device() {
        let dir = tempfile::tempdir().unwrap();
        let ask = chassis(dir.path());
        let orders = || fs::read_to_string(dir.path().join("orders")).unwrap_or_default();
        let (yes, no) = (
            |text: &str| (true, text.to_owned()),
            |text: &str| (false, text.to_owned()),
        );
        assert_eq!(ask("get power"), yes("power:0"));
        assert_eq!(ask("get boot"), yes("boot:default"));
        assert_eq!(ask("set reset 1"), no(""));
        assert_eq!(ask("set boot pxe"), yes(""));
        assert_eq!(ask("set power 1"), yes(""));
        assert_eq!(ask("set power 1"), yes(""));
        assert_eq!(ask("get power"), yes("power:1"));
        assert_eq!(ask("set boot default"), yes(""));
        assert_eq!(ask("set reset 1"), yes(""));
        assert_eq!(ask("get boot"), yes("boot:default"));
        // The pipe keeps what its reader has not taken yet.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !orders().contains("system_reset") && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
        let seen = orders();
        assert!(seen.starts_with("order 1\n"), "the network first:\n{seen}");
        assert!(seen.contains("\"bootindex\",\"value\":3"), "{seen}");
        assert!(seen.contains("system_reset"), "{seen}");
        assert_eq!(ask("set power 0"), yes(""));
        assert_eq!(ask("set power 0"), yes(""));
        assert_eq!(ask("get power"), yes("power:0"));
        assert_eq!(ask("set warp 9"), no(""));
    }
}
