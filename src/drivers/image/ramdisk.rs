//! The deploy ramdisk: busybox, tgt and a kernel's drivers, with the script that speaks the deploy channel
//! (docs/design/0001-deploy-channel.md). Parity row P1, without its whole module tree and without root.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cpio::{Archive, CpioError, Node};
use super::kernel::{Kernel, KernelError, KernelSource, Module};
use super::libs::{self, LibsError};
use super::scripts::{DHCP_SCRIPT, HMAC, INIT};
use super::{Event, Report};
use crate::drivers::child;

const MANIFEST_VERSION: u32 = 1;
/// Boot files are read by the TFTP and HTTP servers, which run as users of their own.
const BOOT_FILE_MODE: u32 = 0o644;

/// Drivers of disks and networks found in racks. A kernel that lacks one does without it.
pub const DRIVERS: &[&str] = &[
    // Virtual machines: all that the cloud kernel has.
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "virtio_scsi",
    "virtio_rng",
    "sd_mod",
    // Disk controllers.
    "ahci",
    "ata_piix",
    "nvme",
    "megaraid_sas",
    "mpt3sas",
    "hpsa",
    "smartpqi",
    "aacraid",
    "mpi3mr",
    "vmd",
    "isci",
    "arcmsr",
    "vmw_pvscsi",
    "mptspi",
    "mptsas",
    "xhci_pci",
    "ehci_pci",
    "usb_storage",
    "uas",
    // Network cards.
    "e1000",
    "e1000e",
    "igb",
    "igc",
    "ixgbe",
    "i40e",
    "ice",
    "tg3",
    "bnx2",
    "bnx2x",
    "bnxt_en",
    "r8169",
    "mlx4_en",
    "mlx5_core",
    "qede",
    "sfc",
    "atlantic",
    "ena",
    "vmxnet3",
    "cxgb4",
    "be2net",
    "enic",
    "nfp",
    // Clean power-off from the BMC's button.
    "button",
];

/// What to build from. Paths of programs are those of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RamdiskSpec {
    /// Directory that receives `vmlinuz`, `initrd` and `manifest.json`.
    pub out: PathBuf,
    pub kernel: KernelSource,
    /// Where packages are kept and unpacked; may be shared and may be deleted.
    pub cache: PathBuf,
    /// A static busybox.
    pub busybox: PathBuf,
    pub tgtd: PathBuf,
    pub tgtadm: PathBuf,
}

impl RamdiskSpec {
    /// Everything from Debian's packages.
    #[must_use]
    pub fn new(out: PathBuf, cache: PathBuf) -> Self {
        Self {
            out,
            cache,
            kernel: KernelSource::default(),
            busybox: "/bin/busybox".into(),
            tgtd: "/usr/sbin/tgtd".into(),
            tgtadm: "/usr/sbin/tgtadm".into(),
        }
    }
}

/// What was built. Also what `manifest.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub version: u32,
    /// `uname -r` of the kernel.
    pub release: String,
    /// File name to digest and size.
    pub files: BTreeMap<String, FileFacts>,
    /// What it was made from: name to version (package, or path when it is no package).
    pub inputs: BTreeMap<String, String>,
    /// Drivers, in the order in which they are loaded.
    pub drivers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// 64 lower-case hex digits.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RamdiskBuilt {
    pub kernel: PathBuf,
    pub initrd: PathBuf,
    pub manifest: Manifest,
}

#[derive(Debug, thiserror::Error)]
pub enum RamdiskError {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Libs(#[from] LibsError),
    #[error("put the ramdisk together")]
    Archive(#[from] CpioError),
    #[error("{operation} {}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("read {what} from {}; install the Debian package {package}", path.display())]
    Program {
        what: &'static str,
        package: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("busybox at {}: expected a static program, it needs {libraries} libraries; install busybox-static", path.display())]
    BusyboxNotStatic { path: PathBuf, libraries: usize },
    #[error("list what busybox can do: {said}")]
    Applets { said: String },
    #[error(
        "kernel {release}: expected at least one network and one disk driver, found {found:?}; choose another kernel"
    )]
    NoDrivers { release: String, found: Vec<String> },
}

