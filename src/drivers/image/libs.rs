//! Which shared libraries a program of this machine needs, so that it runs inside a ramdisk.

use crate::drivers::child;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum LibsError {
    #[error("find the libraries of {}: ldd did not start; install libc-bin", program.display())]
    NoLdd {
        program: PathBuf,
        source: std::io::Error,
    },
    #[error("find the libraries of {}: expected a dynamic program, ldd said {said:?}", program.display())]
    NotDynamic { program: PathBuf, said: String },
    #[error("{} needs {library}, which is not installed here; install the package that holds it", program.display())]
    Missing { program: PathBuf, library: String },
}

/// The libraries of `program`, its loader included, as absolute paths where the program will look for them.
///
/// `ldd` runs the program's own loader, so `program` must be trusted: it is a file of an installed Debian package.
pub fn of(program: &Path) -> Result<BTreeSet<PathBuf>, LibsError> {
    let output = child::program("ldd")
        .arg(program)
        .env("LC_ALL", "C")
        .output()
        .map_err(|source| LibsError::NoLdd {
            program: program.to_owned(),
            source,
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(LibsError::NotDynamic {
            program: program.to_owned(),
            said,
        });
    }
    parse(program, &String::from_utf8_lossy(&output.stdout))
}

/// Reads `libaio.so.1 => /lib/x/libaio.so.1 (0x7f…)` and `/lib64/ld-linux-x86-64.so.2 (0x7f…)`.
fn parse(program: &Path, text: &str) -> Result<BTreeSet<PathBuf>, LibsError> {
    let mut found = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        let (name, place) = line.split_once(" => ").unwrap_or(("", line));
        let path = place.split(" (").next().unwrap_or("").trim();
        if path == "not found" {
            return Err(LibsError::Missing {
                program: program.to_owned(),
                library: name.to_owned(),
            });
        }
        if path.starts_with('/') {
            found.insert(PathBuf::from(path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ldd() {
        let text = "\tlinux-vdso.so.1 (0x00007f2dc3840000)\n\tlibaio.so.1 => /lib/libaio.so.1 (0x00007f)\n\t/lib64/ld.so (0x01)\n";
        let found = parse(Path::new("/usr/sbin/tgtd"), text).unwrap();
        assert_eq!(
            found,
            BTreeSet::from(["/lib/libaio.so.1".into(), "/lib64/ld.so".into()])
        );
    }

    #[test]
    fn names_what_is_missing() {
        let error = parse(Path::new("/usr/sbin/tgtd"), "\tlibaio.so.1 => not found\n").unwrap_err();
        assert!(error.to_string().contains("needs libaio.so.1"), "{error}");
    }
}
