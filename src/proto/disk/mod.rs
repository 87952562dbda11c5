//! What stands on disks: partition tables, swap headers, the config drive. Bytes in, bytes out.

pub mod config_drive;
pub mod ext4;
pub mod gpt;
pub mod mbr;
pub mod nocloud;
pub mod swap;

use sha2::{Digest, Sha256};

use crate::units::TableId;

/// Why something cannot stand on a disk: what was expected, what was found, the next move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TableError(pub String);

/// A GUID that follows from a table's id and a name, so that the same plan makes the same disk. Version 4 in the form of a
/// disk (mixed endian), whose version and variant stand where a UUID in network order has bytes of no meaning too.
pub fn derived_guid(table: &TableId, name: &str) -> [u8; 16] {
    let digest = Sha256::digest(format!("bmctl {table} {name}").as_bytes());
    let mut guid = [0; 16];
    for (place, byte) in guid.iter_mut().zip(digest.iter()) {
        *place = *byte;
    }
    guid[7] = (guid[7] & 0x0f) | 0x40;
    guid[6] = (guid[6] & 0x0f) | 0x40;
    guid[8] = (guid[8] & 0x3f) | 0x80;
    guid
}

/// What the first 1,024 bytes of a disk say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Table {
    /// No sign of a table: the first two sectors are zero, or at least carry no boot signature and no GPT header.
    None,
    Known(TableId),
    /// Something is there that is not a whole table.
    Damaged(String),
}

const SECTOR: usize = 512;
const GPT_TYPE: u8 = 0xEE;

/// Tells whose partition table a disk carries. Anything that is not plainly empty is somebody's.
pub fn table_of(head: &[u8]) -> Table {
    let Some((mbr, gpt)) = head.get(..SECTOR).zip(head.get(SECTOR..2 * SECTOR)) else {
        return Table::Damaged(format!("only {} bytes of it were read", head.len()));
    };
    if gpt.starts_with(b"EFI PART") {
        let mut guid = [0u8; 16];
        guid.copy_from_slice(&gpt[56..72]);
        return Table::Known(TableId::Gpt(guid));
    }
    if mbr[510..512] != [0x55, 0xAA] {
        if head[..2 * SECTOR].iter().all(|b| *b == 0) {
            return Table::None;
        }
        return Table::Damaged(
            "data without a partition table in its first two sectors".to_owned(),
        );
    }
    let protective = mbr[446..510]
        .chunks_exact(16)
        .any(|entry| entry[4] == GPT_TYPE);
    if protective {
        return Table::Damaged("a protective MBR without its GPT".to_owned());
    }
    let signature = u32::from_le_bytes([mbr[440], mbr[441], mbr[442], mbr[443]]);
    Table::Known(TableId::Mbr(signature))
}

/// The UUID of the file system that starts at the first byte: ext2/3/4, XFS or Btrfs.
pub fn filesystem_uuid(head: &[u8]) -> Option<String> {
    let field = |at: usize, len: usize| head.get(at..at.checked_add(len)?);
    let raw = if field(1024 + 56, 2) == Some(&[0x53, 0xEF]) {
        field(1024 + 104, 16)?
    } else if field(0, 4) == Some(b"XFSB") {
        field(32, 16)?
    } else if field(64 * 1024 + 64, 8) == Some(b"_BHRfS_M") {
        field(64 * 1024 + 32, 16)?
    } else {
        return None;
    };
    let text = hex::encode(raw);
    let part = |a: usize, b: usize| text.get(a..b).unwrap_or_default();
    Some(format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_head_is_no_table() {
        let mut head = vec![0u8; 1024];
        assert_eq!(table_of(&head), Table::None);
        head[700] = 1;
        assert!(matches!(table_of(&head), Table::Damaged(_)));
        assert!(matches!(table_of(&head[..100]), Table::Damaged(_)));
    }

    #[test]
    fn tables_are_told_by_their_ids() {
        let mut head = vec![0u8; 1024];
        head[510] = 0x55;
        head[511] = 0xAA;
        head[440..444].copy_from_slice(&0xdead_beef_u32.to_le_bytes());
        assert_eq!(table_of(&head), Table::Known(TableId::Mbr(0xdead_beef)));
        head[450] = GPT_TYPE;
        assert!(matches!(table_of(&head), Table::Damaged(_)));
        head[512..520].copy_from_slice(b"EFI PART");
        head[568..584].copy_from_slice(&[9; 16]);
        assert_eq!(table_of(&head), Table::Known(TableId::Gpt([9; 16])));
    }
}
