//! Writing disks. One file for each way of reaching one.

pub mod iscsi;
