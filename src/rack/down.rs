//! Looks at a rack, runs a program inside it, and takes it down.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::files::Home;
use super::process::{self, ProcessId};
use super::record::Rack;
use super::spec::{NODES_MAX, Place};
use super::{Event, RackError, Report, net};

/// A rack as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RackStatus {
    pub rack: Rack,
    /// The namespace is there and advertises itself.
    pub network: bool,
    pub nodes: Vec<NodeStatus>,
}

/// One machine as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    pub name: String,
    /// Its BMC runs.
    pub bmc: bool,
    /// The machine is on: its QEMU, when it is.
    pub power: Option<ProcessId>,
    /// As the BMC was told: `default`, `pxe`, …
    pub boot: String,
}

/// What becomes of the machines' disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// They stay, with their firmware's variables and logs, for the next `up`.
    KeepDisks,
    /// All of `.bmctl/rack/` and `rack.hcl` go.
    Purge,
}

/// How the rack in `dir` stands.
pub fn status(dir: &Path) -> Result<RackStatus, RackError> {
    let rack = load(dir)?;
    let nodes = rack.nodes.iter().map(|node| NodeStatus {
        name: node.name.clone(),
        bmc: node.bmc.is_some_and(ProcessId::is_alive),
        power: ProcessId::read(&node.dir.join("qemu.pid")).filter(|id| id.is_alive()),
        boot: fs::read_to_string(node.dir.join("boot"))
            .map_or_else(|_| "default".to_owned(), |text| text.trim().to_owned()),
    });
    let nodes = nodes.collect();
    let network = net::exists(&rack.namespace) && rack.advertiser.is_some_and(ProcessId::is_alive);
    Ok(RackStatus {
        nodes,
        network,
        rack,
    })
}

/// The command that runs a program inside the rack's namespace. `ip` becomes the program, so a caller that becomes this command
/// is the program: signals and the terminal are its own.
pub fn command_inside(dir: &Path, argv: &[OsString]) -> Result<Command, RackError> {
    let rack = load(dir)?;
    if !net::exists(&rack.namespace) {
        return Err(RackError::NotUp {
            dir: dir.to_owned(),
        });
    }
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &rack.namespace]).args(argv);
    Ok(command)
}

/// Takes the rack in `dir` down: machines, BMCs, network. No error when there is none, or half of one.
pub async fn down(dir: &Path, aside: Aside, report: Report<'_>) -> Result<(), RackError> {
    take_down(dir, aside, report)
}

/// The same, for a destructor.
pub fn take_down(dir: &Path, aside: Aside, report: Report<'_>) -> Result<(), RackError> {
    let Ok(dir) = dir.canonicalize() else {
        return Ok(());
    };
    let home = Home::new(&dir);
    let namespace = net::namespace(&dir);
    // A record nobody can read must not keep a rack alive: the namespace tells the same.
    let record = Rack::load(&dir).ok().flatten();
    // BMCs first: while one runs it can start a machine.
    if let Some(rack) = &record {
        for id in rack
            .nodes
            .iter()
            .filter_map(|n| n.bmc)
            .chain(rack.advertiser)
        {
            stop(id, report)?;
        }
        for node in &rack.nodes {
            if let Some(id) = ProcessId::read(&node.dir.join("qemu.pid")) {
                stop(id, report)?;
            }
        }
    }
    sweep(&home.dir, &namespace, report)?;
    let taps: Vec<String> = (1..)
        .take(record.map_or(NODES_MAX, |r| r.nodes.len()))
        .map(|i| Place::new(i).tap)
        .collect();
    net::remove(
        &namespace,
        &taps.iter().map(String::as_str).collect::<Vec<_>>(),
    )?;
    let doomed: Vec<PathBuf> = match aside {
        Aside::KeepDisks => vec![home.record()],
        Aside::Purge => vec![home.dir, dir.join("rack.hcl")],
    };
    doomed.iter().try_for_each(|path| remove(path))
}

fn load(dir: &Path) -> Result<Rack, RackError> {
    Rack::load(dir)?.ok_or_else(|| RackError::NotUp {
        dir: dir.to_owned(),
    })
}

fn stop(id: ProcessId, report: Report<'_>) -> Result<(), RackError> {
    if !id.is_alive() {
        return Ok(());
    }
    let program = process::program(id.pid);
    id.kill()?;
    report(Event::Stopped {
        pid: id.pid,
        program,
    });
    Ok(())
}

/// Stops what no record tells of, since a crash came between a start and its record. Ours is what runs in our
/// namespace with our directory among its arguments; anything else in there belongs to somebody else.
fn sweep(home: &Path, namespace: &str, report: Report<'_>) -> Result<(), RackError> {
    for pid in net::processes(namespace) {
        let Some(id) = ProcessId::of(pid) else {
            continue;
        };
        if process::names(pid, home) {
            stop(id, report)?;
        } else {
            report(Event::LeftRunning {
                pid,
                program: process::program(pid),
            });
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), RackError> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(RackError::io("remove", path)(e)),
        Ok(()) | Err(_) => Ok(()),
    }
}
