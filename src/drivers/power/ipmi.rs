//! BMCs by IPMI over LAN: one UDP socket for all of them, one session at a time for each.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::drivers::{Done, DriverError, PowerAct, PowerLook, Stop, Trouble};
use crate::model::{BootSeen, Firmware, PowerSeen};
use crate::plan::Bmc;
use crate::plan::step::{BootDevice, Persistence};
use crate::proto::ipmi::command::{self, BootFlags, Command, Control};
use crate::proto::ipmi::session::{Failure, PASSWORD_LEN_MAX, Randoms, USER_LEN_MAX};
use crate::proto::ipmi::{Ended, Login, Session, Suite, packet};
use crate::secret::Secret;

/// Handshakes at once: more lose packets on the way.
const SESSIONS_MAX: usize = 512;
/// With the kernel's default, 5,000 BMCs that answer at once overrun the socket.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// No RMCP+ packet that is meant for us is longer.
const PACKET_BYTES_MAX: usize = 1024;

pub struct Ipmi {
    socket: Arc<UdpSocket>,
    routes: Arc<Mutex<Routes>>,
    gate: Semaphore,
    receiver: JoinHandle<()>,
}

/// Who waits for packets of which peer. One session at a time for each BMC, so the peer's address tells the session; the
/// session then checks its own random id.
#[derive(Default)]
struct Routes {
    waiting: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>>,
    /// Held while a session with the BMC goes on.
    turns: HashMap<SocketAddr, Arc<tokio::sync::Mutex<()>>>,
    /// The suite each BMC was found to speak.
    suites: HashMap<SocketAddr, Suite>,
}

impl Ipmi {
    pub async fn open() -> Result<Ipmi, std::io::Error> {
        let socket = UdpSocket::bind("0.0.0.0:0").await?;
        // As much as the system allows; less is slower, not wrong.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES);
        let socket = Arc::new(socket);
        let routes = Arc::new(Mutex::new(Routes::default()));
        let receiver = tokio::spawn(receive(socket.clone(), routes.clone()));
        Ok(Ipmi {
            socket,
            routes,
            gate: Semaphore::new(SESSIONS_MAX),
            receiver,
        })
    }

    fn routes(&self) -> std::sync::MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One session: log in, send the commands, close. Suite 17 first, 3 when the BMC refuses it, unless one is given.
    async fn talk(
        &self,
        bmc: &Bmc,
        password: &Secret,
        commands: Vec<Command>,
    ) -> Done<Vec<Vec<u8>>> {
        check_login(bmc, password)?;
        let peer = SocketAddr::V4(SocketAddrV4::new(bmc.endpoint.address, bmc.endpoint.port));
        let turn = self.routes().turns.entry(peer).or_default().clone();
        let _turn = turn.lock().await;
        // The semaphore is never closed.
        let _permit = self.gate.acquire().await;
        let known = self.routes().suites.get(&peer).copied();
        let suites = match (bmc.cipher_suite.and_then(Suite::from_number), known) {
            (Some(suite), _) | (None, Some(suite)) => vec![suite],
            (None, None) => vec![Suite::Seventeen, Suite::Three],
        };
        let mut last = Failure::Protocol("no cipher suite was tried");
        for suite in suites {
            let login = Login {
                user: bmc.user.clone(),
                password: password.clone(),
                suite,
            };
            match self.session(peer, login, commands.clone()).await? {
                Ended::Answers(answers) => {
                    self.routes().suites.insert(peer, suite);
                    return Ok(answers);
                }
                Ended::Failed(failure @ Failure::NoSuchSuite(_)) => {
                    last = failure;
                    rest(bmc).await;
                }
                Ended::Failed(failure) => return Err(explain(bmc, &failure)),
            }
        }
        Err(explain(bmc, &last))
    }

    async fn session(&self, peer: SocketAddr, login: Login, commands: Vec<Command>) -> Done<Ended> {
        let begun = Instant::now();
        let now = || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (sender, mut packets) = mpsc::channel(16);
        self.routes().waiting.insert(peer, sender);
        let mut session = Session::new(login, randoms()?, commands, now());
        let ended = loop {
            while let Some(packet) = session.poll_transmit() {
                // A packet that could not be sent is a packet lost: the session sends again.
                let _ = self.socket.send_to(&packet, peer).await;
            }
            if let Some(ended) = session.poll_end() {
                break ended;
            }
            let wait = session.poll_timeout().unwrap_or(0).saturating_sub(now());
            tokio::select! {
                Some(packet) = packets.recv() => session.handle_input(&packet, now()),
                () = tokio::time::sleep(Duration::from_millis(wait)) => session.handle_timeout(now()),
            }
        };
        self.routes().waiting.remove(&peer);
        Ok(ended)
    }
}

impl Drop for Ipmi {
    fn drop(&mut self) {
        self.receiver.abort();
    }
}

async fn receive(socket: Arc<UdpSocket>, routes: Arc<Mutex<Routes>>) {
    let mut buffer = [0u8; PACKET_BYTES_MAX];
    loop {
        let Ok((len, peer)) = socket.recv_from(&mut buffer).await else {
            // Such as "connection refused" of one BMC: it is that session's silence.
            continue;
        };
        let bytes = &buffer[..len];
        if packet::open(bytes).is_none() {
            continue;
        }
        let waiting = routes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .waiting
            .get(&peer)
            .cloned();
        if let Some(sender) = waiting {
            // A full queue is a flood; what is lost is sent again.
            let _ = sender.try_send(bytes.to_vec());
        }
    }
}

