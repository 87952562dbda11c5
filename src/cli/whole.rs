//! Files that are written whole: whoever looks finds all of the old one or all of the new one, also after a full disk or a power cut.

use std::fs::{File, Metadata, Permissions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Who may read what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone, also when the old one was open to others.
    Owner,
    Everyone,
    /// Those who could read the old one.
    AsBefore,
}

pub fn write(path: &Path, readers: Readers, bytes: &[u8]) -> Result<()> {
    fill(path, readers, |file| file.write_all(bytes))
}

/// The new file comes into being beside the old one, is made durable, and takes its place. A link stays a link.
fn fill(path: &Path, readers: Readers, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let (target, old) = match std::fs::metadata(path) {
        // What is no file, such as a pipe, has no place that could be taken.
        Ok(old) if !old.is_file() => {
            return fill(&mut File::options().write(true).open(path)?);
        }
        Ok(old) => (std::fs::canonicalize(path)?, Some(old)),
        Err(e) if e.kind() == ErrorKind::NotFound => (behind_links(path), None),
        Err(e) => return Err(e),
    };
    let folder = folder_of(&target);
    let mut new = tempfile::Builder::new()
        .prefix(".bmctl-new")
        .tempfile_in(&folder)
        .map_err(|e| beside(&folder, &e))?;
    fill(new.as_file_mut())?;
    let file = new.as_file();
    let group = match &old {
        Some(old) => give_to_owner_of(old, file)?,
        None => Group::Same,
    };
    let mode = match (readers, old, group) {
        (Readers::AsBefore, Some(old), Group::Same) => old.mode() & 0o7777,
        // What was for a group is for nobody else's: its bits are those of everybody.
        (Readers::AsBefore, Some(old), Group::Other) => {
            old.mode() & 0o707 | (old.mode() & 0o7) << 3
        }
        (Readers::Everyone, _, _) | (Readers::AsBefore, None, _) => 0o644,
        (Readers::Owner, _, _) => 0o600,
    };
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    new.persist(&target).map_err(|e| e.error)?;
    // The new name is durable with its folder.
    File::open(&folder)?.sync_all()
}

/// What is written while something goes on, and read by others meanwhile: it begins empty, for its owner alone.
pub fn stream(path: &Path) -> Result<File> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Where a link leads that leads to nothing yet: a loop of links is another error.
fn behind_links(path: &Path) -> PathBuf {
    let mut target = path.to_owned();
    while let Ok(next) = std::fs::read_link(&target) {
        target = folder_of(&target).join(next);
    }
    target
}

/// Whose members the mode of a file speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Same,
    Other,
}

/// Only root can give a file away. Anybody else who may replace it in its folder is its owner from then on.
fn give_to_owner_of(old: &Metadata, file: &File) -> Result<Group> {
    let made = file.metadata()?;
    if (old.uid(), old.gid()) == (made.uid(), made.gid()) {
        return Ok(Group::Same);
    }
    for owner in [Some(old.uid()), None] {
        match fchown(file, owner, Some(old.gid())) {
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {}
            ended => return ended.map(|()| Group::Same),
        }
    }
    Ok(match old.gid() == made.gid() {
        true => Group::Same,
        false => Group::Other,
    })
}

fn folder_of(target: &Path) -> PathBuf {
    match target.parent() {
        Some(folder) if folder.as_os_str().is_empty() => PathBuf::from("."),
        Some(folder) => folder.to_owned(),
        None => PathBuf::from("/"),
    }
}

/// The old file may be open for writing where its folder is not.
fn beside(folder: &Path, error: &Error) -> Error {
    let text = format!(
        "cannot write a new file in {}: {error}; a file is replaced whole, which needs a place beside it",
        folder.display()
    );
    Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_disk_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan");
        write(&path, Readers::Owner, b"old").unwrap();
        let full = fill(&path, Readers::Owner, |file| {
            file.write_all(b"new, and no")?;
            Err(ErrorKind::StorageFull.into())
        });
        assert_eq!(full.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["plan"]);
        write(&path, Readers::Owner, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        let nowhere = dir.path().join("none/plan");
        let said = write(&nowhere, Readers::Owner, b"new").unwrap_err();
        assert!(
            said.to_string().contains("cannot write a new file in"),
            "{said}"
        );
    }

    #[test]
    fn a_link_stays_a_link_and_the_mode_is_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("file"), dir.path().join("link"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write(&link, Readers::AsBefore, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o640);
        write(&link, Readers::Owner, b"newer").unwrap();
        assert_eq!((mode(&path), link.is_symlink()), (0o600, true));
        write(&path, Readers::Everyone, b"newest").unwrap();
        assert_eq!(mode(&path), 0o644);
        let (early, later) = (dir.path().join("early"), dir.path().join("later"));
        std::os::unix::fs::symlink("early", &later).unwrap();
        std::os::unix::fs::symlink("none yet", &early).unwrap();
        write(&later, Readers::Owner, b"first").unwrap();
        assert_eq!((early.is_symlink(), later.is_symlink()), (true, true));
        assert_eq!(
            std::fs::read(dir.path().join("none yet")).unwrap(),
            b"first"
        );
        // A device is written to, and stays.
        write(Path::new("/dev/null"), Readers::Owner, b"gone").unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }
}
