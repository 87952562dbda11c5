//! Reading images: raw and qcow2, data and holes, piece by piece. Blocking: call it where blocking is allowed.

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use imago::qcow2::Qcow2;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder, Mapping};
use rustix::fs::SeekFrom;

use crate::drivers::{Done, DriverError, Trouble};
use crate::model::ImageFormat;

/// Pieces of data are at most so long and do not cross a multiple of it.
pub const PIECE_BYTES: u64 = 1024 * 1024;
/// Zeroes are looked for in blocks of this size: smaller ones would cost more commands than they save bytes.
const ZERO_BLOCK: u64 = 64 * 1024;
const QCOW2_MAGIC: &[u8; 4] = b"QFI\xfb";
/// Bytes of a qcow2 header that are looked at.
const QCOW2_HEADER: usize = 104;

/// A stretch of an image as its format knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub offset: u64,
    pub len: u64,
    pub holds: Holds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Data,
    Zero,
}

/// What is to be written.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Data { offset: u64, bytes: Vec<u8> },
    Zero { offset: u64, len: u64 },
}

/// An open image. Offsets are those of the disk it holds.
pub struct ImageReader {
    path: PathBuf,
    size: u64,
    source: Source,
}

enum Source {
    Raw(File),
    Qcow2(Box<FormatAccess<imago::file::File>>),
}

/// Opens an image. A qcow2 that names other files is refused: it could name any file of this machine (row G3).
pub fn open(path: &Path, format: ImageFormat) -> Done<ImageReader> {
    let file = File::open(path).map_err(|e| failed(path, "cannot be opened", e))?;
    let (size, source) = match format {
        ImageFormat::Raw => {
            let meta = file
                .metadata()
                .map_err(|e| failed(path, "cannot be read", e))?;
            (meta.len(), Source::Raw(file))
        }
        ImageFormat::Qcow2 => {
            look_at_header(path, &file)?;
            let access =
                open_qcow2(file).map_err(|e| failed(path, "cannot be read as qcow2", e))?;
            (access.size(), Source::Qcow2(Box::new(access)))
        }
    };
    Ok(ImageReader {
        path: path.to_owned(),
        size,
        source,
    })
}

/// Virtual size and first bytes of a qcow2 image; fewer bytes if it is smaller.
pub fn qcow2_head(path: &Path, bytes: usize) -> Done<(u64, Vec<u8>)> {
    let reader = open(path, ImageFormat::Qcow2)?;
    let len = usize::try_from(reader.size()).map_or(bytes, |size| size.min(bytes));
    let mut head = vec![0; len];
    reader.read_at(0, &mut head)?;
    Ok((reader.size(), head))
}

impl ImageReader {
    /// Bytes of the disk that the image holds.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer`; the image must reach so far.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Done<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.size {
            return Err(DriverError::new(
                Trouble::Conflict,
                format!(
                    "image {}: expected data up to byte {end}, found {} bytes",
                    self.path.display(),
                    self.size
                ),
            ));
        }
        match &self.source {
            Source::Raw(file) => file.read_exact_at(buffer, offset),
            Source::Qcow2(access) => block_on(access.read(buffer, offset)),
        }
        .map_err(|e| failed(&self.path, &format!("cannot be read at byte {offset}"), e))
    }

    /// The extent that begins at `offset`, cut at `end`; `None` at the end.
    fn extent_at(&self, offset: u64, end: u64) -> Done<Option<Extent>> {
        let end = end.min(self.size);
        if offset >= end {
            return Ok(None);
        }
        let (holds, len) = match &self.source {
            Source::Raw(file) => raw_extent(file, offset, end),
            Source::Qcow2(access) => qcow2_extent(access, offset, end),
        }
        .map_err(|e| {
            failed(
                &self.path,
                &format!("has no readable map at byte {offset}"),
                e,
            )
        })?;
        Ok(Some(Extent { offset, len, holds }))
    }

    /// The extents between two offsets, without gaps.
    pub fn extents(&self, start: u64, end: u64) -> impl Iterator<Item = Done<Extent>> + '_ {
        let mut at = start;
        std::iter::from_fn(move || {
            let extent = self.extent_at(at, end).transpose()?;
            // An error ends the walk: there is no telling where to go on.
            at = extent.as_ref().map_or(u64::MAX, |e| e.offset + e.len);
            Some(extent)
        })
    }

    /// What is between two offsets, in order and without gaps, one piece in memory at a time. Blocks of zeroes in data
    /// count as zero.
    pub fn pieces(&self, start: u64, end: u64) -> impl Iterator<Item = Done<Piece>> + '_ {
        let mut extents = self.extents(start, end);
        let mut ready = Vec::new();
        let mut rest: Option<Extent> = None;
        std::iter::from_fn(move || {
            loop {
                if let Some(piece) = ready.pop() {
                    return Some(Ok(piece));
                }
                let extent = match rest.take() {
                    Some(extent) => extent,
                    None => match extents.next()? {
                        Ok(extent) => extent,
                        Err(e) => return Some(Err(e)),
                    },
                };
                let Extent { offset, len, holds } = extent;
                if holds == Holds::Zero {
                    return Some(Ok(Piece::Zero { offset, len }));
                }
                let step = len.min(PIECE_BYTES - offset % PIECE_BYTES);
                if step < len {
                    rest = Some(Extent {
                        offset: offset + step,
                        len: len - step,
                        holds,
                    });
                }
                let mut bytes = vec![0; step as usize];
                if let Err(e) = self.read_at(offset, &mut bytes) {
                    return Some(Err(e));
                }
                ready = split(offset, bytes);
                ready.reverse();
            }
        })
    }
}

