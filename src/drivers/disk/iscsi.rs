//! Disks by iSCSI: the acts of one write, in their order (design §4).

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::check::{Checker, Look, Written, differs};
use super::content::{self, Contents, HEAD_BYTES, Part};
use super::lun::{BLOCK, COMMAND_BYTES, Finished, Lun, Op};
use crate::drivers::image::reader::Piece;
use crate::drivers::{Disk, DiskJob, Done, DriverError, Progress, Trouble, describe_disk};
use crate::model::recorded::WrittenDisk;
use crate::proto::iscsi::{Digests, Payload};
use crate::units::MIB;

/// Pieces read ahead of the network: with 32 MiB in flight, some 40 MiB in all.
const AHEAD: usize = 8;
const PROGRESS_BYTES: u64 = 8 * MIB;
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

pub struct IscsiDisk {
    /// Images' files are relative to it.
    pub root: PathBuf,
}

#[async_trait]
impl Disk for IscsiDisk {
    async fn write(&self, job: &DiskJob<'_>, progress: &Progress<'_>) -> Done<WrittenDisk> {
        self.run(job, progress).await.map_err(|e| {
            let of = format!("disk {} of {}", describe_disk(job.found), job.plan.node);
            DriverError::new(e.kind, format!("{of}: {}", e.message))
        })
    }
}

impl IscsiDisk {
    async fn run(&self, job: &DiskJob<'_>, progress: &Progress<'_>) -> Done<WrittenDisk> {
        let contents = self.contents(job).await?;
        let stall = Duration::from_secs(u64::from(job.plan.stall_s.max(1)));
        let mut lun = Lun::open(job.target, Digests::Avoid, stall).await?;
        same_disk(&lun, job.found.size)?;
        let Contents {
            head,
            tail,
            parts,
            table,
        } = contents;

        // Nothing half-written can boot: neither the table, nor its backup, nor a loader is there from here on.
        let last_mib = job.found.size.saturating_sub(HEAD_BYTES);
        lun.queue(Op::Zero {
            at: 0,
            len: HEAD_BYTES,
        });
        lun.queue(Op::Zero {
            at: last_mib,
            len: job.found.size - last_mib,
        });
        lun.flush().await?;

        let written = write_parts(&mut lun, parts, progress).await?;
        lun.flush().await?;
        job.agent.settle(&job.plan.node, job.found).await?;
        verify(&mut lun, written, progress).await?;

        // The commit: the backup table first, so that the first MiB is the last thing that is missing.
        let ends = [(job.found.size - tail.len() as u64, tail), (0, head)];
        for (at, bytes) in &ends {
            put(&mut lun, *at, bytes);
            lun.flush().await?;
        }
        job.agent.settle(&job.plan.node, job.found).await?;
        for (at, bytes) in &ends {
            if get(&mut lun, *at, bytes.len() as u64).await? != *bytes {
                // What cannot be trusted must not boot.
                lun.queue(Op::Zero {
                    at: 0,
                    len: HEAD_BYTES,
                });
                lun.flush().await?;
                return differs(
                    *at,
                    bytes.len() as u64,
                    "the partition table that was written",
                );
            }
        }
        lun.log_out().await;
        Ok(WrittenDisk {
            serial: job.found.serial.clone(),
            size: job.found.size,
            table,
        })
    }

    /// Opens the image and makes all that is not in it, before anything is touched: most mistakes show here.
    async fn contents(&self, job: &DiskJob<'_>) -> Done<Contents> {
        let layout = job.plan.layout.clone();
        let image = self.root.join(&job.plan.source);
        let format = job.plan.facts.format;
        let config_drive = job.config_drive.to_vec();
        let disk_bytes = job.found.size;
        blocking(move || {
            content::make(&content::Request {
                layout: &layout,
                image: &image,
                format,
                config_drive: &config_drive,
                disk_bytes,
            })
        })
        .await
    }
}

fn same_disk(lun: &Lun, expected: u64) -> Done<()> {
    if lun.block_bytes() != BLOCK as u32 {
        return Err(DriverError::new(
            Trouble::Conflict,
            format!(
                "expected blocks of {BLOCK} bytes, which images are made for, found {}; nothing was written",
                lun.block_bytes()
            ),
        ));
    }
    if lun.bytes() != Some(expected) {
        return Err(DriverError::new(
            Trouble::Conflict,
            format!(
                "expected the {expected} bytes that the ramdisk reported, found {} exported; nothing was written, plan again",
                lun.bytes().unwrap_or(u64::MAX)
            ),
        ));
    }
    Ok(())
}

fn put(lun: &mut Lun, at: u64, bytes: &[u8]) {
    for (n, chunk) in bytes.chunks(COMMAND_BYTES as usize).enumerate() {
        lun.queue(Op::Write {
            at: at + n as u64 * COMMAND_BYTES,
            data: Payload::new(chunk.to_vec()),
        });
    }
}

