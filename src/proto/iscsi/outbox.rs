//! What waits to be sent: headers beside data that stays where it is, so that many PDUs go out in one vectored write.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use super::pdu::{DigestsInUse, Header, encode_header, encode_trailer};
use super::{Done, protocol};

/// Answers to pings that wait. A target that pings on and on without reading is not followed.
const COURTESIES_MAX: usize = 64;

/// Bytes of a command, shared by all PDUs that carry parts of them. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Payload {
    bytes: Arc<Vec<u8>>,
    start: usize,
    end: usize,
}

impl Payload {
    pub fn new(bytes: Vec<u8>) -> Payload {
        let end = bytes.len();
        Payload {
            bytes: Arc::new(bytes),
            start: 0,
            end,
        }
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// A part of it, by offsets from its start; cut at its end.
    pub fn part(&self, range: Range<usize>) -> Payload {
        let end = self.start.saturating_add(range.end).min(self.end);
        Payload {
            bytes: Arc::clone(&self.bytes),
            start: self.start.saturating_add(range.start).min(end),
            end,
        }
    }
}

/// What a chunk is for: pings and their answers are no sign that work goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Work,
    Courtesy,
}

struct Chunk {
    head: [u8; 52],
    head_len: usize,
    data: Option<Payload>,
    tail: [u8; 7],
    tail_len: usize,
    purpose: Purpose,
}

impl Chunk {
    fn parts(&self) -> [&[u8]; 3] {
        [
            self.head.get(..self.head_len).unwrap_or_default(),
            self.data.as_ref().map_or(&[], Payload::as_slice),
            self.tail.get(..self.tail_len).unwrap_or_default(),
        ]
    }

    fn len(&self) -> usize {
        self.parts().iter().map(|p| p.len()).sum()
    }
}

#[derive(Default)]
pub struct Outbox {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are sent.
    sent: usize,
    courtesies: usize,
}

impl Outbox {
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub fn push(
        &mut self,
        mut header: Header,
        data: Option<Payload>,
        digests: DigestsInUse,
        purpose: Purpose,
    ) -> Done<()> {
        if purpose == Purpose::Courtesy {
            self.courtesies += 1;
            if self.courtesies > COURTESIES_MAX {
                return protocol("the target pings without reading the answers");
            }
        }
        let slice = data.as_ref().map_or(&[][..], Payload::as_slice);
        header.set_data_len(slice.len());
        let (head, head_len) = encode_header(&header, digests);
        let (tail, tail_len) = encode_trailer(slice, digests);
        self.chunks.push_back(Chunk {
            head,
            head_len,
            data,
            tail,
            tail_len,
            purpose,
        });
        Ok(())
    }

    /// What is to be sent next, in at most `max` slices.
    pub fn slices(&self, max: usize) -> Vec<IoSlice<'_>> {
        let mut skip = self.sent;
        let mut out = Vec::with_capacity(max.min(3 * self.chunks.len()));
        for part in self.chunks.iter().flat_map(Chunk::parts) {
            let cut = skip.min(part.len());
            skip -= cut;
            if cut < part.len() {
                if out.len() == max {
                    break;
                }
                out.push(IoSlice::new(&part[cut..]));
            }
        }
        out
    }

    /// The socket took `bytes`; says whether work was among them.
    pub fn advance(&mut self, bytes: usize) -> bool {
        self.sent += bytes;
        let mut work = false;
        while let Some(first) = self.chunks.front() {
            work |= first.purpose == Purpose::Work && self.sent > 0;
            let len = first.len();
            if self.sent < len {
                break;
            }
            self.sent -= len;
            if first.purpose == Purpose::Courtesy {
                self.courtesies -= 1;
            }
            self.chunks.pop_front();
        }
        work
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_sends_the_same_bytes() {
        let make = || {
            let mut out = Outbox::default();
            for n in [0, 5, 512] {
                let data = Some(Payload::new(vec![n as u8; n]));
                out.push(
                    Header::new(5, 0),
                    data,
                    DigestsInUse::default(),
                    Purpose::Work,
                )
                .unwrap();
            }
            out
        };
        let all = |step: usize| {
            let mut out = make();
            let mut bytes = Vec::new();
            while !out.is_empty() {
                let turn: Vec<u8> = out
                    .slices(2)
                    .iter()
                    .flat_map(|s| s.to_vec())
                    .take(step)
                    .collect();
                out.advance(turn.len());
                bytes.extend(turn);
            }
            bytes
        };
        assert_eq!(all(1), all(1000));
        assert_eq!(all(7).len(), 48 + 48 + 8 + 48 + 512);
    }

    #[test]
    fn pings_without_end_are_refused() {
        let mut out = Outbox::default();
        let ping = |out: &mut Outbox| {
            out.push(
                Header::new(0, 0),
                None,
                DigestsInUse::default(),
                Purpose::Courtesy,
            )
        };
        assert!((0..COURTESIES_MAX).all(|_| ping(&mut out).is_ok()));
        assert!(ping(&mut out).is_err());
    }
}
