//! The HTTP side of a site.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::cache::{Cache, Held};
use super::channel::{self, Call, Headers, Refusal};
use super::listen::Peer;
use super::peer::{self, Expected, Stranger};
use super::{Log, SiteSpec, boot, files, probe};
use crate::drivers::Clock;
use crate::drivers::agent::{printable, random_key};
use crate::model::DhcpMode;
use crate::model::recorded::Phoned;
use crate::plan::step::BootTarget;
use crate::store::{BootEntry, Store};
use crate::units::{Mac, Sha256};

pub struct Shared {
    /// What `/v1/site` says: which site of which state this is.
    pub name: String,
    pub spec: SiteSpec,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub log: Log,
    pub cache: Cache,
}

type App = State<Arc<Shared>>;

/// No honest body is longer.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long `next` is held open: under the minute that proxies and busybox's wget allow.
const NEXT_HOLD: Duration = Duration::from_secs(25);
/// dnsmasq writes its lease file in place: one that is read in that moment lacks lines, and is whole a moment later.
const LEASE_LOOKS: usize = 3;
const LEASE_LOOK_PAUSE: Duration = Duration::from_millis(100);

pub fn router(shared: Shared) -> Router {
    Router::new()
        .route("/boot.ipxe", get(chain))
        .route("/boot/{mac}", get(script))
        .route("/files/deploy/{name}", get(deploy_file))
        .route("/files/sha256/{digest}", get(instance_file))
        .route(probe::PATH, get(site))
        .route("/v1/deploy/{what}", post(deploy))
        .route("/v1/phone-home/{token}", post(phone_home))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(shared))
}

fn text(status: StatusCode, body: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain")], body.into()).into_response()
}

impl Shared {
    fn refused(&self, refusal: Refusal) -> Response {
        (self.log)(refusal.why);
        text(refusal.status, format!("{}\n", refusal.text))
    }

    /// Refuses everybody but the machine a MAC belongs to. Comes before all that a call changes: a stranger's call is nothing.
    async fn admit(&self, peer: SocketAddr, mac: Mac, target: &BootTarget) -> Result<(), Refusal> {
        let refuse = |why: &str| Refusal {
            status: StatusCode::FORBIDDEN,
            text: "refused",
            why: format!(
                "{} asked in the name of {mac}, {why}; nothing was given or changed",
                peer.ip()
            ),
        };
        if target.site != self.spec.addr {
            return Err(refuse("a machine of another site"));
        }
        self.look_up(peer, mac, target)
            .await
            .map_err(|stranger| refuse(stranger.why()))
    }

    async fn look_up(
        &self,
        peer: SocketAddr,
        mac: Mac,
        target: &BootTarget,
    ) -> Result<(), Stranger> {
        let cidr = self.spec.network.cidr;
        match (self.spec.site.dhcp, peer::named(target, mac)) {
            (DhcpMode::External, _) => peer::admit(peer.ip(), cidr, Expected::Network),
            (DhcpMode::Managed, Some(address)) => {
                peer::admit(peer.ip(), cidr, Expected::Address(address))
            }
            (DhcpMode::Managed, None) => {
                let mut found = Err(Stranger::NoLease);
                for look in 0..LEASE_LOOKS {
                    if look > 0 {
                        tokio::time::sleep(LEASE_LOOK_PAUSE).await;
                    }
                    // A file that cannot be read holds no lease: refused, and the log says so.
                    let leases = tokio::fs::read_to_string(&self.spec.leases).await;
                    let leases = leases.as_deref().unwrap_or_default();
                    found = peer::admit(peer.ip(), cidr, Expected::Lease { mac, leases });
                    if found != Err(Stranger::NoLease) {
                        break;
                    }
                }
                found
            }
        }
    }
}

async fn chain(State(shared): App) -> Response {
    let site = &shared.spec.site;
    text(
        StatusCode::OK,
        boot::chain_script(&format!("http://{}:{}", site.address, site.http_port)),
    )
}

