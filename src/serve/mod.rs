//! L5, I/O. What a site's nodes talk to: DHCP and TFTP by dnsmasq, boot scripts and large files by HTTP, the deploy channel,
//! phone home. Takes a site and the store; writes what nodes say into the store. Imports L0 to L3. Never decides about a
//! node: what it boots stands in the store, put there by the engine.

mod boot;
mod cache;
mod channel;
mod dnsmasq;
mod files;
mod http;
mod listen;
mod peer;
mod probe;

pub use probe::{Probe, probe};

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::drivers::Clock;
use crate::ids::Addr;
use crate::model::{DhcpMode, Network, Site};
use crate::store::{Store, StoreError};

/// Where one line about a refused or strange call goes.
pub type Log = Arc<dyn Fn(String) + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(
        "{site}: cannot listen at {address}: {source}; is another `bmctl serve` running, and is the address this machine's?"
    )]
    Listen {
        site: Addr,
        address: String,
        source: std::io::Error,
    },
    #[error(
        "port {port} of {site} at {address} is held by something that is not this state's bmctl serve (it answers: {answer}); stop it or set http_port"
    )]
    Held {
        site: Addr,
        address: Ipv4Addr,
        port: u16,
        answer: String,
    },
    #[error("{what} {path}: {source}")]
    File {
        what: &'static str,
        path: String,
        source: std::io::Error,
    },
    #[error("dnsmasq: {0}")]
    Dnsmasq(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ServeError {
    fn file(what: &'static str, path: &Path, source: std::io::Error) -> ServeError {
        ServeError::File {
            what,
            path: path.display().to_string(),
            source,
        }
    }
}

/// A site and everything its services need.
#[derive(Clone)]
pub struct SiteSpec {
    pub addr: Addr,
    pub site: Site,
    pub network: Network,
    /// The directory of the configuration: `ramdisk` and the images' files are relative to it.
    pub root: PathBuf,
    /// Readable by the user dnsmasq runs as; nothing secret but one-shot tokens of pxelinux is ever in it.
    pub work: PathBuf,
    /// dnsmasq's leases, in the state directory: they outlive the services, because an address whose lease is forgotten could be
    /// given away twice.
    pub leases: PathBuf,
}

/// Running services; dropped, they end.
pub struct Services {
    sync: JoinHandle<()>,
    server: JoinHandle<()>,
    dnsmasq: Option<dnsmasq::Dnsmasq>,
    work: PathBuf,
}

impl Services {
    /// Ends the services, in the order in which nodes need them, and removes their files but the leases.
    pub async fn stop(mut self) {
        // Before dnsmasq, whose end it would report; waited for, so that it writes no file that was removed.
        self.sync.abort();
        let _ = (&mut self.sync).await;
        if let Some(dnsmasq) = self.dnsmasq.take() {
            dnsmasq.stop().await;
        }
        // What is left costs a few megabytes of /run until the next start of this site.
        let _ = std::fs::remove_dir_all(&self.work);
        // Its port is what says that the site is served: it is free when all else is gone.
        self.server.abort();
        let _ = (&mut self.server).await;
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.sync.abort();
        self.server.abort();
    }
}

/// Starts the services of a site. They run until stopped.
pub async fn start(
    spec: SiteSpec,
    store: Store,
    clock: Arc<dyn Clock>,
    log: Log,
) -> Result<Services, ServeError> {
    let address = format!("{}:{}", spec.site.address, spec.site.http_port);
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|source| ServeError::Listen {
            site: spec.addr.clone(),
            address,
            source,
        })?;
    let lineage = store.recorded().await?.lineage;
    files::prepare(&spec)?;
    let dnsmasq = match spec.site.dhcp {
        DhcpMode::Managed => Some(dnsmasq::Dnsmasq::start(&spec, log.clone()).await?),
        DhcpMode::External => None,
    };
    let hup = dnsmasq.as_ref().map(dnsmasq::Dnsmasq::handle);
    let work = spec.work.clone();
    let sync = tokio::spawn(files::keep_in_step(
        spec.clone(),
        store.clone(),
        hup,
        log.clone(),
    ));
    let app = http::router(http::Shared {
        name: probe::name(&spec.addr, &lineage),
        spec,
        store,
        clock,
        log: log.clone(),
        cache: cache::Cache::default(),
    });
    let listener = listen::Limited::new(listener);
    let server = tokio::spawn(async move {
        let app = app.into_make_service_with_connect_info::<listen::Peer>();
        if let Err(error) = axum::serve(listener, app).await {
            log(format!("HTTP service ended: {error}"));
        }
    });
    Ok(Services {
        sync,
        server,
        dnsmasq,
        work,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A site with managed DHCP whose files are in `dir`.
    pub fn spec(dir: &Path) -> SiteSpec {
        SiteSpec {
            addr: "site.lab".parse().unwrap(),
            site: Site {
                network: "network.lab".parse().unwrap(),
                address: "10.99.0.1".parse().unwrap(),
                http_port: 8081,
                dhcp: DhcpMode::Managed,
                bios_loader: crate::model::BiosLoader::Ipxe,
                ramdisk: ".bmctl/ramdisk".to_owned(),
                kernel_args: String::new(),
                limits: crate::model::Limits::default(),
            },
            network: Network {
                cidr: "10.99.0.0/24".parse().unwrap(),
                gateway: None,
                dns: Vec::new(),
                vlan: None,
                dhcp: None,
            },
            root: dir.to_owned(),
            work: dir.to_owned(),
            leases: dir.join("leases-lab"),
        }
    }
}
