//! The "newc" cpio archive the Linux kernel unpacks as its first file system (Documentation/driver-api/early-userspace).
//!
//! The same tree gives the same bytes: names are sorted, inode numbers count from 1, owner, group and times are 0.

use std::collections::BTreeMap;
use std::io::{self, Write};

const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFBLK: u32 = 0o060_000;
const PERMISSIONS: u32 = 0o7777;
/// newc keeps sizes in 8 hex digits.
const FILE_SIZE_MAX: usize = u32::MAX as usize;
/// The kernel refuses longer names (PATH_MAX).
const NAME_SIZE_MAX: usize = 4095;
const TRAILER: &str = "TRAILER!!!";

/// One entry of the tree. Modes are permissions only; the type bits follow from the variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Directory { mode: u32 },
    File { mode: u32, data: Vec<u8> },
    Symlink { target: String },
    CharDevice { mode: u32, major: u32, minor: u32 },
    BlockDevice { mode: u32, major: u32, minor: u32 },
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CpioError {
    #[error("archive entry {0:?}: expected a relative path of plain names, such as bin/sh")]
    Path(String),
    #[error("archive entry {0:?} is added twice with different contents; leave one of them out")]
    Twice(String),
    #[error("archive entry {path:?}: {parent:?} is already there and is no directory")]
    Parent { path: String, parent: String },
    #[error("archive entry {path:?} has {size} bytes; the format holds at most {FILE_SIZE_MAX}")]
    Size { path: String, size: usize },
}

/// A file tree in memory, on its way to becoming an archive.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    entries: BTreeMap<String, Node>,
}

impl Archive {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one entry; directories on the way to it appear with mode 0755. Adding an equal entry again is no error.
    pub fn insert(&mut self, path: &str, node: Node) -> Result<(), CpioError> {
        let plain =
            |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        if path.len() >= NAME_SIZE_MAX || !path.split('/').all(plain) {
            return Err(CpioError::Path(path.to_owned()));
        }
        let size = contents(&node).len();
        if size > FILE_SIZE_MAX {
            return Err(CpioError::Size {
                path: path.to_owned(),
                size,
            });
        }
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            let parent_node = self
                .entries
                .entry(parent.to_owned())
                .or_insert(Node::Directory { mode: 0o755 });
            if !matches!(parent_node, Node::Directory { .. }) {
                return Err(CpioError::Parent {
                    path: path.to_owned(),
                    parent: parent.to_owned(),
                });
            }
        }
        match self.entries.get(path) {
            Some(there) if *there != node => Err(CpioError::Twice(path.to_owned())),
            _ => {
                self.entries.insert(path.to_owned(), node);
                Ok(())
            }
        }
    }

    /// Writes the archive. Errors are those of `out`.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut inode = 0;
        for (path, node) in &self.entries {
            inode += 1;
            write_entry(out, inode, path, node)?;
        }
        write_header(
            out,
            &Header {
                inode: 0,
                mode: 0,
                links: 1,
                size: 0,
                major: 0,
                minor: 0,
                name: TRAILER,
            },
        )
    }
}

struct Header<'a> {
    inode: u32,
    mode: u32,
    links: u32,
    size: usize,
    major: u32,
    minor: u32,
    name: &'a str,
}

fn contents(node: &Node) -> &[u8] {
    match node {
        Node::File { data, .. } => data,
        Node::Symlink { target } => target.as_bytes(),
        Node::Directory { .. } | Node::CharDevice { .. } | Node::BlockDevice { .. } => &[],
    }
}

fn write_entry(out: &mut dyn Write, inode: u32, name: &str, node: &Node) -> io::Result<()> {
    let (kind, permissions, links, major, minor) = match *node {
        Node::Directory { mode } => (S_IFDIR, mode, 2, 0, 0),
        Node::File { mode, .. } => (S_IFREG, mode, 1, 0, 0),
        Node::Symlink { .. } => (S_IFLNK, 0o777, 1, 0, 0),
        Node::CharDevice { mode, major, minor } => (S_IFCHR, mode, 1, major, minor),
        Node::BlockDevice { mode, major, minor } => (S_IFBLK, mode, 1, major, minor),
    };
    let data = contents(node);
    let mode = kind | (permissions & PERMISSIONS);
    write_header(
        out,
        &Header {
            inode,
            mode,
            links,
            size: data.len(),
            major,
            minor,
            name,
        },
    )?;
    out.write_all(data)?;
    pad(out, data.len())
}

