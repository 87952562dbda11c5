//! A session of one connection: login, commands by task tag within the target's window, data both ways, logout.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;

use super::login::{self, Login, Machine, Negotiated, Next};
pub use super::outbox::Payload;
use super::outbox::{Outbox, Purpose};
use super::pdu::{self, DigestsInUse, Header, Incoming, Pdu, RESERVED_TAG};
use super::scsi::{Cdb, Sense};
use super::{Done, Error, protocol};

const FINAL: u8 = 0x80;
const READ: u8 = 0x40;
const WRITE: u8 = 0x20;
const SIMPLE: u8 = 0x01;
/// Commands that a caller may have here at once, sent or waiting for the window.
const TASKS_MAX: usize = 128;
/// What a target may send in one PDU before we have declared more (§13.12).
const LOGIN_BYTES_MAX: usize = 8192;
const FIRST_COMMAND: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(u32);

#[derive(Debug, Clone)]
pub struct Command {
    pub lun: u8,
    pub cdb: Cdb,
    pub transfer: Transfer,
}

#[derive(Debug, Clone)]
pub enum Transfer {
    None,
    Write(Payload),
    /// At most so many bytes come back.
    Read(u32),
}

impl Transfer {
    /// Commands carry at most one burst, which fits.
    fn len(&self) -> u32 {
        match self {
            Transfer::None => 0,
            Transfer::Write(data) => u32::try_from(data.len()).unwrap_or(u32::MAX),
            Transfer::Read(len) => *len,
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The SCSI status; 0 is GOOD. `None`: the target failed before it had one.
    pub status: Option<u8>,
    pub sense: Option<Sense>,
    /// What was read.
    pub data: Vec<u8>,
    /// Bytes of the transfer that did not happen.
    pub missing: u32,
}

impl Completion {
    pub fn is_good(&self) -> bool {
        self.status == Some(0)
    }

    pub fn is_busy(&self) -> bool {
        // BUSY and TASK SET FULL: the same command again, later.
        matches!(self.status, Some(0x08 | 0x28))
    }
}

struct Task {
    command: Command,
    /// Bytes of a write that are sent or queued; of a read that have come, in order.
    moved: u32,
    data: Vec<u8>,
}

enum Phase {
    Login(Box<Machine>),
    FullFeature,
    LoggedOut,
}

pub struct Session {
    phase: Phase,
    agreed: Negotiated,
    held: Vec<u8>,
    out: Outbox,
    command_sn: u32,
    max_command_sn: u32,
    expected_status_sn: u32,
    last_tag: u32,
    /// Commands that wait for the window.
    waiting: VecDeque<(Tag, Command)>,
    tasks: BTreeMap<u32, Task>,
    done: VecDeque<(Tag, Completion)>,
    work: u64,
}

impl Session {
    /// `challenge` is fresh randomness of a cryptographic kind.
    pub fn start(login: Login, challenge: [u8; 16]) -> Done<Session> {
        let machine = Machine::new(login, challenge);
        let (header, data) = machine.first();
        let mut session = Session {
            phase: Phase::FullFeature,
            agreed: Negotiated {
                digests: DigestsInUse::default(),
                segment_max: 0,
                burst_max: 0,
                first_burst: 0,
                immediate_data: false,
                initial_r2t: true,
            },
            held: Vec::new(),
            out: Outbox::default(),
            command_sn: FIRST_COMMAND,
            max_command_sn: FIRST_COMMAND,
            expected_status_sn: 0,
            last_tag: 0,
            waiting: VecDeque::new(),
            tasks: BTreeMap::new(),
            done: VecDeque::new(),
            work: 0,
        };
        session.phase = Phase::Login(Box::new(machine));
        session.send(header, Some(Payload::new(data)), Purpose::Work)?;
        Ok(session)
    }

    pub fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::FullFeature)
    }

    pub fn is_logged_out(&self) -> bool {
        matches!(self.phase, Phase::LoggedOut)
    }

    pub fn agreed(&self) -> &Negotiated {
        &self.agreed
    }

    /// Rises whenever a command or its data moves. Pings do not count: a target that only pings is stuck.
    pub fn work(&self) -> u64 {
        self.work
    }

