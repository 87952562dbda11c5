//! A disk at the other end of a connection: a queue of reads, writes and zeroing in bytes, which outlives its connections.
//!
//! Everything here can be done twice with the same result, so that what was in flight when a connection broke is sent again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::connection::{Connection, Fault};
pub use super::unit::Zeroing;
use super::unit::{AGAIN_MAX, AGAIN_MS, LUN, ask, choose, outcome, until_ready, worse};
use crate::drivers::{Done, DriverError, IscsiTarget, Trouble};
use crate::proto::iscsi::scsi::{self, BlockLimits, Capacity, Page, Provisioning, Same};
use crate::proto::iscsi::{Command, Completion, Digests, Payload, Tag, Transfer};

/// The one block size that images and their tables are made for.
pub const BLOCK: u64 = 512;
/// Depth decides the rate on a real network: 1 MiB × 1, 8, 32 gave 59, 417, 1258 MiB/s at 1 ms.
pub const DEPTH: usize = 32;
pub const COMMAND_BYTES: u64 = 1024 * 1024;
/// One UNMAP or WRITE SAME: small enough to end well within any stall limit on a disk that writes them out.
const UNMAP_BYTES: u64 = 1024 * 1024 * 1024;
const SAME_BYTES: u64 = 32 * 1024 * 1024;
/// Connections in a row that get nothing done.
const RECONNECTS_MAX: u32 = 5;
const RECONNECT_MS_MIN: u64 = 200;
#[derive(Debug, Clone)]
pub enum Op {
    Write { at: u64, data: Payload },
    Zero { at: u64, len: u64 },
    Read { id: u64, at: u64, len: u64 },
    Flush,
}

/// What came of an [`Op`]; a large one ends in parts.
#[derive(Debug)]
pub enum Finished {
    Wrote(u64),
    Read { id: u64, data: Vec<u8> },
    Flushed,
}

struct Pending {
    op: Op,
    tries: u32,
    /// How zeroing was tried, so that several that fail together are one failure of one way.
    by: Zeroing,
}

enum Verdict {
    Done(Finished),
    Again,
    Later,
}

pub struct Lun {
    target: IscsiTarget,
    digests: Digests,
    isid: [u8; 6],
    stall: Duration,
    connection: Option<Connection>,
    capacity: Capacity,
    limits: BlockLimits,
    zeroing: Zeroing,
    zero_block: Payload,
    zeroes: Payload,
    in_flight: BTreeMap<Tag, Pending>,
    waiting: VecDeque<Pending>,
    lost_in_a_row: u32,
}

impl Lun {
    /// Logs in and asks the disk what it is.
    pub async fn open(target: &IscsiTarget, digests: Digests, stall: Duration) -> Done<Lun> {
        let mut random = [0; 3];
        getrandom::fill(&mut random).map_err(|e| {
            DriverError::new(
                Trouble::Failed,
                format!("the system gives no randomness: {e}"),
            )
        })?;
        let [a, b, c] = random;
        let mut lun = Lun {
            target: target.clone(),
            digests,
            // The random format of RFC 7143 §11.12.5.
            isid: [0x80, a, b, c, 0, 0],
            stall,
            connection: None,
            capacity: Capacity {
                blocks: 0,
                block_bytes: 0,
                unmapped_reads_zero: false,
            },
            limits: BlockLimits::default(),
            zeroing: Zeroing::Wire,
            zero_block: Payload::new(vec![0; BLOCK as usize]),
            zeroes: Payload::new(vec![0; COMMAND_BYTES as usize]),
            in_flight: BTreeMap::new(),
            waiting: VecDeque::new(),
            lost_in_a_row: 0,
        };
        while lun.connection.is_none() {
            lun.reconnect().await?;
        }
        Ok(lun)
    }

    pub fn bytes(&self) -> Option<u64> {
        self.capacity.bytes()
    }

    pub fn block_bytes(&self) -> u32 {
        self.capacity.block_bytes
    }

