//! What must be known of a fresh ext4 file system to copy it without its holes.

/// Bytes from the start of the file system that are looked at.
pub const LOOK_BYTES: usize = 2048;
const SUPERBLOCK: usize = 1024;

/// Where the journal of a fresh file system stands: bytes and lengths, from the superblock's backup of its inode.
///
/// A journal must read as zeroes: after a crash, old blocks that look like its next ones would be replayed. Other holes of a
/// fresh file system may hold anything, since nothing in it says they are in use. `None`: it cannot be told.
pub fn journal(head: &[u8]) -> Option<Vec<(u64, u64)>> {
    let sb = head.get(SUPERBLOCK..)?;
    let u16_at = |at: usize| Some(u16::from_le_bytes(*sb.get(at..)?.first_chunk()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(*sb.get(at..)?.first_chunk()?));
    let block = 1024u64.checked_shl(u32_at(24)?).filter(|b| *b <= 65536)?;
    // Magic of the superblock; "the backup holds the inode's blocks"; an extent tree of one level.
    let readable = u16_at(56)? == 0xEF53 && *sb.get(253)? == 1 && u16_at(268)? == 0xF30A;
    let (entries, depth) = (u16_at(270)?, u16_at(274)?);
    if !readable || depth != 0 || !(1..=4).contains(&entries) {
        return None;
    }
    (0..usize::from(entries))
        .map(|n| {
            let at = 280 + 12 * n;
            // Lengths above 32768 mark extents that are allocated and not written.
            let len = match u64::from(u16_at(at + 4)?) {
                len @ 0..=32768 => len,
                unwritten => unwritten - 32768,
            };
            let start = u64::from(u16_at(at + 6)?) << 32 | u64::from(u32_at(at + 8)?);
            Some((start.checked_mul(block)?, len * block))
        })
        .collect()
}
