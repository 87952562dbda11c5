//! The deploy ramdisk, reached through the store: `serve` takes its calls and hands it commands, wherever that runs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{
    Agent, Boot, Clock, Done, DriverError, FoundDisk, IscsiTarget, Preparation, Report, Trouble,
};
use crate::ids::Addr;
use crate::model::Erase;
use crate::plan::step::BootTarget;
use crate::secret::{Key32, Secret};
use crate::store::{BootEntry, Deployment, DeploymentStatus, NewDeployment, Store, StoreError};

/// A command that does little.
const COMMAND: Duration = Duration::from_secs(60);
/// Flushing a slow disk's cache.
const SETTLE: Duration = Duration::from_secs(300);
/// Writing zeroes over a large slow disk; the step has a limit of its own.
const ERASE: Duration = Duration::from_secs(24 * 3600);

/// iSCSI's port on the node.
const PORTAL_PORT: u16 = 3260;
/// CHAP secrets are cut to this many characters: 128 bits, and no target refuses the length.
const CHAP_CHARS: usize = 32;
/// The form of the report, and what the ramdisk looked at; `init.sh` says the same.
pub const RAMDISK_VERSION: &str = "2";
/// A report longer than this is not one.
const DISKS_MAX: usize = 256;

pub struct StoreAgent {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
}

/// `HMAC-SHA256(key, text)` in lower-case hex.
pub fn hmac_hex(key: &Key32, text: &[u8]) -> String {
    hex::encode(hmac(key, text))
}

pub fn hmac(key: &Key32, text: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length: this cannot fail for 32 bytes.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose()) else {
        return [0; 32];
    };
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// What the initiator or the target of one export proves itself with; the ramdisk makes the same of its key.
pub fn chap_secret(key: &Key32, role: &str, iqn: &str) -> Secret {
    let mut text = hmac_hex(key, format!("bmctl chap {role} v1\n{iqn}\n").as_bytes());
    text.truncate(CHAP_CHARS);
    Secret::new(text)
}

pub fn random_key() -> Done<Key32> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|e| {
        DriverError::new(
            Trouble::Failed,
            format!("random numbers of the operating system: {e}"),
        )
    })?;
    Ok(Key32::new(bytes))
}

impl From<StoreError> for DriverError {
    fn from(error: StoreError) -> DriverError {
        let kind = if matches!(error, StoreError::Claimed { .. }) {
            Trouble::Conflict
        } else {
            Trouble::Failed
        };
        DriverError::new(kind, error.to_string())
    }
}

impl StoreAgent {
    async fn open(&self, node: &Addr) -> Done<Deployment> {
        let deployment = self.store.deployment_of(node).await?.ok_or_else(|| {
            DriverError::new(
                Trouble::Conflict,
                format!("{node}: no deployment is open; apply again"),
            )
        })?;
        if deployment.status == DeploymentStatus::Stopped {
            let why = deployment.trouble.unwrap_or_default();
            return Err(DriverError::new(
                Trouble::Refused,
                format!("{node}: the deployment was stopped: {why}"),
            ));
        }
        Ok(deployment)
    }

    /// Sends one command and waits for its answer, no longer than such a command can honestly take: a ramdisk that has died
    /// does not answer, and must not be waited for until the step's own limit.
    async fn command(&self, node: &Addr, line: &str, limit: Duration) -> Done<String> {
        tokio::select! {
            biased;
            answer = self.command_unbounded(node, line) => answer,
            () = self.clock.sleep(limit) => Err(DriverError::new(
                Trouble::Silent,
                format!(
                    "{node}: the ramdisk has not answered `{}` within {} s; look at the node's console",
                    verb(line),
                    limit.as_secs()
                ),
            )),
        }
    }

    async fn command_unbounded(&self, node: &Addr, line: &str) -> Done<String> {
        let deployment = self.open(node).await?;
        let id = self.store.send_command(&deployment.id, line).await?;
        loop {
            let command = self.store.command(&deployment.id, id).await?;
            if let Some(status) = command.status {
                let message = command.message.unwrap_or_default();
                if status == "ok" {
                    return Ok(message);
                }
                let verb = verb(line);
                return Err(DriverError::new(
                    Trouble::Failed,
                    format!("{node}: the ramdisk could not do `{verb}`: {message}"),
                ));
            }
            self.open(node).await?;
            self.store.changed().await;
        }
    }
}

