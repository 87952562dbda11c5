//! Where things go on a disk: label and partitions, decided at plan time (rows P10 and G1).
//!
//! Ephemeral, swap, config drive, root last so that the system may grow it. A one-MiB lead-in; every start on a MiB.

use serde::{Deserialize, Serialize};

use crate::model::{Firmware, Flavor};
use crate::units::{GIB, MIB, TableId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    Mbr,
    Gpt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Ephemeral,
    Swap,
    ConfigDrive,
    Root,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Ephemeral => "ephemeral",
            Role::Swap => "swap",
            Role::ConfigDrive => "config drive",
            Role::Root => "root",
        }
    }
}

/// Bytes from the start of the disk; both are multiples of one MiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Partition {
    pub role: Role,
    pub start: u64,
    pub size: u64,
    /// Left as it is: `preserve_ephemeral` with the same place as before (row P12).
    #[serde(default)]
    pub keep: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "layout", rename_all = "snake_case")]
pub enum Layout {
    /// bmctl makes the table.
    Partitions {
        label: Label,
        table: TableId,
        partitions: Vec<Partition>,
    },
    /// The image brings the table; a config drive is added behind its last partition, at the end of the disk.
    WholeDisk { config_drive_size: u64 },
}

/// Enough for keys and user data; a FAT file system of it is written in one go.
pub const CONFIG_DRIVE_BYTES: u64 = 8 * MIB;
const LEAD_IN: u64 = MIB;
/// An MBR counts sectors of 512 bytes with 32 bits (row G1).
pub const MBR_BYTES_MAX: u64 = (u32::MAX as u64) * 512;
/// Room for the GPT's backup at the end of the disk.
const TAIL: u64 = MIB;

/// The layout for a partition image: GPT on UEFI nodes, MBR on BIOS nodes (row G1).
pub fn for_partition_image(flavor: &Flavor, firmware: Firmware, seed: &[u8; 32]) -> Layout {
    let Flavor {
        root_gb,
        ephemeral_gb,
        swap_mb,
        cpus: _,
        memory_mb: _,
        extra_specs: _,
    } = flavor;
    let mut partitions = Vec::new();
    let mut at = LEAD_IN;
    let mut add = |role, size: u64| {
        if size > 0 {
            partitions.push(Partition {
                role,
                start: at,
                size,
                keep: false,
            });
            at += size;
        }
    };
    add(Role::Ephemeral, ephemeral_gb.saturating_mul(GIB));
    add(Role::Swap, swap_mb.saturating_mul(MIB));
    add(Role::ConfigDrive, CONFIG_DRIVE_BYTES);
    add(Role::Root, root_gb.saturating_mul(GIB));
    let mut guid = [0u8; 16];
    guid.copy_from_slice(&seed[..16]);
    // A version 4 GUID in the mixed-endian form of the disk: version in byte 7, variant in byte 8.
    guid[7] = (guid[7] & 0x0f) | 0x40;
    guid[8] = (guid[8] & 0x3f) | 0x80;
    let signature = u32::from_le_bytes([seed[16], seed[17], seed[18], seed[19]]).max(1);
    let (label, table) = match firmware {
        Firmware::Bios => (Label::Mbr, TableId::Mbr(signature)),
        Firmware::Uefi => (Label::Gpt, TableId::Gpt(guid)),
    };
    Layout::Partitions {
        label,
        table,
        partitions,
    }
}

/// The bytes a disk must have for a flavor's partitions.
pub fn bytes_needed(flavor: &Flavor) -> u64 {
    LEAD_IN
        .saturating_add(flavor.ephemeral_gb.saturating_mul(GIB))
        .saturating_add(flavor.swap_mb.saturating_mul(MIB))
        .saturating_add(CONFIG_DRIVE_BYTES)
        .saturating_add(flavor.root_gb.saturating_mul(GIB))
        .saturating_add(TAIL)
}

/// What a disk sold as `gb` may have: GiB upwards a little, decimal GB downwards, less one percent for the maker's rounding.
pub fn size_range(gb: u64) -> (u64, u64) {
    let decimal = gb.saturating_mul(1_000_000_000);
    let low = decimal - decimal / 100;
    let binary = gb.saturating_mul(GIB);
    (low, binary.saturating_add(binary / 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flavor(root_gb: u64, ephemeral_gb: u64, swap_mb: u64) -> Flavor {
        Flavor {
            cpus: 1,
            memory_mb: 512,
            root_gb,
            ephemeral_gb,
            swap_mb,
            extra_specs: Default::default(),
        }
    }

    #[test]
    fn root_is_last_and_nothing_overlaps_row_g1() {
        let Layout::Partitions {
            partitions, label, ..
        } = for_partition_image(&flavor(10, 20, 1024), Firmware::Bios, &[7; 32])
        else {
            panic!("expected partitions");
        };
        assert_eq!(label, Label::Mbr);
        let roles: Vec<Role> = partitions.iter().map(|p| p.role).collect();
        assert_eq!(
            roles,
            [Role::Ephemeral, Role::Swap, Role::ConfigDrive, Role::Root]
        );
        for pair in partitions.windows(2) {
            assert_eq!(pair[0].start + pair[0].size, pair[1].start);
        }
        assert_eq!(partitions[0].start, MIB);
    }

    #[test]
    fn no_swap_and_no_ephemeral_leave_no_partition() {
        let Layout::Partitions {
            partitions, table, ..
        } = for_partition_image(&flavor(4, 0, 0), Firmware::Uefi, &[7; 32])
        else {
            panic!("expected partitions");
        };
        assert_eq!(partitions.len(), 2);
        assert!(matches!(table, TableId::Gpt(_)));
    }

    #[test]
    fn a_disk_of_either_kind_of_gb_is_in_range() {
        let (low, high) = size_range(500);
        assert!((low..=high).contains(&500_107_862_016));
        assert!((low..=high).contains(&(500 * GIB)));
        assert!(!(low..=high).contains(&(400 * GIB)));
    }
}
