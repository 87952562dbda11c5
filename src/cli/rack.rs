//! `bmctl rack`

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::out::Out;
use super::table::table;
use super::{CommandResult, Exit, Failure, Global};
use crate::ids::Name;
use crate::model::Firmware;
use crate::rack::{self, Aside, Event, NodeSpec, RackSpec, images};

/// Machines are QEMU processes, BMCs are ipmi_sim, all inside a network namespace of their own. Needs root.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Bring up a rack for the configuration in DIR and write its inventory to DIR/rack.hcl
    Up(UpArgs),
    /// Show the machines: BMC, power, boot device
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a program inside the rack's network, such as `bmctl rack exec -- bmctl apply`
    Exec {
        #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Stop every machine and take the network away
    Down {
        /// Delete disks, logs and the inventory too
        #[arg(long)]
        purge: bool,
    },
    /// Make two small systems to deploy: a partition image and a whole-disk image
    Images {
        /// The directory that receives them
        #[arg(long, value_name = "DIR", default_value = "images")]
        out: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct UpArgs {
    /// How many machines
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=rack::NODES_MAX as i64))]
    nodes: u32,
    /// Firmware of each machine, in turn (may be given again; the last one holds for the rest)
    #[arg(long, value_name = "bios|uefi", default_values_t = [Firmware::Bios])]
    firmware: Vec<Firmware>,
    /// Size of each disk in GiB; files are sparse
    #[arg(long, default_value_t = 4)]
    disk_gb: u32,
    /// Memory of each machine in MiB
    #[arg(long, default_value_t = 1024)]
    memory_mb: u32,
    /// Processors of each machine
    #[arg(long, default_value_t = 1)]
    cpus: u32,
    /// Label of the machines and first part of their names
    #[arg(long, default_value = "r1")]
    name: Name,
    /// Name of the site that the inventory refers to
    #[arg(long, default_value = "lab")]
    site: Name,
    /// Name of the network that the inventory refers to
    #[arg(long, default_value = "pxe")]
    network: Name,
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let dir = &global.dir;
    let notes = *out;
    let mut report = move |event: Event| notes.note(&describe(&event));
    match args.command {
        Command::Up(args) => {
            let rack = rack::up(&spec(dir, &args), &mut report).await?;
            out.line(&format!(
                "The rack is up: {} machines, all off. Inventory: {}. Run commands in it with: bmctl rack exec -- COMMAND",
                rack.nodes.len(),
                dir.join("rack.hcl").display()
            ));
            Ok(Exit::Done)
        }
        Command::Status { json } => status(dir, json, out),
        Command::Exec { command } => {
            use std::os::unix::process::CommandExt;
            // Only a failure comes back.
            let error = rack::command_inside(dir, &command)?.exec();
            Err(Failure::new(
                Exit::Error,
                format!("ip netns exec: {error}; install the package iproute2"),
            ))
        }
        Command::Down { purge } => {
            let aside = if purge {
                Aside::Purge
            } else {
                Aside::KeepDisks
            };
            rack::down(dir, aside, &mut report).await?;
            out.line("The rack is down.");
            Ok(Exit::Done)
        }
        Command::Images { out: folder } => {
            let folder = dir.join(folder);
            let spec = images::ImagesSpec::new(folder.clone(), super::ramdisk::cache_dir()?);
            let built = images::build(&spec, &mut |event| {
                notes.note(&super::ramdisk::describe(&event))
            })?;
            for (name, facts) in &built.files {
                out.line(&format!(
                    "{}  {}",
                    facts.sha256,
                    folder.join(name).display()
                ));
            }
            Ok(Exit::Done)
        }
    }
}

fn spec(dir: &Path, args: &UpArgs) -> RackSpec {
    let nodes = (0..args.nodes)
        .map(|n| {
            let at = (n as usize).min(args.firmware.len().saturating_sub(1));
            let firmware = match args.firmware.get(at) {
                Some(Firmware::Uefi) => rack::Firmware::Uefi,
                Some(Firmware::Bios) | None => rack::Firmware::Bios,
            };
            NodeSpec {
                disk_gb: args.disk_gb,
                memory_mb: args.memory_mb,
                cpus: args.cpus,
                ..NodeSpec::new(format!("{}-{:02}", args.name, n + 1), firmware)
            }
        })
        .collect();
    let mut spec = RackSpec::new(dir.to_owned(), nodes);
    spec.rack = args.name.to_string();
    spec.site = args.site.to_string();
    spec.network = args.network.to_string();
    spec
}

fn describe(event: &Event) -> String {
    match event {
        Event::Network { namespace } => format!("network: namespace {namespace}"),
        Event::Bmc { node, port } => format!("BMC of {node}: UDP port {port}"),
        Event::Wrote { path } => format!("wrote {}", path.display()),
        Event::Stopped { pid, program } => format!("stopped {program} ({pid})"),
        Event::LeftRunning { pid, program } => {
            format!("left {program} ({pid}) running: it is not the rack's")
        }
    }
}

fn status(dir: &Path, json: bool, out: &Out) -> CommandResult {
    let status = rack::status(dir)?;
    if json {
        let nodes: Vec<serde_json::Value> = status
            .nodes
            .iter()
            .map(|n| serde_json::json!({ "name": n.name, "bmc": n.bmc, "on": n.power.is_some(), "boot": n.boot }))
            .collect();
        let value = serde_json::json!({ "network": status.network, "nodes": nodes });
        out.line(&serde_json::to_string_pretty(&value)?);
        return Ok(Exit::Done);
    }
    let rows = status.nodes.iter().map(|node| {
        let bmc = if node.bmc { "answers" } else { "down" };
        let power = if node.power.is_some() { "on" } else { "off" };
        [node.name.as_str(), bmc, power, node.boot.as_str()].map(str::to_owned)
    });
    let rows: Vec<[String; 4]> = rows.collect();
    out.line(&table(["node", "BMC", "power", "boot device"], &rows));
    if status.network {
        Ok(Exit::Done)
    } else {
        Err(Failure::new(
            Exit::Error,
            "the rack's network is gone; bmctl rack down, then up",
        ))
    }
}