#[async_trait]
impl Agent for StoreAgent {
    async fn prepare(&self, boot: &Preparation<'_>) -> Done<()> {
        let token = random_key()?;
        let id = {
            let bytes = random_key()?;
            format!("d-{}", hex::encode(&bytes.expose()[..12]))
        };
        let entry = BootEntry::Deploy {
            deployment: id.clone(),
            target: boot.target.clone(),
            ramdisk: boot.ramdisk.to_owned(),
            kernel_args: boot.kernel_args.to_owned(),
        };
        let new = NewDeployment {
            id: &id,
            instance: boot.instance,
            node: boot.node,
            token: &token,
            expires_ms: self.clock.now_ms() + i64::from(boot.key_lifetime_s) * 1000,
        };
        self.store.open_deployment(&new, &entry).await?;
        wait_served(&self.store, boot.target).await
    }

    async fn report(&self, node: &Addr) -> Done<Report> {
        loop {
            let deployment = self.open(node).await?;
            if let (DeploymentStatus::Ready, Some(text)) = (deployment.status, &deployment.report) {
                return parse_report(text).map_err(|why| {
                    DriverError::new(
                        Trouble::Failed,
                        format!("{node}: the ramdisk's report cannot be read: {why}"),
                    )
                });
            }
            if let Some(trouble) = deployment.trouble {
                return Err(DriverError::new(
                    Trouble::Failed,
                    format!("{node}: the ramdisk gave up: {trouble}"),
                ));
            }
            self.store.changed().await;
        }
    }

    async fn export(&self, node: &Addr, disk: &FoundDisk, iqn: &str) -> Done<IscsiTarget> {
        let deployment = self.open(node).await?;
        let report = self.report(node).await?;
        let Some(key) = deployment.key else {
            return Err(DriverError::new(
                Trouble::Conflict,
                format!("{node}: the ramdisk has no key yet"),
            ));
        };
        let line = format!("verb=export {} iqn={iqn}", disk_fields(disk));
        self.command(node, &line, COMMAND).await?;
        let chap = |role| chap_secret(&key, role, iqn);
        Ok(IscsiTarget {
            portal: std::net::SocketAddrV4::new(report.address, PORTAL_PORT),
            iqn: iqn.to_owned(),
            initiator_user: "bmctl".to_owned(),
            initiator_secret: chap("initiator"),
            target_user: "node".to_owned(),
            target_secret: chap("target"),
        })
    }

    async fn settle(&self, node: &Addr, disk: &FoundDisk) -> Done<()> {
        self.command(node, &format!("verb=settle disk={}", disk.name), SETTLE)
            .await
            .map(drop)
    }

    async fn unexport(&self, node: &Addr) -> Done<()> {
        self.command(node, "verb=unexport", COMMAND).await.map(drop)
    }

    async fn erase(&self, node: &Addr, disk: &FoundDisk, mode: Erase) -> Done<()> {
        let mode = match mode {
            Erase::None => return Ok(()),
            Erase::Metadata => "metadata",
            Erase::Zero => "zero",
        };
        self.command(
            node,
            &format!("verb=erase {} mode={mode}", disk_fields(disk)),
            ERASE,
        )
        .await
        .map(drop)
    }

    async fn reboot(&self, node: &Addr) -> Done<()> {
        self.command(node, "verb=reboot", COMMAND).await.map(drop)
    }

    async fn end(&self, node: &Addr) -> Done<()> {
        Ok(self.store.end_deployment(node).await?)
    }
}

/// Boot entries of instances, published through the store.
pub struct StoreBoot {
    pub store: Store,
}

#[async_trait]
impl Boot for StoreBoot {
    async fn publish(&self, entry: &BootEntry) -> Done<()> {
        self.store.put_boot_entry(entry).await?;
        wait_served(&self.store, entry.target()).await
    }

    async fn withdraw(&self, target: &BootTarget) -> Done<()> {
        Ok(self.store.remove_boot_entries(&target.macs).await?)
    }
}

/// Waits until the site's services, here or in another process, have taken the entries up.
async fn wait_served(store: &Store, target: &BootTarget) -> Done<()> {
    while !store.is_served(&target.macs).await? {
        store.changed().await;
    }
    Ok(())
}

fn disk_fields(disk: &FoundDisk) -> String {
    format!(
        "disk={} serial={} size={}",
        disk.name,
        percent(&disk.serial),
        disk.size
    )
}

