//! iSCSI (RFC 7143) as an initiator, without I/O: bytes in, bytes out. One connection, error recovery level 0.
//!
//! Takes: what a socket received, SCSI commands, randomness as an argument. Gives: chunks to send, finished commands.
//! Keeps to the target's limits and holds it to ours: a data segment longer than was declared ends the connection before
//! memory is taken for it. May import L0. Never reads a clock, never retries, never knows what a disk image is.

pub mod chap;
pub mod login;
pub mod outbox;
pub mod pdu;
pub mod scsi;
pub mod session;
pub mod text;

pub use login::{ChapPair, Digests, Login, Negotiated};
pub use session::{Command, Completion, Payload, Session, Tag, Transfer};

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer broke the protocol; the text says what was expected and what came.
    #[error("{0}")]
    Protocol(String),
    /// A digest did not match: what came is not what was sent.
    #[error("{0} digest of a received PDU is wrong")]
    Digest(&'static str),
    /// The target does not take us, or is not who it should be.
    #[error("{0}")]
    Refused(String),
    /// The target ends the session of its own will.
    #[error("{0}")]
    Closed(String),
}

pub type Done<T> = Result<T, Error>;

fn protocol<T>(what: impl Into<String>) -> Done<T> {
    Err(Error::Protocol(what.into()))
}