/// So that an apply can tell whether it is its own state that is served here.
async fn site(State(shared): App) -> Response {
    text(StatusCode::OK, format!("{}\n", shared.name))
}

async fn script(
    State(shared): App,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    Path(mac): Path<String>,
) -> Response {
    let Ok(mac) = mac.replace('-', ":").parse::<Mac>() else {
        return text(StatusCode::BAD_REQUEST, "malformed\n");
    };
    match script_for(&shared, peer, mac).await {
        Ok(script) => text(StatusCode::OK, script),
        Err(refusal) => shared.refused(refusal),
    }
}

async fn script_for(shared: &Shared, peer: SocketAddr, mac: Mac) -> Result<String, Refusal> {
    let store = &shared.store;
    let refuse = |status, text, why: String| Refusal { status, text, why };
    let entry = store.boot_entry(mac).await?;
    let entry = entry.ok_or_else(|| {
        refuse(
            StatusCode::NOT_FOUND,
            "nothing to boot",
            format!("{mac} asked for a boot script; none is meant for it"),
        )
    })?;
    let (id, target, kernel_args) = match &entry {
        BootEntry::Instance { target, boot, .. } => return Ok(boot::instance_script(target, boot)),
        BootEntry::Deploy {
            deployment,
            target,
            kernel_args,
            ramdisk: _,
        } => (deployment, target, kernel_args),
    };
    shared.admit(peer, mac, target).await?;
    let deployment = store.deployment(id).await?;
    let Some(deployment) = deployment.filter(|d| d.expires_ms > shared.clock.now_ms()) else {
        return Err(refuse(
            StatusCode::GONE,
            "expired",
            format!("{mac} asked for a boot script that has expired"),
        ));
    };
    if !store.serve_once(id).await? {
        let alarm = "the boot script was asked for a second time: the node restarted by itself, or somebody else asks under its MAC; apply again";
        store.stop_deployment(id, alarm).await?;
        return Err(refuse(
            StatusCode::GONE,
            "served before",
            format!("ALARM {mac}: {alarm}"),
        ));
    }
    Ok(boot::deploy_script(target, kernel_args, &deployment.token))
}

async fn deploy_file(State(shared): App, Path(name): Path<String>) -> Response {
    if name != "vmlinuz" && name != "initrd" {
        return text(StatusCode::NOT_FOUND, "no such file\n");
    }
    let path = shared.spec.root.join(&shared.spec.site.ramdisk).join(name);
    hold(&shared, &path)
        .await
        .map_or_else(|refused| refused, file)
}

/// A kernel or an initrd of an instance, by digest: only what a boot entry of this site names, and only as it was planned.
async fn instance_file(State(shared): App, Path(digest): Path<String>) -> Response {
    let Ok(digest) = digest.parse::<Sha256>() else {
        return text(StatusCode::BAD_REQUEST, "malformed\n");
    };
    let entries = match shared.store.boot_entries(&shared.spec.addr).await {
        Ok(entries) => entries,
        Err(error) => return shared.refused(error.into()),
    };
    let Some(path) = entries
        .iter()
        .find_map(|(_, entry)| files::path_of(&shared.spec, entry, digest))
    else {
        return text(StatusCode::NOT_FOUND, "no such file\n");
    };
    match hold(&shared, &path).await {
        Ok(held) if held.sha256 == digest => file(held),
        Ok(_) => {
            (shared.log)(format!(
                "{}: its digest is no longer {digest}; plan and apply again",
                path.display()
            ));
            text(StatusCode::CONFLICT, "changed\n")
        }
        Err(refused) => refused,
    }
}

async fn hold(shared: &Shared, path: &std::path::Path) -> Result<Held, Response> {
    shared.cache.get(path).await.map_err(|error| {
        (shared.log)(format!("{}: {error}", path.display()));
        text(StatusCode::NOT_FOUND, "no such file\n")
    })
}

fn file(held: Held) -> Response {
    (
        StatusCode::OK,
        [(header::CONTENT_TYPE, "application/octet-stream")],
        Body::from(held.bytes),
    )
        .into_response()
}