fn verb(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// Percent-encoding of everything outside `[A-Za-z0-9._:-]`.
fn percent(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._:-".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Reads the ramdisk's inventory: one fact a line, fields separated by tabs.
pub fn parse_report(text: &str) -> Result<Report, String> {
    let mut report = Report {
        address: std::net::Ipv4Addr::UNSPECIFIED,
        memory_mb: 0,
        cpus: 0,
        disks: Vec::new(),
    };
    let mut is_ours = false;
    for line in text.lines() {
        let mut fields = line.split('\t');
        let (name, value) = (
            fields.next().unwrap_or_default(),
            fields.next().unwrap_or_default(),
        );
        let bad = || {
            format!(
                "`{name}` is `{}`",
                value.chars().take(40).collect::<String>()
            )
        };
        match name {
            "ramdisk" if value == RAMDISK_VERSION => is_ours = true,
            "ramdisk" => {
                return Err(format!(
                    "expected version {RAMDISK_VERSION}, found {}; build the ramdisk again with `bmctl ramdisk build`",
                    printable(value)
                ));
            }
            "address" => report.address = value.parse().map_err(|_| bad())?,
            "memory_mb" => report.memory_mb = value.parse().map_err(|_| bad())?,
            "cpus" => report.cpus = value.parse().map_err(|_| bad())?,
            "disk" if report.disks.len() < DISKS_MAX => report.disks.push(parse_disk(line)?),
            "disk" => return Err(format!("more than {DISKS_MAX} disks")),
            // Facts of a newer ramdisk are not ours to judge.
            _ => {}
        }
    }
    if !is_ours {
        return Err(
            "it names no version; build the ramdisk again with `bmctl ramdisk build`".to_owned(),
        );
    }
    if report.address.is_unspecified() {
        return Err("it names no address".to_owned());
    }
    Ok(report)
}

fn parse_disk(line: &str) -> Result<FoundDisk, String> {
    let mut disk = FoundDisk {
        name: String::new(),
        serial: String::new(),
        wwn: String::new(),
        model: String::new(),
        size: 0,
        rotational: false,
        blank: false,
        head: Vec::new(),
    };
    for field in line.split('\t').skip(1) {
        let Some((name, value)) = field.split_once('=') else {
            continue;
        };
        let bad = || {
            format!(
                "a disk's `{name}` is `{}`",
                value.chars().take(40).collect::<String>()
            )
        };
        match name {
            // It goes into commands and messages: only what a kernel would name a disk.
            "name"
                if !value.is_empty()
                    && value.len() <= 32
                    && value.bytes().all(|b| b.is_ascii_alphanumeric()) =>
            {
                value.clone_into(&mut disk.name);
            }
            "name" => return Err(bad()),
            "serial" => disk.serial = printable(value),
            "wwn" => disk.wwn = printable(value),
            "model" => disk.model = printable(value),
            "size" => disk.size = value.parse().map_err(|_| bad())?,
            "rotational" => disk.rotational = value == "1",
            "blank" => disk.blank = value == "1",
            "head" => disk.head = hex::decode(value).map_err(|_| bad())?,
            _ => {}
        }
    }
    if disk.name.is_empty() {
        return Err("a disk without a name".to_owned());
    }
    Ok(disk)
}

/// What a node says ends up on a terminal: no control characters, no more than a line.
pub fn printable(text: &str) -> String {
    text.trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(128)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_report_is_read() {
        let text = "ramdisk\t2\naddress\t10.99.0.51\nmemory_mb\t512\ncpus\t2\ndisk\tname=vda\tserial=BM 1\twwn=\tsize=4294967296\tsector=512\trotational=1\tmodel=\thead=0000\n";
        let report = parse_report(text).unwrap();
        assert_eq!(report.disks[0].serial, "BM 1");
        assert_eq!(
            disk_fields(&report.disks[0]),
            "disk=vda serial=BM%201 size=4294967296"
        );
        assert!(parse_report("disk\tname=../x\n").is_err());
        assert!(parse_report("ramdisk\t2\n").is_err());
        let old = parse_report("ramdisk\t1\naddress\t10.0.0.1\n").unwrap_err();
        assert!(old.contains("bmctl ramdisk build"), "{old}");
    }

    proptest! {
        #[test]
        fn any_report_is_read_or_refused(text in "(disk|address|\t|=|size|[ -~]|\n){0,80}") {
            let _ = parse_report(&text);
        }
    }
}