/// Builds `vmlinuz`, `initrd` and `manifest.json`. The same inputs give the same bytes. Files appear complete or not at
/// all. Needs no root.
pub fn build(spec: &RamdiskSpec, report: Report<'_>) -> Result<RamdiskBuilt, RamdiskError> {
    let kernel = Kernel::obtain(&spec.kernel, &spec.cache, report)?;
    let modules = kernel.modules(DRIVERS)?;
    check_drivers(&kernel, &modules)?;
    report(Event::Modules {
        release: kernel.release.clone(),
        count: modules.len(),
    });

    let mut archive = Archive::new();
    add_busybox(&mut archive, &spec.busybox)?;
    add_modules(&mut archive, &kernel.release, &modules)?;
    add_program(&mut archive, &spec.tgtd, "sbin/tgtd")?;
    add_program(&mut archive, &spec.tgtadm, "sbin/tgtadm")?;
    add_script(&mut archive, "init", INIT)?;
    add_script(&mut archive, "lib/bmctl/hmac.sh", HMAC)?;
    add_script(&mut archive, "lib/bmctl/udhcpc.sh", DHCP_SCRIPT)?;

    let image = read(&kernel.image, "read the kernel")?;
    let initrd = compress(&archive)
        .map_err(|source| io_error("compress the ramdisk for", &spec.out, source))?;
    let manifest = Manifest {
        version: MANIFEST_VERSION,
        release: kernel.release.clone(),
        files: BTreeMap::from([
            ("vmlinuz".to_owned(), facts(&image)),
            ("initrd".to_owned(), facts(&initrd)),
        ]),
        inputs: BTreeMap::from([
            (
                "busybox".to_owned(),
                package_version("busybox-static", &spec.busybox),
            ),
            ("kernel".to_owned(), kernel.origin.clone()),
            ("tgt".to_owned(), package_version("tgt", &spec.tgtd)),
        ]),
        drivers: modules.into_iter().map(|m| m.name).collect(),
    };
    let mut text = serde_json::to_vec_pretty(&manifest)
        .map_err(|e| io_error("describe the ramdisk in", &spec.out, io::Error::other(e)))?;
    text.push(b'\n');

    fs::create_dir_all(&spec.out)
        .map_err(|source| io_error("make directory", &spec.out, source))?;
    let built = RamdiskBuilt {
        kernel: spec.out.join("vmlinuz"),
        initrd: spec.out.join("initrd"),
        manifest,
    };
    write_file(&built.kernel, &image, report)?;
    write_file(&built.initrd, &initrd, report)?;
    write_file(&spec.out.join("manifest.json"), &text, report)?;
    Ok(built)
}

/// busybox and a link for each thing it can do, the device nodes a first process needs, and empty mount points.
pub fn add_busybox(archive: &mut Archive, busybox: &Path) -> Result<(), RamdiskError> {
    let data = fs::read(busybox).map_err(|source| RamdiskError::Program {
        what: "busybox",
        package: "busybox-static",
        path: busybox.to_owned(),
        source,
    })?;
    if let Ok(libraries) = libs::of(busybox)
        && !libraries.is_empty()
    {
        return Err(RamdiskError::BusyboxNotStatic {
            path: busybox.to_owned(),
            libraries: libraries.len(),
        });
    }
    let listed = child::program(busybox)
        .arg("--list")
        .output()
        .map_err(|e| RamdiskError::Applets {
            said: e.to_string(),
        })?;
    archive.insert("bin/busybox", Node::File { mode: 0o755, data })?;
    let names = String::from_utf8_lossy(&listed.stdout).into_owned();
    for applet in names.lines().filter(|n| !n.is_empty() && *n != "busybox") {
        archive.insert(
            &format!("bin/{applet}"),
            Node::Symlink {
                target: "busybox".to_owned(),
            },
        )?;
    }
    archive.insert(
        "dev/console",
        Node::CharDevice {
            mode: 0o600,
            major: 5,
            minor: 1,
        },
    )?;
    archive.insert(
        "dev/null",
        Node::CharDevice {
            mode: 0o666,
            major: 1,
            minor: 3,
        },
    )?;
    for dir in ["proc", "sys", "run", "tmp", "var", "etc", "mnt"] {
        archive.insert(dir, Node::Directory { mode: 0o755 })?;
    }
    archive.insert(
        "var/run",
        Node::Symlink {
            target: "../run".to_owned(),
        },
    )?;
    Ok(())
}

/// Drivers under their usual names, and `lib/bmctl/modules`: their paths, one a line, in loading order.
pub fn add_modules(
    archive: &mut Archive,
    release: &str,
    modules: &[Module],
) -> Result<(), RamdiskError> {
    let mut order = String::new();
    for Module {
        name: _,
        path,
        data,
    } in modules
    {
        let path = format!("lib/modules/{release}/{}", path.display());
        order.push_str(&format!("/{path}\n"));
        archive.insert(
            &path,
            Node::File {
                mode: 0o644,
                data: data.clone(),
            },
        )?;
    }
    archive.insert(
        "lib/bmctl/modules",
        Node::File {
            mode: 0o644,
            data: order.into_bytes(),
        },
    )?;
    Ok(())
}

/// A script the kernel or another script runs.
pub fn add_script(archive: &mut Archive, path: &str, text: &str) -> Result<(), RamdiskError> {
    archive.insert(
        path,
        Node::File {
            mode: 0o755,
            data: text.as_bytes().to_vec(),
        },
    )?;
    Ok(())
}

/// The archive as the kernel takes it: gzip without a time or a name in its header.
pub fn compress(archive: &Archive) -> io::Result<Vec<u8>> {
    let mut out = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::best());
    archive.write_to(&mut out)?;
    out.finish()
}

/// Digest and size of some bytes.
#[must_use]
pub fn facts(data: &[u8]) -> FileFacts {
    FileFacts {
        sha256: hex::encode(Sha256::digest(data)),
        size: data.len() as u64,
    }
}

