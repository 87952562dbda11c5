//! The texts of boot files. Pure: what is booted stands in the entry.

use std::fmt::Write;

use crate::plan::step::{BootTarget, InstanceBoot};
use crate::secret::Key32;
use crate::units::Mac;

/// The first script any iPXE gets: it asks again under its own MAC. A script that is refused ends in the next boot device.
pub fn chain_script(base: &str) -> String {
    format!("#!ipxe\nchain --autofree --replace {base}/boot/${{netX/mac:hexhyp}} || exit\n")
}

/// Into the deploy ramdisk. The token is the one secret a boot file may carry: it is served once and exchanged once.
pub fn deploy_script(target: &BootTarget, kernel_args: &str, token: &Key32) -> String {
    let base = base(target);
    let args = deploy_args(target, kernel_args, token);
    format!(
        "#!ipxe\nkernel {base}/files/deploy/vmlinuz initrd=initrd {args} BOOTIF=01-${{netX/mac:hexhyp}}\ninitrd --name initrd {base}/files/deploy/initrd\nboot\n"
    )
}

fn deploy_args(target: &BootTarget, kernel_args: &str, token: &Key32) -> String {
    let token = hex::encode(token.expose());
    format!(
        "bmctl.server={} bmctl.token={token} {kernel_args}",
        base(target)
    )
    .trim_end()
    .to_owned()
}

pub fn instance_script(target: &BootTarget, boot: &InstanceBoot) -> String {
    match boot {
        InstanceBoot::Network {
            kernel_sha256,
            initrd_sha256,
            args,
            kernel: _,
            initrd: _,
        } => {
            let base = base(target);
            format!(
                "#!ipxe\nkernel {base}/files/sha256/{kernel_sha256} initrd=initrd {args} BOOTIF=01-${{netX/mac:hexhyp}}\ninitrd --name initrd {base}/files/sha256/{initrd_sha256}\nboot\n"
            )
        }
        // `exit` goes on to the next boot device on BIOS and UEFI alike.
        InstanceBoot::LocalDisk => "#!ipxe\nexit\n".to_owned(),
    }
}

/// `pxelinux.cfg/01-<mac>` for the ramdisk (row P2); `ipappend 2` adds BOOTIF (row G5).
pub fn deploy_pxelinux(target: &BootTarget, kernel_args: &str, token: &Key32) -> String {
    let args = deploy_args(target, kernel_args, token);
    pxelinux("deploy", "deploy/vmlinuz", "deploy/initrd", &args)
}

pub fn instance_pxelinux(boot: &InstanceBoot) -> String {
    match boot {
        InstanceBoot::Network {
            kernel_sha256,
            initrd_sha256,
            args,
            kernel: _,
            initrd: _,
        } => pxelinux(
            "boot",
            &format!("sha256/{kernel_sha256}"),
            &format!("sha256/{initrd_sha256}"),
            args,
        ),
        InstanceBoot::LocalDisk => "default local\nlabel local\nlocalboot 0\n".to_owned(),
    }
}

fn pxelinux(label: &str, kernel: &str, initrd: &str, args: &str) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "default {label}\nlabel {label}\nkernel {kernel}\nappend initrd={initrd} {args}\nipappend 2\n"
    );
    out
}

/// The name pxelinux looks for: hardware type 01 is Ethernet (row G5).
pub fn pxelinux_name(mac: Mac) -> String {
    format!("01-{}", mac.dashed())
}

pub fn base(target: &BootTarget) -> String {
    format!("http://{}:{}", target.server, target.http_port)
}
