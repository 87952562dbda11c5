//! The texts of boot files. Pure: what is booted stands in the entry.

use std::fmt::Write;

use crate::plan::step::{BootTarget, InstanceBoot};
use crate::secret::Key32;
use crate::units::Mac;

/// With pauses of 1, 2, 3 … seconds between them: 45 s in all (row G5).
const DOWNLOAD_TRIES_MAX: u32 = 10;

/// The first script any iPXE gets: it asks again under its own MAC. A script that is refused ends in the next boot device.
pub fn chain_script(base: &str) -> String {
    format!("#!ipxe\nchain --autofree --replace {base}/boot/${{netX/mac:hexhyp}} || exit\n")
}

/// Into the deploy ramdisk. The token is the one secret a boot file may carry: it is served once and exchanged once.
pub fn deploy_script(target: &BootTarget, kernel_args: &str, token: &Key32) -> String {
    let base = base(target);
    load_script(
        &format!("{base}/files/deploy/vmlinuz"),
        &format!("{base}/files/deploy/initrd"),
        &deploy_args(target, kernel_args, token),
    )
}

/// A download that fails is tried again, from the script as it stands: it is served once (row G5). What fails for good goes on
/// to the next boot device.
fn load_script(kernel: &str, initrd: &str, args: &str) -> String {
    format!(
        "#!ipxe
set tries:int32 0
:load
imgfree
kernel {kernel} initrd=initrd {args} BOOTIF=01-${{netX/mac:hexhyp}} || goto again
initrd --name initrd {initrd} || goto again
boot
:again
inc tries
iseq ${{tries}} {DOWNLOAD_TRIES_MAX} && exit 1 ||
echo Download failed, trying again in ${{tries}} s
sleep ${{tries}}
goto load
"
    )
}

fn deploy_args(target: &BootTarget, kernel_args: &str, token: &Key32) -> String {
    let token = hex::encode(token.expose());
    // Without `quiet` the kernel prints its command line, and with it the token, on the console before the ramdisk has used it.
    format!(
        "quiet bmctl.server={} bmctl.token={token} {kernel_args}",
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
            load_script(
                &format!("{base}/files/sha256/{kernel_sha256}"),
                &format!("{base}/files/sha256/{initrd_sha256}"),
                args,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BiosLoader, Firmware};
    use crate::units::Sha256;

    fn target(firmware: Firmware) -> BootTarget {
        BootTarget {
            site: "site.lab".parse().unwrap(),
            server: "10.99.0.1".parse().unwrap(),
            http_port: 8081,
            bios_loader: BiosLoader::Ipxe,
            firmware,
            macs: vec!["52:54:00:00:00:01".parse().unwrap()],
            address: None,
        }
    }

    const DEPLOY: &str = "#!ipxe
set tries:int32 0
:load
imgfree
kernel http://10.99.0.1:8081/files/deploy/vmlinuz initrd=initrd quiet bmctl.server=http://10.99.0.1:8081 bmctl.token=TOKEN console=ttyS0 BOOTIF=01-${netX/mac:hexhyp} || goto again
initrd --name initrd http://10.99.0.1:8081/files/deploy/initrd || goto again
boot
:again
inc tries
iseq ${tries} 10 && exit 1 ||
echo Download failed, trying again in ${tries} s
sleep ${tries}
goto load
";

    #[test]
    fn a_deploy_script_tries_its_downloads_again() {
        let token = Key32::new([7; 32]);
        for firmware in [Firmware::Bios, Firmware::Uefi] {
            let script = deploy_script(&target(firmware), "console=ttyS0", &token);
            assert_eq!(script, DEPLOY.replace("TOKEN", &"07".repeat(32)));
        }
    }

    #[test]
    fn an_instance_script_does_too_and_a_local_disk_needs_none() {
        let boot = InstanceBoot::Network {
            kernel: "vmlinuz".to_owned(),
            kernel_sha256: Sha256([1; 32]),
            initrd: "initrd".to_owned(),
            initrd_sha256: Sha256([2; 32]),
            args: "root=LABEL=r".to_owned(),
        };
        let script = instance_script(&target(Firmware::Uefi), &boot);
        let (kernel, initrd) = ("01".repeat(32), "02".repeat(32));
        let base = "http://10.99.0.1:8081/files/sha256";
        for line in [
            format!(
                "kernel {base}/{kernel} initrd=initrd root=LABEL=r BOOTIF=01-${{netX/mac:hexhyp}} || goto again"
            ),
            format!("initrd --name initrd {base}/{initrd} || goto again"),
        ] {
            assert!(script.lines().any(|l| l == line), "{line}\n{script}");
        }
        let local = instance_script(&target(Firmware::Bios), &InstanceBoot::LocalDisk);
        assert_eq!(local, "#!ipxe\nexit\n");
    }

    #[test]
    fn every_label_that_is_gone_to_is_there() {
        let script = load_script("k", "i", "");
        for word in script.split("goto ").skip(1) {
            let label = format!("\n:{}\n", word.lines().next().unwrap());
            assert!(script.contains(&label), "{label}");
        }
    }
}
