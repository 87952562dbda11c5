//! Images: what nodes boot and what is written to their disks.
//!
//! Takes: paths of trusted local programs and packages, and where to put the result. Gives: boot files, reproducible
//! byte for byte, with their digests. May import: the layers below, the file system, and Debian's own tools
//! (`apt-get download`, `dpkg-deb`, `ldd`) run without root. Never does: mount, install a package, print, talk to a node.

pub mod cpio;
pub mod facts;
pub mod kernel;
pub mod libs;
pub mod ramdisk;
pub mod reader;
pub mod scripts;

use std::path::PathBuf;

/// What a builder is doing, for whoever shows progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A kernel package is fetched from the archives this machine is set up for.
    Fetching { package: String },
    /// A kernel package is unpacked into the cache.
    Unpacking { package: PathBuf },
    /// The drivers that go into the ramdisk are known.
    Modules { release: String, count: usize },
    /// A file is complete and in its place.
    Wrote { path: PathBuf, size: u64 },
}

/// Where progress goes. Builders call it; they never print.
pub type Report<'a> = &'a mut dyn FnMut(Event);
