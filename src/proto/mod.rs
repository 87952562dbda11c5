//! L1, PURE. Protocols and on-disk forms without I/O: bytes in, bytes out, time as an argument. One folder each.

pub mod disk;
pub mod ipmi;
pub mod iscsi;
