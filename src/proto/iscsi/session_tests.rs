//! Tests of the file beside it.

use proptest::prelude::*;

use super::super::login::{ChapPair, Digests};
use super::*;
use crate::secret::Secret;

const LIMIT: u32 = 8192;

/// A session past its login with tgt's default parameters.
fn ready(window: u32, initial_r2t: bool) -> Session {
    let pair = || ChapPair {
        user: "u".into(),
        secret: Secret::new("s"),
    };
    let login = Login {
        initiator: "i".into(),
        target: "t".into(),
        isid: [0; 6],
        ours: pair(),
        theirs: pair(),
        digests: Digests::Avoid,
    };
    let mut session = Session::start(login, [1; 16]).unwrap();
    session.out = Outbox::default();
    session.phase = Phase::FullFeature;
    session.max_command_sn = FIRST_COMMAND + window - 1;
    session.agreed = Negotiated {
        digests: DigestsInUse::default(),
        segment_max: LIMIT,
        burst_max: 262_144,
        first_burst: 65_536,
        immediate_data: true,
        initial_r2t,
    };
    session
}

fn write(len: usize) -> Command {
    Command {
        lun: 1,
        cdb: super::super::scsi::write(0, (len / 512) as u32),
        transfer: Transfer::Write(Payload::new(vec![7; len])),
    }
}

/// Headers and data lengths of everything that waits to be sent.
fn sent(session: &mut Session) -> Vec<(Header, usize)> {
    let bytes: Vec<u8> = session
        .slices(usize::MAX)
        .iter()
        .flat_map(|s| s.to_vec())
        .collect();
    session.sent(bytes.len());
    let mut out = Vec::new();
    let mut rest = &bytes[..];
    while let Some(head) = rest.first_chunk::<48>() {
        let header = Header(*head);
        let len = header.data_len();
        out.push((header, len));
        rest = &rest[48 + len + pdu::padding(len)..];
    }
    out
}

fn from_target(opcode: u8, flags: u8, tag: u32, max_command: u32) -> Header {
    let mut header = Header::new(opcode, flags);
    header.set_u32::<16>(tag);
    header.set_u32::<28>(1);
    header.set_u32::<32>(max_command);
    header
}

#[test]
fn a_write_sends_what_is_asked_for_in_segments_the_target_takes() {
    let mut s = ready(8, true);
    let tag = s.submit(write(1 << 20)).unwrap();
    let first = sent(&mut s);
    assert_eq!((first.len(), first[0].1), (1, LIMIT as usize));
    assert_eq!(first[0].0.flags(), FINAL | WRITE | SIMPLE);
    let mut r2t = from_target(0x31, FINAL, tag.0, 8);
    r2t.set_u32::<20>(0x55);
    r2t.set_u32::<40>(LIMIT);
    r2t.set_u32::<44>(20_000);
    s.handle_input(&r2t.0).unwrap();
    let data = sent(&mut s);
    let lens: Vec<usize> = data.iter().map(|(_, n)| *n).collect();
    assert_eq!(lens, [8192, 8192, 3616]);
    assert_eq!(data[2].0.flags(), FINAL);
    assert_eq!((data[2].0.u32::<20>(), data[2].0.u32::<36>()), (0x55, 2));
    // The same again is a second copy of data that is on its way.
    assert!(s.handle_input(&r2t.0).is_err());
}

#[test]
fn without_initial_r2t_the_first_burst_goes_unasked() {
    let mut s = ready(8, false);
    s.submit(write(1 << 20)).unwrap();
    let out = sent(&mut s);
    assert_eq!(out.iter().map(|(_, n)| n).sum::<usize>(), 65_536);
    assert_eq!(out[0].0.flags() & FINAL, 0);
    assert_eq!(out[1].0.u32::<20>(), RESERVED_TAG);
    assert_eq!(out.last().unwrap().0.flags(), FINAL);
}

