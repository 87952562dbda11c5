//! One RMCP+ session as a synchronous machine: it is given packets, the time and random bytes; it gives packets and an end.
//!
//! Open Session, RAKP 1 to 4, privilege, the commands one after another, close. Any loss is met by sending again: a
//! retransmission keeps the request's number and takes a new session sequence number.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::command::{self, ADMINISTRATOR, Command};
use super::crypto::{Keys, Suite};
use super::packet::{self, Envelope};
use crate::secret::Secret;

/// Milliseconds until a packet is sent again; grows by half each time.
const RETRY_MS: u64 = 1_000;
/// Tries of one packet. With the growth above, 13 seconds in all.
const TRIES_MAX: u32 = 5;
/// How often a handshake whose RAKP 3 was lost starts again from Open Session.
const HANDSHAKES_MAX: u32 = 3;
/// The user name's bytes (§22.29).
pub const USER_LEN_MAX: usize = 16;
/// The password's bytes for IPMI 2.0.
pub const PASSWORD_LEN_MAX: usize = 20;
/// "Name only" lookup (§13.20): the BMC finds the user by name, whatever its privilege.
const NAME_ONLY: u8 = 0x10;
/// A BMC that says "busy" is asked again, so often.
const BUSY_MAX: u32 = 5;

/// Who logs in, and how.
#[derive(Debug, Clone)]
pub struct Login {
    pub user: String,
    pub password: Secret,
    pub suite: Suite,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Every command's data, in order.
    Answers(Vec<Vec<u8>>),
    Failed(Failure),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Nothing came back, at this point.
    Silent(&'static str),
    /// The BMC refuses the cipher suite: another may be tried.
    NoSuchSuite(u8),
    /// User or password.
    Refused(String),
    /// The BMC does not know the password we know, or is not the BMC.
    NotAuthentic(&'static str),
    /// A command's completion code.
    Code {
        command: &'static str,
        code: u8,
    },
    Protocol(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Rakp1,
    Rakp3,
    /// Sending the command with this index.
    Commanding(usize),
    Over,
}

/// Randomness of one session; drawn by the caller.
#[derive(Clone)]
pub struct Randoms {
    /// Our session id: answers are told by it. Not 0.
    pub console_id: u32,
    pub nonce: [u8; 16],
    /// Seeds the IVs: each is encrypted under its own, made from this and the sequence number.
    pub iv_seed: [u8; 16],
}

pub struct Session {
    login: Login,
    randoms: Randoms,
    commands: Vec<Command>,
    state: State,
    tag: u8,
    managed_id: u32,
    bmc_nonce: [u8; 16],
    guid: [u8; 16],
    sik: Zeroizing<Vec<u8>>,
    keys: Option<Keys>,
    sequence: u32,
    number: u8,
    answers: Vec<Vec<u8>>,
    out: Vec<Vec<u8>>,
    tries: u32,
    handshakes: u32,
    busy: u32,
    deadline: u64,
    ended: Option<Ended>,
}

impl Session {
    /// Starts a session that sends `commands` and closes. `now` is in milliseconds of any steady clock.
    pub fn new(login: Login, randoms: Randoms, commands: Vec<Command>, now: u64) -> Session {
        let mut all = vec![command::set_privilege()];
        all.extend(commands);
        let mut session = Session {
            login,
            randoms,
            commands: all,
            state: State::Opening,
            tag: 0,
            managed_id: 0,
            bmc_nonce: [0; 16],
            guid: [0; 16],
            sik: Zeroizing::default(),
            keys: None,
            sequence: 0,
            number: 0,
            answers: Vec::new(),
            out: Vec::new(),
            tries: 0,
            handshakes: 0,
            busy: 0,
            deadline: now,
            ended: None,
        };
        session.open(now);
        session
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        if self.out.is_empty() {
            None
        } else {
            Some(self.out.remove(0))
        }
    }

    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<u64> {
        (self.state != State::Over).then_some(self.deadline)
    }

    /// The end, once.
    pub fn poll_end(&mut self) -> Option<Ended> {
        self.ended.take()
    }

    pub fn console_id(&self) -> u32 {
        self.randoms.console_id
    }

    fn open(&mut self, now: u64) {
        self.state = State::Opening;
        self.handshakes += 1;
        self.tag = self.tag.wrapping_add(1);
        self.send_fresh(now);
    }

    fn send_fresh(&mut self, now: u64) {
        self.tries = 0;
        self.send(now);
    }

    /// Sends what the state asks for, for the first time or again.
    fn send(&mut self, now: u64) {
        let packet = match self.state {
            State::Opening => packet::plain(packet::OPEN_REQUEST, &self.open_request()),
            State::Rakp1 => packet::plain(packet::RAKP_1, &self.rakp_1()),
            State::Rakp3 => packet::plain(packet::RAKP_3, &self.rakp_3()),
            State::Commanding(index) => match self.command_packet(index) {
                Some(packet) => packet,
                None => return,
            },
            State::Over => return,
        };
        let growth = 1u64 << self.tries.min(4);
        self.deadline = now + RETRY_MS * (1 + growth) / 2;
        self.tries += 1;
        self.out.push(packet);
    }

    pub fn handle_timeout(&mut self, now: u64) {
        if self.state == State::Over || now < self.deadline {
            return;
        }
        if self.tries < TRIES_MAX {
            self.send(now);
            return;
        }
        match self.state {
            // The BMC may hold the half-made session and ignore a second RAKP 3: only a new one helps.
            State::Rakp3 if self.handshakes < HANDSHAKES_MAX => self.open(now),
            State::Opening => self.fail(Failure::Silent("it does not answer at all")),
            State::Rakp1 => self.fail(Failure::Silent("it does not answer RAKP 1")),
            State::Rakp3 => self.fail(Failure::Silent("it does not answer RAKP 3")),
            State::Commanding(index) => {
                let name = self.commands.get(index).map_or("a command", |c| c.name);
                self.fail(Failure::Silent(name));
            }
            State::Over => {}
        }
    }

    fn fail(&mut self, failure: Failure) {
        // BMCs have few session slots and leak them: what was opened is closed, whatever happened.
        self.close();
        self.state = State::Over;
        self.ended = Some(Ended::Failed(failure));
    }

    fn close(&mut self) {
        let message = {
            let close = command::close_session(self.managed_id);
            self.number = (self.number + 1) & 0x3F;
            packet::request(close.net_fn, close.number, self.number, &close.data)
        };
        if let Some(packet) = self.seal(&message) {
            self.out.push(packet);
        }
    }

    fn seal(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let iv = self.iv();
        let keys = self.keys.as_ref()?;
        Some(packet::sealed(
            keys,
            self.managed_id,
            self.sequence,
            iv,
            message,
        ))
    }

    /// A pseudorandom IV that no other packet of the session has.
    fn iv(&self) -> [u8; 16] {
        let hash = Suite::Seventeen.hmac(&self.randoms.iv_seed, &[&self.sequence.to_le_bytes()]);
        let mut iv = [0u8; 16];
        iv.copy_from_slice(&hash[..16]);
        iv
    }

    fn command_packet(&mut self, index: usize) -> Option<Vec<u8>> {
        let command = self.commands.get(index)?;
        let message = packet::request(command.net_fn, command.number, self.number, &command.data);
        self.seal(&message)
    }

    /// §13.17.
    fn open_request(&self) -> Vec<u8> {
        let [auth, integrity, confidentiality] = self.login.suite.algorithms();
        let mut out = vec![self.tag, ADMINISTRATOR, 0, 0];
        out.extend_from_slice(&self.randoms.console_id.to_le_bytes());
        for (kind, algorithm) in [(0, auth), (1, integrity), (2, confidentiality)] {
            out.extend_from_slice(&[kind, 0, 0, 8, algorithm, 0, 0, 0]);
        }
        out
    }

    fn role(&self) -> u8 {
        NAME_ONLY | ADMINISTRATOR
    }

    /// Role, length of the name, name: the tail of every hash.
    fn name_part(&self) -> Vec<u8> {
        let name = self.login.user.as_bytes();
        let mut out = vec![self.role(), name.len() as u8];
        out.extend_from_slice(name);
        out
    }

    /// §13.20.
    fn rakp_1(&self) -> Vec<u8> {
        let name = self.login.user.as_bytes();
        let mut out = vec![self.tag, 0, 0, 0];
        out.extend_from_slice(&self.managed_id.to_le_bytes());
        out.extend_from_slice(&self.randoms.nonce);
        out.extend_from_slice(&[self.role(), 0, 0, name.len() as u8]);
        out.extend_from_slice(name);
        out
    }

    /// §13.22.
    fn rakp_3(&self) -> Vec<u8> {
        let code = self.login.suite.hmac(
            self.login.password.expose().as_bytes(),
            &[
                &self.bmc_nonce,
                &self.randoms.console_id.to_le_bytes(),
                &self.name_part(),
            ],
        );
        let mut out = vec![self.tag, 0, 0, 0];
        out.extend_from_slice(&self.managed_id.to_le_bytes());
        out.extend_from_slice(&code);
        out
    }

    /// Takes a packet; what is not for this state, damaged or forged is ignored, and sending again goes on.
    pub fn handle_input(&mut self, bytes: &[u8], now: u64) {
        let Some(envelope) = packet::open(bytes) else {
            return;
        };
        match (self.state, envelope.kind) {
            (State::Opening, packet::OPEN_RESPONSE) => self.opened(envelope.payload, now),
            (State::Rakp1, packet::RAKP_2) => self.rakp_2(envelope.payload, now),
            (State::Rakp3, packet::RAKP_4) => self.rakp_4(envelope.payload, now),
            (State::Commanding(index), 0) => self.answered(index, &envelope, now),
            _ => {}
        }
    }

    /// §13.18. An error answer may end after its second byte.
    fn opened(&mut self, payload: &[u8], now: u64) {
        if payload.first() != Some(&self.tag) {
            return;
        }
        match payload.get(1) {
            Some(0) => {}
            // "No cipher suite match", and the codes BMCs give for each single algorithm.
            Some(code @ (0x04 | 0x05 | 0x10 | 0x11 | 0x0B)) => {
                return self.fail(Failure::NoSuchSuite(*code));
            }
            Some(code) => return self.fail(refusal(*code)),
            None => return,
        }
        let field = |at: usize| {
            payload
                .get(at..at + 4)
                .and_then(|b| <[u8; 4]>::try_from(b).ok())
                .map(u32::from_le_bytes)
        };
        if field(4) != Some(self.randoms.console_id) {
            return;
        }
        let Some(managed) = field(8) else { return };
        let algorithms =
            [payload.get(16), payload.get(24), payload.get(32)].map(|a| a.map(|b| b & 0x3F));
        if algorithms != self.login.suite.algorithms().map(Some) {
            return self.fail(Failure::NoSuchSuite(0x11));
        }
        self.managed_id = managed;
        self.state = State::Rakp1;
        self.send_fresh(now);
    }

    /// §13.21: the BMC proves that it knows the password.
    fn rakp_2(&mut self, payload: &[u8], now: u64) {
        let Some(code) = self.handshake_code(payload) else {
            return;
        };
        if code != 0 {
            return self.fail(refusal(code));
        }
        let suite = self.login.suite;
        let (Some(nonce), Some(guid), Some(proof)) = (
            payload.get(8..24),
            payload.get(24..40),
            payload.get(40..40 + suite.code_len()),
        ) else {
            return;
        };
        let expected = suite.hmac(
            self.login.password.expose().as_bytes(),
            &[
                &self.randoms.console_id.to_le_bytes(),
                &self.managed_id.to_le_bytes(),
                &self.randoms.nonce,
                nonce,
                guid,
                &self.name_part(),
            ],
        );
        if !bool::from(expected.as_slice().ct_eq(proof)) {
            return self.fail(Failure::NotAuthentic(
                "the BMC has another password for this user",
            ));
        }
        self.bmc_nonce.copy_from_slice(nonce);
        self.guid.copy_from_slice(guid);
        self.sik = suite.hmac(
            self.login.password.expose().as_bytes(),
            &[&self.randoms.nonce, &self.bmc_nonce, &self.name_part()],
        );
        self.state = State::Rakp3;
        self.send_fresh(now);
    }

    /// §13.23.
    fn rakp_4(&mut self, payload: &[u8], now: u64) {
        let Some(code) = self.handshake_code(payload) else {
            return;
        };
        if code != 0 {
            return self.fail(refusal(code));
        }
        let suite = self.login.suite;
        let Some(proof) = payload.get(8..8 + suite.tag_len()) else {
            return;
        };
        let expected = suite.hmac(
            &self.sik,
            &[
                &self.randoms.nonce,
                &self.managed_id.to_le_bytes(),
                &self.guid,
            ],
        );
        if !bool::from(expected[..suite.tag_len()].ct_eq(proof)) {
            return self.fail(Failure::NotAuthentic(
                "RAKP 4 is not signed with our session key",
            ));
        }
        self.keys = Some(Keys::derive(suite, &self.sik));
        self.next_command(0, now);
    }

    /// The status of a handshake message that is for us.
    fn handshake_code(&self, payload: &[u8]) -> Option<u8> {
        let ours = payload.first() == Some(&self.tag);
        let code = *payload.get(1)?;
        let id = payload
            .get(4..8)
            .and_then(|b| <[u8; 4]>::try_from(b).ok())
            .map(u32::from_le_bytes);
        (ours && (code != 0 || id == Some(self.randoms.console_id))).then_some(code)
    }

    fn next_command(&mut self, index: usize, now: u64) {
        if index >= self.commands.len() {
            self.close();
            self.state = State::Over;
            // The first answer is that of the privilege.
            self.ended = Some(Ended::Answers(self.answers.split_off(1)));
            return;
        }
        self.number = (self.number + 1) & 0x3F;
        self.state = State::Commanding(index);
        self.send_fresh(now);
    }

    fn answered(&mut self, index: usize, envelope: &Envelope<'_>, now: u64) {
        const BUSY: u8 = 0xC0;
        let Some(keys) = &self.keys else { return };
        if envelope.session != self.randoms.console_id
            || !envelope.is_encrypted
            || !envelope.is_authentic(keys)
        {
            return;
        }
        let Some(message) = keys.decrypt(envelope.payload) else {
            return;
        };
        let (Some(answer), Some(command)) = (packet::answer(&message), self.commands.get(index))
        else {
            return;
        };
        // An answer to an earlier try of this very command is as good; one to another command is late.
        if (answer.number, answer.command, answer.net_fn)
            != (self.number, command.number, command.net_fn)
        {
            return;
        }
        match answer.code {
            0 => {
                self.answers.push(answer.data.to_vec());
                self.next_command(index + 1, now);
            }
            BUSY if self.busy < BUSY_MAX => {
                self.busy += 1;
                self.tries = 0;
                self.deadline = now + RETRY_MS;
            }
            code => {
                let command = command.name;
                self.fail(Failure::Code { command, code });
            }
        }
    }
}

/// RMCP+ status codes (table 13-15).
fn refusal(code: u8) -> Failure {
    let why = match code {
        0x01 => "insufficient resources for a session; close others, or wait",
        0x02 => "it does not know our session",
        0x09 | 0x0A => "the role is not allowed; give the user Administrator on the LAN channel",
        0x0D => "it does not know this user",
        0x0E => "resources are short",
        0x0F => "the password is wrong",
        0x12 => "the handshake is not for this suite",
        _ => "it refuses the session",
    };
    Failure::Refused(format!("{why} (status 0x{code:02x})"))
}
