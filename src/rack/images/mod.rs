//! Small test systems to deploy on the virtual rack: a partition image with its kernel and initrd, and a whole-disk image
//! that boots on BIOS and UEFI. Both call home and stay up.
//!
//! Takes: busybox and a kernel package. Gives: files, reproducible byte for byte. May import: `drivers::image` and the
//! file system; runs `mke2fs`, `debugfs`, mtools, `syslinux`, `grub-mkimage` and `qemu-img`. Never does: mount, need
//! root, print.

mod disk;
mod tools;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::RackError;
use crate::drivers::image::Event;
use crate::drivers::image::cpio::Archive;
use crate::drivers::image::kernel::{Kernel, KernelSource};
use crate::drivers::image::ramdisk::{
    self, FileFacts, add_busybox, add_modules, add_script, compress, facts, write_file,
};
use crate::drivers::image::scripts::DHCP_SCRIPT;
use tools::{Tree, file_system};

const INITRD: &str = include_str!("initrd.sh");
const INIT: &str = include_str!("init.sh");
const OS_RELEASE: &str =
    "ID=bmctl-test\nNAME=\"bmctl test system\"\nPRETTY_NAME=\"bmctl test system\"\n";
const PARTITION_SIZE: u64 = 96 << 20;
const DISK_ROOT_SIZE: u64 = 64 << 20;
/// Disks, network, config drive (FAT with its default character sets), power button.
const DRIVERS: &[&str] = &[
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "virtio_scsi",
    "virtio_rng",
    "sd_mod",
    "ext4",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "button",
    "evdev",
];

/// File system of the partition image: `root=UUID=…` finds it.
pub const PARTITION_UUID: &str = "b3c70000-0000-4000-8000-0000000000a1";
/// Root file system of the whole-disk image.
pub const DISK_ROOT_UUID: &str = "b3c70000-0000-4000-8000-0000000000a2";

/// What to build from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagesSpec {
    pub out: PathBuf,
    pub kernel: KernelSource,
    /// Where packages are kept and unpacked.
    pub cache: PathBuf,
    /// A static busybox.
    pub busybox: PathBuf,
}