    pub fn wants_to_send(&self) -> bool {
        !self.out.is_empty()
    }

    pub fn slices(&self, max: usize) -> Vec<IoSlice<'_>> {
        self.out.slices(max)
    }

    pub fn sent(&mut self, bytes: usize) {
        if self.out.advance(bytes) {
            self.work += 1;
        }
    }

    /// A finished command, in the order in which they finished.
    pub fn poll_done(&mut self) -> Option<(Tag, Completion)> {
        self.done.pop_front()
    }

    /// Takes a command; it goes out as soon as the target's window allows.
    pub fn submit(&mut self, command: Command) -> Done<Tag> {
        if self.waiting.len() + self.tasks.len() >= TASKS_MAX {
            return protocol(format!("more than {TASKS_MAX} commands at once"));
        }
        self.last_tag = match self.last_tag.wrapping_add(1) {
            RESERVED_TAG | 0 => 1,
            tag => tag,
        };
        let tag = Tag(self.last_tag);
        self.waiting.push_back((tag, command));
        self.open_window()?;
        Ok(tag)
    }

    /// Asks to end the session; commands that are not finished are lost.
    pub fn log_out(&mut self) -> Done<()> {
        let mut header = Header::new(0x46, FINAL);
        header.set_u32::<24>(self.command_sn);
        self.send(header, None, Purpose::Work)
    }

    /// Takes what the socket gave. After an error the connection is over.
    pub fn handle_input(&mut self, bytes: &[u8]) -> Done<()> {
        let mut held = std::mem::take(&mut self.held);
        if held.is_empty() {
            let used = self.consume(bytes)?;
            held.extend_from_slice(bytes.get(used..).unwrap_or_default());
        } else {
            held.extend_from_slice(bytes);
            let used = self.consume(&held)?;
            held.drain(..used);
        }
        debug_assert!(held.len() <= pdu::longest(login::RECEIVE_BYTES_MAX as usize));
        self.held = held;
        Ok(())
    }

    fn consume(&mut self, bytes: &[u8]) -> Done<usize> {
        let mut at = 0;
        loop {
            let limit = match self.phase {
                Phase::Login(_) => LOGIN_BYTES_MAX,
                Phase::FullFeature | Phase::LoggedOut => login::RECEIVE_BYTES_MAX as usize,
            };
            let rest = bytes.get(at..).unwrap_or_default();
            let Some((pdu, used)) = pdu::decode(rest, limit, self.agreed.digests)? else {
                return Ok(at);
            };
            at += used;
            self.handle(&pdu)?;
        }
    }

    fn handle(&mut self, pdu: &Pdu<'_>) -> Done<()> {
        self.take_window(&pdu.header);
        if let Phase::Login(machine) = &mut self.phase {
            let next = machine.handle(pdu)?;
            self.take_status(&pdu.header);
            self.work += 1;
            match next {
                Next::Send(header, data) => {
                    self.send(header, Some(Payload::new(data)), Purpose::Work)?;
                }
                Next::FullFeature(agreed) => {
                    self.agreed = agreed;
                    self.phase = Phase::FullFeature;
                }
            }
            return self.open_window();
        }
        match pdu.kind {
            Incoming::DataIn => self.data_in(pdu)?,
            Incoming::ReadyToTransfer => self.ready_to_transfer(pdu)?,
            Incoming::ScsiResponse => self.response(pdu)?,
            Incoming::NopIn => self.ping(pdu)?,
            Incoming::Async => self.take_status(&pdu.header),
            Incoming::LogoutResponse => self.phase = Phase::LoggedOut,
            Incoming::Reject => {
                return protocol(format!(
                    "the target rejects a PDU, reason 0x{:02x}",
                    pdu.header.byte::<2>()
                ));
            }
            Incoming::LoginResponse | Incoming::TextResponse | Incoming::TaskResponse => {
                return protocol(format!("{:?} without a request for it", pdu.kind));
            }
        }
        if pdu.kind == Incoming::Async {
            asks_to_leave(&pdu.header)?;
        }
        self.open_window()
    }

    /// ExpCmdSN and MaxCmdSN stand in every PDU of a target; serial arithmetic, and they never go back (§4.2.2.1).
    fn take_window(&mut self, header: &Header) {
        let (expected, max) = (header.u32::<28>(), header.u32::<32>());
        let sane = !before(max, expected.wrapping_sub(1));
        if sane && before(self.max_command_sn, max) {
            self.max_command_sn = max;
        }
    }

    fn take_status(&mut self, header: &Header) {
        self.expected_status_sn = header.u32::<24>().wrapping_add(1);
    }

    fn open_window(&mut self) -> Done<()> {
        while self.is_ready() && !before(self.max_command_sn, self.command_sn) {
            let Some((tag, command)) = self.waiting.pop_front() else {
                break;
            };
            self.start_task(tag, command)?;
        }
        Ok(())
    }

    fn start_task(&mut self, tag: Tag, command: Command) -> Done<()> {
        let total = command.transfer.len();
        let direction = match command.transfer {
            Transfer::None => 0,
            Transfer::Write(_) => WRITE,
            Transfer::Read(_) => READ,
        };
        let mut header = Header::new(0x01, direction | SIMPLE);
        header.0[9] = command.lun;
        header.set_u32::<16>(tag.0);
        header.set_u32::<20>(total);
        header.set_u32::<24>(self.command_sn);
        header.0[32..48].copy_from_slice(&command.cdb);
        self.command_sn = self.command_sn.wrapping_add(1);
        let Negotiated {
            segment_max,
            first_burst,
            immediate_data,
            initial_r2t,
            ..
        } = self.agreed;
        let mut immediate = None;
        let mut unsolicited = 0;
        if let Transfer::Write(data) = &command.transfer {
            let now = if immediate_data {
                total.min(segment_max).min(first_burst)
            } else {
                0
            };
            immediate = (now > 0).then(|| data.part(0..now as usize));
            unsolicited = if initial_r2t {
                now
            } else {
                total.min(first_burst)
            };
        }
        let moved = immediate.as_ref().map_or(0, Payload::len) as u32;
        if unsolicited <= moved {
            header.0[1] |= FINAL;
        }
        self.send(header, immediate, Purpose::Work)?;
        let mut task = Task {
            command,
            moved,
            data: Vec::new(),
        };
        if unsolicited > moved {
            self.data_out(tag.0, &mut task, RESERVED_TAG, unsolicited - moved)?;
        }
        self.tasks.insert(tag.0, task);
        Ok(())
    }

    /// One sequence of Data-Out, cut at what the target takes in one PDU (§11.7).
    fn data_out(&mut self, tag: u32, task: &mut Task, transfer_tag: u32, len: u32) -> Done<()> {
        let Transfer::Write(data) = &task.command.transfer else {
            return protocol("the target asks for the data of a command that has none");
        };
        let end = task.moved + len;
        let mut data_sn = 0;
        while task.moved < end {
            let step = (end - task.moved).min(self.agreed.segment_max.max(512));
            let last = task.moved + step == end;
            let mut header = Header::new(0x05, if last { FINAL } else { 0 });
            header.0[9] = task.command.lun;
            header.set_u32::<16>(tag);
            header.set_u32::<20>(transfer_tag);
            header.set_u32::<36>(data_sn);
            header.set_u32::<40>(task.moved);
            let part = data.part(task.moved as usize..(task.moved + step) as usize);
            self.send(header, Some(part), Purpose::Work)?;
            task.moved += step;
            data_sn += 1;
        }
        Ok(())
    }

    /// R2T (§11.8). In order and once only, as negotiated: a target cannot make us queue the same data again and again.
    fn ready_to_transfer(&mut self, pdu: &Pdu<'_>) -> Done<()> {
        let tag = pdu.header.task_tag();
        let (offset, len) = (pdu.header.u32::<40>(), pdu.header.u32::<44>());
        let Some(mut task) = self.tasks.remove(&tag) else {
            return protocol("an R2T for no command of ours");
        };
        let fits = offset
            .checked_add(len)
            .is_some_and(|end| end <= task.command.transfer.len());
        if offset != task.moved || len == 0 || !fits {
            return protocol(format!(
                "an R2T for {len} bytes at {offset}, expected at {} of {}",
                task.moved,
                task.command.transfer.len()
            ));
        }
        self.work += 1;
        self.data_out(tag, &mut task, pdu.header.u32::<20>(), len)?;
        self.tasks.insert(tag, task);
        Ok(())
    }

    /// Data-In (§11.7), with status in the last one if the target likes.
    fn data_in(&mut self, pdu: &Pdu<'_>) -> Done<()> {
        let tag = pdu.header.task_tag();
        let Some(task) = self.tasks.get_mut(&tag) else {
            return protocol("data for no command of ours");
        };
        let Transfer::Read(expected) = task.command.transfer else {
            return protocol("data for a command that reads none");
        };
        let offset = pdu.header.u32::<40>() as usize;
        let end = offset + pdu.data.len();
        if offset != task.data.len() || end > expected as usize {
            return protocol(format!(
                "data at {offset} to {end}, expected at {} of {expected}",
                task.data.len()
            ));
        }
        if task.data.is_empty() {
            task.data.reserve_exact(expected as usize);
        }
        task.data.extend_from_slice(pdu.data);
        self.work += 1;
        if pdu.header.flags() & 0x01 != 0 {
            self.take_status(&pdu.header);
            self.finish(
                tag,
                Some(pdu.header.byte::<3>()),
                None,
                missing(&pdu.header),
            );
        }
        Ok(())
    }

    fn response(&mut self, pdu: &Pdu<'_>) -> Done<()> {
        let tag = pdu.header.task_tag();
        if !self.tasks.contains_key(&tag) {
            return protocol("a response for no command of ours");
        }
        self.take_status(&pdu.header);
        self.work += 1;
        let completed = pdu.header.byte::<2>() == 0;
        let status = completed.then(|| pdu.header.byte::<3>());
        // Two bytes of length stand before the sense data (§11.4.7.2).
        let sense = pdu.data.get(2..).and_then(Sense::parse);
        self.finish(tag, status, sense, missing(&pdu.header));
        Ok(())
    }

    fn finish(&mut self, tag: u32, status: Option<u8>, sense: Option<Sense>, missing: u32) {
        if let Some(task) = self.tasks.remove(&tag) {
            let completion = Completion {
                status,
                sense,
                data: task.data,
                missing,
            };
            self.done.push_back((Tag(tag), completion));
        }
    }

    /// NOP-In (§11.19): one with a transfer tag wants an answer.
    fn ping(&mut self, pdu: &Pdu<'_>) -> Done<()> {
        if pdu.header.task_tag() != RESERVED_TAG {
            self.take_status(&pdu.header);
        }
        let transfer_tag = pdu.header.u32::<20>();
        if transfer_tag == RESERVED_TAG {
            return Ok(());
        }
        let mut header = Header::new(0x40, FINAL);
        header.0[8..16].copy_from_slice(&pdu.header.0[8..16]);
        header.set_u32::<16>(RESERVED_TAG);
        header.set_u32::<20>(transfer_tag);
        header.set_u32::<24>(self.command_sn);
        self.send(header, None, Purpose::Courtesy)
    }

    fn send(&mut self, mut header: Header, data: Option<Payload>, purpose: Purpose) -> Done<()> {
        header.set_u32::<28>(self.expected_status_sn);
        if let Phase::Login(_) = self.phase {
            header.set_u32::<24>(self.command_sn);
        }
        self.out.push(header, data, self.agreed.digests, purpose)
    }
}

/// `a < b` in serial number arithmetic (RFC 1982).
fn before(a: u32, b: u32) -> bool {
    (b.wrapping_sub(a) as i32) > 0
}

/// The residual count if the underflow bit is set; an overflow is not of our making: commands name their length.
fn missing(header: &Header) -> u32 {
    if header.flags() & 0x02 != 0 {
        header.u32::<44>()
    } else {
        0
    }
}

/// Events of §11.9.1; SCSI's own (0) and a vendor's (255) are no reason to go.
fn asks_to_leave(header: &Header) -> Done<()> {
    match header.byte::<36>() {
        0 | 255 => Ok(()),
        event => Err(Error::Closed(format!(
            "the target ends the session (asynchronous event {event})"
        ))),
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