fn randoms() -> Done<Randoms> {
    let mut bytes = [0u8; 36];
    getrandom::fill(&mut bytes).map_err(|e| {
        DriverError::new(
            Trouble::Failed,
            format!("random numbers of the operating system: {e}"),
        )
    })?;
    let mut randoms = Randoms {
        console_id: 0,
        nonce: [0; 16],
        iv_seed: [0; 16],
    };
    randoms.console_id = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).max(1);
    randoms.nonce.copy_from_slice(&bytes[4..20]);
    randoms.iv_seed.copy_from_slice(&bytes[20..36]);
    Ok(randoms)
}

fn check_login(bmc: &Bmc, password: &Secret) -> Done<()> {
    let refuse = |what: &str, max: usize| {
        Err(DriverError::new(
            Trouble::Conflict,
            format!(
                "BMC of {}: the {what} has more than {max} bytes, which IPMI 2.0 cannot carry",
                bmc.node
            ),
        ))
    };
    if bmc.user.len() > USER_LEN_MAX {
        return refuse("user name", USER_LEN_MAX);
    }
    if password.expose().len() > PASSWORD_LEN_MAX {
        return refuse("password", PASSWORD_LEN_MAX);
    }
    Ok(())
}

fn explain(bmc: &Bmc, failure: &Failure) -> DriverError {
    let who = format!("BMC of {} at {}", bmc.node, bmc.endpoint);
    match failure {
        Failure::Silent(what) => DriverError::new(
            Trouble::Silent,
            format!(
                "{who}: no answer ({what}); check the address, the cable, and that IPMI over LAN is on"
            ),
        ),
        Failure::NoSuchSuite(code) => DriverError::new(
            Trouble::Refused,
            format!(
                "{who}: it speaks neither cipher suite 17 nor 3, or not the one that is set (status 0x{code:02x})"
            ),
        ),
        Failure::Refused(why) => DriverError::new(
            Trouble::Refused,
            format!("{who}: user `{}`: {why}", bmc.user),
        ),
        Failure::NotAuthentic(why) => DriverError::new(
            Trouble::Refused,
            format!(
                "{who}: user `{}`: wrong password ({why}); correct `power.password`",
                bmc.user
            ),
        ),
        Failure::Code { command, code } => DriverError::new(
            Trouble::Failed,
            format!(
                "{who}: {command}: completion code 0x{code:02x}, {}",
                command::describe_code(*code)
            ),
        ),
        Failure::Protocol(why) => DriverError::new(Trouble::Failed, format!("{who}: {why}")),
    }
}

/// Between two sessions of one exchange; those between exchanges are kept by whoever paces them.
async fn rest(bmc: &Bmc) {
    tokio::time::sleep(Duration::from_millis(u64::from(bmc.interval_ms))).await;
}

#[async_trait]
impl PowerLook for Ipmi {
    async fn status(&self, bmc: &Bmc, password: &Secret) -> Done<PowerSeen> {
        let answers = self
            .talk(bmc, password, vec![command::chassis_status()])
            .await?;
        Ok(
            match answers.first().and_then(|data| command::is_on(data)) {
                Some(true) => PowerSeen::On,
                Some(false) => PowerSeen::Off,
                None => PowerSeen::Unknown("an empty answer to chassis status".to_owned()),
            },
        )
    }

    async fn boot_device(&self, bmc: &Bmc, password: &Secret) -> Done<BootSeen> {
        let answers = self
            .talk(bmc, password, vec![command::get_boot_flags()])
            .await?;
        let answer = answers.first().map(Vec::as_slice).unwrap_or_default();
        Ok(match command::boot_for_good(answer) {
            Some(None) => BootSeen::Unset,
            Some(Some(1)) => BootSeen::Pxe,
            Some(Some(2)) => BootSeen::Disk,
            Some(Some(other)) => BootSeen::Other(other),
            None => BootSeen::Unknown("a short answer to the question for boot flags".to_owned()),
        })
    }
}

impl Ipmi {
    async fn control(&self, bmc: &Bmc, password: &Secret, control: Control) -> Done<()> {
        self.talk(bmc, password, vec![command::chassis_control(control)])
            .await
            .map(drop)
    }
}

#[async_trait]
impl PowerAct for Ipmi {
    async fn on(&self, bmc: &Bmc, password: &Secret) -> Done<()> {
        self.control(bmc, password, Control::On).await
    }

    async fn off(&self, bmc: &Bmc, password: &Secret, how: Stop) -> Done<()> {
        let control = match how {
            Stop::Soft => Control::Soft,
            Stop::Hard => Control::Off,
        };
        self.control(bmc, password, control).await
    }

    async fn reset(&self, bmc: &Bmc, password: &Secret) -> Done<()> {
        self.control(bmc, password, Control::Reset).await
    }

    async fn set_boot_device(
        &self,
        bmc: &Bmc,
        password: &Secret,
        device: BootDevice,
        persistence: Persistence,
        firmware: Firmware,
    ) -> Done<()> {
        let flags = BootFlags {
            device: match device {
                BootDevice::Pxe => command::BootDevice::Pxe,
                BootDevice::Disk => command::BootDevice::Disk,
            },
            persistent: persistence == Persistence::Always,
            efi: firmware == Firmware::Uefi,
        };
        // Some BMCs do not know the acknowledgement; the flags are what counts.
        let cleared = self
            .talk(bmc, password, vec![command::clear_boot_acknowledgements()])
            .await;
        if let Err(error) = cleared.as_ref()
            && error.kind != Trouble::Failed
        {
            return cleared.map(drop);
        }
        rest(bmc).await;
        self.talk(bmc, password, vec![command::set_boot_flags(flags)])
            .await
            .map(drop)
    }
}
