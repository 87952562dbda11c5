//! dnsmasq, supervised: DHCP and TFTP of one site.

use std::fmt::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Log, ServeError, SiteSpec, files};
use crate::drivers::child;
use crate::model::BiosLoader;

/// A running dnsmasq that is started again when it ends by itself.
pub struct Dnsmasq {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Tells dnsmasq to read the host file again.
#[derive(Clone)]
pub struct Handle {
    pid: Arc<AtomicI32>,
}

impl Handle {
    /// A deleted host is forgotten only because the whole file is read again. An error while dnsmasq is down: what it will read
    /// when it starts is not served yet.
    pub fn reread(&self) -> Result<(), ServeError> {
        kill_process(self.pid()?, Signal::HUP).map_err(|e| {
            ServeError::Dnsmasq(format!("cannot be told to read its hosts again: {e}"))
        })
    }

    /// Whether DHCP is answered at all.
    pub fn is_up(&self) -> Result<(), ServeError> {
        self.pid().map(|_| ())
    }

    fn pid(&self) -> Result<Pid, ServeError> {
        Pid::from_raw(self.pid.load(Ordering::Acquire)).ok_or_else(|| {
            ServeError::Dnsmasq("is down; nothing can boot until it is up again".to_owned())
        })
    }
}

/// How long dnsmasq has to show that it stays: a wrong option or a taken port ends it at once.
const SETTLE: Duration = Duration::from_millis(300);
/// What it says at its end is a line or two.
const SAID_BYTES_MAX: u64 = 4096;
const RESTART_PAUSE: Duration = Duration::from_secs(1);

impl Dnsmasq {
    pub async fn start(spec: &SiteSpec, log: Log) -> Result<Dnsmasq, ServeError> {
        let config = spec.work.join("dnsmasq.conf");
        std::fs::write(&config, configuration(spec))
            .map_err(|e| ServeError::file("file", &config, e))?;
        evict_orphan(spec).await;
        make_leases(spec)?;
        let pid = Arc::new(AtomicI32::new(0));
        let child = spawn_settled(spec).await?;
        note(&pid, &child);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(supervise(spec.clone(), child, pid.clone(), stopped, log));
        Ok(Dnsmasq {
            handle: Handle { pid },
            stop: Some(stop),
            task,
        })
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // The supervisor may have ended already; then there is nothing to stop.
            let _ = stop.send(());
        }
        let _ = self.task.await;
    }
}

/// A lease file is nobody else's to read. dnsmasq opens it before it becomes `nobody`, keeps it open, and writes it in place.
fn make_leases(spec: &SiteSpec) -> Result<(), ServeError> {
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&spec.leases)
        .map_err(|e| ServeError::file("lease file", &spec.leases, e))?;
    Ok(())
}

/// A dnsmasq whose bmctl was killed goes on, and would keep the port. It is told by its own pid file and by the configuration
/// on its command line: nobody else's is touched.
async fn evict_orphan(spec: &SiteSpec) {
    let Some(pid) = std::fs::read_to_string(spec.work.join("dnsmasq.pid"))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .and_then(Pid::from_raw)
    else {
        return;
    };
    let process = std::path::PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let ours = conf_argument(spec);
    let is_ours = |line: Vec<u8>| line.split(|b| *b == 0).any(|word| word == ours.as_bytes());
    if !std::fs::read(process.join("cmdline")).is_ok_and(is_ours) {
        return;
    }
    // It may end between the look and the signal: then there is nothing to do.
    let _ = kill_process(pid, Signal::KILL);
    let gone = async {
        while process.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // A process that cannot be killed shows itself as a taken port, with dnsmasq's own words.
    let _ = tokio::time::timeout(Duration::from_secs(5), gone).await;
}

fn conf_argument(spec: &SiteSpec) -> String {
    format!("--conf-file={}", spec.work.join("dnsmasq.conf").display())
}

fn note(pid: &AtomicI32, child: &Child) {
    let id = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .unwrap_or(0);
    pid.store(id, Ordering::Release);
}

fn spawn(spec: &SiteSpec) -> Result<Child, ServeError> {
    Command::from(child::program("dnsmasq"))
        .arg("--keep-in-foreground")
        .arg(conf_argument(spec))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Ctrl-C at the terminal is for bmctl, which ends dnsmasq when its last node is done.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| {
            ServeError::Dnsmasq(format!(
                "cannot be started: {e}; install the package dnsmasq-base"
            ))
        })
}

/// A dnsmasq that has stayed for a moment. Before that it is told nothing: a signal it does not handle yet would end it.
async fn spawn_settled(spec: &SiteSpec) -> Result<Child, ServeError> {
    let mut child = spawn(spec)?;
    match tokio::time::timeout(SETTLE, child.wait()).await {
        Err(_) => Ok(child),
        Ok(Err(error)) => Err(ServeError::Dnsmasq(format!("cannot be watched: {error}"))),
        Ok(Ok(status)) => {
            let mut said = String::new();
            if let Some(err) = child.stderr.take() {
                let mut err = tokio::io::AsyncReadExt::take(err, SAID_BYTES_MAX);
                let _ = tokio::io::AsyncReadExt::read_to_string(&mut err, &mut said).await;
            }
            Err(ServeError::Dnsmasq(format!(
                "ended at once ({status}): {}",
                said.trim()
            )))
        }
    }
}