async fn get(lun: &mut Lun, at: u64, len: u64) -> Done<Vec<u8>> {
    let mut out = Vec::new();
    while (out.len() as u64) < len {
        let done = out.len() as u64;
        let step = (len - done).min(lun.transfer_max());
        out.extend(lun.read(at + done, step).await?);
    }
    Ok(out)
}

/// Reads and hashes on a thread of its own while this task keeps the network full.
async fn write_parts(lun: &mut Lun, parts: Vec<Part>, progress: &Progress<'_>) -> Done<Written> {
    let total = parts.iter().map(Part::span).sum();
    let (sender, mut pieces) = mpsc::channel(AHEAD);
    let reading = tokio::task::spawn_blocking(move || feed(&parts, &sender));
    let mut meter = Meter::new("write", total, progress);
    let mut more = true;
    while more || !lun.is_idle() {
        tokio::select! {
            biased;
            finished = lun.next(), if !lun.is_idle() && (lun.is_full() || !more || pieces.is_empty()) => {
                if let Finished::Wrote(bytes) = finished? {
                    meter.add(bytes);
                }
            }
            piece = pieces.recv(), if more && !lun.is_full() => match piece {
                Some(Piece::Data { offset, bytes }) => {
                    lun.queue(Op::Write { at: offset, data: Payload::new(bytes) });
                }
                Some(Piece::Zero { offset, len }) => lun.queue(Op::Zero { at: offset, len }),
                None => more = false,
            }
        }
    }
    meter.end();
    reading.await.map_err(|e| died(&e))?
}

fn feed(parts: &[Part], sender: &mpsc::Sender<Piece>) -> Done<Written> {
    let mut written = Written::default();
    for part in parts {
        part.feed(|piece| {
            written.note(&piece);
            // The other side is gone when the write has failed; its error is the one that counts.
            sender.blocking_send(piece).is_ok()
        })?;
    }
    written.close();
    Ok(written)
}

/// Reads everything back in order, many reads in flight, hashing on a thread of its own.
async fn verify(lun: &mut Lun, written: Written, progress: &Progress<'_>) -> Done<()> {
    let mut meter = Meter::new("verify", written.data_bytes(), progress);
    let (sender, mut read) = mpsc::channel::<(Look, Vec<u8>)>(AHEAD);
    let checking = tokio::task::spawn_blocking(move || {
        let mut checker = Checker::default();
        while let Some((look, data)) = read.blocking_recv() {
            checker.take(&look, &data)?;
        }
        Done::Ok(())
    });
    let mut looks = written.reads(lun.transfer_max());
    // Reads end in any order and are hashed in theirs.
    let mut order = VecDeque::new();
    let mut early = BTreeMap::new();
    let mut next_id = 0u64;
    let mut gone = false;
    loop {
        while !gone && order.len() < super::lun::DEPTH {
            let Some(look) = looks.next() else {
                break;
            };
            lun.queue(Op::Read {
                id: next_id,
                at: look.at,
                len: look.len,
            });
            order.push_back((next_id, look));
            next_id += 1;
        }
        if lun.is_idle() {
            break;
        }
        if let Finished::Read { id, data } = lun.next().await? {
            early.insert(id, data);
        }
        while let Some((id, look)) = order.front()
            && let Some(data) = early.remove(id)
        {
            meter.add(look.len);
            // A checker that is gone has found a fault: no more reads, and its error below.
            gone |= sender.send((*look, data)).await.is_err();
            order.pop_front();
        }
    }
    drop(sender);
    checking.await.map_err(|e| died(&e))??;
    meter.end();
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Done<T> + Send + 'static) -> Done<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| died(&e))?
}

fn died(error: &tokio::task::JoinError) -> DriverError {
    DriverError::new(
        Trouble::Failed,
        format!("a thread of the write died: {error}"),
    )
}

/// Progress at a pace a terminal can follow.
struct Meter<'a> {
    phase: &'static str,
    done: u64,
    total: u64,
    said: (u64, Instant),
    say: &'a Progress<'a>,
}

impl<'a> Meter<'a> {
    fn new(phase: &'static str, total: u64, say: &'a Progress<'a>) -> Meter<'a> {
        say(phase, 0, total);
        Meter {
            phase,
            done: 0,
            total,
            said: (0, Instant::now()),
            say,
        }
    }

    fn add(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes).min(self.total);
        let (said, at) = self.said;
        if self.done - said >= PROGRESS_BYTES || at.elapsed() >= PROGRESS_EVERY {
            (self.say)(self.phase, self.done, self.total);
            self.said = (self.done, Instant::now());
        }
    }

    fn end(self) {
        (self.say)(self.phase, self.total, self.total);
    }
}
