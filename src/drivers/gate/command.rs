//! What a program of the user's says. It is started without a shell, with an environment that holds nothing of bmctl's, in a process
//! group of its own; whatever ends the look, the program's own end too, ends the group.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::not_so;
use crate::drivers::{Asked, Done, Trouble, child};
use crate::plain::plain_line;

/// Of what a program says, the end is kept: that is where it says what is wrong.
const SAID_BYTES_MAX: usize = 4096;
/// How long words that were written before its end may take to arrive. Whoever has left its group may keep the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

pub async fn look(root: &Path, argv: &[String], asked: &Asked<'_>) -> Done<String> {
    let Some((program, rest)) = argv.split_first() else {
        return Err(not_so(Trouble::Conflict, "a command without a program"));
    };
    // Tokens and passwords of CI are in our environment, and none of its business.
    let mut command = Command::from(child::program(found_at(root, program)));
    command
        .args(rest)
        .current_dir(root)
        .env("BMCTL_INSTANCE", asked.instance.to_string())
        .env("BMCTL_NODE", asked.node.to_string())
        .env("BMCTL_HOSTNAME", asked.hostname)
        .env(
            "BMCTL_ADDRESS",
            asked.address.map(|a| a.to_string()).unwrap_or_default(),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut group = Group::start(&mut command).map_err(|error| {
        let found = format!("{}: cannot be started: {error}", program.escape_debug());
        not_so(Trouble::Conflict, found)
    })?;
    let mut said = Said::default();
    let ended = tokio::select! {
        ended = said.until_the_end_of(&mut group) => Some(ended),
        () = sleep(asked.limit) => None,
    };
    drop(group);
    let said = said.shown();
    match ended {
        Some(Ok(status)) if status.success() => Ok(status.to_string()),
        Some(Ok(status)) => Err(not_so(Trouble::Failed, format!("{status}{said}"))),
        Some(Err(error)) => Err(not_so(Trouble::Failed, format!("{error}{said}"))),
        None => {
            let found = format!(
                "killed after {} s without an end{said}",
                asked.limit.as_secs()
            );
            Err(not_so(Trouble::TimedOut, found))
        }
    }
}

/// A program that is named with a directory stands in the root module; any other is looked for in PATH.
fn found_at(root: &Path, program: &str) -> PathBuf {
    match program.contains('/') {
        true => root.join(program),
        false => PathBuf::from(program),
    }
}

/// A program and what it has started. At its end, or dropped before, all of them are killed: nothing goes on behind a gate that is
/// passed, nor behind a run that was interrupted. Who makes a session of its own leaves the group, and is a service that was meant
/// to stay.
struct Group {
    child: Child,
    /// That some child of ours has ended.
    ends: Signals,
    /// None once the group was killed: the number may be another's by then.
    leader: Option<Pid>,
}

impl Group {
    fn start(command: &mut Command) -> std::io::Result<Group> {
        let ends = signal(SignalKind::child())?;
        let child = command.spawn()?;
        let number = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Group {
            child,
            ends,
            leader: number.and_then(Pid::from_raw),
        })
    }

    /// Waits for the program, and ends what it has left behind. Its number is its group's, and nobody else is given it until its
    /// status is taken: so the group first, then the status.
    async fn end(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(leader) = self.leader {
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            while waitid(WaitId::Pid(leader), look)?.is_none() {
                self.ends.recv().await;
            }
            self.kill();
        }
        self.child.wait().await
    }

    fn kill(&mut self) {
        if let Some(leader) = self.leader.take() {
            // It fails when they have all ended in this moment, which is what is wanted.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the program has said so far, on both of its outputs.
#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Said {
    async fn until_the_end_of(&mut self, group: &mut Group) -> std::io::Result<ExitStatus> {
        let (mut out, mut err) = (group.child.stdout.take(), group.child.stderr.take());
        loop {
            let heard = tokio::select! {
                heard = next(&mut out) => heard,
                heard = next(&mut err) => heard,
                ended = group.end() => {
                    let rest = async {
                        while out.is_some() || err.is_some() {
                            let heard = tokio::select! {
                                heard = next(&mut out) => heard,
                                heard = next(&mut err) => heard,
                            };
                            self.keep(&heard);
                        }
                    };
                    // Nothing more by then is all there is.
                    let _ = timeout(LAST_WORDS, rest).await;
                    return ended;
                }
            };
            self.keep(&heard);
        }
    }

    fn keep(&mut self, heard: &[u8]) {
        self.bytes.extend_from_slice(heard);
        let surplus = self.bytes.len().saturating_sub(SAID_BYTES_MAX);
        self.is_cut |= surplus > 0;
        self.bytes.drain(..surplus);
    }

    /// For a terminal: no control characters but the ends of lines.
    fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let lines = text.lines().map(|line| plain_line(line.trim_end()));
        let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        let cut = if self.is_cut { "..." } else { "" };
        match lines.is_empty() {
            true => ", and it said nothing".to_owned(),
            false => format!("; it said: {cut}{}", lines.join("\n    ")),
        }
    }
}

/// What comes next; none of it once the output is closed, which then stays silent.
async fn next(from: &mut Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    const CHUNK_BYTES: usize = 1024;
    let Some(open) = from else {
        return std::future::pending().await;
    };
    let mut chunk = vec![0; CHUNK_BYTES];
    match open.read(&mut chunk).await {
        Ok(count) if count > 0 => chunk.truncate(count),
        // The program has closed it, or it cannot be read: its exit status tells the rest.
        Ok(_) | Err(_) => {
            *from = None;
            chunk.clear();
        }
    }
    chunk
}
