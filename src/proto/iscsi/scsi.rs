//! SCSI commands and sense data (SBC-3, SPC-4), as many as writing a disk takes. Block addresses and counts are in the
//! target's blocks.

use std::fmt;

pub type Cdb = [u8; 16];

pub const TEST_UNIT_READY: Cdb = [0; 16];
/// Bytes of the answer to [`READ_CAPACITY`].
pub const CAPACITY_BYTES: u32 = 32;
/// READ CAPACITY(16): SERVICE ACTION IN with service action 0x10.
pub const READ_CAPACITY: Cdb = {
    let mut cdb = [0; 16];
    cdb[0] = 0x9E;
    cdb[1] = 0x10;
    cdb[13] = CAPACITY_BYTES as u8;
    cdb
};
/// SYNCHRONIZE CACHE(16) of everything.
pub const SYNCHRONIZE_CACHE: Cdb = {
    let mut cdb = [0; 16];
    cdb[0] = 0x91;
    cdb
};
/// Bytes of an inquiry's answer that are asked for; every target gives at most as many as it has.
pub const INQUIRY_BYTES: u16 = 252;

/// Pages of vital product data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    Serial = 0x80,
    BlockLimits = 0xB0,
    Provisioning = 0xB2,
}

pub fn inquiry(page: Page) -> Cdb {
    let mut cdb = [0; 16];
    cdb[0] = 0x12;
    cdb[1] = 1;
    cdb[2] = page as u8;
    cdb[3..5].copy_from_slice(&INQUIRY_BYTES.to_be_bytes());
    cdb
}

pub fn read(lba: u64, blocks: u32) -> Cdb {
    addressed(0x88, lba, blocks)
}

pub fn write(lba: u64, blocks: u32) -> Cdb {
    addressed(0x8A, lba, blocks)
}

/// What WRITE SAME does with its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Same {
    Write,
    /// Unmap where that reads as the same; write the rest.
    Unmap,
}

/// WRITE SAME(16); its data is one block.
pub fn write_same(lba: u64, blocks: u32, how: Same) -> Cdb {
    let mut cdb = addressed(0x93, lba, blocks);
    if how == Same::Unmap {
        cdb[1] = 0x08;
    }
    cdb
}

/// UNMAP of one range and its parameter list. A count of 0 is legal SCSI, but tgt refuses it: never ask for it.
pub fn unmap(lba: u64, blocks: u32) -> (Cdb, [u8; 24]) {
    debug_assert!(blocks > 0);
    let mut cdb = [0; 16];
    cdb[0] = 0x42;
    cdb[8] = 24;
    let mut list = [0; 24];
    list[1] = 22;
    list[3] = 16;
    list[8..16].copy_from_slice(&lba.to_be_bytes());
    list[16..20].copy_from_slice(&blocks.to_be_bytes());
    (cdb, list)
}

fn addressed(opcode: u8, lba: u64, blocks: u32) -> Cdb {
    let mut cdb = [0; 16];
    cdb[0] = opcode;
    cdb[2..10].copy_from_slice(&lba.to_be_bytes());
    cdb[10..14].copy_from_slice(&blocks.to_be_bytes());
    cdb
}

/// What READ CAPACITY(16) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    pub blocks: u64,
    pub block_bytes: u32,
    /// LBPME and LBPRZ: blocks can be unmapped, and read as zeroes then.
    pub unmapped_reads_zero: bool,
}

impl Capacity {
    pub fn parse(data: &[u8]) -> Option<Capacity> {
        let last = u64::from_be_bytes(*data.first_chunk()?);
        Some(Capacity {
            blocks: last.checked_add(1)?,
            block_bytes: u32_at(data, 8)?,
            unmapped_reads_zero: data.get(14)? & 0xC0 == 0xC0,
        })
    }

    /// `None` when it does not fit, which no real disk does.
    pub fn bytes(&self) -> Option<u64> {
        self.blocks.checked_mul(u64::from(self.block_bytes))
    }
}

/// Blocks in one command; 0 in the page means no limit is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockLimits {
    pub transfer: Option<u32>,
    pub unmap: Option<u32>,
    pub write_same: Option<u64>,
}

impl BlockLimits {
    /// From page 0xB0; a short page, or one of something else, limits nothing.
    pub fn parse(page: &[u8]) -> BlockLimits {
        if page.get(1) != Some(&(Page::BlockLimits as u8)) {
            return BlockLimits::default();
        }
        let given = |at| u32_at(page, at).filter(|n| *n > 0);
        BlockLimits {
            transfer: given(8),
            // All ones say "no limit"; 0 would say "no UNMAP", which LBPU says better.
            unmap: given(20),
            write_same: page
                .get(36..44)
                .and_then(|b| b.first_chunk())
                .map(|b| u64::from_be_bytes(*b))
                .filter(|n| *n > 0),
        }
    }
}

