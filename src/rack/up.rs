//! Brings a rack up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::files::{self, Home, prepare_node, private_dir};
use super::process::ProcessId;
use super::record::{NodeRecord, RECORD_VERSION, Rack};
use super::spec::{Firmware, Place, RackSpec, disk_serial};
use super::{Event, RackError, Report, down, hcl, net};
use crate::drivers::child;

/// A program that dislikes its configuration ends within this; ipmi_sim takes 3 ms to start.
const START_WATCH: Duration = Duration::from_millis(60);

/// Programs a rack runs, and where they come from.
const PROGRAMS: [(&str, &str); 6] = [
    ("bash", "bash"),
    ("ip", "iproute2"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("ipmi_sim", "openipmi"),
    ("dnsmasq", "dnsmasq-base"),
    ("setsid", "util-linux"),
];

/// Brings up the rack of `spec.dir`: its network, a BMC per machine (all machines are off), and `rack.hcl`.
///
/// It stays up after this process. When this fails, is interrupted (Ctrl-C) or its future is dropped, everything it
/// started is stopped again.
pub async fn up(spec: &RackSpec, report: Report<'_>) -> Result<Rack, RackError> {
    spec.check()?;
    check_programs(spec)?;
    fs::create_dir_all(&spec.dir).map_err(RackError::io("make directory", &spec.dir))?;
    let dir = spec
        .dir
        .canonicalize()
        .map_err(RackError::io("find directory", &spec.dir))?;
    files::check_dir(&dir)?;
    let namespace = net::namespace(&dir);
    if net::exists(&namespace) {
        return Err(RackError::AlreadyUp { dir });
    }
    let guard = Guard {
        dir: Some(dir.clone()),
    };
    let rack = tokio::select! {
        rack = start(spec, &dir, namespace, report) => rack?,
        Ok(()) = tokio::signal::ctrl_c() => return Err(RackError::Interrupted),
    };
    guard.keep();
    Ok(rack)
}

/// Takes down what stands when it is dropped.
struct Guard {
    dir: Option<PathBuf>,
}

impl Guard {
    fn keep(mut self) {
        self.dir = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(dir) = &self.dir {
            // The error that brought us here is the one to tell; `down` can be tried again.
            let _ = down::take_down(dir, down::Aside::KeepDisks, &mut |_| {});
        }
    }
}

async fn start(
    spec: &RackSpec,
    dir: &Path,
    namespace: String,
    report: Report<'_>,
) -> Result<Rack, RackError> {
    let home = Home::new(dir);
    private_dir(&dir.join(".bmctl"))?;
    let password = home.prepare()?;
    let places: Vec<Place> = (1..).take(spec.nodes.len()).map(Place::new).collect();

    let taps: Vec<&str> = places.iter().map(|p| p.tap.as_str()).collect();
    net::create(&namespace, spec.address, spec.prefix, &taps).await?;
    report(Event::Network {
        namespace: namespace.clone(),
    });

    let mut rack = Rack {
        version: RECORD_VERSION,
        dir: dir.to_owned(),
        address: format!("{}/{}", spec.address, spec.prefix),
        bridge: net::BRIDGE.to_owned(),
        advertiser: Some(start_advertiser(&home, &namespace)?),
        namespace,
        nodes: Vec::new(),
    };
    for (node, place) in spec.nodes.iter().zip(&places) {
        prepare_node(&home, node, place, spec.address, &password)?;
        let node_dir = home.node(&node.name);
        let bmc = start_bmc(&node_dir, &rack.namespace)?;
        rack.nodes.push(NodeRecord {
            name: node.name.clone(),
            firmware: node.firmware,
            mac: place.mac.clone(),
            serial: disk_serial(&node.name),
            bmc_port: place.bmc_port,
            console_port: place.console_port,
            dir: node_dir,
            bmc: Some(bmc),
        });
    }
    rack.save()?;
    tokio::time::sleep(START_WATCH).await;
    for node in &rack.nodes {
        if !node.bmc.is_some_and(ProcessId::is_alive) {
            return Err(RackError::Bmc {
                node: node.name.clone(),
                said: last_words(&node.dir.join("bmc.log")),
            });
        }
        report(Event::Bmc {
            node: node.name.clone(),
            port: node.bmc_port,
        });
    }
    if !rack.advertiser.is_some_and(ProcessId::is_alive) {
        let said = last_words(&home.dir.join("advertiser.log"));
        return Err(RackError::Program {
            operation: "start the router advertiser (dnsmasq)".to_owned(),
            said,
            hint: "",
        });
    }
    let path = dir.join("rack.hcl");
    fs::write(&path, hcl::render(spec, &places)).map_err(RackError::io("write", &path))?;
    report(Event::Wrote { path });
    Ok(rack)
}

fn check_programs(spec: &RackSpec) -> Result<(), RackError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |program: &str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    for (program, package) in PROGRAMS {
        if !found(program) {
            return Err(RackError::Missing { program, package });
        }
    }
    let uefi = spec.nodes.iter().any(|n| n.firmware == Firmware::Uefi);
    if uefi && !Path::new(files::OVMF_CODE).exists() {
        return Err(RackError::Missing {
            program: "the UEFI firmware OVMF_CODE_4M.fd",
            package: "ovmf",
        });
    }
    Ok(())
}

/// Router advertisements alone: no DHCPv4, no TFTP, no DNS. Those belong to the site.
fn start_advertiser(home: &Home, namespace: &str) -> Result<ProcessId, RackError> {
    let log = home.dir.join("advertiser.log");
    spawn(namespace, &log, |c| {
        c.args([
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
            "--enable-ra",
            "--leasefile-ro",
        ])
        .arg(format!("--dhcp-range={},ra-only", net::PREFIX_V6))
        .arg(format!("--interface={}", net::BRIDGE))
        .arg(format!(
            "--pid-file={}",
            home.dir.join("advertiser.pid").display()
        ))
        .arg("--log-facility=-")
    })
}

fn start_bmc(node: &Path, namespace: &str) -> Result<ProcessId, RackError> {
    spawn(namespace, &node.join("bmc.log"), |c| {
        c.args(["ipmi_sim", "-n", "-c"])
            .arg(node.join("lan.conf"))
            .arg("-f")
            .arg(node.join("bmc.cmd"))
            .arg("-s")
            .arg(node.join("bmc"))
    })
}

/// Starts a program inside the namespace, in a session of its own: it outlives this process and its terminal.
/// `ip netns exec` and `setsid` become the program, so the id is the program's.
fn spawn(
    namespace: &str,
    log: &Path,
    program: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<ProcessId, RackError> {
    let out = fs::File::create(log).map_err(RackError::io("write", log))?;
    let err = out.try_clone().map_err(RackError::io("write", log))?;
    let mut command = Command::from(child::program("ip"));
    command.args(["netns", "exec", namespace, "setsid"]);
    let child = program(&mut command)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(|e| RackError::Program {
            operation: "start ip".to_owned(),
            said: e.to_string(),
            hint: "",
        })?;
    let gone = || RackError::Program {
        operation: "start a program in the rack's namespace".to_owned(),
        said: last_words(log),
        hint: "",
    };
    // The child is not waited for: a process that has ended is told apart by its state.
    child.id().and_then(ProcessId::of).ok_or_else(gone)
}

fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    if lines.is_empty() {
        "it said nothing".to_owned()
    } else {
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}
