//! Flavors and images: what an instance is made of, and what reading an image's bytes told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::node::{Arch, Firmware};
use crate::units::{Sha256, TableId};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Flavor {
    pub cpus: u32,
    pub memory_mb: u64,
    pub root_gb: u64,
    /// 0 means none.
    pub ephemeral_gb: u64,
    /// 0 means none.
    pub swap_mb: u64,
    /// Requirements on a node with nova's operators (row P23).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_specs: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Image {
    #[serde(rename = "type")]
    pub kind: ImageType,
    /// A path, relative to the module that declares it.
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<ImageFormat>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd: Option<String>,
    /// Added to the command line of a kernel booted over the network.
    #[serde(default)]
    pub kernel_args: String,
    pub arch: Arch,
    pub firmware: Vec<Firmware>,
    /// The smallest root in GiB, beyond what the image's own size asks for; 0 means no wish.
    #[serde(default)]
    pub min_disk_gb: u64,
}

/// What an image holds. Kickstart, NFS root and RAM disk images are to come with the drivers that serve them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageType {
    /// One file system, written into a partition that bmctl makes; kernel and initrd come over the network (rows P10 to P15).
    Partition,
    /// A whole disk with its own partition table and boot loader.
    Disk,
}

impl ImageType {
    pub fn as_str(self) -> &'static str {
        match self {
            ImageType::Partition => "partition",
            ImageType::Disk => "disk",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    Raw,
    Qcow2,
}

/// What reading an image's files told. Gathered before the plan; the plan pins the digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ImageFacts {
    pub sha256: Sha256,
    pub format: ImageFormat,
    /// Bytes of the file.
    pub file_size: u64,
    /// Bytes of what is written to the disk.
    pub virtual_size: u64,
    /// The UUID of the file system, when it is one of a kind we can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs_uuid: Option<String>,
    /// The partition table of a whole-disk image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_sha256: Option<Sha256>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd_sha256: Option<Sha256>,
}
