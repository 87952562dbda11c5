//! One machine: the line that starts its QEMU, and its BMC's configuration.

use std::net::Ipv4Addr;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::files::{BMC_USER, Home, OVMF_CODE};
use super::spec::{Firmware, NodeSpec, Place, disk_serial};

/// A BMC with a system event log and one sensor: "Ambient", 29 degrees, with upper thresholds at 80, 90 and 95. The last line
/// but one is its full sensor record (IPMI 2.0, table 43-1), ending in its name.
pub const BMC_COMMANDS: &str = "\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
sensor_add 0x20 0 1 0x01 0x01
sensor_set_value 0x20 0 1 0x1d 0
sensor_set_threshold 0x20 0 1 settable 111000 0x5f 0x5a 0x50 00 00 00
sensor_set_event_support 0x20 0 1 enable scanning per-state \
000111111000000 000111111000000 000111111000000 000111111000000
main_sdr_add 0x20 0x00 0x00 0x51 0x01 0x32 0x20 0x00 0x01 0x07 0x01 0x67 0x68 0x01 0x01 \
0xc0 0x7f 0xc0 0x7f 0x38 0x38 0x00 0x01 0x00 0x00 0x01 0x00 0x00 0x00 0x00 0x00 0x00 0x1d 0x50 0x00 0x7f 0x00 \
0x5f 0x5a 0x50 0x00 0x00 0x00 0x01 0x01 0x00 0x00 0x00 0xc7 0x41 0x6d 0x62 0x69 0x65 0x6e 0x74
mc_enable 0x20
";

/// The BMC's configuration: one user, one LAN port, the chassis and the serial port behind it.
pub fn lan_conf(
    home: &Home,
    dir: &Path,
    node: &NodeSpec,
    place: &Place,
    address: Ipv4Addr,
    password: &str,
) -> String {
    let words = format!("/bin/sh {} {}", home.chassis().display(), dir.display());
    let (name, guid) = (&node.name, uuid(&node.name).replace('-', ""));
    let Place {
        mac: _,
        tap: _,
        bmc_port,
        console_port,
    } = place;
    format!(
        "name \"{name}\"\n\
         set_working_mc 0x20\n\
         startlan 1\n\
         addr {address} {bmc_port}\n\
         priv_limit admin\n\
         allowed_auths_callback md2 md5\n\
         allowed_auths_user md2 md5\n\
         allowed_auths_operator md2 md5\n\
         allowed_auths_admin md2 md5\n\
         guid {guid}\n\
         endlan\n\
         chassis_control \"{words}\"\n\
         sol \"telnet:127.0.0.1:{console_port}\" 115200 history=16384\n\
         user 2 true \"{BMC_USER}\" \"{password}\" admin 10 md2 md5\n"
    )
}

/// The machine. Its first argument is the network's place in the boot order; the disk's is 2.
pub fn qemu_script(dir: &Path, node: &NodeSpec, place: &Place) -> String {
    let (name, mac) = (&node.name, &place.mac);
    let words: Vec<String> = [
        hardware(node),
        firmware(dir, node),
        devices(dir, node, place),
    ]
    .into_iter()
    .flatten()
    .flat_map(|(option, value)| [option.to_owned(), quoted(&value)])
    .collect();
    format!(
        "# Starts machine {name}; run by chassis.sh, in bash.\numask 077\n{CLOSE_INHERITED}exec qemu-system-x86_64 -nodefaults -no-user-config \\\n  \
         -device virtio-net-pci,id=net0,netdev=port0,mac={mac},bootindex=\"$1\" \\\n  {}\n",
        words.join(" ")
    )
}

/// Options of QEMU with their values.
type Options = Vec<(&'static str, String)>;

fn hardware(node: &NodeSpec) -> Options {
    let NodeSpec {
        name,
        firmware: _,
        disk_gb: _,
        memory_mb,
        cpus,
    } = node;
    vec![
        ("-name", format!("bmctl-{name}")),
        ("-uuid", uuid(name)),
        ("-machine", "q35,graphics=off".to_owned()),
        ("-accel", "tcg,thread=multi".to_owned()),
        ("-cpu", "max".to_owned()),
        ("-smp", cpus.to_string()),
        ("-m", memory_mb.to_string()),
        ("-display", "none".to_owned()),
    ]
}

/// SeaBIOS needs nothing; OVMF wants its code, and variables of each machine's own.
fn firmware(dir: &Path, node: &NodeSpec) -> Options {
    let vars = file(dir, "vars.fd");
    match node.firmware {
        Firmware::Bios => Vec::new(),
        Firmware::Uefi => vec![
            (
                "-drive",
                format!("if=pflash,unit=0,format=raw,readonly=on,file={OVMF_CODE}"),
            ),
            ("-drive", format!("if=pflash,unit=1,format=raw,file={vars}")),
        ],
    }
}

/// Network, disk, serial console, what the firmware says, and where orders come in.
fn devices(dir: &Path, node: &NodeSpec, place: &Place) -> Options {
    let Place {
        mac: _,
        tap,
        bmc_port: _,
        console_port,
    } = place;
    let [disk, console, debug] =
        ["disk.raw", "console.log", "firmware.log"].map(|name| file(dir, name));
    let serial = disk_serial(&node.name);
    vec![
        (
            "-netdev",
            format!("tap,id=port0,ifname={tap},script=no,downscript=no"),
        ),
        (
            "-drive",
            format!("if=none,id=drive0,format=raw,discard=unmap,file={disk}"),
        ),
        (
            "-device",
            format!("virtio-blk-pci,id=disk0,drive=drive0,serial={serial},bootindex=2"),
        ),
        ("-device", "virtio-rng-pci,id=rng0".to_owned()),
        (
            "-chardev",
            format!(
                "socket,id=console,host=127.0.0.1,port={console_port},server=on,wait=off,telnet=on,logappend=on,logfile={console}"
            ),
        ),
        ("-serial", "chardev:console".to_owned()),
        ("-chardev", format!("file,id=debug,path={debug}")),
        (
            "-device",
            "isa-debugcon,iobase=0x402,chardev=debug".to_owned(),
        ),
        ("-chardev", "stdio,id=orders,signal=off".to_owned()),
        ("-mon", "chardev=orders,mode=control".to_owned()),
    ]
}

/// A comma ends a value of QEMU, and two are one.
fn file(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string().replace(',', ",,")
}

/// ipmi_sim leaves its sockets open in the programs it runs: a QEMU that kept them would hold the BMC's port after the
/// BMC's end. 255 is bash's own. dash cannot close a descriptor above 9.
const CLOSE_INHERITED: &str = "for fd in /proc/self/fd/*; do\n  fd=${fd##*/}\n  \
    if [ \"$fd\" -gt 2 ] && [ \"$fd\" != 255 ]; then eval \"exec $fd>&-\"; fi\ndone\n";

/// A shell word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A machine's UUID, from its name: version 8 of RFC 9562.
fn uuid(name: &str) -> String {
    let digest = Sha256::digest(format!("bmctl rack {name}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_well_formed() {
        let text = uuid("r1-01");
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "8");
        assert_ne!(text, uuid("r1-02"));
    }
}
