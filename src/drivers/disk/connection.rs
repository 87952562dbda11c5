//! One TCP connection that carries a session.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::drivers::{DriverError, IscsiTarget, Trouble};
use crate::proto::iscsi::{self, ChapPair, Command, Completion, Digests, Login, Session, Tag};

/// Who we are to targets. They know us by CHAP, not by name.
const INITIATOR: &str = "iqn.2026-01.org.bmctl:initiator";
const READ_BYTES: usize = 256 * 1024;
/// Slices of one vectored write: with tgt's segments of 8 KiB these are a MiB.
const SLICES: usize = 256;
/// Reads or writes in one turn, so that neither side starves the other.
const CALLS_A_TURN: usize = 8;

/// Why a connection is of no more use.
#[derive(Debug)]
pub enum Fault {
    /// It broke. Another may do.
    Lost(String),
    /// Another would do no better.
    Hopeless(DriverError),
}

impl From<iscsi::Error> for Fault {
    fn from(error: iscsi::Error) -> Fault {
        match error {
            iscsi::Error::Refused(why) => Fault::Hopeless(DriverError::new(Trouble::Refused, why)),
            iscsi::Error::Protocol(why) => Fault::Hopeless(DriverError::new(Trouble::Failed, why)),
            iscsi::Error::Closed(why) => Fault::Lost(why),
            iscsi::Error::Digest(_) => Fault::Lost(error.to_string()),
        }
    }
}

pub struct Connection {
    stream: TcpStream,
    session: Session,
    buffer: Vec<u8>,
    stall: Duration,
    deadline: Instant,
    work: u64,
}

impl Connection {
    /// Connects and logs in. `isid` is the same for all connections of one writer.
    pub async fn open(
        target: &IscsiTarget,
        digests: Digests,
        isid: [u8; 6],
        stall: Duration,
    ) -> Result<Connection, Fault> {
        let stream = timeout(stall, TcpStream::connect(target.portal))
            .await
            .map_err(|_| Fault::Lost(format!("{} does not answer", target.portal)))?
            .map_err(|e| Fault::Lost(format!("{}: {e}", target.portal)))?;
        stream
            .set_nodelay(true)
            .map_err(|e| Fault::Lost(e.to_string()))?;
        let mut challenge = [0; 16];
        getrandom::fill(&mut challenge).map_err(|e| {
            Fault::Hopeless(DriverError::new(
                Trouble::Failed,
                format!("the system gives no randomness: {e}"),
            ))
        })?;
        let login = Login {
            initiator: INITIATOR.to_owned(),
            target: target.iqn.clone(),
            isid,
            ours: ChapPair {
                user: target.initiator_user.clone(),
                secret: target.initiator_secret.clone(),
            },
            theirs: ChapPair {
                user: target.target_user.clone(),
                secret: target.target_secret.clone(),
            },
            digests,
        };
        let mut connection = Connection {
            stream,
            session: Session::start(login, challenge)?,
            buffer: vec![0; READ_BYTES],
            stall,
            deadline: Instant::now() + stall,
            work: 0,
        };
        while !connection.session.is_ready() {
            connection.turn().await?;
        }
        Ok(connection)
    }

    /// Starts a command. A connection that was idle has its whole time again.
    pub fn submit(&mut self, command: Command) -> Result<Tag, Fault> {
        Ok(self.session.submit(command)?)
    }

    /// Counts silence from here on: what came before was not the target's.
    pub fn touch(&mut self) {
        self.deadline = Instant::now() + self.stall;
    }

    /// The next finished command. May be dropped and called again.
    pub async fn next_done(&mut self) -> Result<(Tag, Completion), Fault> {
        loop {
            if let Some(done) = self.session.poll_done() {
                return Ok(done);
            }
            self.turn().await?;
        }
    }

    /// One command on an idle connection.
    pub async fn command(&mut self, command: Command) -> Result<Completion, Fault> {
        self.touch();
        self.submit(command)?;
        Ok(self.next_done().await?.1)
    }

    #[cfg(test)]
    pub fn agreed(&self) -> iscsi::Negotiated {
        *self.session.agreed()
    }

    pub async fn log_out(mut self) -> Result<(), Fault> {
        self.touch();
        self.session.log_out()?;
        while !self.session.is_logged_out() {
            self.turn().await?;
        }
        Ok(())
    }

    /// Moves bytes once, in whichever direction is ready.
    async fn turn(&mut self) -> Result<(), Fault> {
        let interest = if self.session.wants_to_send() {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        let ready = timeout_at(self.deadline, self.stream.ready(interest))
            .await
            .map_err(|_| self.stalled())?
            .map_err(|e| Fault::Lost(e.to_string()))?;
        if ready.is_writable() {
            self.write_some()?;
        }
        if ready.is_readable() {
            self.read_some()?;
        }
        if self.session.work() != self.work {
            self.work = self.session.work();
            self.touch();
        } else if Instant::now() >= self.deadline {
            // Readiness alone, or pings, are no progress.
            return Err(self.stalled());
        }
        Ok(())
    }

    fn stalled(&self) -> Fault {
        Fault::Hopeless(DriverError::new(
            Trouble::TimedOut,
            format!(
                "nothing moved to or from the target for {} s; look at the node's console and its network",
                self.stall.as_secs()
            ),
        ))
    }

    fn write_some(&mut self) -> Result<(), Fault> {
        for _ in 0..CALLS_A_TURN {
            if !self.session.wants_to_send() {
                break;
            }
            match self.stream.try_write_vectored(&self.session.slices(SLICES)) {
                Ok(n) => self.session.sent(n),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(Fault::Lost(e.to_string())),
            }
        }
        Ok(())
    }

    fn read_some(&mut self) -> Result<(), Fault> {
        for _ in 0..CALLS_A_TURN {
            match self.stream.try_read(&mut self.buffer) {
                Ok(0) => return Err(Fault::Lost("the target closed the connection".to_owned())),
                Ok(n) => self
                    .session
                    .handle_input(self.buffer.get(..n).unwrap_or_default())?,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(Fault::Lost(e.to_string())),
            }
        }
        Ok(())
    }
}
