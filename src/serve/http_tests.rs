//! The routes against a store: a stranger's call changes nothing, the honest one after it is taken.

use super::*;
use crate::secret::Key32;
use crate::store::{DeploymentStatus, NewDeployment, Sealer};

const MAC: &str = "52:54:00:00:00:01";

struct Still;

#[async_trait::async_trait]
impl Clock for Still {
    fn now_ms(&self) -> i64 {
        0
    }

    async fn sleep(&self, _: Duration) {}
}

/// A site in `dir` with one deployment open for `MAC`.
async fn shared(dir: &std::path::Path, address: Option<&str>) -> Shared {
    let store = Store::open(dir, Sealer::new(Key32::new([9; 32])))
        .await
        .unwrap();
    let target = BootTarget {
        site: "site.lab".parse().unwrap(),
        server: "10.99.0.1".parse().unwrap(),
        http_port: 8081,
        bios_loader: crate::model::BiosLoader::Ipxe,
        firmware: crate::model::Firmware::Bios,
        macs: vec![MAC.parse().unwrap()],
        address: address.map(|a| a.parse().unwrap()),
    };
    let entry = BootEntry::Deploy {
        deployment: "d-1".to_owned(),
        target,
        ramdisk: ".bmctl/ramdisk".to_owned(),
        kernel_args: String::new(),
    };
    let new = NewDeployment {
        id: "d-1",
        instance: &"instance.a".parse().unwrap(),
        node: &"node.a".parse().unwrap(),
        token: &Key32::new([7; 32]),
        expires_ms: 1_000,
    };
    store.open_deployment(&new, &entry).await.unwrap();
    Shared {
        name: "bmctl site site.lab of l".to_owned(),
        spec: crate::serve::tests::spec(dir),
        store,
        clock: Arc::new(Still),
        log: Arc::new(|_| {}),
        cache: Cache::default(),
    }
}

async fn ask(shared: &Shared, peer: &str) -> Result<String, StatusCode> {
    let peer = SocketAddr::new(peer.parse().unwrap(), 40_000);
    script_for(shared, peer, MAC.parse().unwrap())
        .await
        .map_err(|refusal| refusal.status)
}

async fn status(shared: &Shared) -> DeploymentStatus {
    shared
        .store
        .deployment("d-1")
        .await
        .unwrap()
        .unwrap()
        .status
}

#[tokio::test]
async fn a_stranger_neither_gets_nor_spends_the_boot_script() {
    let dir = tempfile::tempdir().unwrap();
    let shared = shared(dir.path(), Some("10.99.0.51")).await;
    for peer in ["10.99.0.52", "10.99.0.1", "192.0.2.1", "::1"] {
        assert_eq!(ask(&shared, peer).await, Err(StatusCode::FORBIDDEN));
    }
    assert!(ask(&shared, "10.99.0.51").await.is_ok());
    // Nor does a stranger stop what is on its way.
    assert_eq!(ask(&shared, "10.99.0.52").await, Err(StatusCode::FORBIDDEN));
    assert_eq!(status(&shared).await, DeploymentStatus::Waiting);
    assert_eq!(ask(&shared, "10.99.0.51").await, Err(StatusCode::GONE));
    assert_eq!(status(&shared).await, DeploymentStatus::Stopped);
}

#[tokio::test]
async fn without_an_address_the_lease_says_who_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let shared = shared(dir.path(), None).await;
    assert_eq!(ask(&shared, "10.99.0.60").await, Err(StatusCode::FORBIDDEN));
    let line = format!("1795254121 {MAC} 10.99.0.60 * 01:{MAC}\n");
    std::fs::write(&shared.spec.leases, line).unwrap();
    assert!(ask(&shared, "10.99.0.60").await.is_ok());
}

#[tokio::test]
async fn a_strangers_exchange_raises_no_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let shared = shared(dir.path(), Some("10.99.0.51")).await;
    let body = format!(
        "mac={MAC}\nnonce={}\nproof={}\n",
        "0".repeat(32),
        "0".repeat(64)
    );
    let from = |peer: &str| SocketAddr::new(peer.parse().unwrap(), 40_000);
    let refused = admit_exchange(&shared, from("10.99.0.52"), &body).await;
    assert_eq!(refused.unwrap_err().status, StatusCode::FORBIDDEN);
    assert_eq!(status(&shared).await, DeploymentStatus::Waiting);
    assert!(
        admit_exchange(&shared, from("10.99.0.51"), &body)
            .await
            .is_ok()
    );
}
