//! Large files, held once: a hundred nodes that load the same ramdisk share one copy and one digest.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use sha2::{Digest, Sha256 as Hasher};
use tokio::sync::Mutex;

use crate::units::{MIB, Sha256};

/// Kernels and initrds are tens of MiB. Images do not come this way.
const FILE_BYTES_MAX: u64 = 512 * MIB;
/// Of all files together; past it the cache starts anew. What is being sent stays until it is sent.
const CACHE_BYTES_MAX: u64 = 1024 * MIB;

/// A file as it was read: the digest is of these very bytes.
#[derive(Clone)]
pub struct Held {
    pub bytes: Bytes,
    pub sha256: Sha256,
}

/// What tells one content of a path from the next without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified_s: i64,
    modified_ns: i64,
    device: u64,
    inode: u64,
}

impl Stamp {
    fn of(found: &std::fs::Metadata) -> Stamp {
        Stamp {
            size: found.size(),
            modified_s: found.mtime(),
            modified_ns: found.mtime_nsec(),
            device: found.dev(),
            inode: found.ino(),
        }
    }
}

/// A place for one path's content. Who comes while it is being read waits for that reading.
type Slot = Arc<Mutex<Option<(Stamp, Held)>>>;

#[derive(Default)]
pub struct Cache {
    slots: Mutex<BTreeMap<PathBuf, Slot>>,
}

impl Cache {
    /// The file as it is at this moment. Errors are the file system's; a file that is too large or is being written is one too.
    pub async fn get(&self, path: &Path) -> std::io::Result<Held> {
        let slot = self.slot(path).await;
        let mut slot = slot.lock().await;
        let stamp = Stamp::of(&tokio::fs::metadata(path).await?);
        if let Some((_, held)) = slot.as_ref().filter(|(of, _)| *of == stamp) {
            return Ok(held.clone());
        }
        // The old content goes before the new one comes.
        *slot = None;
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        let (stamp, held) = read.map_err(std::io::Error::other)??;
        *slot = Some((stamp, held.clone()));
        Ok(held)
    }

    async fn slot(&self, path: &Path) -> Slot {
        let mut slots = self.slots.lock().await;
        // A slot that is busy is being filled; it is counted at the next call.
        let size = |slot: &Slot| {
            let slot = slot.try_lock().ok()?;
            slot.as_ref().map(|(stamp, _)| stamp.size)
        };
        if slots.values().filter_map(size).sum::<u64>() > CACHE_BYTES_MAX {
            slots.clear();
        }
        slots.entry(path.to_owned()).or_default().clone()
    }
}

fn read(path: &Path) -> std::io::Result<(Stamp, Held)> {
    let file = std::fs::File::open(path)?;
    let stamp = Stamp::of(&file.metadata()?);
    if stamp.size > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!(
            "{} bytes, expected at most {FILE_BYTES_MAX}",
            stamp.size
        )));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(stamp.size).unwrap_or(0));
    (&file).take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    if Stamp::of(&file.metadata()?) != stamp || bytes.len() as u64 != stamp.size {
        return Err(std::io::Error::other("it is being written"));
    }
    let sha256 = Sha256(Hasher::digest(&bytes).into());
    let bytes = Bytes::from(bytes);
    Ok((stamp, Held { bytes, sha256 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_once_until_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vmlinuz");
        let cache = Cache::default();
        assert!(cache.get(&path).await.is_err());
        std::fs::write(&path, "one").unwrap();
        let first = cache.get(&path).await.unwrap();
        let again = cache.get(&path).await.unwrap();
        assert_eq!(first.bytes.as_ptr(), again.bytes.as_ptr());
        assert_eq!(first.sha256, Sha256(Hasher::digest("one").into()));
        // Replaced by a file of the same size, as `bmctl ramdisk build` does: another inode.
        let next = dir.path().join("next");
        std::fs::write(&next, "two").unwrap();
        std::fs::rename(&next, &path).unwrap();
        let second = cache.get(&path).await.unwrap();
        assert_eq!(&second.bytes[..], b"two");
        assert_eq!(second.sha256, Sha256(Hasher::digest("two").into()));
        // What is still being sent is what it was.
        assert_eq!(&first.bytes[..], b"one");
        std::fs::remove_file(&path).unwrap();
        assert!(cache.get(&path).await.is_err());
    }
}
