//! Programs that bmctl starts: what they are given of its environment.
//!
//! Variables of the configuration, the sealing key and whatever `env()` reads are in the environment of bmctl, whose own cannot be read by
//! other users. That of its children can, by the user that they run as: they get what a program needs to run, by name.

use std::ffi::OsStr;
use std::process::Command;

/// Where programs and homes are, what language is spoken, where temporary files go.
const NEEDED: [&str; 9] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TMPDIR", "TZ",
];
const NEEDED_PREFIXES: [&str; 2] = ["LC_", "XDG_"];

/// How git and apt reach a server, and as whom: what their user has set for them.
const TO_REACH: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "DISPLAY",
];
const TO_REACH_PREFIXES: [&str; 4] = ["GIT_", "SSH_", "SSL_CERT_", "APT_"];

/// A program with the environment that it needs and no more.
pub fn program(name: impl AsRef<OsStr>) -> Command {
    with(name, is_needed)
}

/// A program that fetches something, with what is set for it.
pub fn fetching(name: impl AsRef<OsStr>) -> Command {
    with(name, |variable| {
        let is_prefixed = TO_REACH_PREFIXES.iter().any(|p| variable.starts_with(p));
        is_needed(variable) || is_prefixed || TO_REACH.contains(&variable)
    })
}

fn is_needed(variable: &str) -> bool {
    NEEDED.contains(&variable) || NEEDED_PREFIXES.iter().any(|p| variable.starts_with(p))
}

fn with(name: impl AsRef<OsStr>, is_given: impl Fn(&str) -> bool) -> Command {
    let mut command = Command::new(name);
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(&is_given)));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_what_it_needs_and_nothing_of_ours() {
        let given = |command: &Command| {
            let names = command.get_envs().map(|(name, _)| name.to_owned());
            names.collect::<Vec<_>>()
        };
        assert!(given(&program("x")).contains(&"PATH".into()));
        // Cargo's are in the environment of every test.
        let not_given = |command: &Command| {
            let mut names = given(command).into_iter();
            !names.any(|name| name.to_string_lossy().starts_with("CARGO"))
        };
        assert!(not_given(&program("x")) && not_given(&fetching("x")));
        let ended = program("env").output().unwrap();
        let said = String::from_utf8(ended.stdout).unwrap();
        assert!(said.contains("PATH=") && !said.contains("CARGO"), "{said}");
        for name in ["BMCTL_KEY", "BMCTL_VAR_password", "SECRET", "GITHUB_TOKEN"] {
            assert!(!is_needed(name), "{name}");
        }
    }
}
