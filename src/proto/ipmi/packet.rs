//! RMCP, the session header, and the IPMI message inside (§13.6 to §13.8).

use subtle::ConstantTimeEq;

use super::crypto::Keys;

/// RMCP version 1.0, no acknowledgement, class IPMI.
const RMCP: [u8; 4] = [0x06, 0x00, 0xFF, 0x07];
const AUTH_RMCP_PLUS: u8 = 0x06;
const NEXT_HEADER: u8 = 0x07;
const ENCRYPTED: u8 = 0x80;
const SIGNED: u8 = 0x40;
const BMC: u8 = 0x20;
const REMOTE_CONSOLE: u8 = 0x81;

/// Payload types of the handshake (table 13-16).
pub const OPEN_REQUEST: u8 = 0x10;
pub const OPEN_RESPONSE: u8 = 0x11;
pub const RAKP_1: u8 = 0x12;
pub const RAKP_2: u8 = 0x13;
pub const RAKP_3: u8 = 0x14;
pub const RAKP_4: u8 = 0x15;
const IPMI_MESSAGE: u8 = 0x00;

/// What a packet carries, its envelope taken off.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    pub kind: u8,
    pub is_signed: bool,
    pub is_encrypted: bool,
    pub session: u32,
    pub sequence: u32,
    pub payload: &'a [u8],
    /// Everything the trailer signs, and the trailer.
    signed: &'a [u8],
    tag: &'a [u8],
}

/// Takes the envelope off; `None` for what is not RMCP+.
pub fn open(packet: &[u8]) -> Option<Envelope<'_>> {
    let body = packet.strip_prefix(&RMCP)?;
    if *body.first()? != AUTH_RMCP_PLUS {
        return None;
    }
    let flags = *body.get(1)?;
    let kind = flags & 0x3F;
    let session = u32::from_le_bytes(body.get(2..6)?.try_into().ok()?);
    let sequence = u32::from_le_bytes(body.get(6..10)?.try_into().ok()?);
    let len = usize::from(u16::from_le_bytes(body.get(10..12)?.try_into().ok()?));
    let payload = body.get(12..12 + len)?;
    let (signed, tag) = if flags & SIGNED == 0 {
        (&body[..0], &body[..0])
    } else {
        let trailer = body.get(12 + len..)?;
        // Pad bytes, their count, the next header.
        let pad = trailer.iter().take_while(|b| **b == 0xFF).count().min(3);
        let end = (0..=pad).rev().find(|n| {
            trailer.get(*n).map(|c| usize::from(*c)) == Some(*n)
                && trailer.get(n + 1) == Some(&NEXT_HEADER)
        })?;
        body.split_at_checked(12 + len + end + 2)?
    };
    Some(Envelope {
        kind,
        is_signed: flags & SIGNED != 0,
        is_encrypted: flags & ENCRYPTED != 0,
        session,
        sequence,
        payload,
        signed,
        tag,
    })
}

impl Envelope<'_> {
    /// Whether the trailer is the one that the session's keys make.
    pub fn is_authentic(&self, keys: &Keys) -> bool {
        self.is_signed && bool::from(keys.tag(self.signed).as_slice().ct_eq(self.tag))
    }
}

/// A packet of the handshake: neither signed nor encrypted.
pub fn plain(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = header(kind, 0, 0, payload.len());
    out.extend_from_slice(payload);
    out
}

fn header(flags: u8, session: u32, sequence: u32, len: usize) -> Vec<u8> {
    let mut out = RMCP.to_vec();
    out.push(AUTH_RMCP_PLUS);
    out.push(flags);
    out.extend_from_slice(&session.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    // Messages are short: an IPMI request has at most 255 bytes of data.
    out.extend_from_slice(&(len as u16).to_le_bytes());
    out
}

/// A signed and encrypted packet of a session.
pub fn sealed(keys: &Keys, session: u32, sequence: u32, iv: [u8; 16], message: &[u8]) -> Vec<u8> {
    let payload = keys.encrypt(iv, message);
    let mut out = header(
        IPMI_MESSAGE | ENCRYPTED | SIGNED,
        session,
        sequence,
        payload.len(),
    );
    out.extend_from_slice(&payload);
    let signed_len = out.len() - RMCP.len() + 2;
    let pad = (4 - signed_len % 4) % 4;
    out.extend(std::iter::repeat_n(0xFF, pad));
    out.push(pad as u8);
    out.push(NEXT_HEADER);
    let tag = keys.tag(&out[RMCP.len()..]);
    out.extend_from_slice(&tag);
    out
}

/// A request to the BMC (§13.8).
pub fn request(net_fn: u8, command: u8, number: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![BMC, net_fn << 2];
    out.push(checksum(&out));
    let second = out.len();
    out.extend_from_slice(&[REMOTE_CONSOLE, number << 2, command]);
    out.extend_from_slice(data);
    out.push(checksum(&out[second..]));
    out
}

/// An answer: what it answers, its completion code, its data.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    pub net_fn: u8,
    pub number: u8,
    pub command: u8,
    pub code: u8,
    pub data: &'a [u8],
}

/// Reads an answer; `None` when it is damaged.
pub fn answer(message: &[u8]) -> Option<Answer<'_>> {
    let (last, rest) = message.split_last()?;
    let (first, second) = (rest.get(..2)?, rest.get(3..)?);
    if rest[2] != checksum(first) || *last != checksum(second) {
        return None;
    }
    Some(Answer {
        net_fn: (first[1] >> 2) & !1,
        number: second.get(1)? >> 2,
        command: *second.get(2)?,
        code: *second.get(3)?,
        data: second.get(4..)?,
    })
}

/// The two's complement of the sum.
fn checksum(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0u8, |sum, b| sum.wrapping_add(*b))
        .wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::super::Suite;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sealed_packets_open_again_and_forged_ones_do_not() {
        for suite in [Suite::Three, Suite::Seventeen] {
            let keys = Keys::derive(suite, &[5; 32]);
            for len in 0..40u8 {
                let message = request(0, 1, 3, &vec![len; usize::from(len)]);
                let mut packet = sealed(&keys, 7, 9, [1; 16], &message);
                let envelope = open(&packet).unwrap();
                assert!(envelope.is_authentic(&keys), "{suite:?} {len}");
                assert_eq!((envelope.session, envelope.sequence), (7, 9));
                assert_eq!(
                    keys.decrypt(envelope.payload).unwrap().as_slice(),
                    message.as_slice()
                );
                packet[20] ^= 1;
                assert!(!open(&packet).is_some_and(|e| e.is_authentic(&keys)));
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), like in any::<bool>()) {
            if like && bytes.len() > 6 {
                bytes[..4].copy_from_slice(&RMCP);
                bytes[4] = AUTH_RMCP_PLUS;
            }
            if let Some(envelope) = open(&bytes) {
                let keys = Keys::derive(Suite::Three, &[0; 20]);
                prop_assert!(!envelope.is_authentic(&keys));
                let _ = keys.decrypt(envelope.payload);
            }
            let _ = answer(&bytes);
        }
    }
}
