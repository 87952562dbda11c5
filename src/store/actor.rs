//! Who runs a command: what another person needs to find that process, and what tells whether it still lives.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub user: String,
    pub host: String,
    pub pid: u32,
    /// The kernel's boot id and the process's start in clock ticks since then: a process id alone is used again.
    #[serde(default)]
    pub boot: String,
    /// Containers share a boot id, and may share a host name; process ids mean something within a namespace only.
    #[serde(default)]
    pub namespace: String,
    #[serde(default)]
    pub start_ticks: u64,
    /// Where the CI job is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_job: Option<String>,
    /// The commit of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Whether the process that an actor names is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Alive,
    Dead,
    /// It is on another host, or in another container, or was before a restart.
    Unknown,
}

impl Actor {
    /// This process.
    pub fn here() -> Actor {
        let pid = std::process::id();
        Actor {
            user: user(),
            host: host(),
            pid,
            boot: boot_id().unwrap_or_default(),
            namespace: namespace().unwrap_or_default(),
            start_ticks: start_ticks(pid).unwrap_or_default(),
            ci_job: ci_job(|name| std::env::var(name).ok()),
            commit: None,
        }
    }

    /// Another boot id may be that of another host with the same name: what cannot be looked at is unknown, not dead.
    pub fn life(&self) -> Life {
        let here = (host(), boot_id(), namespace());
        let there = (
            self.host.clone(),
            Some(self.boot.clone()),
            Some(self.namespace.clone()),
        );
        if here != there {
            return Life::Unknown;
        }
        match start_ticks(self.pid) {
            Some(ticks) if ticks == self.start_ticks => Life::Alive,
            Some(_) | None => Life::Dead,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} of {} on {}", self.pid, self.user, self.host)?;
        if let Some(job) = &self.ci_job {
            write!(f, ", CI job {job}")?;
        }
        Ok(())
    }
}

fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn user() -> String {
    std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| format!("uid {}", rustix::process::getuid().as_raw()))
}

fn namespace() -> Option<String> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.to_string_lossy().into_owned())
}

fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// Field 22 of /proc/PID/stat. The second one, the program's name in parentheses, may hold anything.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // A zombie has ended; only its parent has not noticed.
    if matches!(fields.clone().next(), Some("Z" | "X")) {
        return None;
    }
    fields.nth(19)?.parse().ok()
}

/// From the variables of the well-known CI systems.
fn ci_job(env: impl Fn(&str) -> Option<String>) -> Option<String> {
    if let (Some(server), Some(repository), Some(run)) = (
        env("GITHUB_SERVER_URL"),
        env("GITHUB_REPOSITORY"),
        env("GITHUB_RUN_ID"),
    ) {
        return Some(format!("{server}/{repository}/actions/runs/{run}"));
    }
    [
        "CI_JOB_URL",
        "BUILDKITE_BUILD_URL",
        "BUILD_URL",
        "GITHUB_RUN_ID",
    ]
    .into_iter()
    .find_map(env)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_one_that_has_its_number_only_does_not() {
        let here = Actor::here();
        assert_eq!(here.life(), Life::Alive);
        let with = |change: fn(&mut Actor)| {
            let mut other = here.clone();
            change(&mut other);
            other.life()
        };
        assert_eq!(with(|a| a.start_ticks += 1), Life::Dead);
        assert_eq!(with(|a| a.boot.push('x')), Life::Unknown);
        assert_eq!(with(|a| a.namespace.push('x')), Life::Unknown);
        assert_eq!(with(|a| a.pid = u32::MAX), Life::Dead);
        assert_eq!(with(|a| a.host.push('x')), Life::Unknown);
    }

    #[test]
    fn a_ci_job_is_named_by_where_it_is_shown() {
        let env = |pairs: &'static [(&str, &str)]| {
            ci_job(|name| {
                let found = pairs.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let github = env(&[
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "a/b"),
            ("GITHUB_RUN_ID", "7"),
        ]);
        assert_eq!(
            github.as_deref(),
            Some("https://github.com/a/b/actions/runs/7")
        );
        let gitlab = env(&[("CI_JOB_URL", "https://gitlab/j/1")]);
        assert_eq!(gitlab.as_deref(), Some("https://gitlab/j/1"));
        assert_eq!(env(&[]), None);
    }
}
