//! The MBR's partition table: four primary entries in the first sector.

use super::TableError;

pub const SECTOR: usize = 512;
pub const LINUX: u8 = 0x83;
pub const SWAP: u8 = 0x82;
const SIGNATURE_AT: usize = 440;
const ENTRIES_AT: usize = 446;
const ENTRY: usize = 16;
const BOOT_FLAG: u8 = 0x80;
const PROTECTIVE: u8 = 0xEE;

/// One primary partition; sectors of 512 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub kind: u8,
    pub active: Active,
    pub start: u64,
    pub sectors: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Active {
    No,
    Yes,
}

/// A first sector without boot code.
pub fn build(signature: u32, entries: &[Entry]) -> Result<[u8; SECTOR], TableError> {
    let mut sector = [0; SECTOR];
    sector[SIGNATURE_AT..SIGNATURE_AT + 4].copy_from_slice(&signature.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    let slots = sector[ENTRIES_AT..510].as_chunks_mut::<ENTRY>().0;
    if entries.len() > slots.len() {
        return Err(TableError(format!(
            "an MBR holds 4 partitions, expected room for {}",
            entries.len()
        )));
    }
    for (slot, entry) in slots.iter_mut().zip(entries) {
        *slot = encode(entry)?;
    }
    Ok(sector)
}

/// The MBR that stands before a GPT: one entry over everything (UEFI 2.10 §5.2.3).
pub fn protective(disk_sectors: u64) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    let covered = u32::try_from(disk_sectors.saturating_sub(1)).unwrap_or(u32::MAX);
    sector[ENTRIES_AT..ENTRIES_AT + 8].copy_from_slice(&[0, 0, 2, 0, PROTECTIVE, 0xFF, 0xFF, 0xFF]);
    sector[ENTRIES_AT + 8..ENTRIES_AT + 12].copy_from_slice(&1u32.to_le_bytes());
    sector[ENTRIES_AT + 12..ENTRIES_AT + 16].copy_from_slice(&covered.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    sector
}

/// Stretches a protective entry to a larger disk. A hybrid table, in which other entries stand too, is left as the image
/// has it: some loader reads it.
pub fn stretch_protective(sector: &mut [u8; SECTOR], disk_sectors: u64) {
    let used = sector[ENTRIES_AT..510]
        .as_chunks::<ENTRY>()
        .0
        .iter()
        .filter(|e| e[4] != 0);
    let kinds: Vec<u8> = used.map(|e| e[4]).collect();
    if kinds == [PROTECTIVE] {
        let covered = u32::try_from(disk_sectors.saturating_sub(1)).unwrap_or(u32::MAX);
        for slot in sector[ENTRIES_AT..510].as_chunks_mut::<ENTRY>().0 {
            if slot[4] == PROTECTIVE {
                slot[12..].copy_from_slice(&covered.to_le_bytes());
            }
        }
    }
}

/// Adds a partition in the first free primary entry, in place.
pub fn add(sector: &mut [u8; SECTOR], new: &Entry) -> Result<(), TableError> {
    let bytes = encode(new)?;
    let slots = sector[ENTRIES_AT..510].as_chunks_mut::<ENTRY>().0;
    for slot in slots.iter().filter(|s| s[4] != 0) {
        let (start, sectors) = extent(slot);
        if start < new.start + new.sectors && new.start < start + sectors {
            return Err(TableError(format!(
                "the image's partition at sector {start} of {sectors} sectors reaches into the config drive at sector {}; \
                 take a larger disk or a smaller image",
                new.start
            )));
        }
    }
    match slots.iter_mut().find(|s| s[4] == 0) {
        Some(free) => {
            *free = bytes;
            Ok(())
        }
        None => Err(TableError(
            "the image's MBR has no free primary partition for the config drive; leave one free or use GPT".to_owned(),
        )),
    }
}

fn extent(slot: &[u8; ENTRY]) -> (u64, u64) {
    let field = |at: usize| {
        u64::from(u32::from_le_bytes([
            slot[at],
            slot[at + 1],
            slot[at + 2],
            slot[at + 3],
        ]))
    };
    (field(8), field(12))
}

/// CHS fields say "beyond", as every system of this century uses LBA.
fn encode(entry: &Entry) -> Result<[u8; ENTRY], TableError> {
    let narrow = |n: u64| {
        u32::try_from(n).map_err(|_| {
            TableError(
                "an MBR reaches 2 TiB, and a partition ends beyond; use UEFI, which takes GPT"
                    .to_owned(),
            )
        })
    };
    let start = narrow(entry.start)?;
    let sectors = narrow(entry.sectors)?;
    // The last sector must have a number too, not only the first.
    narrow(entry.start.saturating_add(entry.sectors))?;
    let mut out = [0; ENTRY];
    out[0] = match entry.active {
        Active::Yes => BOOT_FLAG,
        Active::No => 0,
    };
    out[1..4].copy_from_slice(&[0xFE, 0xFF, 0xFF]);
    out[4] = entry.kind;
    out[5..8].copy_from_slice(&[0xFE, 0xFF, 0xFF]);
    out[8..12].copy_from_slice(&start.to_le_bytes());
    out[12..].copy_from_slice(&sectors.to_le_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(start: u64, sectors: u64) -> Entry {
        Entry {
            kind: LINUX,
            active: Active::No,
            start,
            sectors,
        }
    }

    #[test]
    fn two_tib_are_the_end_of_an_mbr() {
        let end = 1u64 << 32;
        assert!(build(1, &[entry(2048, end - 2049)]).is_ok());
        assert!(build(1, &[entry(2048, end - 2048)]).is_err());
        assert!(build(1, &[entry(end, 1)]).is_err());
        assert!(build(1, &[entry(1, 1); 5]).is_err());
    }

    #[test]
    fn a_partition_is_added_where_there_is_room_only() {
        let mut sector = build(1, &[entry(2048, 2048), entry(8192, 10)]).unwrap();
        assert!(add(&mut sector, &entry(4095, 2)).is_err());
        add(&mut sector, &entry(4096, 2)).unwrap();
        add(&mut sector, &entry(5000, 2)).unwrap();
        let full = add(&mut sector, &entry(6000, 2)).unwrap_err();
        assert!(full.to_string().contains("no free primary"));
    }

    #[test]
    fn only_a_plain_protective_mbr_is_stretched() {
        let mut plain = protective(1000);
        stretch_protective(&mut plain, 5000);
        assert_eq!(plain, protective(5000));
        let mut hybrid = protective(1000);
        add(&mut hybrid, &entry(2000, 5)).unwrap();
        let before = hybrid;
        stretch_protective(&mut hybrid, 5000);
        assert_eq!(hybrid, before);
    }
}
