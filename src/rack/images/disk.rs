//! The whole-disk image: one GPT that boots on both firmwares. BIOS: gptmbr finds the partition marked bootable, syslinux
//! starts from it. UEFI: the firmware runs `EFI/BOOT/BOOTX64.EFI` of the same partition, a GRUB that knows what to do.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use gptman::{GPT, GPTPartitionEntry};

use super::tools::run;
use super::{DISK_ROOT_SIZE, DISK_ROOT_UUID};
use crate::rack::RackError;

const SECTOR: u64 = 512;
/// Everything starts on a multiple of 1 MiB.
const ALIGN: u64 = 1 << 20;
const BOOT_SIZE: u64 = 40 << 20;
/// Boot code before the disk signature and the table of the MBR.
const BOOT_CODE_SIZE: usize = 440;
const BOOT_CODE: &str = "/usr/lib/syslinux/mbr/gptmbr.bin";
/// EFI system partition C12A7328-F81F-11D2-BA4B-00A0C93EC93B, Linux root (x86-64) 4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709.
const TYPE_BOOT: [u8; 16] = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];
const TYPE_ROOT: [u8; 16] = [
    0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09,
];
const LEGACY_BOOT: u64 = 1 << 2;
/// What ends a UUID of these images: b3c70000-0000-4000-8000-0000000000xx, in GPT's byte order.
const fn uuid(last: u8) -> [u8; 16] {
    [
        0x00, 0x00, 0xc7, 0xb3, 0x00, 0x00, 0x00, 0x40, 0x80, 0x00, 0, 0, 0, 0, 0, last,
    ]
}

/// Puts it together as `work/disk.img`. `root` is the root file system.
pub fn build(work: &Path, kernel: &[u8], initrd: &[u8], root: &Path) -> Result<PathBuf, RackError> {
    let boot = boot_partition(work, kernel, initrd)?;
    let path = work.join("disk.img");
    let size = ALIGN + BOOT_SIZE + DISK_ROOT_SIZE + ALIGN;
    let mut disk = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(RackError::io("make", &path))?;
    disk.set_len(size).map_err(RackError::io("size", &path))?;
    write_table(&mut disk)?;
    let boot_code = fs::read(BOOT_CODE).map_err(|_| RackError::Missing {
        program: "gptmbr.bin",
        package: "syslinux-common",
    })?;
    let boot_code = &boot_code[..boot_code.len().min(BOOT_CODE_SIZE)];
    write_at(&mut disk, &path, 0, boot_code)?;
    for (at, from) in [(ALIGN, boot.as_path()), (ALIGN + BOOT_SIZE, root)] {
        let data = fs::read(from).map_err(RackError::io("read", from))?;
        // Zeroes stay holes.
        for (number, block) in (0..).zip(data.chunks(1 << 16)) {
            if block.iter().any(|&b| b != 0) {
                write_at(&mut disk, &path, at + number * (1 << 16), block)?;
            }
        }
    }
    Ok(path)
}

/// The same as qcow2.
pub fn to_qcow2(work: &Path, disk: &Path) -> Result<PathBuf, RackError> {
    let path = work.join("disk.qcow2");
    run("convert to qcow2", "qemu-img", "qemu-utils", |c| {
        c.args(["convert", "-f", "raw", "-O", "qcow2"])
            .arg(disk)
            .arg(&path)
    })?;
    Ok(path)
}

fn write_at(disk: &mut fs::File, path: &Path, at: u64, data: &[u8]) -> Result<(), RackError> {
    disk.seek(SeekFrom::Start(at))
        .and_then(|_| disk.write_all(data))
        .map_err(RackError::io("write", path))
}

