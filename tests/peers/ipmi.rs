//! Our IPMI client and our BMC against ipmitool, ipmipower and ipmi_sim: whoever is right, all must agree.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use bmctl::drivers::power::ipmi::Ipmi;
use bmctl::drivers::{PowerAct, PowerLook, Stop, Trouble};
use bmctl::model::{Firmware, PowerSeen};
use bmctl::plan::Bmc as BmcAddress;
use bmctl::plan::step::{BootDevice, Persistence};
use bmctl::proto::ipmi::Suite;
use bmctl::secret::Secret;
use bmctl::units::BmcEndpoint;

use super::bmc::{Bmc, PASSWORD, USER};
use super::{Running, free_udp_port, run};

fn address(port: u16, suite: Option<u8>) -> BmcAddress {
    BmcAddress {
        node: "node.a".parse().unwrap(),
        endpoint: BmcEndpoint {
            address: Ipv4Addr::LOCALHOST,
            port,
        },
        user: USER.to_owned(),
        cipher_suite: suite,
        interval_ms: 0,
    }
}

fn text(output: &std::process::Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn ipmitool(port: u16, suite: &str, password: &str, words: &[&str]) -> String {
    let port = port.to_string();
    let mut args = vec![
        "-I",
        "lanplus",
        "-H",
        "127.0.0.1",
        "-p",
        &port,
        "-U",
        USER,
        "-P",
        password,
        "-C",
        suite,
    ];
    args.extend(["-N", "1", "-R", "2"]);
    args.extend(words);
    text(&run("ipmitool", "ipmitool", &args))
}

/// Suite 17 as ipmitool understands it: what our simulated BMC says is IPMI, so what our client says to it is too.
#[tokio::test(flavor = "multi_thread")]
async fn suite_17_as_ipmitool_and_ipmipower_speak_it() {
    let bmc = Bmc::start(Suite::Seventeen);
    let off = ipmitool(bmc.port, "17", PASSWORD, &["chassis", "power", "status"]);
    assert!(off.contains("Chassis Power is off"), "{off}");
    let said = ipmitool(bmc.port, "17", PASSWORD, &["chassis", "power", "on"]);
    assert!(said.contains("Up/On"), "{said}");
    let host = format!("127.0.0.1:{}", bmc.port);
    let peer = text(&run(
        "freeipmi-tools",
        "ipmipower",
        &[
            "-D", "LAN_2_0", "-h", &host, "-u", USER, "-p", PASSWORD, "-I", "17", "-l", "ADMIN",
            "--stat",
        ],
    ));
    assert!(peer.contains(": on"), "{peer}");

    let ipmi = Ipmi::open().await.unwrap();
    let (at, password) = (address(bmc.port, Some(17)), Secret::new(PASSWORD));
    assert_eq!(ipmi.status(&at, &password).await.unwrap(), PowerSeen::On);
    ipmi.off(&at, &password, Stop::Hard).await.unwrap();
    let off = ipmitool(bmc.port, "17", PASSWORD, &["chassis", "power", "status"]);
    assert!(off.contains("Chassis Power is off"), "{off}");
    ipmi.set_boot_device(
        &at,
        &password,
        BootDevice::Pxe,
        Persistence::Once,
        Firmware::Uefi,
    )
    .await
    .unwrap();
    assert_eq!(
        bmc.seen.boot_flags.lock().unwrap().as_slice(),
        [0xA0, 0x04, 0, 0, 0]
    );
    let flags = ipmitool(
        bmc.port,
        "17",
        PASSWORD,
        &["chassis", "bootparam", "get", "5"],
    );
    assert!(
        flags.contains("Force PXE") && flags.contains("EFI"),
        "{flags}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_closed_and_losses_are_mended() {
    let bmc = Bmc::start(Suite::Seventeen);
    let ipmi = Ipmi::open().await.unwrap();
    let (at, password) = (address(bmc.port, None), Secret::new(PASSWORD));
    for every in [0, 3, 2] {
        bmc.seen.drop_every.store(every, Ordering::Relaxed);
        ipmi.on(&at, &password).await.unwrap();
        assert_eq!(ipmi.status(&at, &password).await.unwrap(), PowerSeen::On);
    }
    // Close Session is best effort under loss; without loss it always comes.
    assert!(bmc.seen.closed.load(Ordering::Relaxed) >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn suite_3_is_taken_when_17_is_refused() {
    let bmc = Bmc::start(Suite::Three);
    let ipmi = Ipmi::open().await.unwrap();
    let password = Secret::new(PASSWORD);
    assert_eq!(
        ipmi.status(&address(bmc.port, None), &password)
            .await
            .unwrap(),
        PowerSeen::Off
    );
    let error = ipmi
        .status(&address(bmc.port, Some(17)), &password)
        .await
        .unwrap_err();
    assert_eq!(error.kind, Trouble::Refused, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_silent_bmc_are_told_apart() {
    let bmc = Bmc::start(Suite::Seventeen);
    let ipmi = Ipmi::open().await.unwrap();
    let error = ipmi
        .status(&address(bmc.port, None), &Secret::new("hunter2"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Trouble::Refused);
    assert!(
        error.message.contains("wrong password") && !error.message.contains("hunter2"),
        "{error}"
    );
    let silent = ipmi
        .status(&address(free_udp_port(), None), &Secret::new(PASSWORD))
        .await
        .unwrap_err();
    assert_eq!(silent.kind, Trouble::Silent, "{silent}");
    assert!(silent.message.contains("127.0.0.1:"), "{silent}");
    let long = ipmi
        .status(&address(bmc.port, None), &Secret::new("x".repeat(21)))
        .await
        .unwrap_err();
    assert_eq!(long.kind, Trouble::Conflict, "{long}");
}

const CHASSIS: &str = r#"#!/bin/sh
dir=$(dirname "$0")
case "$1 $2" in
    "get power") echo "power:$(cat "$dir/power" 2>/dev/null || echo 0)" ;;
    "get boot") echo "boot:$(cat "$dir/boot" 2>/dev/null || echo default)" ;;
    "set power") echo "$3" >"$dir/power" ;;
    "set boot") echo "$3" >"$dir/boot" ;;
    *) exit 0 ;;
esac
"#;

/// ipmi_sim on loopback, in a directory of its own.
fn ipmi_sim(dir: &std::path::Path, port: u16) -> Running {
    let script = dir.join("chassis");
    std::fs::write(&script, CHASSIS).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let lan = format!(
        "name \"t\"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {port}\npriv_limit admin\n\
         allowed_auths_admin md2 md5\nguid a123456789abcdefa123456789abcdef\nendlan\n\
         chassis_control \"{}\"\nuser 2 true \"{USER}\" \"{PASSWORD}\" admin 10 md2 md5\n",
        script.display()
    );
    std::fs::write(dir.join("lan.conf"), lan).unwrap();
    std::fs::write(
        dir.join("t.emu"),
        "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n",
    )
    .unwrap();
    std::fs::create_dir_all(dir.join("state")).unwrap();
    let child = Command::new("ipmi_sim")
        .arg("-n")
        .args(["-c", "lan.conf", "-f", "t.emu", "-s", "state"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("install the package openipmi");
    Running(child)
}

/// A stack that is not ours on the other side, and ipmitool beside us.
#[tokio::test(flavor = "multi_thread")]
async fn ipmi_sim_and_ipmitool_agree_with_us() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_udp_port();
    let _sim = ipmi_sim(dir.path(), port);
    let ipmi = Ipmi::open().await.unwrap();
    let (at, password) = (address(port, None), Secret::new(PASSWORD));
    for (wanted, peer) in [
        (PowerSeen::Off, "is off"),
        (PowerSeen::On, "is on"),
        (PowerSeen::Off, "is off"),
    ] {
        match wanted {
            PowerSeen::On => ipmi.on(&at, &password).await.unwrap(),
            PowerSeen::Off => ipmi.off(&at, &password, Stop::Hard).await.unwrap(),
            PowerSeen::Unknown(_) => unreachable!(),
        }
        assert_eq!(ipmi.status(&at, &password).await.unwrap(), wanted);
        let said = ipmitool(port, "3", PASSWORD, &["chassis", "power", "status"]);
        assert!(said.contains(peer), "{said}");
    }
    ipmi.set_boot_device(
        &at,
        &password,
        BootDevice::Pxe,
        Persistence::Once,
        Firmware::Bios,
    )
    .await
    .unwrap();
    let said = ipmitool(port, "3", PASSWORD, &["chassis", "bootparam", "get", "5"]);
    assert!(said.contains("Force PXE"), "{said}");
    ipmi.set_boot_device(
        &at,
        &password,
        BootDevice::Disk,
        Persistence::Always,
        Firmware::Bios,
    )
    .await
    .unwrap();
    let kept = std::fs::read_to_string(dir.path().join("boot")).unwrap();
    assert_eq!(kept.trim(), "default", "ipmi_sim's word for the hard disk");
    let error = ipmi.status(&at, &Secret::new("wrong")).await.unwrap_err();
    assert_eq!(error.kind, Trouble::Refused, "{error}");
}
