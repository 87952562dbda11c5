//! IPMI 2.0 over LAN (RMCP+), without I/O: packets in, packets out, time and randomness as arguments.
//!
//! Section numbers are those of the IPMI 2.0 specification, revision 1.1.

pub mod command;
pub mod crypto;
pub mod packet;
pub mod session;

pub use crypto::Suite;
pub use session::{Ended, Login, Session};
