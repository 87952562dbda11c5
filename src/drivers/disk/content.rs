//! What goes where on a disk: a step's layout, turned into sources of bytes. Blocking: images are opened, `mke2fs` is run.

use std::path::Path;

use tempfile::NamedTempFile;

use crate::drivers::image::reader::{self, Holds, ImageReader, Piece};
use crate::drivers::{Done, DriverError, Trouble, child};
use crate::model::ImageFormat;
use crate::plan::layout::{Label, Layout, Partition, Role};
use crate::proto::disk::mbr::{Active, SECTOR};
use crate::proto::disk::{
    self, Table, TableError, config_drive, derived_guid, ext4, gpt, mbr, swap,
};
use crate::units::{MIB, TableId};

/// Written last: until then the disk has no table and no boot code.
pub const HEAD_BYTES: u64 = MIB;

/// Everything that is to stand on a disk.
pub struct Contents {
    /// The first MiB.
    pub head: Vec<u8>,
    /// The last bytes of the disk: a GPT's backup, from which some firmware would boot. Written with the head.
    pub tail: Vec<u8>,
    /// The rest, none of it in the head or the tail.
    pub parts: Vec<Part>,
    pub table: Option<TableId>,
}

/// A source of bytes and its place.
pub struct Part {
    /// Where the source's first byte stands on the disk.
    at: u64,
    source: Source,
}

enum Source {
    Image {
        image: ImageReader,
        from: u64,
        to: u64,
    },
    Bytes(Vec<u8>),
    /// A fresh file system: its holes may hold anything, except in the journal.
    Fresh {
        file: ImageReader,
        journal: Option<Vec<(u64, u64)>>,
        _held: NamedTempFile,
    },
}

/// What contents are made from.
pub struct Request<'a> {
    pub layout: &'a Layout,
    pub image: &'a Path,
    pub format: ImageFormat,
    pub config_drive: &'a [(String, Vec<u8>)],
    pub disk_bytes: u64,
}

pub fn make(request: &Request<'_>) -> Done<Contents> {
    let image = reader::open(request.image, request.format)?;
    match request.layout {
        Layout::Partitions {
            label,
            table,
            partitions,
        } => partitioned(request, image, *label, *table, partitions),
        Layout::WholeDisk { config_drive_size } => whole(request, image, *config_drive_size),
    }
}

impl From<TableError> for DriverError {
    fn from(error: TableError) -> DriverError {
        DriverError::new(Trouble::Conflict, error.0)
    }
}

fn conflict<T>(why: String) -> Done<T> {
    Err(DriverError::new(Trouble::Conflict, why))
}

fn partitioned(
    request: &Request<'_>,
    image: ImageReader,
    label: Label,
    table: TableId,
    partitions: &[Partition],
) -> Done<Contents> {
    let end = partitions
        .iter()
        .map(|p| p.start.saturating_add(p.size))
        .max();
    if end.is_some_and(|end| end > request.disk_bytes)
        || partitions.iter().any(|p| p.start < HEAD_BYTES)
    {
        return conflict(format!(
            "the layout ends at byte {}, expected within a disk of {} bytes; correct the flavor or local_gb",
            end.unwrap_or(0),
            request.disk_bytes
        ));
    }
    let (mut head, tail) = tables(label, table, partitions, request.disk_bytes)?;
    head.resize(HEAD_BYTES as usize, 0);
    let mut image = Some(image);
    let mut parts = Vec::new();
    for partition in partitions.iter().filter(|p| !p.keep) {
        let guid = derived_guid(&table, partition.role.as_str());
        let source = match partition.role {
            Role::Root => root(image.take(), partition.size, request.image)?,
            Role::Swap => Source::Bytes(swap::header(partition.size, guid, "swap1")?),
            Role::ConfigDrive => drive(request, partition.size, &guid)?,
            Role::Ephemeral => ephemeral(partition.size, &guid)?,
        };
        parts.push(Part {
            at: partition.start,
            source,
        });
    }
    Ok(Contents {
        head,
        tail,
        parts,
        table: Some(table),
    })
}

fn root(image: Option<ImageReader>, size: u64, path: &Path) -> Done<Source> {
    let Some(image) = image else {
        return conflict("the layout has two root partitions".to_owned());
    };
    if image.size() > size {
        return conflict(format!(
            "image {}: {} bytes do not fit the root partition of {size}; take a flavor with a larger root_gb",
            path.display(),
            image.size()
        ));
    }
    let to = image.size();
    Ok(Source::Image { image, from: 0, to })
}