async fn supervise(
    spec: SiteSpec,
    mut child: Child,
    pid: Arc<AtomicI32>,
    mut stopped: oneshot::Receiver<()>,
    log: Log,
) {
    loop {
        let status = tokio::select! {
            _ = &mut stopped => {
                // kill_on_drop covers the case where it cannot be killed here.
                let _ = child.kill().await;
                return;
            }
            status = child.wait() => status,
        };
        pid.store(0, Ordering::Release);
        let how = status.map_or_else(|e| e.to_string(), |s| s.to_string());
        log(format!(
            "dnsmasq of {} ended ({how}) and is started again",
            spec.addr
        ));
        child = tokio::select! {
            // One that is being started is killed when it is dropped.
            _ = &mut stopped => return,
            next = persist(&spec, &log) => next,
        };
        note(&pid, &child);
        log(format!("dnsmasq of {} is up again", spec.addr));
    }
}

/// Tries until it works: without DHCP nothing boots, and what is wrong, such as a full disk or a taken port, can pass.
async fn persist(spec: &SiteSpec, log: &Log) -> Child {
    let mut told = false;
    loop {
        tokio::time::sleep(RESTART_PAUSE).await;
        match spawn_settled(spec).await {
            Ok(child) => return child,
            Err(error) if told => tracing::debug!("{error}"),
            Err(error) => {
                log(format!("{error}; it is tried again until it works"));
                told = true;
            }
        }
    }
}

/// DHCP for the site's network: addresses for everybody in range, boot files for MACs the engine has named (row S0.6 gave
/// them to any machine).
fn configuration(spec: &SiteSpec) -> String {
    let (site, network) = (&spec.site, &spec.network);
    let mut out = String::new();
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    line("port=0".into());
    line("no-resolv".into());
    line("bind-interfaces".into());
    line(format!("listen-address={}", site.address));
    line("user=nobody".into());
    line("group=nogroup".into());
    line(format!(
        "pid-file={}",
        spec.work.join("dnsmasq.pid").display()
    ));
    line(format!("dhcp-leasefile={}", spec.leases.display()));
    line(format!(
        "log-facility={}",
        spec.work.join("dnsmasq.log").display()
    ));
    line("log-dhcp".into());
    line("enable-tftp".into());
    line(format!("tftp-root={}", files::tftp_root(spec).display()));
    line("dhcp-authoritative".into());
    line("no-ping".into());
    line(format!(
        "dhcp-hostsfile={}",
        files::hosts_file(spec).display()
    ));
    let mask = network.cidr.netmask();
    match network.dhcp {
        Some(range) => line(format!(
            "dhcp-range={},{},{mask},10m",
            range.start, range.end
        )),
        None => line(format!(
            "dhcp-range={},static,{mask},10m",
            network.cidr.network()
        )),
    }
    match network.gateway {
        Some(gateway) => line(format!("dhcp-option=option:router,{gateway}")),
        None => line("dhcp-option=option:router".into()),
    }
    if network.dns.is_empty() {
        line("dhcp-option=option:dns-server".into());
    } else {
        let servers: Vec<String> = network.dns.iter().map(ToString::to_string).collect();
        line(format!(
            "dhcp-option=option:dns-server,{}",
            servers.join(",")
        ));
    }
    line("dhcp-match=set:ipxe,175".into());
    // RFC 4578: 0 is BIOS, 7 and 9 are UEFI on x86-64.
    line("dhcp-match=set:bios,option:client-arch,0".into());
    line("dhcp-match=set:uefi,option:client-arch,7".into());
    line("dhcp-match=set:uefi,option:client-arch,9".into());
    let script = format!("http://{}:{}/boot.ipxe", site.address, site.http_port);
    match site.bios_loader {
        BiosLoader::Ipxe => {
            line(format!("dhcp-boot=tag:known,tag:ipxe,{script}"));
            line("dhcp-boot=tag:known,tag:!ipxe,tag:bios,undionly.kpxe".into());
        }
        BiosLoader::Pxelinux => {
            line("dhcp-boot=tag:known,tag:bios,pxelinux.0".into());
            line(format!("dhcp-boot=tag:known,tag:!bios,tag:ipxe,{script}"));
        }
    }
    line("dhcp-boot=tag:known,tag:!ipxe,tag:uefi,snponly.efi".into());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_dnsmasq_is_down_nothing_is_served() {
        let handle = Handle {
            pid: Arc::new(AtomicI32::new(0)),
        };
        for found in [handle.reread(), handle.is_up()] {
            assert!(found.unwrap_err().to_string().contains("is down"));
        }
    }
}