/// Writes a boot file so that a reader sees the old one or the new one, never half of it.
pub fn write_file(path: &Path, data: &[u8], report: Report<'_>) -> Result<(), RamdiskError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let put = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".writing-")
            .tempfile_in(dir)?;
        file.write_all(data)?;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(BOOT_FILE_MODE))?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    put().map_err(|source| io_error("write", path, source))?;
    report(Event::Wrote {
        path: path.to_owned(),
        size: data.len() as u64,
    });
    Ok(())
}

fn io_error(operation: &'static str, path: &Path, source: io::Error) -> RamdiskError {
    RamdiskError::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

fn read(path: &Path, operation: &'static str) -> Result<Vec<u8>, RamdiskError> {
    fs::read(path).map_err(|source| io_error(operation, path, source))
}

/// A program of the tgt package at `place`, its libraries where its loader looks for them.
fn add_program(archive: &mut Archive, program: &Path, place: &str) -> Result<(), RamdiskError> {
    let data = fs::read(program).map_err(|source| RamdiskError::Program {
        what: "the iSCSI target",
        package: "tgt",
        path: program.to_owned(),
        source,
    })?;
    archive.insert(place, Node::File { mode: 0o755, data })?;
    for library in libs::of(program)? {
        let data = read(&library, "read library")?;
        let inside = library.to_string_lossy();
        archive.insert(
            inside.trim_start_matches('/'),
            Node::File { mode: 0o755, data },
        )?;
    }
    Ok(())
}

/// The kernel may have some of them built in, in which case they are in no package; virtio and nvme stand for both.
fn check_drivers(kernel: &Kernel, modules: &[Module]) -> Result<(), RamdiskError> {
    let of = |dir: &str| modules.iter().any(|m| m.path.starts_with(dir));
    let disk = [
        "kernel/drivers/block",
        "kernel/drivers/scsi",
        "kernel/drivers/nvme",
        "kernel/drivers/ata",
    ];
    if of("kernel/drivers/net") && disk.iter().any(|d| of(d)) {
        return Ok(());
    }
    let found = modules.iter().map(|m| m.name.clone()).collect();
    Err(RamdiskError::NoDrivers {
        release: kernel.release.clone(),
        found,
    })
}

/// `tgt 1:1.0.85-1` when dpkg knows the package, the path otherwise.
fn package_version(package: &str, path: &Path) -> String {
    let asked = child::program("dpkg-query")
        .args(["--show", "--showformat", "${Version}", package])
        .output();
    match asked {
        Ok(output) if output.status.success() => {
            format!(
                "{package} {}",
                String::from_utf8_lossy(&output.stdout).trim()
            )
        }
        Ok(_) | Err(_) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel directory as small as one can be: the real one needs the archives.
    fn spec(dir: &Path, out: &str) -> RamdiskSpec {
        let kernel = dir.join("kernel");
        for (file, data) in [
            ("boot/vmlinuz-6.1.0-1", "kernel"),
            ("lib/modules/6.1.0-1/modules.builtin", ""),
            (
                "lib/modules/6.1.0-1/kernel/drivers/net/virtio_net.ko",
                "\0depends=\0",
            ),
            (
                "lib/modules/6.1.0-1/kernel/drivers/block/virtio_blk.ko",
                "\0depends=\0",
            ),
        ] {
            fs::create_dir_all(kernel.join(file).parent().unwrap()).unwrap();
            fs::write(kernel.join(file), data).unwrap();
        }
        RamdiskSpec {
            kernel: KernelSource::Dir(kernel),
            ..RamdiskSpec::new(dir.join(out), dir.join("cache"))
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let one = build(&spec(dir.path(), "one"), &mut |_| {}).unwrap();
        let two = build(&spec(dir.path(), "two"), &mut |_| {}).unwrap();
        assert_eq!(one.manifest, two.manifest);
        for file in ["vmlinuz", "initrd", "manifest.json"] {
            let bytes =
                ["one", "two"].map(|out| fs::read(dir.path().join(out).join(file)).unwrap());
            assert!(bytes[0] == bytes[1], "{file} differs");
        }
        assert_eq!(
            one.manifest.files["initrd"],
            facts(&fs::read(&one.initrd).unwrap())
        );
        assert_eq!(one.manifest.drivers, ["virtio_net", "virtio_blk"]);
    }

    #[test]
    fn a_kernel_without_disks_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let spec = spec(dir.path(), "one");
        fs::remove_dir_all(
            dir.path()
                .join("kernel/lib/modules/6.1.0-1/kernel/drivers/block"),
        )
        .unwrap();
        assert!(matches!(
            build(&spec, &mut |_| {}),
            Err(RamdiskError::NoDrivers { .. })
        ));
        assert!(!spec.out.exists());
    }

    #[test]
    fn a_missing_busybox_names_its_package() {
        let dir = tempfile::tempdir().unwrap();
        let spec = RamdiskSpec {
            busybox: "/nonexistent".into(),
            ..spec(dir.path(), "one")
        };
        let error = build(&spec, &mut |_| {}).unwrap_err().to_string();
        assert!(
            error.contains("install the Debian package busybox-static"),
            "{error}"
        );
    }
}
