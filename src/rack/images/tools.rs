//! File systems filled without mounting them, and the programs that do it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::drivers::child;
use crate::rack::RackError;

/// The time every file of an image has, in seconds since 1970: FAT cannot go below 1980.
pub const IMAGE_TIME_S: u64 = 1_000_000_000;

enum Entry {
    Directory,
    File { mode: u32, data: Vec<u8> },
    Link { target: String },
}

/// A small file tree: relative path to entry, parents named before what they hold.
#[derive(Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    pub fn directory(&mut self, path: &str) {
        self.entries.insert(path.to_owned(), Entry::Directory);
    }

    pub fn file(&mut self, path: &str, mode: u32, data: Vec<u8>) {
        self.entries
            .insert(path.to_owned(), Entry::File { mode, data });
    }

    pub fn link(&mut self, path: &str, target: &str) {
        self.entries.insert(
            path.to_owned(),
            Entry::Link {
                target: target.to_owned(),
            },
        );
    }
}

/// Makes `work/name` (`work` absolute), an ext4 file system of `size` bytes that holds `tree`, owned by root.
///
/// debugfs fills it, file by file: `mke2fs -d` copies change times, which nobody can set, and the order of a directory.
pub fn file_system(
    work: &Path,
    name: &str,
    size: u64,
    uuid: &str,
    tree: &Tree,
) -> Result<PathBuf, RackError> {
    let path = work.join(name);
    let file = fs::File::create(&path).map_err(RackError::io("make", &path))?;
    file.set_len(size).map_err(RackError::io("size", &path))?;
    run("make a file system", "mke2fs", "e2fsprogs", |c| {
        c.args([
            "-q",
            "-F",
            "-t",
            "ext4",
            "-m",
            "0",
            "-L",
            "bmctl-test",
            "-U",
            uuid,
        ])
        // No lazy initialisation: the kernel would write to a disk that was just verified.
        .args([
            "-E",
            &format!("hash_seed={uuid},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0"),
        ])
        .arg(&path)
    })?;
    let script = script(work, name, tree)?;
    let commands = work.join(format!("{name}.debugfs"));
    fs::write(&commands, script).map_err(RackError::io("write", &commands))?;
    let said = run("fill a file system", "debugfs", "e2fsprogs", |c| {
        // It reads the files to write relative to where it runs.
        c.args(["-w", "-f"])
            .arg(&commands)
            .arg(&path)
            .current_dir(work)
    })?;
    // debugfs succeeds whatever its commands did, and says so among its echoes.
    if let Some(line) = said
        .lines()
        .find(|l| l.contains("while ") || l.contains("not found"))
    {
        return Err(RackError::Image {
            operation: "fill a file system".to_owned(),
            said: line.to_owned(),
        });
    }
    Ok(path)
}

/// What debugfs is told, with the files that it writes put beside it.
fn script(work: &Path, name: &str, tree: &Tree) -> Result<String, RackError> {
    let mut script = String::new();
    let mut times = vec!["/".to_owned(), "/lost+found".to_owned()];
    // Writing to a String cannot fail.
    for (number, (inside, entry)) in tree.entries.iter().enumerate() {
        let _ = match entry {
            Entry::Directory => writeln!(script, "mkdir /{inside}"),
            Entry::Link { target } => writeln!(script, "symlink /{inside} {target}"),
            Entry::File { mode, data } => {
                let source = format!("{name}.{number}");
                fs::write(work.join(&source), data)
                    .map_err(RackError::io("write", &work.join(&source)))?;
                writeln!(
                    script,
                    "write {source} /{inside}\nsif /{inside} mode 0{:o}",
                    0o100_000 | mode
                )
            }
        };
        times.push(format!("/{inside}"));
    }
    for path in times {
        for field in ["uid 0", "gid 0", "generation 0"] {
            let _ = writeln!(script, "sif {path} {field}");
        }
        for field in ["atime", "ctime", "mtime", "crtime"] {
            let _ = writeln!(
                script,
                "sif {path} {field} @{IMAGE_TIME_S}\nsif {path} {field}_extra 0"
            );
        }
    }
    Ok(script)
}

/// Runs a program in `work` terms: fixed time, plain language. Returns both of its outputs.
pub fn run(
    operation: &str,
    program: &str,
    package: &str,
    arguments: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<String, RackError> {
    let failed = |said: String| RackError::Image {
        operation: operation.to_owned(),
        said,
    };
    let mut command = child::program(program);
    command
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("SOURCE_DATE_EPOCH", IMAGE_TIME_S.to_string())
        .env("E2FSPROGS_FAKE_TIME", IMAGE_TIME_S.to_string())
        .env("MTOOLS_SKIP_CHECK", "1")
        // mke2fs, debugfs live where a plain user's PATH does not look.
        .env("PATH", search_path());
    let output = arguments(&mut command).output().map_err(|e| {
        failed(format!(
            "{program} did not start ({e}); install the Debian package {package}"
        ))
    })?;
    let said = [output.stdout, output.stderr]
        .map(|b| String::from_utf8_lossy(&b).into_owned())
        .concat();
    if output.status.success() {
        Ok(said)
    } else {
        Err(failed(format!("{program}: {}", said.trim())))
    }
}

fn search_path() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}
