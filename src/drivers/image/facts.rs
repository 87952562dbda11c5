//! What a plan needs to know of an image: its digest, its size, what it holds. Read from the file, never taken on trust.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sha2::{Digest, Sha256 as Hasher};

use crate::drivers::{Done, DriverError, Images, Progress, Trouble};
use crate::model::{Image, ImageFacts, ImageFormat, ImageType};
use crate::proto::disk::{self, Table};
use crate::units::{MIB, Sha256};

/// Images by path, relative to the directory of the configuration.
pub struct FileImages {
    pub root: PathBuf,
}

/// Superblocks of the file systems that are told apart: Btrfs has the farthest, at 64 KiB.
const PROBE_BYTES: usize = 128 * 1024;
const READ_BYTES: usize = 4 * MIB as usize;

fn failed(path: &Path, what: &str, error: impl std::fmt::Display) -> DriverError {
    DriverError::new(
        Trouble::Failed,
        format!("image {}: {what}: {error}", path.display()),
    )
}

/// Reads a file whole: its digest and its length.
pub fn digest(path: &Path, progress: &Progress<'_>) -> Done<(Sha256, u64)> {
    let mut file = File::open(path).map_err(|e| failed(path, "cannot be opened", e))?;
    let total = file
        .metadata()
        .map_err(|e| failed(path, "cannot be read", e))?
        .len();
    let mut hash = Hasher::new();
    let mut buffer = vec![0u8; READ_BYTES];
    let mut done = 0u64;
    loop {
        let n = file
            .read(&mut buffer)
            .map_err(|e| failed(path, "cannot be read", e))?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        done += n as u64;
        progress("digest", done, total);
    }
    Ok((Sha256(hash.finalize().into()), done))
}

/// Everything a plan wants to know of an image.
pub fn read(root: &Path, image: &Image) -> Done<ImageFacts> {
    let path = root.join(&image.source);
    let quiet = |_: &str, _: u64, _: u64| {};
    let (sha256, file_size) = digest(&path, &quiet)?;
    let head = probe(&path)?;
    let found = if head.starts_with(b"QFI\xfb") {
        ImageFormat::Qcow2
    } else {
        ImageFormat::Raw
    };
    if let Some(declared) = image.format.filter(|f| *f != found) {
        return Err(DriverError::new(
            Trouble::Conflict,
            format!(
                "image {}: expected {declared:?}, found {found:?}; correct `format`",
                path.display()
            ),
        ));
    }
    let (virtual_size, content) = match found {
        ImageFormat::Raw => (file_size, head),
        ImageFormat::Qcow2 => super::reader::qcow2_head(&path, PROBE_BYTES)?,
    };
    let side = |file: &Option<String>| -> Done<Option<Sha256>> {
        file.as_ref()
            .map(|f| Ok(digest(&root.join(f), &quiet)?.0))
            .transpose()
    };
    Ok(ImageFacts {
        sha256,
        format: found,
        file_size,
        virtual_size,
        fs_uuid: match image.kind {
            ImageType::Partition => disk::filesystem_uuid(&content),
            ImageType::Disk => None,
        },
        table: match (image.kind, disk::table_of(&content)) {
            (ImageType::Disk, Table::Known(id)) => Some(id),
            (ImageType::Disk, Table::None | Table::Damaged(_)) | (ImageType::Partition, _) => None,
        },
        kernel_sha256: side(&image.kernel)?,
        initrd_sha256: side(&image.initrd)?,
    })
}

fn probe(path: &Path) -> Done<Vec<u8>> {
    let mut file = File::open(path).map_err(|e| failed(path, "cannot be opened", e))?;
    file.seek(SeekFrom::Start(0))
        .map_err(|e| failed(path, "cannot be read", e))?;
    let mut head = Vec::new();
    file.take(PROBE_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(|e| failed(path, "cannot be read", e))?;
    Ok(head)
}

#[async_trait]
impl Images for FileImages {
    async fn check(&self, source: &str, facts: &ImageFacts, progress: &Progress<'_>) -> Done<()> {
        let path = self.root.join(source);
        // Gigabytes are read: not on a thread that answers nodes.
        let (found, size) = tokio::task::block_in_place(|| digest(&path, progress))?;
        if (found, size) == (facts.sha256, facts.file_size) {
            return Ok(());
        }
        Err(DriverError::new(
            Trouble::Conflict,
            format!(
                "image {}: expected sha256 {} ({} bytes), found {found} ({size} bytes); the file changed since the plan, plan again",
                path.display(),
                facts.sha256,
                facts.file_size
            ),
        ))
    }
}
