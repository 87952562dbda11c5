//! The rack's network: a namespace with a bridge, and one port per machine. Nothing in it reaches the outside.

use std::net::Ipv4Addr;
use std::path::Path;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::RackError;
use crate::drivers::child;

pub const BRIDGE: &str = "br0";
/// An address of the bridge from the local range (RFC 4193): iPXE waits 13 s for a router advertisement.
const ADDRESS_V6: &str = "fd10:99::1/64";
pub const PREFIX_V6: &str = "fd10:99::";
const ROOT_HINT: &str =
    "; the rack needs root, or a user namespace that may make network namespaces";

/// The namespace of a directory's rack: the same for the same directory, different for different ones.
#[must_use]
pub fn namespace(dir: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let digest = Sha256::digest(dir.as_os_str().as_bytes());
    format!("bmctl-{}", hex::encode(&digest[..4]))
}

/// Makes it all. `taps` are the names of the machines' ports.
pub async fn create(
    namespace: &str,
    address: Ipv4Addr,
    prefix: u8,
    taps: &[&str],
) -> Result<(), RackError> {
    run("make a network namespace", &["netns", "add", namespace]).await?;
    let mut script = format!(
        "link set lo up\nlink add {BRIDGE} type bridge forward_delay 0 mcast_snooping 0\n\
         address add {address}/{prefix} dev {BRIDGE}\naddress add {ADDRESS_V6} dev {BRIDGE} nodad\nlink set {BRIDGE} up\n"
    );
    for tap in taps {
        script.push_str(&format!(
            "tuntap add dev {tap} mode tap\nlink set {tap} master {BRIDGE} up\n"
        ));
    }
    batch(namespace, &script).await
}

/// Runs one `ip` command.
async fn run(operation: &str, arguments: &[&str]) -> Result<(), RackError> {
    let output = Command::from(child::program("ip"))
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await;
    finish(operation, output)
}

/// Runs many `ip` commands in one process, inside the namespace.
async fn batch(namespace: &str, script: &str) -> Result<(), RackError> {
    const OPERATION: &str = "set up the rack's bridge";
    let failed = |e: std::io::Error| finish(OPERATION, Err(e));
    let file = match tempfile::NamedTempFile::new() {
        Ok(file) => file,
        Err(e) => return failed(e),
    };
    if let Err(e) = tokio::fs::write(file.path(), script).await {
        return failed(e);
    }
    let output = Command::from(child::program("ip"))
        .args(["-n", namespace, "-batch"])
        .arg(file.path())
        .kill_on_drop(true)
        .output()
        .await;
    finish(OPERATION, output)
}

fn finish(operation: &str, output: std::io::Result<std::process::Output>) -> Result<(), RackError> {
    let said = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(e) => e.to_string(),
    };
    Err(RackError::Program {
        operation: operation.to_owned(),
        said,
        hint: ROOT_HINT,
    })
}

/// Whether the namespace exists.
#[must_use]
pub fn exists(namespace: &str) -> bool {
    Path::new("/run/netns").join(namespace).exists()
}

/// The processes inside. Empty when there is no such namespace.
pub fn processes(namespace: &str) -> Vec<u32> {
    let listed = child::program("ip")
        .args(["netns", "pids", namespace])
        .output();
    let text = listed.map(|o| o.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|l| l.trim().parse().ok())
        .collect()
}

/// Takes the network away: first its links, since a process left inside would keep the namespace, then its name.
pub fn remove(namespace: &str, taps: &[&str]) -> Result<(), RackError> {
    if !exists(namespace) {
        return Ok(());
    }
    let links = taps
        .iter()
        .chain(&[BRIDGE])
        .map(|link| format!("link delete {link}\n"))
        .collect::<String>();
    let script = tempfile::NamedTempFile::new()
        .and_then(|file| std::fs::write(file.path(), links).map(|()| file));
    if let Ok(script) = script {
        // Links that are gone already are what is wanted, so errors are passed over.
        let _ = child::program("ip")
            .args(["-n", namespace, "-force", "-batch"])
            .arg(script.path())
            .output();
    }
    let output = child::program("ip")
        .args(["netns", "delete", namespace])
        .output();
    finish("remove the rack's network namespace", output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_namespace() {
        assert_eq!(namespace(Path::new("/a")), namespace(Path::new("/a")));
        assert_ne!(namespace(Path::new("/a")), namespace(Path::new("/b")));
        assert_eq!(namespace(Path::new("/a")).len(), "bmctl-".len() + 8);
    }
}