fn drive(request: &Request<'_>, size: u64, guid: &[u8; 16]) -> Done<Source> {
    let [a, b, c, d, ..] = *guid;
    let serial = u32::from_le_bytes([a, b, c, d]);
    let bytes = config_drive::build(size, request.config_drive, serial)?;
    Ok(Source::Bytes(bytes))
}

fn tables(
    label: Label,
    table: TableId,
    partitions: &[Partition],
    disk_bytes: u64,
) -> Done<(Vec<u8>, Vec<u8>)> {
    let sector = SECTOR as u64;
    match (label, table) {
        (Label::Mbr, TableId::Mbr(signature)) => {
            let entries: Vec<mbr::Entry> = partitions
                .iter()
                .map(|p| mbr::Entry {
                    kind: if p.role == Role::Swap {
                        mbr::SWAP
                    } else {
                        mbr::LINUX
                    },
                    active: if p.role == Role::Root {
                        Active::Yes
                    } else {
                        Active::No
                    },
                    start: p.start / sector,
                    sectors: p.size / sector,
                })
                .collect();
            Ok((mbr::build(signature, &entries)?.to_vec(), Vec::new()))
        }
        (Label::Gpt, TableId::Gpt(guid)) => {
            let entries: Vec<gpt::Entry> = partitions
                .iter()
                .enumerate()
                .map(|(n, p)| gpt::Entry {
                    kind: if p.role == Role::Swap {
                        gpt::SWAP
                    } else {
                        gpt::LINUX
                    },
                    guid: derived_guid(&table, &format!("partition {n}")),
                    name: name(p.role),
                    start: p.start / sector,
                    sectors: p.size / sector,
                })
                .collect();
            let ends = gpt::build(guid, disk_bytes / sector, &entries)?;
            Ok((ends.head, ends.tail))
        }
        (Label::Mbr, TableId::Gpt(_)) | (Label::Gpt, TableId::Mbr(_)) => conflict(format!(
            "the plan's label {label:?} and table {table} disagree"
        )),
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Ephemeral => "ephemeral0",
        Role::Swap => "swap1",
        Role::ConfigDrive => "config",
        Role::Root => "root",
    }
}

/// A file system made by `mke2fs` in a file full of holes.
fn ephemeral(size: u64, guid: &[u8; 16]) -> Done<Source> {
    let failed = |what: &str, e: &dyn std::fmt::Display| {
        DriverError::new(
            Trouble::Failed,
            format!("ephemeral file system: {what}: {e}"),
        )
    };
    let held = NamedTempFile::new().map_err(|e| failed("no temporary file", &e))?;
    held.as_file()
        .set_len(size)
        .map_err(|e| failed("no temporary file of its size", &e))?;
    let hex = hex::encode(guid);
    let field = |a: usize, b: usize| hex.get(a..b).unwrap_or_default();
    let uuid = [
        field(0, 8),
        field(8, 12),
        field(12, 16),
        field(16, 20),
        field(20, 32),
    ]
    .join("-");
    // Without `nodiscard` mke2fs takes the file's holes for zeroes and marks inode tables as zeroed, which they are not on
    // the disk. With it, and lazily, the kernel zeroes them after the first mount.
    let options = format!("nodiscard,lazy_itable_init=1,lazy_journal_init=0,hash_seed={uuid}");
    let out = child::program("mke2fs")
        .args([
            "-q",
            "-F",
            "-t",
            "ext4",
            "-L",
            "ephemeral0",
            "-U",
            &uuid,
            "-E",
            &options,
        ])
        .arg(held.path())
        .output()
        .map_err(|e| failed("mke2fs does not start (install e2fsprogs)", &e))?;
    if !out.status.success() {
        let text = String::from_utf8_lossy(&out.stderr);
        return Err(failed("mke2fs", &text.trim()));
    }
    let file = reader::open(held.path(), ImageFormat::Raw)?;
    let mut head = vec![0; ext4::LOOK_BYTES];
    file.read_at(0, &mut head)?;
    Ok(Source::Fresh {
        journal: ext4::journal(&head),
        file,
        _held: held,
    })
}

