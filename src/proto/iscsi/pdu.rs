//! PDUs: a header of 48 bytes, additional headers (skipped), a data segment, digests where negotiated (RFC 7143 §11).

use super::{Done, Error, protocol};

pub const HEADER: usize = 48;
const DIGEST: usize = 4;
/// "No task": the reserved tag (§11.2.1.8).
pub const RESERVED_TAG: u32 = 0xFFFF_FFFF;

/// What a target sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming {
    NopIn,
    ScsiResponse,
    TaskResponse,
    LoginResponse,
    TextResponse,
    DataIn,
    LogoutResponse,
    ReadyToTransfer,
    Async,
    Reject,
}

impl Incoming {
    fn parse(opcode: u8) -> Option<Incoming> {
        Some(match opcode {
            0x20 => Incoming::NopIn,
            0x21 => Incoming::ScsiResponse,
            0x22 => Incoming::TaskResponse,
            0x23 => Incoming::LoginResponse,
            0x24 => Incoming::TextResponse,
            0x25 => Incoming::DataIn,
            0x26 => Incoming::LogoutResponse,
            0x31 => Incoming::ReadyToTransfer,
            0x32 => Incoming::Async,
            0x3F => Incoming::Reject,
            _ => return None,
        })
    }
}

/// A basic header segment. Fields are read and written at their offsets; numbers are big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header(pub [u8; HEADER]);

impl Header {
    pub fn new(opcode: u8, flags: u8) -> Header {
        let mut bytes = [0; HEADER];
        bytes[0] = opcode;
        bytes[1] = flags;
        Header(bytes)
    }

    pub fn flags(&self) -> u8 {
        self.0[1]
    }

    pub fn byte<const AT: usize>(&self) -> u8 {
        const { assert!(AT < HEADER) };
        self.0[AT]
    }

    pub fn u32<const AT: usize>(&self) -> u32 {
        const { assert!(AT + 4 <= HEADER) };
        u32::from_be_bytes([self.0[AT], self.0[AT + 1], self.0[AT + 2], self.0[AT + 3]])
    }

    pub fn set_u32<const AT: usize>(&mut self, value: u32) {
        const { assert!(AT + 4 <= HEADER) };
        self.0[AT..AT + 4].copy_from_slice(&value.to_be_bytes());
    }

    pub fn set_u64<const AT: usize>(&mut self, value: u64) {
        const { assert!(AT + 8 <= HEADER) };
        self.0[AT..AT + 8].copy_from_slice(&value.to_be_bytes());
    }

    pub fn task_tag(&self) -> u32 {
        self.u32::<16>()
    }

    pub fn data_len(&self) -> usize {
        usize::from(self.0[5]) << 16 | usize::from(self.0[6]) << 8 | usize::from(self.0[7])
    }

    /// Lengths are 24 bits wide; callers cut data at negotiated limits, which are 24 bits wide too.
    pub fn set_data_len(&mut self, len: usize) {
        debug_assert!(len < 1 << 24);
        let [_, a, b, c] = (len as u32).to_be_bytes();
        self.0[5..8].copy_from_slice(&[a, b, c]);
    }

    fn ahs_len(&self) -> usize {
        usize::from(self.0[4]) * 4
    }
}

/// Which digests a connection carries; none before full feature phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DigestsInUse {
    pub header: Option<Crc32c>,
    pub data: Option<Crc32c>,
}

/// The one digest there is besides none (§13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crc32c;

pub fn padding(len: usize) -> usize {
    len.wrapping_neg() & 3
}

/// The header with its digest, ready to send.
pub fn encode_header(header: &Header, digests: DigestsInUse) -> ([u8; HEADER + DIGEST], usize) {
    let mut out = [0; HEADER + DIGEST];
    out[..HEADER].copy_from_slice(&header.0);
    if digests.header.is_none() {
        return (out, HEADER);
    }
    out[HEADER..].copy_from_slice(&crc32c::crc32c(&header.0).to_le_bytes());
    (out, HEADER + DIGEST)
}

/// What follows a data segment: padding and its digest.
pub fn encode_trailer(data: &[u8], digests: DigestsInUse) -> ([u8; 3 + DIGEST], usize) {
    let mut out = [0; 3 + DIGEST];
    let pad = padding(data.len());
    if digests.data.is_none() || data.is_empty() {
        return (out, pad);
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c(data), &out[..pad]);
    out[pad..pad + DIGEST].copy_from_slice(&crc.to_le_bytes());
    (out, pad + DIGEST)
}

/// A whole PDU, borrowed from where it was received.
#[derive(Debug, PartialEq, Eq)]
pub struct Pdu<'a> {
    pub kind: Incoming,
    pub header: Header,
    pub data: &'a [u8],
}

