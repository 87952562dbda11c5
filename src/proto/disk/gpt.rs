//! GPT (UEFI 2.10 §5.3): a header and an array of entries at the start of a disk, and both again at its end.
//! Sectors of 512 bytes.

use flate2::Crc;

use super::TableError;
use super::mbr::{self, SECTOR};

pub const LINUX: [u8; 16] = *b"\xAF\x3D\xC6\x0F\x83\x84\x72\x47\x8E\x79\x3D\x69\xD8\x47\x7D\xE4";
pub const SWAP: [u8; 16] = *b"\x6D\xFD\x57\x06\xAB\xA4\xC4\x43\x84\xE5\x09\x33\xC8\x4B\x4F\x4F";
const HEADER_BYTES: u32 = 92;
const ENTRY: usize = 128;
const ENTRIES: usize = 128;
/// Sectors of the array of entries.
const ARRAY_SECTORS: u64 = (ENTRIES * ENTRY / SECTOR) as u64;
/// Sectors at the end of a disk that a table of our making takes.
pub const TAIL_SECTORS: u64 = ARRAY_SECTORS + 1;
/// More entries than any partitioner makes; bounds what is read.
const ARRAY_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: [u8; 16],
    pub guid: [u8; 16],
    /// ASCII, at most 36.
    pub name: &'static str,
    pub start: u64,
    pub sectors: u64,
}

/// Both ends of a disk's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// From sector 0, protective MBR included.
    pub head: Vec<u8>,
    /// The last sectors of the disk.
    pub tail: Vec<u8>,
}

pub fn build(disk: [u8; 16], disk_sectors: u64, entries: &[Entry]) -> Result<Ends, TableError> {
    let last = disk_sectors.saturating_sub(1);
    let shape = Shape {
        disk,
        first_usable: 2 + ARRAY_SECTORS,
        last_usable: last.saturating_sub(TAIL_SECTORS),
        entry_bytes: ENTRY,
        count: ENTRIES,
    };
    let mut array = vec![0; ENTRIES * ENTRY];
    for (slot, entry) in array.chunks_exact_mut(ENTRY).zip(entries) {
        put(slot, entry, &shape)?;
    }
    let mut head = mbr::protective(disk_sectors).to_vec();
    head.extend(shape.header(1, last, 2, &array));
    head.extend_from_slice(&array);
    Ok(Ends {
        head,
        tail: shape.tail(last, &array),
    })
}

/// Puts an image's table on a disk larger than the image: the backup goes to the disk's end, and a partition is added.
/// `head` is the start of the image; all but the table in it stays as it is. Gives the tail.
pub fn extend(head: &mut [u8], disk_sectors: u64, new: &Entry) -> Result<Vec<u8>, TableError> {
    let damaged = |what: &str| TableError(format!("the image's GPT is damaged: {what}"));
    let last = disk_sectors.saturating_sub(1);
    let (mut shape, at) = Shape::parse(head).ok_or_else(|| damaged("its header"))?;
    let bytes = shape.count * shape.entry_bytes;
    let array = head
        .get_mut(at..at.saturating_add(bytes))
        .ok_or_else(|| damaged("its entries are not in the first MiB"))?;
    if crc(array) != shape_array_crc(head).unwrap_or_default() {
        return Err(damaged("the checksum of its entries"));
    }
    shape.last_usable = last.saturating_sub(shape.array_sectors() + 1);
    let array = head
        .get_mut(at..at.saturating_add(bytes))
        .ok_or_else(|| damaged("its entries"))?;
    for slot in array.chunks_exact(shape.entry_bytes).filter(|s| is_used(s)) {
        let (start, end) = extent(slot).ok_or_else(|| damaged("an entry"))?;
        if start < new.start + new.sectors && new.start <= end {
            return Err(TableError(format!(
                "the image's partition of sectors {start} to {end} reaches into the config drive at sector {}; take a larger \
                 disk or a smaller image",
                new.start
            )));
        }
    }
    let free = array
        .chunks_exact_mut(shape.entry_bytes)
        .find(|s| !is_used(s))
        .ok_or_else(|| {
            TableError("the image's GPT has no free entry for the config drive".to_owned())
        })?;
    put(free, new, &shape)?;
    let array = array.to_vec();
    let header = shape.header(1, last, (at / SECTOR) as u64, &array);
    if let Some(place) = head.get_mut(SECTOR..2 * SECTOR) {
        place.copy_from_slice(&header);
    }
    if let Some(first) = head.first_chunk_mut::<SECTOR>() {
        mbr::stretch_protective(first, disk_sectors);
    }
    Ok(shape.tail(last, &array))
}

/// Sectors that the table of an image takes at the end of a disk.
pub fn tail_sectors(head: &[u8]) -> Option<u64> {
    Shape::parse(head).map(|(shape, _)| shape.array_sectors() + 1)
}

/// What both headers of a table have in common.
struct Shape {
    disk: [u8; 16],
    first_usable: u64,
    last_usable: u64,
    entry_bytes: usize,
    count: usize,
}