/// Data and blocks of zeroes, neighbours of one kind joined.
fn split(offset: u64, bytes: Vec<u8>) -> Vec<Piece> {
    let mut runs: Vec<(Holds, usize)> = Vec::new();
    // Blocks lie on multiples of their size on the disk, not in the buffer.
    let first = (ZERO_BLOCK - offset % ZERO_BLOCK).min(bytes.len() as u64) as usize;
    let (head, tail) = bytes.split_at(first);
    for block in std::iter::once(head).chain(tail.chunks(ZERO_BLOCK as usize)) {
        let holds = if is_zero(block) {
            Holds::Zero
        } else {
            Holds::Data
        };
        match runs.last_mut() {
            Some((kind, len)) if *kind == holds => *len += block.len(),
            Some(_) | None => runs.push((holds, block.len())),
        }
    }
    if let [(Holds::Data, _)] = runs.as_slice() {
        return vec![Piece::Data { offset, bytes }];
    }
    let mut at = 0;
    let piece = |(holds, len): (Holds, usize)| {
        let here = offset + at as u64;
        let part = bytes.get(at..at + len).unwrap_or_default();
        at += len;
        match holds {
            Holds::Data => Piece::Data {
                offset: here,
                bytes: part.to_vec(),
            },
            Holds::Zero => Piece::Zero {
                offset: here,
                len: len as u64,
            },
        }
    };
    runs.into_iter()
        .filter(|(_, len)| *len > 0)
        .map(piece)
        .collect()
}

/// The pieces of something small that is in memory already.
pub fn pieces_of(bytes: &[u8]) -> impl Iterator<Item = Piece> + '_ {
    let chunks = bytes.chunks(PIECE_BYTES as usize).enumerate();
    chunks.flat_map(|(n, chunk)| split(n as u64 * PIECE_BYTES, chunk.to_vec()))
}

/// Whether all bytes are zero, sixteen at a time.
pub fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|w| u128::from_ne_bytes(*w) == 0) && rest.iter().all(|b| *b == 0)
}

fn raw_extent(file: &File, offset: u64, end: u64) -> io::Result<(Holds, u64)> {
    let data = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(at) => at,
        // Nothing but a hole up to the end.
        Err(rustix::io::Errno::NXIO) => end,
        // A file system without holes.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => {
            return Ok((Holds::Data, end - offset));
        }
        Err(e) => return Err(e.into()),
    };
    if data > offset {
        return Ok((Holds::Zero, data.min(end) - offset));
    }
    let hole = rustix::fs::seek(file, SeekFrom::Hole(offset))?;
    if hole <= offset {
        return Err(io::Error::other("the file changes while it is read"));
    }
    Ok((Holds::Data, hole.min(end) - offset))
}

fn qcow2_extent(
    access: &FormatAccess<imago::file::File>,
    offset: u64,
    end: u64,
) -> io::Result<(Holds, u64)> {
    let (mapping, len) = block_on(access.get_mapping(offset, end - offset))?;
    if len == 0 {
        return Err(io::Error::other("its map ends before the disk does"));
    }
    let holds = match mapping {
        Mapping::Zero { .. } => Holds::Zero,
        Mapping::Raw { .. } | Mapping::Special { .. } => Holds::Data,
        // The enum is open; what it may say in another version is read as data, which is always right.
        Mapping::Eof { .. } | _ => Holds::Data,
    };
    Ok((holds, len.min(end - offset)))
}

fn open_qcow2(file: File) -> io::Result<FormatAccess<imago::file::File>> {
    let storage = imago::file::File::try_from(file)?;
    let image = block_on(
        Qcow2::<imago::file::File>::builder(storage).open(DenyImplicitOpenGate::default()),
    )?;
    Ok(FormatAccess::new(image))
}

/// Refuses what must not be followed or cannot be read, in words of its own.
fn look_at_header(path: &Path, file: &File) -> Done<()> {
    let mut header = [0; QCOW2_HEADER];
    // Version 2 has 72 bytes, but no image ends there.
    file.read_exact_at(&mut header, 0)
        .map_err(|e| failed(path, "cannot be read as qcow2", e))?;
    let conflict = |why: &str| {
        Err(DriverError::new(
            Trouble::Conflict,
            format!("image {}: {why}", path.display()),
        ))
    };
    if header[..4] != *QCOW2_MAGIC {
        return conflict("expected qcow2, found something else; correct `format`");
    }
    let u32_at = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if header[8..16] != [0; 8] {
        return conflict(
            "expected a qcow2 that stands alone, found one with a backing file, which could be any file of this machine; \
             flatten it with `qemu-img convert -O qcow2`",
        );
    }
    if u32_at(32) != 0 {
        return conflict(
            "expected a plain qcow2, found an encrypted one; decrypt it with `qemu-img convert`",
        );
    }
    // Bit 2 of the incompatible features of version 3; bits 0 and 1 say that it was not closed well.
    if u32_at(4) >= 3 && u32_at(76) & 4 != 0 {
        return conflict(
            "expected a qcow2 that stands alone, found one with an external data file, which could be any file of this \
             machine; flatten it with `qemu-img convert -O qcow2`",
        );
    }
    if u32_at(4) >= 3 && u32_at(76) & 2 != 0 {
        return conflict(
            "expected a whole qcow2, found one marked as corrupt; repair it with `qemu-img check -r all`",
        );
    }
    Ok(())
}

fn failed(path: &Path, what: &str, error: impl std::fmt::Display) -> DriverError {
    DriverError::new(
        Trouble::Failed,
        format!("image {}: {what}: {error}", path.display()),
    )
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs one of imago's futures to its end on this thread. They do their I/O in place and wait for nothing but locks among
/// themselves, so no runtime is needed, and a thread of a runtime may call this.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