#[test]
fn commands_wait_for_the_window() {
    let mut s = ready(1, true);
    let first = s.submit(write(512)).unwrap();
    s.submit(write(512)).unwrap();
    assert_eq!(sent(&mut s).len(), 1);
    let response = from_target(0x21, FINAL, first.0, 2);
    s.handle_input(&response.0).unwrap();
    assert!(s.poll_done().unwrap().1.is_good());
    assert_eq!(sent(&mut s)[0].0.u32::<24>(), FIRST_COMMAND + 1);
}

#[test]
fn data_comes_in_order_and_no_more_than_asked_for() {
    let mut s = ready(8, true);
    let tag = s
        .submit(Command {
            lun: 1,
            cdb: super::super::scsi::read(0, 1),
            transfer: Transfer::Read(512),
        })
        .unwrap();
    let part = |offset: u32, len: usize, flags: u8| {
        let mut h = from_target(0x25, flags, tag.0, 8);
        h.set_data_len(len);
        h.set_u32::<40>(offset);
        [&h.0[..], &vec![3; len]].concat()
    };
    s.handle_input(&part(0, 256, 0)).unwrap();
    for byte in part(256, 256, FINAL | 1) {
        s.handle_input(&[byte]).unwrap();
    }
    let (_, done) = s.poll_done().unwrap();
    assert_eq!((done.is_good(), done.data), (true, vec![3; 512]));
    assert!(s.handle_input(&part(0, 256, 0)).is_err());
}

#[test]
fn sense_comes_with_its_response() {
    let mut s = ready(8, true);
    let tag = s.submit(write(512)).unwrap();
    let mut h = from_target(0x21, FINAL, tag.0, 8);
    h.0[3] = 2;
    h.set_data_len(20);
    let mut data = [0u8; 20];
    (data[1], data[2], data[4], data[14]) = (18, 0x70, 6, 0x29);
    s.handle_input(&[&h.0[..], &data].concat()).unwrap();
    let (_, done) = s.poll_done().unwrap();
    assert!(done.sense.unwrap().is_unit_attention());
}

#[test]
fn pings_are_answered_and_are_no_work() {
    let mut s = ready(8, true);
    let mut ping = from_target(0x20, FINAL, RESERVED_TAG, 8);
    ping.set_u32::<20>(77);
    let work = s.work();
    s.handle_input(&ping.0).unwrap();
    let out = sent(&mut s);
    assert_eq!((out[0].0.0[0], out[0].0.u32::<20>()), (0x40, 77));
    assert_eq!(s.work(), work);
}

#[test]
fn a_target_that_wants_to_end_the_session_ends_it() {
    let mut message = from_target(0x32, FINAL, RESERVED_TAG, 8);
    message.0[36] = 1;
    assert!(matches!(
        ready(8, true).handle_input(&message.0),
        Err(Error::Closed(_))
    ));
    let reject = from_target(0x3F, FINAL, RESERVED_TAG, 8);
    assert!(matches!(
        ready(8, true).handle_input(&reject.0),
        Err(Error::Protocol(_))
    ));
}

proptest! {
    #[test]
    fn any_bytes_are_taken_without_a_panic_and_within_limits(
        parts in proptest::collection::vec((0usize..12, any::<[u8; 48]>(), 0usize..600), 1..20),
        commands in 0usize..4,
    ) {
        const OPCODES: [u8; 12] = [0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x31, 0x32, 0x3f, 0x25, 0x31];
        let mut s = ready(8, false);
        for _ in 0..commands {
            s.submit(write(4096)).unwrap();
        }
        for (opcode, mut head, len) in parts {
            head[0] = OPCODES[opcode];
            head[4] = 0;
            head[5] = 0;
            // Tags of real commands half of the time, so that tasks are reached.
            if head[19] & 1 == 0 {
                head[16..20].copy_from_slice(&[0, 0, 0, 1]);
            }
            let bytes = [&head[..], &vec![0x5a; len]].concat();
            if s.handle_input(&bytes).is_err() {
                break;
            }
            prop_assert!(s.held.len() <= pdu::longest(login::RECEIVE_BYTES_MAX as usize));
            prop_assert!(s.out.slices(usize::MAX).iter().map(|x| x.len()).sum::<usize>() < 64 * 1024);
        }
    }
}