fn write_table(disk: &mut fs::File) -> Result<(), RackError> {
    let failed = |e: gptman::Error| RackError::Image {
        operation: "write the partition table".to_owned(),
        said: e.to_string(),
    };
    let mut table = GPT::new_from(disk, SECTOR, uuid(0xd0)).map_err(failed)?;
    let partition = |kind, last, start: u64, size: u64, attributes, name: &str| GPTPartitionEntry {
        partition_type_guid: kind,
        unique_partition_guid: uuid(last),
        starting_lba: start / SECTOR,
        ending_lba: (start + size) / SECTOR - 1,
        attribute_bits: attributes,
        partition_name: name.into(),
    };
    table[1] = partition(TYPE_BOOT, 0xd1, ALIGN, BOOT_SIZE, LEGACY_BOOT, "boot");
    table[2] = partition(
        TYPE_ROOT,
        0xd2,
        ALIGN + BOOT_SIZE,
        DISK_ROOT_SIZE,
        0,
        "root",
    );
    GPT::write_protective_mbr_into(disk, SECTOR).map_err(failed)?;
    table.write_into(disk).map_err(failed)?;
    Ok(())
}

/// The FAT file system both firmwares start from.
fn boot_partition(work: &Path, kernel: &[u8], initrd: &[u8]) -> Result<PathBuf, RackError> {
    let arguments = format!("root=UUID={DISK_ROOT_UUID} ro console=ttyS0,115200 quiet");
    let file = |name: &str, data: &[u8]| -> Result<PathBuf, RackError> {
        let path = work.join(name);
        fs::write(&path, data).map_err(RackError::io("write", &path))?;
        Ok(path)
    };
    let kernel = file("vmlinuz", kernel)?;
    let initrd = file("initrd", initrd)?;
    let syslinux = format!(
        "DEFAULT linux\nPROMPT 0\nTIMEOUT 0\nLABEL linux\nLINUX /vmlinuz\nINITRD /initrd\nAPPEND {arguments}\n"
    );
    let syslinux = file("syslinux.cfg", syslinux.as_bytes())?;
    let grub = format!(
        "search --no-floppy --set=root --file /syslinux.cfg\nlinux /vmlinuz {arguments}\ninitrd /initrd\nboot\n"
    );
    let grub = file("grub.cfg", grub.as_bytes())?;
    let loader = uefi_loader(work, &grub)?;
    let image = formatted(work)?;
    run(
        "make directories of the boot partition",
        "mmd",
        "mtools",
        |c| c.arg("-i").arg(&image).args(["::/EFI", "::/EFI/BOOT"]),
    )?;
    run("fill the boot partition", "mcopy", "mtools", |c| {
        c.arg("-i")
            .arg(&image)
            .args([&kernel, &initrd, &syslinux])
            .arg("::/")
    })?;
    run("fill the boot partition", "mcopy", "mtools", |c| {
        c.arg("-i")
            .arg(&image)
            .arg(&loader)
            .arg("::/EFI/BOOT/BOOTX64.EFI")
    })?;
    run("install syslinux", "syslinux", "syslinux", |c| {
        c.arg("--install").arg(&image)
    })?;
    Ok(image)
}

/// GRUB with what it needs to find its way from this partition.
fn uefi_loader(work: &Path, grub: &Path) -> Result<PathBuf, RackError> {
    let loader = work.join("BOOTX64.EFI");
    run(
        "make the UEFI boot loader",
        "grub-mkimage",
        "grub-common and grub-efi-amd64-bin",
        |c| {
            c.args(["-O", "x86_64-efi", "-p", "/EFI/BOOT", "-c"])
                .arg(grub)
                .arg("-o")
                .arg(&loader)
                .args([
                    "part_gpt",
                    "fat",
                    "search",
                    "search_fs_file",
                    "linux",
                    "boot",
                    "normal",
                    "configfile",
                    "echo",
                ])
        },
    )?;
    Ok(loader)
}

/// An empty FAT file system as large as its partition.
fn formatted(work: &Path) -> Result<PathBuf, RackError> {
    let image = work.join("boot.img");
    fs::File::create(&image)
        .and_then(|f| f.set_len(BOOT_SIZE))
        .map_err(RackError::io("make", &image))?;
    let sectors = (BOOT_SIZE / SECTOR).to_string();
    let hidden = (ALIGN / SECTOR).to_string();
    run("format the boot partition", "mformat", "mtools", |c| {
        c.args(["-i"]).arg(&image).args([
            "-T",
            &sectors,
            "-h",
            "64",
            "-s",
            "32",
            "-H",
            &hidden,
            "-N",
            "b3c70001",
            "-v",
            "BMCTLBOOT",
            "::",
        ])
    })?;
    Ok(image)
}