async fn deploy(
    State(shared): App,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    Path(what): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    match deploy_call(&shared, peer, &what, &headers, &body).await {
        Ok(answer) => text(StatusCode::OK, answer),
        Err(refusal) => shared.refused(refusal),
    }
}

async fn deploy_call(
    shared: &Shared,
    peer: SocketAddr,
    what: &str,
    headers: &HeaderMap,
    body: &str,
) -> Result<String, Refusal> {
    let store = &shared.store;
    let now = shared.clock.now_ms();
    if what == "exchange" {
        admit_exchange(shared, peer, body).await?;
        let nonce = random_key().map_err(|e| Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            text: "try again",
            why: e.message,
        })?;
        return channel::exchange(store, body, &hex::encode(&nonce.expose()[..16]), now).await;
    }
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    };
    let proof = Headers {
        mac: header("x-bmctl-mac"),
        seq: header("x-bmctl-seq"),
        tag: header("x-bmctl-tag"),
    };
    let call = Call::authenticate(store, what, &proof, body).await?;
    match what {
        "ready" => call.ready(store, body).await,
        "next" => next(shared, &call).await,
        "result" => call.result(store, body).await,
        "error" => call.error(store, body).await,
        _ => Err(Refusal {
            status: StatusCode::NOT_FOUND,
            text: "no such call",
            why: format!("an unknown call `{}`", printable(what)),
        }),
    }
}

/// What cannot be read is left to the exchange itself, which refuses it before it looks for a deployment.
async fn admit_exchange(shared: &Shared, peer: SocketAddr, body: &str) -> Result<(), Refusal> {
    let Some((mac, ..)) = channel::parse_exchange(body) else {
        return Ok(());
    };
    match shared.store.boot_entry(mac).await? {
        Some(entry) => shared.admit(peer, mac, entry.target()).await,
        None => Err(Refusal {
            status: StatusCode::FORBIDDEN,
            text: "refused",
            why: format!(
                "{mac}: an exchange from {}, and nothing is meant for it",
                peer.ip()
            ),
        }),
    }
}

/// Holds the request until there is a command, or for a while.
async fn next(shared: &Shared, call: &Call) -> Result<String, Refusal> {
    let wait = async {
        loop {
            if let Some(command) = shared.store.next_command(&call.deployment.id).await? {
                return Ok::<_, Refusal>(call.answer(&format!("{}\n", command.line)));
            }
            shared.store.changed().await;
        }
    };
    tokio::time::timeout(NEXT_HOLD, wait)
        .await
        .unwrap_or_else(|_| Ok(call.answer("wait\n")))
}

/// cloud-init's phone_home and our test systems: a form of names and values.
async fn phone_home(State(shared): App, Path(token): Path<String>, body: String) -> Response {
    let field = |name: &str| {
        body.trim_end().split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then(|| printable(&decode(value)))
        })
    };
    let said = Phoned {
        hostname: field("hostname").unwrap_or_default(),
        address: field("address").unwrap_or_default(),
        root: field("root").unwrap_or_default(),
    };
    match shared
        .store
        .phone(&token, &said, shared.clock.now_ms())
        .await
    {
        Ok(Some(_)) => text(StatusCode::OK, "thank you\n"),
        Ok(None) => {
            (shared.log)(format!(
                "a phone home with an unknown, late or used token, from `{}`",
                said.hostname
            ));
            text(StatusCode::FORBIDDEN, "refused\n")
        }
        Err(error) => shared.refused(error.into()),
    }
}

/// `application/x-www-form-urlencoded`, read leniently.
fn decode(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        let escaped = (byte == b'%')
            .then(|| value.get(at + 1..at + 3))
            .flatten()
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod against_a_store;

#[cfg(test)]
mod tests {
    #[test]
    fn forms_are_decoded_without_trust() {
        assert_eq!(super::decode("a%2Fb+c"), "a/b c");
        assert_eq!(super::decode("100%"), "100%");
        assert_eq!(super::decode("%zz%é"), "%zz%é");
    }
}
