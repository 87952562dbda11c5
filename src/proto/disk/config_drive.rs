//! The config drive as a file system: FAT, label CIDATA, the same bytes for the same files.

use std::io::{Cursor, Write};

use fatfs::{Date, DateTime, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider};

use super::TableError;

pub const LABEL: &str = "CIDATA";
/// More than fits the drive's default size many times over; bounds the memory it takes.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Nothing in a config drive depends on when it was made.
#[derive(Debug)]
struct Epoch;

/// FAT's first day.
const FIRST_DAY: Date = Date {
    year: 1980,
    month: 1,
    day: 1,
};
const MIDNIGHT: Time = Time {
    hour: 0,
    min: 0,
    sec: 0,
    millis: 0,
};

impl TimeProvider for Epoch {
    fn get_current_date(&self) -> Date {
        FIRST_DAY
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime {
            date: FIRST_DAY,
            time: MIDNIGHT,
        }
    }
}

/// A file system of exactly `bytes` with `files` in its root directory.
pub fn build(bytes: u64, files: &[(String, Vec<u8>)], serial: u32) -> Result<Vec<u8>, TableError> {
    let failed = |e: std::io::Error| {
        let sum: usize = files.iter().map(|(_, content)| content.len()).sum();
        TableError(format!(
            "{sum} bytes of files do not make a config drive of {bytes} bytes: {e}; shorten the user data"
        ))
    };
    if bytes > BYTES_MAX {
        return Err(TableError(format!(
            "a config drive of {bytes} bytes, expected at most {BYTES_MAX}"
        )));
    }
    let mut disk = vec![0; usize::try_from(bytes).unwrap_or(0)];
    let mut label = [b' '; 11];
    for (place, byte) in label.iter_mut().zip(LABEL.bytes()) {
        *place = byte;
    }
    let options = FormatVolumeOptions::new()
        .volume_label(label)
        .volume_id(serial);
    fatfs::format_volume(Cursor::new(&mut disk), options).map_err(failed)?;
    let fs = FileSystem::new(
        Cursor::new(&mut disk),
        FsOptions::new()
            .time_provider(&Epoch)
            .update_accessed_date(false),
    )
    .map_err(failed)?;
    for (name, content) in files {
        let mut file = fs.root_dir().create_file(name).map_err(failed)?;
        file.write_all(content).map_err(failed)?;
        file.flush().map_err(failed)?;
    }
    fs.unmount().map_err(failed)?;
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let files = vec![("meta-data".to_owned(), b"instance-id: a\n".to_vec())];
        let one = build(8 << 20, &files, 7).unwrap();
        assert_eq!(one.len(), 8 << 20);
        assert_eq!(one, build(8 << 20, &files, 7).unwrap());
    }

    #[test]
    fn files_that_do_not_fit_are_refused() {
        let files = vec![("user-data".to_owned(), vec![1; 9 << 20])];
        assert!(build(8 << 20, &files, 7).is_err());
    }
}