impl ImagesSpec {
    /// Everything from Debian's packages.
    #[must_use]
    pub fn new(out: PathBuf, cache: PathBuf) -> Self {
        Self {
            out,
            cache,
            kernel: KernelSource::default(),
            busybox: "/bin/busybox".into(),
        }
    }
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagesBuilt {
    /// ext4, without a boot loader: boots with `kernel` and `initrd` over the network.
    pub partition: PathBuf,
    pub kernel: PathBuf,
    pub initrd: PathBuf,
    /// The whole-disk image, raw and as qcow2.
    pub disk: PathBuf,
    pub disk_qcow2: PathBuf,
    /// File name to digest and size.
    pub files: BTreeMap<String, FileFacts>,
}

/// Builds them all. The same inputs give the same bytes.
pub fn build(spec: &ImagesSpec, report: &mut dyn FnMut(Event)) -> Result<ImagesBuilt, RackError> {
    let ImagesSpec {
        out,
        kernel,
        cache,
        busybox,
    } = spec;
    let kernel = Kernel::obtain(kernel, cache, report).map_err(ramdisk::RamdiskError::from)?;
    fs::create_dir_all(out).map_err(RackError::io("make directory", out))?;
    let out = &out
        .canonicalize()
        .map_err(RackError::io("find directory", out))?;
    // Beside the result, since renames do not cross file systems.
    let work = tempfile::Builder::new()
        .prefix(".building-")
        .tempdir_in(out)
        .map_err(RackError::io("make a directory in", out))?;
    let work = work.path();

    let image = fs::read(&kernel.image).map_err(RackError::io("read the kernel", &kernel.image))?;
    let initrd = initrd(&kernel, busybox)?;
    let tree = root_tree(busybox)?;
    let partition = file_system(work, "partition.img", PARTITION_SIZE, PARTITION_UUID, &tree)?;
    let root = file_system(work, "root.img", DISK_ROOT_SIZE, DISK_ROOT_UUID, &tree)?;
    let disk = disk::build(work, &image, &initrd, &root)?;
    let qcow2 = disk::to_qcow2(work, &disk)?;

    let mut files = BTreeMap::new();
    for (name, data) in [("vmlinuz", &image), ("initrd", &initrd)] {
        write_file(&out.join(name), data, report)?;
        files.insert(name.to_owned(), facts(data));
    }
    for (name, from) in [
        ("partition.img", partition),
        ("disk.img", disk),
        ("disk.qcow2", qcow2),
    ] {
        files.insert(name.to_owned(), put(&from, &out.join(name), report)?);
    }
    Ok(ImagesBuilt {
        partition: out.join("partition.img"),
        kernel: out.join("vmlinuz"),
        initrd: out.join("initrd"),
        disk: out.join("disk.img"),
        disk_qcow2: out.join("disk.qcow2"),
        files,
    })
}

fn put(from: &Path, to: &Path, report: &mut dyn FnMut(Event)) -> Result<FileFacts, RackError> {
    let facts = facts(&fs::read(from).map_err(RackError::io("read", from))?);
    fs::rename(from, to).map_err(RackError::io("rename to", to))?;
    report(Event::Wrote {
        path: to.to_owned(),
        size: facts.size,
    });
    Ok(facts)
}

fn initrd(kernel: &Kernel, busybox: &Path) -> Result<Vec<u8>, RackError> {
    let modules = kernel
        .modules(DRIVERS)
        .map_err(ramdisk::RamdiskError::from)?;
    let mut archive = Archive::new();
    add_busybox(&mut archive, busybox)?;
    add_modules(&mut archive, &kernel.release, &modules)?;
    add_script(&mut archive, "init", INITRD)?;
    add_script(&mut archive, "lib/bmctl/udhcpc.sh", DHCP_SCRIPT)?;
    compress(&archive).map_err(RackError::io("compress", Path::new("initrd")))
}

/// The root file system: busybox as everything, and the script that is its first process.
fn root_tree(busybox: &Path) -> Result<Tree, RackError> {
    let busybox = fs::read(busybox).map_err(RackError::io("read busybox from", busybox))?;
    let mut tree = Tree::default();
    for dir in [
        "bin",
        "dev",
        "etc",
        "lib",
        "lib/bmctl",
        "mnt",
        "proc",
        "root",
        "run",
        "sbin",
        "sys",
        "tmp",
        "var",
    ] {
        tree.directory(dir);
    }
    tree.file("bin/busybox", 0o755, busybox);
    tree.file("sbin/init", 0o755, INIT.as_bytes().to_vec());
    tree.file(
        "lib/bmctl/udhcpc.sh",
        0o755,
        DHCP_SCRIPT.as_bytes().to_vec(),
    );
    tree.file("etc/os-release", 0o644, OS_RELEASE.as_bytes().to_vec());
    for name in [
        "sh",
        "mount",
        "poweroff",
        "reboot",
        "run-parts",
        "wget",
        "cat",
        "sync",
    ] {
        tree.link(&format!("bin/{name}"), "busybox");
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn parses(text: &str) {
        let output = Command::new("busybox")
            .args(["sh", "-n", "-c", text])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    #[test]
    fn the_scripts_parse() {
        parses(INIT);
        parses(INITRD);
    }

    /// A kernel directory as small as one can be, so that nothing is fetched.
    fn spec(dir: &Path, out: &str) -> ImagesSpec {
        let kernel = dir.join("kernel");
        for (file, data) in [
            ("boot/vmlinuz-6.1.0-1", "kernel"),
            ("lib/modules/6.1.0-1/modules.builtin", ""),
            ("lib/modules/6.1.0-1/kernel/a.ko", ""),
        ] {
            fs::create_dir_all(kernel.join(file).parent().unwrap()).unwrap();
            fs::write(kernel.join(file), data).unwrap();
        }
        ImagesSpec {
            kernel: KernelSource::Dir(kernel),
            ..ImagesSpec::new(dir.join(out), dir.join("cache"))
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let one = build(&spec(dir.path(), "one"), &mut |_| {}).unwrap();
        // A later second must not show.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let two = build(&spec(dir.path(), "two"), &mut |_| {}).unwrap();
        assert_eq!(one.files, two.files);
        assert_eq!(one.files["partition.img"].size, PARTITION_SIZE);
        let left: Vec<_> = fs::read_dir(dir.path().join("one"))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left.len(), 5, "{left:?}");
    }
}
