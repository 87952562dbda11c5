//! Programs we did not write, asked about the same things: they are the judges.

mod bmc;
mod gates;
mod ipmi;

use std::process::{Child, Command, Output, Stdio};

/// Runs a program to its end; a missing one fails the test with the package that has it.
pub fn run(package: &str, program: &str, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; install the package {package}"))
}

/// A child that is killed when the test ends, however it ends.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A UDP port on loopback that is free at this moment.
pub fn free_udp_port() -> u16 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}