impl Shape {
    /// From the primary header in sector 1; and where the array stands, in bytes.
    fn parse(head: &[u8]) -> Option<(Shape, usize)> {
        let header: &[u8; SECTOR] = head.get(SECTOR..)?.first_chunk()?;
        if !header.starts_with(b"EFI PART") || u32_at(header, 12)? != HEADER_BYTES {
            return None;
        }
        let mut covered = *header.first_chunk::<92>()?;
        covered[16..20].fill(0);
        let count = usize::try_from(u32_at(header, 80)?).ok()?;
        let entry_bytes = usize::try_from(u32_at(header, 84)?).ok()?;
        let whole = count.checked_mul(entry_bytes)?;
        let sane = entry_bytes >= ENTRY && entry_bytes % ENTRY == 0 && count > 0;
        if crc(&covered) != u32_at(header, 16)? || !sane || whole > ARRAY_BYTES_MAX {
            return None;
        }
        let at = usize::try_from(u64_at(header, 72)?)
            .ok()?
            .checked_mul(SECTOR)?;
        let shape = Shape {
            disk: *header.get(56..)?.first_chunk()?,
            first_usable: u64_at(header, 40)?,
            last_usable: u64_at(header, 48)?,
            entry_bytes,
            count,
        };
        (at >= 2 * SECTOR).then_some((shape, at))
    }

    fn array_sectors(&self) -> u64 {
        ((self.count * self.entry_bytes).div_ceil(SECTOR)) as u64
    }

    fn header(&self, own: u64, other: u64, array_at: u64, array: &[u8]) -> [u8; SECTOR] {
        let mut out = [0; SECTOR];
        out[..8].copy_from_slice(b"EFI PART");
        out[8..12].copy_from_slice(&0x0001_0000u32.to_le_bytes());
        out[12..16].copy_from_slice(&HEADER_BYTES.to_le_bytes());
        out[24..32].copy_from_slice(&own.to_le_bytes());
        out[32..40].copy_from_slice(&other.to_le_bytes());
        out[40..48].copy_from_slice(&self.first_usable.to_le_bytes());
        out[48..56].copy_from_slice(&self.last_usable.to_le_bytes());
        out[56..72].copy_from_slice(&self.disk);
        out[72..80].copy_from_slice(&array_at.to_le_bytes());
        out[80..84].copy_from_slice(&(self.count as u32).to_le_bytes());
        out[84..88].copy_from_slice(&(self.entry_bytes as u32).to_le_bytes());
        out[88..92].copy_from_slice(&crc(array).to_le_bytes());
        let sum = crc(&out[..HEADER_BYTES as usize]);
        out[16..20].copy_from_slice(&sum.to_le_bytes());
        out
    }

    fn tail(&self, last: u64, array: &[u8]) -> Vec<u8> {
        let mut out = array.to_vec();
        out.resize(self.array_sectors() as usize * SECTOR, 0);
        let at = last.saturating_sub(self.array_sectors());
        out.extend(self.header(last, 1, at, array));
        out
    }
}

fn put(slot: &mut [u8], entry: &Entry, shape: &Shape) -> Result<(), TableError> {
    let end = entry.start + entry.sectors.saturating_sub(1);
    if entry.start < shape.first_usable || end > shape.last_usable || entry.sectors == 0 {
        return Err(TableError(format!(
            "partition `{}` of sectors {} to {end} is not within {} to {}; take a larger disk",
            entry.name, entry.start, shape.first_usable, shape.last_usable
        )));
    }
    let mut bytes = [0; ENTRY];
    bytes[..16].copy_from_slice(&entry.kind);
    bytes[16..32].copy_from_slice(&entry.guid);
    bytes[32..40].copy_from_slice(&entry.start.to_le_bytes());
    bytes[40..48].copy_from_slice(&end.to_le_bytes());
    let name = bytes[56..].as_chunks_mut::<2>().0;
    for (place, unit) in name.iter_mut().zip(entry.name.encode_utf16()) {
        *place = unit.to_le_bytes();
    }
    if let Some(place) = slot.get_mut(..ENTRY) {
        place.copy_from_slice(&bytes);
    }
    Ok(())
}

fn is_used(slot: &[u8]) -> bool {
    slot.iter().take(16).any(|b| *b != 0)
}

fn extent(slot: &[u8]) -> Option<(u64, u64)> {
    Some((u64_at(slot, 32)?, u64_at(slot, 40)?))
}

fn shape_array_crc(head: &[u8]) -> Option<u32> {
    u32_at(head.get(SECTOR..)?, 88)
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?
        .first_chunk()
        .map(|b| u32::from_le_bytes(*b))
}

fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    data.get(at..)?
        .first_chunk()
        .map(|b| u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &'static str, start: u64, sectors: u64) -> Entry {
        Entry {
            kind: LINUX,
            guid: [start as u8; 16],
            name,
            start,
            sectors,
        }
    }

    fn image() -> Vec<u8> {
        let mut head = build([5; 16], 8192, &[entry("root", 2048, 4096)])
            .unwrap()
            .head;
        head.resize(1 << 20, 0);
        head
    }

    #[test]
    fn an_image_is_extended_to_the_table_that_would_be_built() {
        let mut head = image();
        let config = entry("config", 18432, 1024);
        let tail = extend(&mut head, 20480, &config).unwrap();
        let want = build([5; 16], 20480, &[entry("root", 2048, 4096), config]).unwrap();
        assert_eq!(
            (&head[..want.head.len()], tail),
            (&want.head[..], want.tail)
        );
    }

    #[test]
    fn a_damaged_table_and_an_overlap_are_refused() {
        for at in [SECTOR + 60, 2 * SECTOR + 5] {
            let mut head = image();
            head[at] ^= 1;
            let error = extend(&mut head, 20480, &entry("config", 18432, 1024)).unwrap_err();
            assert!(error.to_string().contains("damaged"));
        }
        for start in [2048, 6143, 1] {
            assert!(extend(&mut image(), 20480, &entry("config", start, 2048)).is_err());
        }
        assert!(extend(&mut image(), 20480, &entry("config", 20479, 1)).is_err());
        assert!(extend(&mut [0; 100], 20480, &entry("config", 18432, 1)).is_err());
    }
}
