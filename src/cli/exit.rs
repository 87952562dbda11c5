//! Exit codes: a promise to scripts.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// An error: nothing, or not everything, was done.
    Error,
    /// `--detailed-exitcode`, `fmt --check`: there are changes.
    Changes,
    /// Apply ended and some steps failed, or are left for a window; the others are done.
    Incomplete,
    /// Another apply holds the state.
    Locked,
    /// The plan is not for this state any more.
    Stale,
    /// The user said no.
    Declined,
    /// A guard, a policy or a missing signature forbids it.
    Refused,
    /// The arguments are wrong.
    Usage,
    /// Stopped by Ctrl-C.
    Interrupted,
}

pub const HELP: &str = "Exit codes: 0 done or nothing to do; 1 error; 2 changes (--detailed-exitcode, fmt --check); 3 apply ended with failures, or left work for a window;
4 another apply holds the state; 5 the plan is stale; 6 not confirmed; 7 refused by a guard or policy; 64 wrong usage; 130 interrupted.

Environment: BMCTL_KEY the sealing key; BMCTL_VAR_name a variable; BMCTL_LOG=debug what happens inside; NO_COLOR.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Error => 1,
            Exit::Changes => 2,
            Exit::Incomplete => 3,
            Exit::Locked => 4,
            Exit::Stale => 5,
            Exit::Declined => 6,
            Exit::Refused => 7,
            Exit::Usage => 64,
            Exit::Interrupted => 130,
        })
    }
}
