//! What a logical unit says: whether it is ready, what it answers, how it can be made to read as zero.

use std::time::Duration;

use super::connection::{Connection, Fault};
use crate::drivers::{DriverError, Trouble};
use crate::proto::iscsi::scsi::{self, Capacity, Provisioning};
use crate::proto::iscsi::{Command, Completion, Transfer};

/// Of the ramdisk's target (docs/design/0001) and of tgt in general, whose LUN 0 is its controller.
pub const LUN: u8 = 1;
/// Answers to one command that say "later" or "again", at most one each `AGAIN_MS`.
pub const AGAIN_MAX: u32 = 100;
pub const AGAIN_MS: u64 = 100;

/// Ways to make blocks read as zero, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zeroing {
    /// WRITE SAME with the unmap bit: unmaps what can be and writes the rest, so that all of it reads as zero.
    SameUnmap,
    /// UNMAP, where unmapped blocks are promised to read as zero (LBPRZ).
    Unmap,
    Same,
    Wire,
}

/// UNMAP is a hint: a target may leave blocks as they are, and may skip what is smaller than its granularity. WRITE SAME with
/// the unmap bit is an order, so it comes first where it is offered.
pub fn choose(capacity: &Capacity, provisioning: Provisioning) -> Zeroing {
    if !capacity.unmapped_reads_zero {
        Zeroing::Same
    } else if provisioning.by_write_same {
        Zeroing::SameUnmap
    } else if provisioning.by_unmap {
        Zeroing::Unmap
    } else {
        Zeroing::Same
    }
}

pub fn worse(than: Zeroing) -> Option<Zeroing> {
    match than {
        Zeroing::SameUnmap | Zeroing::Unmap => Some(Zeroing::Same),
        Zeroing::Same => Some(Zeroing::Wire),
        Zeroing::Wire => None,
    }
}

pub fn outcome(completion: &Completion) -> String {
    match (completion.status, completion.sense) {
        (_, Some(sense)) => format!("the disk says {sense}"),
        (Some(0), None) => format!(
            "the disk did {} bytes less, and gave {}",
            completion.missing,
            completion.data.len()
        ),
        (Some(status), None) => format!("the disk says status 0x{status:02x}"),
        (None, None) => "the target failed".to_owned(),
    }
}

/// The first command of a session gets UNIT ATTENTION 29/00; it and whatever stands behind it are read off here.
pub async fn until_ready(connection: &mut Connection) -> Result<(), Fault> {
    for _ in 0..AGAIN_MAX {
        let answer = connection
            .command(Command {
                lun: LUN,
                cdb: scsi::TEST_UNIT_READY,
                transfer: Transfer::None,
            })
            .await?;
        match answer.sense {
            _ if answer.is_good() => return Ok(()),
            Some(sense) if sense.is_unit_attention() => {}
            Some(sense) if sense.is_becoming_ready() => {
                tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
            }
            None if answer.is_busy() => {
                tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
            }
            Some(_) | None => {
                let message = format!("the disk is not ready: {}", outcome(&answer));
                return Err(Fault::Hopeless(DriverError::new(Trouble::Failed, message)));
            }
        }
    }
    Err(Fault::Hopeless(DriverError::new(
        Trouble::TimedOut,
        "the disk does not become ready",
    )))
}

pub async fn ask(connection: &mut Connection, cdb: scsi::Cdb, len: u32) -> Result<Vec<u8>, Fault> {
    let answer = connection
        .command(Command {
            lun: LUN,
            cdb,
            transfer: Transfer::Read(len),
        })
        .await?;
    if answer.is_good() {
        return Ok(answer.data);
    }
    Err(Fault::Hopeless(DriverError::new(
        Trouble::Failed,
        format!(
            "question 0x{:02x} to the disk: {}",
            cdb[0],
            outcome(&answer)
        ),
    )))
}
