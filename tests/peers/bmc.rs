//! A BMC in a thread, for cipher suite 17, which no free simulator speaks. ipmitool and ipmipower judge whether it is one.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bmctl::proto::ipmi::Suite;
use bmctl::proto::ipmi::crypto::Keys;
use bmctl::proto::ipmi::packet;

pub const USER: &str = "admin";
pub const PASSWORD: &str = "pw-of-17";

#[derive(Default)]
pub struct Seen {
    pub on: AtomicBool,
    /// Drops every n-th packet it should answer; 0 drops none.
    pub drop_every: AtomicU32,
    pub closed: AtomicU32,
    pub boot_flags: std::sync::Mutex<Vec<u8>>,
}

pub struct Bmc {
    pub port: u16,
    pub seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Bmc {
    pub fn start(suite: Suite) -> Bmc {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let port = socket.local_addr().unwrap().port();
        let (seen, stop) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
        let mut server = Server {
            socket,
            suite,
            seen: seen.clone(),
            session: None,
            answered: 0,
        };
        let ends = stop.clone();
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                server.serve_one();
            }
        });
        Bmc {
            port,
            seen,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Bmc {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Session {
    console: [u8; 4],
    managed: [u8; 4],
    console_nonce: Vec<u8>,
    role: u8,
    name: Vec<u8>,
    keys: Option<Keys>,
    sequence: u32,
}

struct Server {
    socket: UdpSocket,
    suite: Suite,
    seen: Arc<Seen>,
    session: Option<Session>,
    answered: u32,
}

const NONCE: [u8; 16] = [0x42; 16];
const GUID: [u8; 16] = [0x17; 16];
const RMCP: [u8; 4] = [0x06, 0x00, 0xFF, 0x07];

impl Server {
    fn serve_one(&mut self) {
        let mut buffer = [0u8; 1024];
        let Ok((len, peer)) = self.socket.recv_from(&mut buffer) else {
            return;
        };
        self.answered += 1;
        let every = self.seen.drop_every.load(Ordering::Relaxed);
        if every > 0 && self.answered.is_multiple_of(every) {
            return;
        }
        let bytes = &buffer[..len];
        if bytes.get(3) == Some(&0x06) {
            return self.pong(bytes, peer);
        }
        if bytes.get(4) == Some(&0x00) {
            return self.before_session(bytes, peer);
        }
        let Some(envelope) = packet::open(bytes) else {
            return;
        };
        match envelope.kind {
            packet::OPEN_REQUEST => self.open(envelope.payload, peer),
            packet::RAKP_1 => self.rakp_1(envelope.payload, peer),
            packet::RAKP_3 => self.rakp_3(envelope.payload, peer),
            _ => {
                let Some(session) = &self.session else { return };
                let Some(keys) = &session.keys else { return };
                assert!(
                    envelope.is_authentic(keys),
                    "a packet that is not signed with the session's key"
                );
                let message = keys.decrypt(envelope.payload).unwrap().to_vec();
                self.command(&message, peer);
            }
        }
    }

    fn send(&self, bytes: &[u8], peer: SocketAddr) {
        self.socket.send_to(bytes, peer).unwrap();
    }

    /// ASF presence ping, which ipmipower sends first.
    fn pong(&self, ping: &[u8], peer: SocketAddr) {
        let mut out = vec![
            0x06, 0x00, 0xFF, 0x06, 0x00, 0x00, 0x11, 0xBE, 0x40, ping[9], 0x00, 0x10,
        ];
        out.extend_from_slice(&[
            0x00, 0x00, 0x11, 0xBE, 0, 0, 0, 0, 0x81, 0, 0, 0, 0, 0, 0, 0,
        ]);
        self.send(&out, peer);
    }

    /// Get Channel Authentication Capabilities, in IPMI 1.5's form: says that IPMI 2.0 is spoken.
    fn before_session(&self, bytes: &[u8], peer: SocketAddr) {
        let message = &bytes[14..];
        let data = [1, 0x80, 0x04, 0x02, 0, 0, 0, 0];
        let answer = answer(message, 0, &data);
        let mut out = RMCP.to_vec();
        out.extend_from_slice(&[0; 9]);
        out.push(answer.len() as u8);
        out.extend_from_slice(&answer);
        self.send(&out, peer);
    }

    fn open(&mut self, payload: &[u8], peer: SocketAddr) {
        let wanted = [payload[12], payload[20], payload[28]];
        if wanted != self.suite.algorithms() {
            // Two bytes and the console's id, as BMCs do.
            let mut out = vec![payload[0], 0x11, 0, 0];
            out.extend_from_slice(&payload[4..8]);
            return self.send(&packet::plain(packet::OPEN_RESPONSE, &out), peer);
        }
        let managed = [9, 8, 7, 6];
        let mut out = vec![payload[0], 0, 4, 0];
        out.extend_from_slice(&payload[4..8]);
        out.extend_from_slice(&managed);
        out.extend_from_slice(&payload[8..32]);
        self.session = Some(Session {
            console: payload[4..8].try_into().unwrap(),
            managed,
            console_nonce: Vec::new(),
            role: 0,
            name: Vec::new(),
            keys: None,
            sequence: 0,
        });
        self.send(&packet::plain(packet::OPEN_RESPONSE, &out), peer);
    }

    fn rakp_1(&mut self, payload: &[u8], peer: SocketAddr) {
        let Some(session) = &mut self.session else {
            return;
        };
        session.console_nonce = payload[8..24].to_vec();
        session.role = payload[24];
        let len = usize::from(payload[27]);
        session.name = payload[28..28 + len].to_vec();
        let code = self.suite.hmac(
            PASSWORD.as_bytes(),
            &[
                &session.console,
                &session.managed,
                &session.console_nonce,
                &NONCE,
                &GUID,
                &[session.role, len as u8],
                &session.name,
            ],
        );
        let mut out = vec![payload[0], 0, 0, 0];
        out.extend_from_slice(&session.console);
        out.extend_from_slice(&NONCE);
        out.extend_from_slice(&GUID);
        out.extend_from_slice(&code);
        self.send(&packet::plain(packet::RAKP_2, &out), peer);
    }

    fn rakp_3(&mut self, payload: &[u8], peer: SocketAddr) {
        let suite = self.suite;
        let Some(session) = &mut self.session else {
            return;
        };
        let len = session.name.len() as u8;
        let expected = suite.hmac(
            PASSWORD.as_bytes(),
            &[
                &NONCE,
                &session.console,
                &[session.role, len],
                &session.name,
            ],
        );
        let mut out = vec![payload[0], 0, 0, 0];
        out.extend_from_slice(&session.console);
        if payload.get(8..8 + suite.code_len()) != Some(expected.as_slice()) {
            out[1] = 0x0F;
            return self.send(&packet::plain(packet::RAKP_4, &out), peer);
        }
        let sik = suite.hmac(
            PASSWORD.as_bytes(),
            &[
                &session.console_nonce,
                &NONCE,
                &[session.role, len],
                &session.name,
            ],
        );
        let check = suite.hmac(&sik, &[&session.console_nonce, &session.managed, &GUID]);
        out.extend_from_slice(&check[..suite.tag_len()]);
        session.keys = Some(Keys::derive(suite, &sik));
        self.send(&packet::plain(packet::RAKP_4, &out), peer);
    }

    fn command(&mut self, message: &[u8], peer: SocketAddr) {
        let (net_fn, command, data) = (message[1] >> 2, message[5], &message[6..message.len() - 1]);
        let seen = &self.seen;
        let (code, out): (u8, Vec<u8>) = match (net_fn, command) {
            (0x06, 0x3B) => (0, vec![data[0]]),
            (0x06, 0x3C) => {
                seen.closed.fetch_add(1, Ordering::Relaxed);
                (0, vec![])
            }
            (0x00, 0x01) => (0, vec![u8::from(seen.on.load(Ordering::Relaxed)), 0, 0]),
            (0x00, 0x02) => {
                seen.on
                    .store(data[0] == 1 || data[0] == 3, Ordering::Relaxed);
                (0, vec![])
            }
            (0x00, 0x08) => {
                if data[0] == 5 {
                    *seen.boot_flags.lock().unwrap() = data[1..].to_vec();
                }
                (0, vec![])
            }
            (0x00, 0x09) => {
                let mut out = vec![1, 5];
                out.extend(seen.boot_flags.lock().unwrap().iter());
                out.resize(7, 0);
                (0, out)
            }
            _ => (0xC1, vec![]),
        };
        let reply = answer(message, code, &out);
        let Some(session) = &mut self.session else {
            return;
        };
        session.sequence += 1;
        let Some(keys) = &session.keys else { return };
        let console = u32::from_le_bytes(session.console);
        let packet = packet::sealed(keys, console, session.sequence, [3; 16], &reply);
        self.send(&packet, peer);
    }
}

/// The answer to a request: addresses swapped, the function's number odd, code and data.
fn answer(request: &[u8], code: u8, data: &[u8]) -> Vec<u8> {
    let checksum = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0u8, |s, b| s.wrapping_add(*b))
            .wrapping_neg()
    };
    let mut out = vec![request[3], (request[1] | 4) & 0xFC];
    out.push(checksum(&out));
    let second = out.len();
    out.extend_from_slice(&[request[0], request[4], request[5], code]);
    out.extend_from_slice(data);
    out.push(checksum(&out[second..]));
    out
}
