//! The virtual rack: machines of QEMU, each with a BMC that speaks IPMI 2.0, in a network namespace of their own.
//!
//! Takes: a [`RackSpec`]. Gives: a running rack, its state in `DIR/.bmctl/rack/`, and `DIR/rack.hcl`, which declares its
//! machines. May import: the layers below, the file system, and Debian's `ip`, `dnsmasq`, `ipmi_sim` and
//! `qemu-system-x86_64`. Never does: answer DHCPv4 or TFTP (the site's own services do), touch a network outside its
//! namespace, end a process it did not start, print.
//!
//! The BMC of a machine runs `chassis.sh`, which starts and stops QEMU and keeps the boot device. The rule: `pxe` means
//! the network first, then the disk, at every boot until it is changed; anything else means the disk first, then the
//! network. `ipmi_sim` tells its program of a boot device, not whether it was meant for one boot or for good, so an
//! override lasts: bmctl sets the boot device it wants for good at the end of every deployment. The machine reads the
//! order at each reset, its own included.

mod down;
mod files;
mod hcl;
pub mod images;
mod machine;
mod net;
mod process;
mod record;
mod spec;
mod up;

pub use down::{Aside, NodeStatus, RackStatus, command_inside, down, status};
pub use process::ProcessId;
pub use record::{NodeRecord, Rack};
pub use spec::{Firmware, NODES_MAX, NodeSpec, RackSpec};
pub use up::up;

use std::io;
use std::path::PathBuf;

/// What is happening, for whoever shows progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The namespace, its bridge and one port per machine exist.
    Network { namespace: String },
    /// A machine's BMC answers on this UDP port of the bridge's address.
    Bmc { node: String, port: u16 },
    /// The configuration of the rack is written.
    Wrote { path: PathBuf },
    /// A process of the rack has ended.
    Stopped { pid: u32, program: String },
    /// A process somebody else started in the namespace; it is left alone, and so keeps the namespace's memory.
    LeftRunning { pid: u32, program: String },
}

/// Where progress goes. The rack calls it; it never prints.
pub type Report<'a> = &'a mut (dyn FnMut(Event) + Send);

#[derive(Debug, thiserror::Error)]
pub enum RackError {
    #[error("the rack's {what}: expected {expected}, found {found}")]
    Spec {
        what: String,
        expected: &'static str,
        found: String,
    },
    #[error("the rack needs {program}; install the Debian package {package}")]
    Missing {
        program: &'static str,
        package: &'static str,
    },
    #[error("the rack of {} is up already; take it down first, or use it", dir.display())]
    AlreadyUp { dir: PathBuf },
    #[error("there is no rack in {}; bring one up first", dir.display())]
    NotUp { dir: PathBuf },
    #[error("bringing the rack up was interrupted; what it had started is stopped again")]
    Interrupted,
    #[error("{operation}: {said}{hint}")]
    Program {
        operation: String,
        said: String,
        hint: &'static str,
    },
    #[error("the BMC of {node} ended right after its start: {said}")]
    Bmc { node: String, said: String },
    #[error(
        "process {pid} ({program}) of the rack did not end within {limit_s} s of SIGKILL; look at what it waits for"
    )]
    Unkillable {
        pid: u32,
        program: String,
        limit_s: u64,
    },
    #[error("read {}: {said}; take the rack down and bring it up again", path.display())]
    Record { path: PathBuf, said: String },
    #[error("{operation} {}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("make a test image: {operation}: {said}")]
    Image { operation: String, said: String },
    #[error(transparent)]
    Ramdisk(#[from] crate::drivers::image::ramdisk::RamdiskError),
}

impl RackError {
    fn io(operation: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }
}
