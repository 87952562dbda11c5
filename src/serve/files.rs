//! The files of a site: loaders and pxelinux configurations for TFTP, the host file for dnsmasq, kept in step with the store.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::dnsmasq::Handle;
use super::{Log, ServeError, SiteSpec, boot};
use crate::model::{BiosLoader, Firmware};
use crate::plan::step::InstanceBoot;
use crate::store::{BootEntry, Store};
use crate::units::{Mac, Sha256};

/// Boot loaders from Debian's packages, and the name they are served under.
const LOADERS: [(&str, &str); 4] = [
    ("/usr/lib/ipxe/undionly.kpxe", "undionly.kpxe"),
    ("/usr/lib/ipxe/snponly.efi", "snponly.efi"),
    ("/usr/lib/PXELINUX/pxelinux.0", "pxelinux.0"),
    ("/usr/lib/syslinux/modules/bios/ldlinux.c32", "ldlinux.c32"),
];

/// Between two tries of what failed; a trouble that stays is told once.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

pub fn tftp_root(spec: &SiteSpec) -> PathBuf {
    spec.work.join("tftp")
}

pub fn hosts_file(spec: &SiteSpec) -> PathBuf {
    spec.work.join("hosts")
}

/// Makes the site's folders and puts the boot loaders where TFTP finds them.
pub fn prepare(spec: &SiteSpec) -> Result<(), ServeError> {
    let tftp = tftp_root(spec);
    for dir in [
        spec.work.clone(),
        tftp.clone(),
        tftp.join("pxelinux.cfg"),
        tftp.join("deploy"),
        tftp.join("sha256"),
    ] {
        std::fs::create_dir_all(&dir).map_err(|e| ServeError::file("folder", &dir, e))?;
        open_to_readers(&dir, 0o755)?;
    }
    for (from, name) in LOADERS {
        // A loader that is not installed is missed when a machine asks for it; dnsmasq's log says so.
        if Path::new(from).exists() {
            copy(Path::new(from), &tftp.join(name))?;
        }
    }
    if spec.site.bios_loader == BiosLoader::Pxelinux {
        for name in ["vmlinuz", "initrd"] {
            let from = spec.root.join(&spec.site.ramdisk).join(name);
            if from.exists() {
                copy(&from, &tftp.join("deploy").join(name))?;
            }
        }
    }
    write(&hosts_file(spec), b"")
}

fn open_to_readers(path: &Path, mode: u32) -> Result<(), ServeError> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|e| ServeError::file("file", path, e))
}

fn copy(from: &Path, to: &Path) -> Result<(), ServeError> {
    let bytes = std::fs::read(from).map_err(|e| ServeError::file("file", from, e))?;
    write(to, &bytes)
}

/// Whole or not at all: a machine must never load half a file.
fn write(path: &Path, bytes: &[u8]) -> Result<(), ServeError> {
    let trouble = |e| ServeError::file("file", path, e);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(trouble)?;
    file.write_all(bytes).map_err(trouble)?;
    open_to_readers(file.path(), 0o644)?;
    file.persist(path).map_err(|e| trouble(e.error))?;
    Ok(())
}

/// The file that a boot entry means by a digest.
pub fn path_of(spec: &SiteSpec, entry: &BootEntry, digest: Sha256) -> Option<PathBuf> {
    match entry {
        BootEntry::Instance {
            boot:
                InstanceBoot::Network {
                    kernel,
                    kernel_sha256,
                    initrd,
                    initrd_sha256,
                    args: _,
                },
            ..
        } => {
            let file = if digest == *kernel_sha256 {
                kernel
            } else if digest == *initrd_sha256 {
                initrd
            } else {
                return None;
            };
            Some(spec.root.join(file))
        }
        BootEntry::Instance {
            boot: InstanceBoot::LocalDisk,
            ..
        }
        | BootEntry::Deploy { .. } => None,
    }
}

