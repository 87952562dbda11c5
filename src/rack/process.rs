//! Processes, known by id and start time, so that an id the kernel has given to another is never mistaken.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::RackError;

const KILL_LIMIT_S: u64 = 10;
const POLL: Duration = Duration::from_millis(1);

/// A process that cannot be confused with a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: u32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start: u64,
}

impl ProcessId {
    /// The process that has this number; nothing when there is none or it has ended.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let (state, start) = stat(pid)?;
        (state != 'Z' && state != 'X').then_some(Self { pid, start })
    }

    /// Reads `PID START`, as chassis.sh writes it.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let (pid, start) = text.trim().split_once(' ')?;
        Some(Self {
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        })
    }

    #[must_use]
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Ends it, whatever it does, and waits until it is gone. No error when it is gone already.
    pub fn kill(self) -> Result<(), RackError> {
        let program = program(self.pid);
        let failed = |said: String| RackError::Program {
            operation: format!("stop process {} ({program})", self.pid),
            said,
            hint: "; run as the user who brought the rack up",
        };
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(());
        };
        // The handle first, then the look: from here on the number cannot change hands.
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(e) => return Err(failed(e.to_string())),
        };
        if !self.is_alive() {
            return Ok(());
        }
        match pidfd_send_signal(&handle, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(e) => return Err(failed(e.to_string())),
        }
        let end = Instant::now() + Duration::from_secs(KILL_LIMIT_S);
        while self.is_alive() {
            if Instant::now() > end {
                return Err(RackError::Unkillable {
                    pid: self.pid,
                    program,
                    limit_s: KILL_LIMIT_S,
                });
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

/// State letter and start time.
fn stat(pid: u32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name stands in parentheses and may hold any character.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let start = fields.nth(18)?.parse().ok()?;
    Some((state, start))
}

/// The program's short name, for messages.
#[must_use]
pub fn program(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .map_or_else(|_| "gone".to_owned(), |name| name.trim().to_owned())
}

/// Whether a process was started with a path below `dir` among its arguments.
#[must_use]
pub fn names(pid: u32, dir: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let Ok(arguments) = fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let mut wanted = dir.as_os_str().as_bytes().to_vec();
    wanted.push(b'/');
    // QEMU's options double a comma in a path.
    let doubled = wanted
        .iter()
        .flat_map(|&b| if b == b',' { vec![b, b] } else { vec![b] })
        .collect::<Vec<_>>();
    [wanted, doubled]
        .iter()
        .any(|w| arguments.windows(w.len()).any(|part| part == w.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_killed_process_is_gone_and_killing_it_again_is_no_error() {
        let mut child = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        assert!(id.is_alive());
        id.kill().unwrap();
        assert!(!id.is_alive());
        id.kill().unwrap();
        child.wait().unwrap();
        id.kill().unwrap();
    }

    #[test]
    fn another_process_with_the_same_number_is_left_alone() {
        let me = ProcessId::of(std::process::id()).unwrap();
        let before_me = ProcessId {
            start: me.start - 1,
            ..me
        };
        assert!(!before_me.is_alive());
        before_me.kill().unwrap();
    }
}