/// One PDU from the front of `input` and how many bytes it took; `None` while it is not whole.
///
/// Lengths are checked as soon as the header is there, so that what is kept of an unfinished PDU has a limit:
/// [`longest`]`(limit)`.
pub fn decode(input: &[u8], limit: usize, digests: DigestsInUse) -> Done<Option<(Pdu<'_>, usize)>> {
    let Some(bytes) = input.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let header = Header(*bytes);
    let opcode = bytes[0] & 0x3F;
    let Some(kind) = Incoming::parse(opcode) else {
        return protocol(format!(
            "expected an answer of a target, found a PDU with opcode 0x{opcode:02x}"
        ));
    };
    let len = header.data_len();
    if len > limit {
        return protocol(format!(
            "expected at most {limit} bytes of data in one PDU as declared, found {len}"
        ));
    }
    let mut at = HEADER + header.ahs_len();
    let header_end = at;
    at += digests.header.map_or(0, |Crc32c| DIGEST);
    let data_start = at;
    at += len + padding(len);
    let data_end = at;
    at += digests.data.filter(|_| len > 0).map_or(0, |Crc32c| DIGEST);
    let Some(whole) = input.get(..at) else {
        return Ok(None);
    };
    if digests.header.is_some() {
        check(
            &whole[..header_end],
            &whole[header_end..data_start],
            "header",
        )?;
    }
    if digests.data.is_some() && len > 0 {
        check(&whole[data_start..data_end], &whole[data_end..], "data")?;
    }
    let data = &whole[data_start..data_start + len];
    Ok(Some((Pdu { kind, header, data }, at)))
}

fn check(covered: &[u8], digest: &[u8], which: &'static str) -> Done<()> {
    if crc32c::crc32c(covered).to_le_bytes() == digest {
        Ok(())
    } else {
        Err(Error::Digest(which))
    }
}

/// The most bytes a PDU can take: headers with 255 words of additional ones, data, padding, both digests.
pub fn longest(limit: usize) -> usize {
    HEADER + 255 * 4 + DIGEST + limit + 3 + DIGEST
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: DigestsInUse = DigestsInUse {
        header: Some(Crc32c),
        data: Some(Crc32c),
    };

    fn sent(data: &[u8], digests: DigestsInUse) -> Vec<u8> {
        let mut header = Header::new(0x25, 0x80);
        header.set_data_len(data.len());
        let (head, n) = encode_header(&header, digests);
        let (tail, m) = encode_trailer(data, digests);
        [&head[..n], data, &tail[..m]].concat()
    }

    #[test]
    fn crc32c_is_that_of_rfc_7143_appendix_a() {
        assert_eq!(
            crc32c::crc32c(&[0; 32]).to_le_bytes(),
            [0xaa, 0x36, 0x91, 0x8a]
        );
    }

    #[test]
    fn a_flipped_bit_is_found_by_the_digest_that_covers_it() {
        let good = sent(b"hello", BOTH);
        assert_eq!(decode(&good, 8192, BOTH).unwrap().unwrap().1, good.len());
        for (at, which) in [(40, "header"), (53, "data")] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(decode(&bad, 8192, BOTH), Err(Error::Digest(which)));
        }
    }

    #[test]
    fn a_segment_longer_than_declared_is_refused_by_its_header_alone() {
        let whole = sent(&[0; 600], DigestsInUse::default());
        assert!(decode(&whole[..HEADER], 599, DigestsInUse::default()).is_err());
        assert!(
            decode(&whole[..HEADER], 600, DigestsInUse::default())
                .unwrap()
                .is_none()
        );
    }

    proptest! {
        #[test]
        fn what_is_sent_is_what_is_read(data in proptest::collection::vec(any::<u8>(), 0..300), both: bool) {
            let digests = if both { BOTH } else { DigestsInUse::default() };
            let bytes = sent(&data, digests);
            for cut in 0..bytes.len() {
                prop_assert!(decode(&bytes[..cut], 512, digests).unwrap().is_none());
            }
            let (pdu, used) = decode(&bytes, 512, digests).unwrap().unwrap();
            prop_assert_eq!(pdu.data, &data[..]);
            prop_assert_eq!(used, bytes.len());
            prop_assert!(used <= longest(512));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), both: bool) {
            let digests = if both { BOTH } else { DigestsInUse::default() };
            if let Ok(Some((pdu, used))) = decode(&bytes, 512, digests) {
                prop_assert!(pdu.data.len() <= 512 && used <= bytes.len());
            }
        }
    }
}