    pub fn is_full(&self) -> bool {
        self.in_flight.len() + self.waiting.len() >= DEPTH
    }

    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.waiting.is_empty()
    }

    /// Takes work. Positions and lengths are multiples of a block; a write is at most [`COMMAND_BYTES`].
    pub fn queue(&mut self, op: Op) {
        if self.is_idle()
            && let Some(connection) = &mut self.connection
        {
            connection.touch();
        }
        let by = self.zeroing;
        self.waiting.push_back(Pending { op, tries: 0, by });
    }

    /// Does all that is queued; what is read is lost.
    pub async fn drain(&mut self) -> Done<()> {
        while !self.is_idle() {
            self.next().await?;
        }
        Ok(())
    }

    pub async fn flush(&mut self) -> Done<()> {
        self.drain().await?;
        self.queue(Op::Flush);
        self.drain().await
    }

    /// Reads up to [`COMMAND_BYTES`] on an idle queue.
    pub async fn read(&mut self, at: u64, len: u64) -> Done<Vec<u8>> {
        let mut out = Vec::new();
        self.queue(Op::Read { id: 0, at, len });
        while !self.is_idle() {
            if let Finished::Read { data, .. } = self.next().await? {
                out.extend(data);
            }
        }
        Ok(out)
    }

    /// The next thing that is done. There must be work. May be dropped and called again.
    pub async fn next(&mut self) -> Done<Finished> {
        loop {
            match self.step().await {
                Ok(Some(finished)) => {
                    self.lost_in_a_row = 0;
                    return Ok(finished);
                }
                Ok(None) => {}
                Err(Fault::Hopeless(error)) => return Err(error),
                Err(Fault::Lost(why)) => self.lose(&why)?,
            }
        }
    }

    pub async fn log_out(mut self) {
        // Best effort: the export ends right after it, with or without our goodbye.
        if let Some(connection) = self.connection.take() {
            let _ = connection.log_out().await;
        }
    }

    async fn step(&mut self) -> Result<Option<Finished>, Fault> {
        if self.connection.is_none() {
            self.reconnect().await.map_err(Fault::Hopeless)?;
            return Ok(None);
        }
        self.start_waiting()?;
        let Some(connection) = &mut self.connection else {
            return Ok(None);
        };
        let (tag, completion) = connection.next_done().await?;
        let Some(pending) = self.in_flight.remove(&tag) else {
            return Ok(None);
        };
        match self.judge(pending, completion)? {
            Verdict::Done(finished) => Ok(Some(finished)),
            Verdict::Again => Ok(None),
            Verdict::Later => {
                // The work is queued again already: this wait may be dropped.
                tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
                Ok(None)
            }
        }
    }

    fn start_waiting(&mut self) -> Result<(), Fault> {
        while self.in_flight.len() < DEPTH {
            let Some(mut pending) = self.waiting.pop_front() else {
                break;
            };
            if let Some(rest) = self.cut(&mut pending.op) {
                self.waiting.push_front(Pending {
                    op: rest,
                    tries: 0,
                    by: self.zeroing,
                });
            }
            pending.by = self.zeroing;
            let command = self.command(&pending.op);
            let Some(connection) = &mut self.connection else {
                self.waiting.push_front(pending);
                break;
            };
            let tag = connection.submit(command)?;
            self.in_flight.insert(tag, pending);
        }
        Ok(())
    }

    /// Shortens an operation to one command and gives the rest.
    fn cut(&self, op: &mut Op) -> Option<Op> {
        let transfer = self.transfer_max();
        match op {
            Op::Write { at, data } if data.len() as u64 > transfer => {
                let rest = Op::Write {
                    at: *at + transfer,
                    data: data.part(transfer as usize..data.len()),
                };
                *data = data.part(0..transfer as usize);
                Some(rest)
            }
            Op::Zero { at, len } => {
                let most = self.zeroing_max();
                (*len > most).then(|| {
                    let rest = Op::Zero {
                        at: *at + most,
                        len: *len - most,
                    };
                    *len = most;
                    rest
                })
            }
            // Reads are made to fit by their caller, who counts them: see `transfer_max`.
            Op::Write { .. } | Op::Read { .. } | Op::Flush => None,
        }
    }

    /// Bytes of one read or write.
    pub fn transfer_max(&self) -> u64 {
        let given = self
            .limits
            .transfer
            .map_or(COMMAND_BYTES, |b| u64::from(b) * BLOCK);
        given.min(COMMAND_BYTES)
    }

    fn zeroing_max(&self) -> u64 {
        let of = |blocks: Option<u64>, most: u64| {
            blocks.map_or(most, |b| b.saturating_mul(BLOCK).min(most))
        };
        match self.zeroing {
            Zeroing::Unmap => of(self.limits.unmap.map(u64::from), UNMAP_BYTES),
            Zeroing::SameUnmap => of(self.limits.write_same, UNMAP_BYTES),
            Zeroing::Same => of(self.limits.write_same, SAME_BYTES),
            Zeroing::Wire => self.transfer_max(),
        }
    }

    fn command(&self, op: &Op) -> Command {
        // Lengths are cut to what a command takes, which is far from 2^32 blocks.
        let blocks = |len: u64| u32::try_from(len / BLOCK).unwrap_or(u32::MAX);
        let (cdb, transfer) = match op {
            Op::Write { at, data } => (
                scsi::write(at / BLOCK, blocks(data.len() as u64)),
                Transfer::Write(data.clone()),
            ),
            Op::Read { at, len, .. } => (
                scsi::read(at / BLOCK, blocks(*len)),
                Transfer::Read(u32::try_from(*len).unwrap_or(0)),
            ),
            Op::Flush => (scsi::SYNCHRONIZE_CACHE, Transfer::None),
            Op::Zero { at, len } => match self.zeroing {
                Zeroing::SameUnmap | Zeroing::Same => {
                    let how = match self.zeroing {
                        Zeroing::SameUnmap => Same::Unmap,
                        Zeroing::Unmap | Zeroing::Same | Zeroing::Wire => Same::Write,
                    };
                    (
                        scsi::write_same(at / BLOCK, blocks(*len), how),
                        Transfer::Write(self.zero_block.clone()),
                    )
                }
                Zeroing::Unmap => {
                    let (cdb, list) = scsi::unmap(at / BLOCK, blocks(*len));
                    (cdb, Transfer::Write(Payload::new(list.to_vec())))
                }
                Zeroing::Wire => (
                    scsi::write(at / BLOCK, blocks(*len)),
                    Transfer::Write(self.zeroes.part(0..*len as usize)),
                ),
            },
        };
        Command {
            lun: LUN,
            cdb,
            transfer,
        }
    }

    /// What a completion means: done, again, another way, or the end.
    fn judge(&mut self, mut pending: Pending, completion: Completion) -> Result<Verdict, Fault> {
        let read = match &pending.op {
            Op::Read { len, .. } => *len,
            Op::Write { .. } | Op::Zero { .. } | Op::Flush => 0,
        };
        let whole = completion.missing == 0 && completion.data.len() as u64 == read;
        if completion.is_good() && whole {
            return Ok(Verdict::Done(match pending.op {
                Op::Write { data, .. } => Finished::Wrote(data.len() as u64),
                Op::Zero { len, .. } => Finished::Wrote(len),
                Op::Read { id, .. } => Finished::Read {
                    id,
                    data: completion.data,
                },
                Op::Flush => Finished::Flushed,
            }));
        }
        let later = completion.is_busy()
            || completion
                .sense
                .is_some_and(|s| s.is_unit_attention() || s.is_becoming_ready() || s.key == 0xB);
        if later && pending.tries < AGAIN_MAX {
            pending.tries += 1;
            let verdict = if pending.tries > 1 {
                Verdict::Later
            } else {
                Verdict::Again
            };
            self.waiting.push_front(pending);
            return Ok(verdict);
        }
        if let Op::Zero { .. } = pending.op
            && let Some(next) = worse(pending.by)
        {
            if self.zeroing == pending.by {
                tracing::debug!(from = ?pending.by, to = ?next, why = outcome(&completion), "the target does not zero this way");
                self.zeroing = next;
            }
            self.waiting.push_front(pending);
            return Ok(Verdict::Again);
        }
        Err(Fault::Hopeless(DriverError::new(
            Trouble::Failed,
            format!("{}: {}", describe(&pending.op), outcome(&completion)),
        )))
    }

    /// What was in flight is done again, in its old order, before anything new.
    fn lose(&mut self, why: &str) -> Done<()> {
        self.connection = None;
        for (_, pending) in std::mem::take(&mut self.in_flight).into_iter().rev() {
            self.waiting.push_front(pending);
        }
        self.lost_in_a_row += 1;
        tracing::warn!(target = %self.target.iqn, why, lost = self.lost_in_a_row, "iSCSI connection lost");
        if self.lost_in_a_row > RECONNECTS_MAX {
            return Err(DriverError::new(
                Trouble::Silent,
                format!(
                    "iSCSI connection to {}: {why}; tried {RECONNECTS_MAX} times to get it back",
                    self.target.portal
                ),
            ));
        }
        Ok(())
    }

    async fn reconnect(&mut self) -> Done<()> {
        if self.lost_in_a_row > 0 {
            let wait = RECONNECT_MS_MIN << self.lost_in_a_row.min(RECONNECTS_MAX);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        match self.log_in().await {
            Ok(connection) => {
                self.connection = Some(connection);
                Ok(())
            }
            Err(Fault::Lost(why)) => self.lose(&why),
            Err(Fault::Hopeless(error)) => Err(error),
        }
    }

    async fn log_in(&mut self) -> Result<Connection, Fault> {
        let mut connection =
            Connection::open(&self.target, self.digests, self.isid, self.stall).await?;
        until_ready(&mut connection).await?;
        let answer = ask(&mut connection, scsi::READ_CAPACITY, scsi::CAPACITY_BYTES).await?;
        let capacity = Capacity::parse(&answer).ok_or_else(|| {
            Fault::Hopeless(DriverError::new(
                Trouble::Failed,
                "the target does not say its capacity",
            ))
        })?;
        if self.capacity.blocks == 0 {
            self.learn(&mut connection, capacity).await?;
        } else if capacity != self.capacity {
            return Err(Fault::Hopeless(DriverError::new(
                Trouble::Conflict,
                format!(
                    "expected the disk of {} blocks again after a lost connection, found {}",
                    self.capacity.blocks, capacity.blocks
                ),
            )));
        }
        Ok(connection)
    }

    async fn learn(
        &mut self,
        connection: &mut Connection,
        capacity: Capacity,
    ) -> Result<(), Fault> {
        // Pages are optional: a target without them refuses, and nothing follows from that.
        let size = u32::from(scsi::INQUIRY_BYTES);
        let mut page = async |page| match ask(connection, scsi::inquiry(page), size).await {
            Err(Fault::Hopeless(e)) if e.kind == Trouble::Failed => Ok(Vec::new()),
            other => other,
        };
        self.limits = BlockLimits::parse(&page(Page::BlockLimits).await?);
        let provisioning = Provisioning::parse(&page(Page::Provisioning).await?);
        self.zeroing = choose(&capacity, provisioning);
        self.capacity = capacity;
        Ok(())
    }
}

fn describe(op: &Op) -> String {
    match op {
        Op::Write { at, data } => format!("write of {} bytes at byte {at}", data.len()),
        Op::Zero { at, len } => format!("zeroing of {len} bytes at byte {at}"),
        Op::Read { at, len, .. } => format!("read of {len} bytes at byte {at}"),
        Op::Flush => "flush".to_owned(),
    }
}

#[cfg(test)]
impl Lun {
    pub fn agreed(&self) -> Option<crate::proto::iscsi::Negotiated> {
        self.connection.as_ref().map(Connection::agreed)
    }

    pub fn zeroing(&self) -> Zeroing {
        self.zeroing
    }

    pub fn set_zeroing(&mut self, way: Zeroing) {
        self.zeroing = way;
    }
}
