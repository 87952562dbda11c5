//! What a killed process has committed and not brought into the database file yet. SQLite takes the log up to the first frame that
//! does not add up, and forgets the rest without a word: how many frames there must be is read from the index beside it.

use std::path::{Path, PathBuf};

use super::StoreError;

/// At the beginning of the index, twice: <https://www.sqlite.org/walformat.html>, in the byte order of this machine.
const INDEX_HEADER: usize = 48;
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The last bit of the magic number says in which order words are summed.
const MAGIC: u32 = 0x377f_0682;

/// What the index says of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Index {
    header: Vec<u8>,
    frames: u32,
    /// So many of them are in the database file as well.
    brought_in: u32,
    salt: [u8; 8],
}

/// Refuses a log that has lost frames which were committed. Other processes may be writing: what changes while it is read is read again.
pub fn check(database: &Path) -> Result<(), StoreError> {
    let beside = |end: &str| {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        name
    };
    loop {
        let Some(index) = index(Path::new(&beside("-shm"))) else {
            return Ok(());
        };
        let path = PathBuf::from(beside("-wal"));
        let why = match std::fs::read(&path) {
            Ok(log) => match first_bad(&log, &index) {
                Some(bad) => format!(
                    "frame {bad} of {} is damaged, and what was committed from there on would be lost",
                    index.frames
                ),
                None => return Ok(()),
            },
            Err(error) if index.brought_in < index.frames => format!(
                "{error}, and what was committed last stands there; a database that was brought back from a copy has no file with -shm beside it"
            ),
            Err(_) => return Ok(()),
        };
        if self::index(Path::new(&beside("-shm"))).as_ref() == Some(&index) {
            return Err(StoreError::corrupt(path.display().to_string(), why));
        }
    }
}

/// Whether something stands in a log beside the database.
pub fn is_there(database: &Path) -> bool {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    std::fs::metadata(Path::new(&name)).is_ok_and(|log| log.len() > 0)
}

/// `None` when there is no index, or none that says something: SQLite makes it anew then.
fn index(path: &Path) -> Option<Index> {
    let bytes = std::fs::read(path).ok()?;
    let header = bytes.get(..INDEX_HEADER)?;
    if bytes.get(INDEX_HEADER..2 * INDEX_HEADER)? != header || *header.get(12)? != 1 {
        return None;
    }
    let frames = u32::from_ne_bytes(header.get(16..20)?.try_into().ok()?);
    (frames > 0).then_some(())?;
    let brought_in = bytes.get(2 * INDEX_HEADER..2 * INDEX_HEADER + 4)?;
    Some(Index {
        header: header.to_vec(),
        frames,
        brought_in: u32::from_ne_bytes(brought_in.try_into().ok()?),
        salt: header.get(32..40)?.try_into().ok()?,
    })
}

/// The number of the first committed frame that does not add up; 0 is the header of the log.
fn first_bad(log: &[u8], index: &Index) -> Option<u32> {
    let word = |at: usize| {
        let bytes = log.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let Some((magic, page)) = word(0).zip(word(8)) else {
        return Some(0);
    };
    let is_big = match magic ^ MAGIC {
        0 => false,
        1 => true,
        _ => return Some(0),
    };
    let head = log.get(..LOG_HEADER - 8).unwrap_or_default();
    let mut sum = added((0, 0), head, is_big);
    if word(24).zip(word(28)) != Some(sum) {
        return Some(0);
    }
    // The log begins anew when all of it is in the database: then the index is not about this one.
    if log.get(16..24) != Some(&index.salt) {
        return None;
    }
    let size = FRAME_HEADER + usize::try_from(page).unwrap_or(usize::MAX - FRAME_HEADER);
    let mut frames = log.get(LOG_HEADER..).unwrap_or_default().chunks_exact(size);
    for number in 1..=index.frames {
        let Some((header, page)) = frames.next().and_then(|f| f.split_at_checked(FRAME_HEADER))
        else {
            return Some(number);
        };
        sum = added(sum, header.get(..8).unwrap_or_default(), is_big);
        sum = added(sum, page, is_big);
        let noted = [sum.0.to_be_bytes(), sum.1.to_be_bytes()].concat();
        if header.get(8..16) != Some(&index.salt) || header.get(16..24) != Some(&noted) {
            return Some(number);
        }
    }
    None
}

/// The checksum of the log's format, over pairs of words.
fn added(before: (u32, u32), bytes: &[u8], is_big: bool) -> (u32, u32) {
    let (mut a, mut b) = before;
    for pair in bytes.chunks_exact(8) {
        let word = |half: &[u8]| {
            let bytes: [u8; 4] = half.try_into().unwrap_or_default();
            match is_big {
                true => u32::from_be_bytes(bytes),
                false => u32::from_le_bytes(bytes),
            }
        };
        let (first, second) = pair.split_at(4);
        a = a.wrapping_add(word(first)).wrapping_add(b);
        b = b.wrapping_add(word(second)).wrapping_add(a);
    }
    (a, b)
}