fn write_header(out: &mut dyn Write, header: &Header<'_>) -> io::Result<()> {
    let Header {
        inode,
        mode,
        links,
        size,
        major,
        minor,
        name,
    } = *header;
    let name_size = name.len() + 1;
    // Fields: ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check.
    let text = format!(
        "070701{inode:08X}{mode:08X}{:08X}{:08X}{links:08X}{:08X}{size:08X}{:08X}{:08X}{major:08X}{minor:08X}{name_size:08X}{:08X}",
        0, 0, 0, 0, 0, 0
    );
    out.write_all(text.as_bytes())?;
    out.write_all(name.as_bytes())?;
    out.write_all(&[0])?;
    pad(out, text.len() + name_size)
}

/// Header with name, and data, each end on a multiple of four bytes.
fn pad(out: &mut dyn Write, written: usize) -> io::Result<()> {
    out.write_all(&[0; 3][..written.next_multiple_of(4) - written])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Node {
        Node::File {
            mode: 0o644,
            data: text.as_bytes().to_vec(),
        }
    }

    fn bytes(archive: &Archive) -> Vec<u8> {
        let mut out = Vec::new();
        archive.write_to(&mut out).unwrap();
        out
    }

    #[test]
    fn order_of_insertion_does_not_show() {
        let (mut one, mut two) = (Archive::new(), Archive::new());
        one.insert("b", file("2")).unwrap();
        one.insert("a/x", file("1")).unwrap();
        two.insert("a/x", file("1")).unwrap();
        two.insert("b", file("2")).unwrap();
        assert_eq!(bytes(&one), bytes(&two));
        assert_eq!(bytes(&one).len() % 4, 0);
    }

    #[test]
    fn busybox_reads_what_is_written() {
        let mut archive = Archive::new();
        archive.insert("etc/name", file("r1\n")).unwrap();
        archive
            .insert(
                "bin/sh",
                Node::Symlink {
                    target: "busybox".into(),
                },
            )
            .unwrap();
        archive
            .insert(
                "dev/console",
                Node::CharDevice {
                    mode: 0o600,
                    major: 5,
                    minor: 1,
                },
            )
            .unwrap();
        archive
            .insert(
                "dev/vda",
                Node::BlockDevice {
                    mode: 0o600,
                    major: 254,
                    minor: 0,
                },
            )
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cpio");
        std::fs::write(&path, bytes(&archive)).unwrap();
        let listed = std::process::Command::new("busybox")
            .args(["cpio", "-t", "-v", "-F"])
            .arg(&path)
            .output()
            .unwrap();
        let text = String::from_utf8(listed.stdout).unwrap();
        for wanted in [
            "crw------- 0/0",
            "brw-------",
            "bin/sh -> busybox",
            "-rw-r--r-- 0/0",
            "1970",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is missing in:\n{text}");
        }
    }

    #[test]
    fn refused() {
        let mut archive = Archive::new();
        archive.insert("a", file("1")).unwrap();
        archive.insert("a", file("1")).unwrap();
        assert_eq!(
            archive.insert("a", file("2")),
            Err(CpioError::Twice("a".into()))
        );
        assert_eq!(
            archive.insert("a/b", file("2")),
            Err(CpioError::Parent {
                path: "a/b".into(),
                parent: "a".into()
            })
        );
        for path in ["", "/a", "a/", "a//b", "../a", "a/./b"] {
            assert_eq!(
                archive.insert(path, file("")),
                Err(CpioError::Path(path.into())),
                "{path:?}"
            );
        }
    }
}
