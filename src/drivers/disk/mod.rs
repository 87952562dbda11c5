//! Writing disks: from login to logout of one exported disk.
//!
//! Takes: a step's layout, an image, the target the ramdisk exports. Gives: bytes on a disk that were read back and
//! compared, the first MiB last. May import: the layers below, sockets, image readers, `mke2fs` run without root. Never
//! does: choose a disk, follow a redirect, leave a disk that boots half-written, keep more than some 64 MiB in memory.

mod check;
mod connection;
mod content;
pub mod iscsi;
mod lun;
mod unit;

#[cfg(test)]
mod peers;