/// Writes the site's files whenever the store's boot entries change, and tells the store what is served.
pub async fn keep_in_step(spec: SiteSpec, store: Store, hup: Option<Handle>, log: Log) {
    let mut seen: Option<Vec<(Mac, BootEntry)>> = None;
    let mut trouble: Option<String> = None;
    loop {
        let found = step(&spec, &store, hup.as_ref(), &mut seen).await;
        let found = found.err().map(|e| e.to_string());
        if let Some(error) = found.as_ref().filter(|e| trouble.as_ref() != Some(e)) {
            log(error.clone());
        }
        if found.is_some() {
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        trouble = found;
        store.changed().await;
    }
}

async fn step(
    spec: &SiteSpec,
    store: &Store,
    hup: Option<&Handle>,
    seen: &mut Option<Vec<(Mac, BootEntry)>>,
) -> Result<(), ServeError> {
    let entries = store.boot_entries(&spec.addr).await?;
    if let Some(handle) = hup {
        handle.is_up()?;
    }
    if seen.as_ref() == Some(&entries) {
        // Written anew with the same content: it is served as it stands.
        store.mark_served(&entries).await?;
    } else {
        bring_up(spec, store, &entries, hup).await?;
        *seen = Some(entries);
    }
    Ok(())
}

async fn bring_up(
    spec: &SiteSpec,
    store: &Store,
    entries: &[(Mac, BootEntry)],
    hup: Option<&Handle>,
) -> Result<(), ServeError> {
    if spec.site.bios_loader == BiosLoader::Pxelinux {
        let mut wanted = BTreeMap::new();
        for (mac, entry) in entries
            .iter()
            .filter(|(_, e)| e.target().firmware == Firmware::Bios)
        {
            if let Some(text) = pxelinux_text(spec, store, entry).await? {
                wanted.insert(boot::pxelinux_name(*mac), text);
            }
        }
        pxelinux_files(&tftp_root(spec).join("pxelinux.cfg"), &wanted)?;
    }
    let mut hosts = String::new();
    for (mac, entry) in entries {
        let target = entry.target();
        let first = target.macs.first() == Some(mac);
        match target.address.filter(|_| first) {
            Some(ip) => hosts.push_str(&format!("{mac},{ip}\n")),
            None => hosts.push_str(&format!("{mac},set:bmctl\n")),
        }
    }
    write(&hosts_file(spec), hosts.as_bytes())?;
    if let Some(handle) = hup {
        handle.reread()?;
    }
    store.mark_served(entries).await?;
    Ok(())
}

async fn pxelinux_text(
    spec: &SiteSpec,
    store: &Store,
    entry: &BootEntry,
) -> Result<Option<String>, ServeError> {
    match entry {
        BootEntry::Deploy {
            deployment,
            target,
            kernel_args,
            ramdisk: _,
        } => {
            let deployment = store.deployment(deployment).await?;
            Ok(deployment.map(|d| boot::deploy_pxelinux(target, kernel_args, &d.token)))
        }
        BootEntry::Instance { boot, .. } => {
            if let InstanceBoot::Network {
                kernel_sha256,
                initrd_sha256,
                ..
            } = boot
            {
                for digest in [kernel_sha256, initrd_sha256] {
                    let to = tftp_root(spec).join("sha256").join(digest.to_string());
                    if let Some(from) = path_of(spec, entry, *digest).filter(|_| !to.exists()) {
                        copy(&from, &to)?;
                    }
                }
            }
            Ok(Some(boot::instance_pxelinux(boot)))
        }
    }
}

/// Exactly the wanted files: what is not wanted is removed, so that no token outlives its deployment.
fn pxelinux_files(folder: &Path, wanted: &BTreeMap<String, String>) -> Result<(), ServeError> {
    let trouble = |e| ServeError::file("folder", folder, e);
    for entry in std::fs::read_dir(folder).map_err(trouble)? {
        let entry = entry.map_err(trouble)?;
        if !wanted.contains_key(&*entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path()).map_err(trouble)?;
        }
    }
    for (name, text) in wanted {
        write(&folder.join(name), text.as_bytes())?;
    }
    Ok(())
}