/// How blocks may be unmapped, from page 0xB2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Provisioning {
    pub by_unmap: bool,
    pub by_write_same: bool,
}

impl Provisioning {
    pub fn parse(page: &[u8]) -> Provisioning {
        let flags = match page.get(1) {
            Some(code) if *code == Page::Provisioning as u8 => page.get(5).copied().unwrap_or(0),
            Some(_) | None => 0,
        };
        Provisioning {
            by_unmap: flags & 0x80 != 0,
            by_write_same: flags & 0x40 != 0,
        }
    }
}

/// The serial number of page 0x80.
pub fn serial(page: &[u8]) -> Option<String> {
    if page.get(1) != Some(&(Page::Serial as u8)) {
        return None;
    }
    let len = usize::from(u16::from_be_bytes([*page.get(2)?, *page.get(3)?]));
    let text = page.get(4..)?.get(..len).or(page.get(4..))?;
    Some(String::from_utf8_lossy(text).trim().to_owned())
}

/// Why a command ended with CHECK CONDITION.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sense {
    pub key: u8,
    pub asc: u8,
    pub ascq: u8,
}

impl Sense {
    /// Fixed (0x70, 0x71) and descriptor (0x72, 0x73) forms; what is too short says nothing.
    pub fn parse(data: &[u8]) -> Option<Sense> {
        let at = |i: usize| data.get(i).copied();
        let (key, asc, ascq) = match at(0)? & 0x7F {
            0x70 | 0x71 => (at(2)?, at(12).unwrap_or(0), at(13).unwrap_or(0)),
            0x72 | 0x73 => (at(1)?, at(2)?, at(3)?),
            _ => return None,
        };
        Some(Sense {
            key: key & 0x0F,
            asc,
            ascq,
        })
    }

    /// Something happened to the unit, such as our own login (29/00): ask again.
    pub fn is_unit_attention(&self) -> bool {
        self.key == 6
    }

    /// The unit is becoming ready (02/04/01).
    pub fn is_becoming_ready(&self) -> bool {
        (self.key, self.asc, self.ascq) == (2, 4, 1)
    }
}

impl fmt::Display for Sense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.key {
            1 => "recovered error",
            2 => "not ready",
            3 => "medium error",
            4 => "hardware error",
            5 => "illegal request",
            6 => "unit attention",
            7 => "data protect",
            0xB => "aborted command",
            _ => "sense",
        };
        let Sense { key, asc, ascq } = self;
        write!(f, "{name} ({key:x}/{asc:02x}/{ascq:02x})")
    }
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?
        .first_chunk()
        .map(|b| u32::from_be_bytes(*b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sense_has_two_forms() {
        let mut fixed = [0u8; 18];
        (fixed[0], fixed[2], fixed[12]) = (0x70, 6, 0x29);
        let sense = Sense::parse(&fixed).unwrap();
        assert!(sense.is_unit_attention());
        assert_eq!(sense.to_string(), "unit attention (6/29/00)");
        assert_eq!(Sense::parse(&[0x72, 6, 0x29, 0]), Some(sense));
        assert_eq!(Sense::parse(&[0x70]), None);
    }

    #[test]
    fn capacity_counts_from_the_last_block() {
        let mut data = [0u8; 32];
        data[7] = 99;
        data[10] = 2;
        data[14] = 0xC0;
        let capacity = Capacity::parse(&data).unwrap();
        assert_eq!(capacity.bytes(), Some(100 * 512));
        assert!(capacity.unmapped_reads_zero);
        assert_eq!(Capacity::parse(&[0xFF; 32]), None);
    }

    #[test]
    fn commands_stand_as_in_sbc() {
        assert_eq!(
            hex::encode(write(0x0102, 8)),
            "8a000000000000000102000000080000"
        );
        let (cdb, list) = unmap(5, 7);
        assert_eq!(hex::encode(cdb), "42000000000000001800000000000000");
        assert_eq!(
            hex::encode(list),
            "001600100000000000000000000000050000000700000000"
        );
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_a_panic(data in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Capacity::parse(&data).and_then(|c| c.bytes());
            let _ = (BlockLimits::parse(&data), Provisioning::parse(&data), serial(&data), Sense::parse(&data));
        }
    }
}
