//! What was written, and whether it reads back the same.
//!
//! Checked: every byte of data, by a SHA-256 over each run of it; and of each stretch of zeroes its first and last 64 KiB
//! (all of it up to 128 KiB), which tells a target that does not zero, or not up to its ends, from one that does. Reading
//! back whole stretches of zeroes would cost as much as writing them on the wire.

use sha2::{Digest, Sha256};

use super::lun::BLOCK;
use crate::drivers::image::reader::{Piece, is_zero};
use crate::drivers::{Done, DriverError, Trouble};

/// A digest covers at most so much: says where a fault is, and bounds what is remembered (32 bytes a run).
const RUN_BYTES: u64 = 16 * 1024 * 1024;
const SAMPLE_BYTES: u64 = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub at: u64,
    pub len: u64,
    /// Half a SHA-256: chance does not meet it.
    digest: [u8; 16],
}

/// What was written, in order.
#[derive(Default)]
pub struct Written {
    pub runs: Vec<Run>,
    /// Stretches of zeroes: places and lengths.
    pub zeroes: Vec<(u64, u64)>,
    open: Option<(u64, u64, Sha256)>,
}

impl Written {
    pub fn note(&mut self, piece: &Piece) {
        match piece {
            Piece::Data { offset, bytes } => {
                let len = bytes.len() as u64;
                let goes_on = self.open.as_ref().is_some_and(|(at, so_far, _)| {
                    at + so_far == *offset && so_far + len <= RUN_BYTES
                });
                if !goes_on {
                    self.close();
                }
                let (_, so_far, hash) =
                    self.open.get_or_insert_with(|| (*offset, 0, Sha256::new()));
                hash.update(bytes);
                *so_far += len;
            }
            Piece::Zero { offset, len } => match self.zeroes.last_mut() {
                Some((at, so_far)) if *at + *so_far == *offset => *so_far += len,
                Some(_) | None => self.zeroes.push((*offset, *len)),
            },
        }
    }

    pub fn close(&mut self) {
        if let Some((at, len, hash)) = self.open.take() {
            let digest = half(hash);
            self.runs.push(Run { at, len, digest });
        }
    }

    pub fn data_bytes(&self) -> u64 {
        self.runs.iter().map(|r| r.len).sum()
    }

    /// What is to be read back, in order, in reads of at most `most` bytes.
    pub fn reads(&self, most: u64) -> impl Iterator<Item = Look> + '_ {
        let runs = self.runs.iter().flat_map(move |run| {
            steps(run.at, run.len, most).map(move |(at, len)| Look {
                at,
                len,
                what: if at + len == run.at + run.len {
                    Expect::EndOf(*run)
                } else {
                    Expect::Data
                },
            })
        });
        let zeroes = self.zeroes.iter().flat_map(move |(at, len)| {
            let head = SAMPLE_BYTES.min(*len);
            let tail = SAMPLE_BYTES.min(*len - head);
            let ends = [(*at, head), (at + len - tail, tail)];
            ends.into_iter()
                .flat_map(move |(at, len)| steps(at, len, most))
                .map(|(at, len)| Look {
                    at,
                    len,
                    what: Expect::Zero,
                })
        });
        runs.chain(zeroes)
    }
}

fn steps(at: u64, len: u64, most: u64) -> impl Iterator<Item = (u64, u64)> {
    let most = most.max(BLOCK);
    (0..len.div_ceil(most)).map(move |n| (at + n * most, most.min(len - n * most)))
}

/// One read of the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub at: u64,
    pub len: u64,
    what: Expect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Data,
    EndOf(Run),
    Zero,
}

/// Takes what was read, in the order of [`Written::reads`].
#[derive(Default)]
pub struct Checker {
    hash: Sha256,
}

impl Checker {
    pub fn take(&mut self, look: &Look, data: &[u8]) -> Done<()> {
        match look.what {
            Expect::Zero if is_zero(data) => Ok(()),
            Expect::Zero => differs(look.at, look.len, "zeroes"),
            Expect::Data => {
                self.hash.update(data);
                Ok(())
            }
            Expect::EndOf(run) => {
                self.hash.update(data);
                if half(std::mem::take(&mut self.hash)) == run.digest {
                    Ok(())
                } else {
                    differs(run.at, run.len, "what was written")
                }
            }
        }
    }
}

/// The error of a disk that does not keep what it is given.
pub fn differs<T>(at: u64, len: u64, expected: &str) -> Done<T> {
    Err(DriverError::new(
        Trouble::Failed,
        format!(
            "verify: expected {expected} in the {len} bytes at byte {at}, found something else: the disk, its controller or \
             its cable do not keep data; replace the disk before another deployment"
        ),
    ))
}

fn half(hash: Sha256) -> [u8; 16] {
    let mut out = [0; 16];
    for (place, byte) in out.iter_mut().zip(hash.finalize().iter()) {
        *place = *byte;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_and_a_byte_in_zeroes_are_found() {
        let mut written = Written::default();
        for offset in [0, 1 << 20, 8 << 20] {
            let bytes = vec![offset as u8 | 5; 1 << 20];
            written.note(&Piece::Data { offset, bytes });
        }
        let (offset, len) = (2 << 20, 6 << 20);
        written.note(&Piece::Zero { offset, len });
        written.close();
        assert_eq!(written.runs.len(), 2);
        let disk = |bad: Option<u64>| {
            let mut checker = Checker::default();
            written.reads(512 * 1024).try_for_each(|look| {
                let fill = if look.what == Expect::Zero { 0 } else { 5 };
                let mut data = vec![fill; look.len as usize];
                if let Some(at) = bad.filter(|b| (look.at..look.at + look.len).contains(b)) {
                    data[(at - look.at) as usize] ^= 1;
                }
                checker.take(&look, &data)
            })
        };
        assert!(disk(None).is_ok());
        for bad in [0, (2 << 20) - 1, 2 << 20, (8 << 20) - 1, 8 << 20] {
            assert!(disk(Some(bad)).is_err(), "{bad}");
        }
    }
}
