//! Facts of images, remembered as long as a file keeps its size, time and inode: hashing gigabytes at every plan would be
//! slow, and apply reads them again anyway.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Exit, Failure};
use crate::drivers::image::facts;
use crate::ids::Addr;
use crate::model::{Fleet, Image, ImageFacts};

#[derive(Default, Serialize, Deserialize)]
struct Cache {
    version: u32,
    images: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    image: Image,
    /// Of each file, in the order source, kernel, initrd.
    stamps: Vec<Stamp>,
    facts: ImageFacts,
}

const VERSION: u32 = 1;

/// Reads what the plan needs of every image; mistakes name the image.
pub fn gather(
    root: &Path,
    state: &Path,
    fleet: &Fleet,
) -> Result<BTreeMap<Addr, ImageFacts>, Failure> {
    let path = state.join("image-facts.json");
    // A cache that cannot be read is made anew.
    let mut cache: Cache = std::fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .filter(|c: &Cache| c.version == VERSION)
        .unwrap_or_default();
    cache.version = VERSION;
    let mut out = BTreeMap::new();
    let mut fresh = BTreeMap::new();
    let mut changed = false;
    for (addr, image) in &fleet.images {
        let stamps = stamps(root, image).map_err(|(file, error)| {
            Failure::new(Exit::Error, format!("{addr}: {file}: {error}; correct `source`, `kernel` or `initrd`, or put the file there"))
        })?;
        let name = addr.to_string();
        let known = cache
            .images
            .remove(&name)
            .filter(|e| e.image == *image && e.stamps == stamps);
        let facts = match known {
            Some(entry) => entry.facts,
            None => {
                changed = true;
                facts::read(root, image)
                    .map_err(|e| Failure::new(Exit::Error, format!("{addr}: {e}")))?
            }
        };
        fresh.insert(
            name,
            Entry {
                image: image.clone(),
                stamps,
                facts: facts.clone(),
            },
        );
        out.insert(addr.clone(), facts);
    }
    if changed || !cache.images.is_empty() {
        let bytes = serde_json::to_vec(&Cache {
            version: VERSION,
            images: fresh,
        })?;
        // A plan of a read-only checkout is a plan all the same.
        let _ = std::fs::create_dir_all(state).and_then(|()| {
            std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)?
                .write_all(&bytes)
        });
    }
    Ok(out)
}

/// Size, time in nanoseconds, inode.
type Stamp = (u64, i64, u64);

fn stamps(root: &Path, image: &Image) -> Result<Vec<Stamp>, (String, std::io::Error)> {
    let files = std::iter::once(&image.source)
        .chain(&image.kernel)
        .chain(&image.initrd);
    files
        .map(|file| {
            let meta = std::fs::metadata(root.join(file)).map_err(|e| (file.clone(), e))?;
            Ok((
                meta.len(),
                meta.mtime()
                    .saturating_mul(1_000_000_000)
                    .saturating_add(meta.mtime_nsec()),
                meta.ino(),
            ))
        })
        .collect()
}
