//! Modules from repositories, by the `git` program: its transports, its credentials, its host keys. Takes a source and where to
//! put it; gives the commit. Nothing that a repository holds is run: no hooks, no prompts, no `ext::` transport.

use std::path::{Component, Path, PathBuf};
use std::process::Stdio;

use super::child;
use crate::config::GitSource;

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("git cannot be started: {0}; install git")]
    Start(std::io::Error),
    #[error("git {what} {url}: {said}")]
    Failed {
        what: &'static str,
        url: String,
        said: String,
    },
    #[error(
        "{url}: no commit {commit} in it; `bmctl init --upgrade` locks what its reference names"
    )]
    NoCommit { url: String, commit: String },
    #[error("{path}: a link that leads out of the repository; a module may not have one")]
    Link { path: String },
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
}

/// Variables that a hook of another repository, from which bmctl may be run, sets for that repository: with them, git would
/// write there.
const ELSEWHERE: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
];

/// Directories within each other in a checkout.
const DEPTH_MAX: usize = 64;

/// Puts the files of a commit into a new directory, without history: the locked commit, or what the reference names.
pub fn fetch(source: &GitSource, commit: Option<&str>, into: &Path) -> Result<String, GitError> {
    let git = Git { source, dir: into };
    std::fs::create_dir_all(into).map_err(|e| io(into, e))?;
    git.run("init", &["init", "--quiet"])?;
    let wanted = source.reference.as_deref().unwrap_or("HEAD");
    let found = match commit {
        None => {
            git.fetch(&["--depth=1", &source.url, wanted])?;
            git.commit_of("FETCH_HEAD")?
        }
        Some(commit) => git.locked(commit, wanted)?,
    };
    git.run("checkout", &["checkout", "--quiet", "--detach", &found])?;
    let history = into.join(".git");
    std::fs::remove_dir_all(&history).map_err(|e| io(&history, e))?;
    links_stay(into, into, 0)?;
    Ok(found)
}

struct Git<'g> {
    source: &'g GitSource,
    dir: &'g Path,
}

impl Git<'_> {
    /// A server may refuse to hand out a commit by its number; then its branches and tags are looked through.
    fn locked(&self, commit: &str, wanted: &str) -> Result<String, GitError> {
        let url = &self.source.url;
        if self.fetch(&["--depth=1", url, commit]).is_ok() {
            return self.commit_of("FETCH_HEAD");
        }
        self.fetch(&["--depth=1", url, wanted])?;
        if self.commit_of("FETCH_HEAD")? == commit {
            return Ok(commit.to_owned());
        }
        self.fetch(&["--tags", url, "+refs/heads/*:refs/remotes/origin/*"])?;
        self.commit_of(commit).map_err(|_| GitError::NoCommit {
            url: url.clone(),
            commit: commit.to_owned(),
        })
    }

    fn fetch(&self, what: &[&str]) -> Result<String, GitError> {
        self.run(
            "fetch",
            &[&["fetch", "--quiet", "--no-recurse-submodules"], what].concat(),
        )
    }

    fn commit_of(&self, name: &str) -> Result<String, GitError> {
        let found = self.run(
            "rev-parse",
            &[
                "rev-parse",
                "--verify",
                "--quiet",
                &format!("{name}^{{commit}}"),
            ],
        )?;
        Ok(found.trim().to_owned())
    }

    fn run(&self, what: &'static str, args: &[&str]) -> Result<String, GitError> {
        let mut command = child::fetching("git");
        command
            .arg("-C")
            .arg(self.dir)
            .args([
                "-c",
                "core.hooksPath=/dev/null",
                "-c",
                "core.autocrlf=false",
            ])
            .args([
                "-c",
                "protocol.ext.allow=never",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(["-c", "core.eol=lf"])
            .args(args)
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null());
        for name in ELSEWHERE {
            command.env_remove(name);
        }
        let ended = command.output().map_err(GitError::Start)?;
        if ended.status.success() {
            return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        Err(GitError::Failed {
            what,
            url: self.source.url.clone(),
            said: said.trim().replace('\n', "; "),
        })
    }
}

fn io(path: &Path, source: std::io::Error) -> GitError {
    GitError::Io {
        path: path.display().to_string(),
        source,
    }
}

/// The digest of a checkout is that of its own files: a link to elsewhere would let them change under it.
fn links_stay(top: &Path, dir: &Path, depth: usize) -> Result<(), GitError> {
    let refuse = |path: &Path| GitError::Link {
        path: path.display().to_string(),
    };
    if depth > DEPTH_MAX {
        return Err(refuse(dir));
    }
    for entry in std::fs::read_dir(dir).map_err(|e| io(dir, e))? {
        let entry = entry.map_err(|e| io(dir, e))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|e| io(&path, e))?;
        if kind.is_symlink() {
            let target = std::fs::read_link(&path).map_err(|e| io(&path, e))?;
            if !stays(top, dir, &target) {
                return Err(refuse(&path));
            }
        } else if kind.is_dir() {
            links_stay(top, &path, depth + 1)?;
        }
    }
    Ok(())
}

fn stays(top: &Path, dir: &Path, target: &Path) -> bool {
    let mut at: PathBuf = dir.to_owned();
    for part in target.components() {
        match part {
            Component::Normal(name) => at.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if at == top || !at.pop() {
                    return false;
                }
            }
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    at.starts_with(top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_may_lead_around_inside_only() {
        let (top, dir) = (Path::new("/r"), Path::new("/r/a/b"));
        for inside in ["x", "../x", "../../x", "./c/../x"] {
            assert!(stays(top, dir, Path::new(inside)), "{inside}");
        }
        for outside in ["/etc/passwd", "../../../x", "../../../r/x"] {
            assert!(!stays(top, dir, Path::new(outside)), "{outside}");
        }
    }
}