/// An image with its own table, and a config drive behind it (row G1).
fn whole(request: &Request<'_>, image: ImageReader, config_bytes: u64) -> Done<Contents> {
    let disk = request.disk_bytes;
    if image.size() > disk {
        return conflict(format!(
            "image {}: {} bytes do not fit a disk of {disk}",
            request.image.display(),
            image.size()
        ));
    }
    let mut head = vec![0; HEAD_BYTES as usize];
    let stored = image.size().min(HEAD_BYTES) as usize;
    if let Some(place) = head.get_mut(..stored) {
        image.read_at(0, place)?;
    }
    let Table::Known(table) = disk::table_of(&head) else {
        return conflict(format!(
            "image {}: expected a partition table to add the config drive to, found none",
            request.image.display()
        ));
    };
    let sector = SECTOR as u64;
    let reserved = match table {
        TableId::Gpt(_) => gpt::tail_sectors(&head).unwrap_or(gpt::TAIL_SECTORS) * sector,
        TableId::Mbr(_) => 0,
    };
    let room = disk.saturating_sub(reserved + config_bytes);
    let at = room - room % MIB;
    if at < HEAD_BYTES {
        return conflict(format!(
            "a disk of {disk} bytes has no room for a config drive"
        ));
    }
    let guid = derived_guid(&table, Role::ConfigDrive.as_str());
    let tail = with_drive(&mut head, table, disk, (at, config_bytes), guid)?;
    let drive = drive(request, config_bytes, &guid)?;
    // No partition of the image lies at or behind the config drive; what else it has there is its old backup table.
    let to = image.size().min(at);
    let image = Part {
        at: 0,
        source: Source::Image {
            image,
            from: HEAD_BYTES.min(to),
            to,
        },
    };
    let drive = Part { at, source: drive };
    Ok(Contents {
        head,
        tail,
        parts: vec![image, drive],
        table: Some(table),
    })
}

/// The config drive into the image's own table, which then spans the disk; what goes to the disk's end.
fn with_drive(
    head: &mut [u8],
    table: TableId,
    disk: u64,
    (at, bytes): (u64, u64),
    guid: [u8; 16],
) -> Done<Vec<u8>> {
    let sector = SECTOR as u64;
    match table {
        TableId::Gpt(_) => {
            let entry = gpt::Entry {
                kind: gpt::LINUX,
                guid,
                name: name(Role::ConfigDrive),
                start: at / sector,
                sectors: bytes / sector,
            };
            Ok(gpt::extend(head, disk / sector, &entry)?)
        }
        TableId::Mbr(_) => {
            let entry = mbr::Entry {
                kind: mbr::LINUX,
                active: Active::No,
                start: at / sector,
                sectors: bytes / sector,
            };
            if let Some(first) = head.first_chunk_mut::<SECTOR>() {
                mbr::add(first, &entry)?;
            }
            Ok(Vec::new())
        }
    }
}

impl Part {
    /// Bytes that will be passed over, as data or as zeroes.
    pub fn span(&self) -> u64 {
        match &self.source {
            Source::Image { from, to, .. } => to - from,
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Fresh { file, .. } => file.size(),
        }
    }

    /// Gives every piece with its place on the disk, padded to whole sectors; stops when `take` says so.
    pub fn feed(&self, mut take: impl FnMut(Piece) -> bool) -> Done<()> {
        let mut place = |piece: Piece| match piece {
            Piece::Data { offset, mut bytes } => {
                bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
                let offset = offset + self.at;
                take(Piece::Data { offset, bytes })
            }
            Piece::Zero { offset, len } => take(Piece::Zero {
                offset: offset + self.at,
                len: len.next_multiple_of(SECTOR as u64),
            }),
        };
        match &self.source {
            Source::Image { image, from, to } => {
                for piece in image.pieces(*from, *to) {
                    if !place(piece?) {
                        break;
                    }
                }
            }
            Source::Bytes(bytes) => {
                for piece in reader::pieces_of(bytes) {
                    if !place(piece) {
                        break;
                    }
                }
            }
            Source::Fresh { file, journal, .. } => fresh(file, journal.as_deref(), place)?,
        }
        Ok(())
    }
}

/// All data of a fresh file system, blocks of zeroes included (mke2fs wrote them for a reason), and its journal's holes.
fn fresh(
    file: &ImageReader,
    journal: Option<&[(u64, u64)]>,
    mut place: impl FnMut(Piece) -> bool,
) -> Done<()> {
    let everything = [(0, file.size())];
    let zeroed = journal.unwrap_or(&everything);
    for extent in file.extents(0, file.size()) {
        let extent = extent?;
        let end = extent.offset + extent.len;
        match extent.holds {
            Holds::Data => {
                for piece in file.pieces(extent.offset, end) {
                    if !place(piece?) {
                        return Ok(());
                    }
                }
            }
            Holds::Zero => {
                for (start, len) in zeroed {
                    let from = extent.offset.max(*start);
                    let to = end.min(start.saturating_add(*len));
                    if from < to
                        && !place(Piece::Zero {
                            offset: from,
                            len: to - from,
                        })
                    {
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}
