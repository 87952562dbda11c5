//! The channel against a store: what is honest is taken once, what is spoofed, late, repeated or malformed changes nothing
//! (the holes of rows P5 and P6).

use super::*;
use crate::plan::step::BootTarget;
use crate::store::{BootEntry, NewDeployment, Sealer};

const MAC: &str = "52:54:00:00:00:01";
const NONCE: &str = "00112233445566778899aabbccddeeff";
const SERVER_NONCE: &str = "ffeeddccbbaa99887766554433221100";
const EXPIRES_MS: i64 = 1_000_000;

struct Fixture {
    _dir: tempfile::TempDir,
    store: Store,
    token: Key32,
}

async fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Sealer::new(Key32::new([9; 32])))
        .await
        .unwrap();
    let token = Key32::new([7; 32]);
    let target = BootTarget {
        site: "site.lab".parse().unwrap(),
        server: "10.99.0.1".parse().unwrap(),
        http_port: 8081,
        bios_loader: crate::model::BiosLoader::Ipxe,
        firmware: crate::model::Firmware::Bios,
        macs: vec![MAC.parse().unwrap()],
        address: None,
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
        token: &token,
        expires_ms: EXPIRES_MS,
    };
    store.open_deployment(&new, &entry).await.unwrap();
    Fixture {
        _dir: dir,
        store,
        token,
    }
}

impl Fixture {
    async fn status(&self) -> DeploymentStatus {
        let found = self.store.deployment("d-1").await.unwrap();
        found.unwrap().status
    }

    fn body(&self, token: &Key32) -> String {
        let proof = hmac_hex(
            token,
            format!("bmctl exchange v1\n{MAC}\n{NONCE}\n").as_bytes(),
        );
        format!("mac={MAC}\nnonce={NONCE}\nproof={proof}\n")
    }

    async fn exchange(&self) -> Key32 {
        let answer = exchange(&self.store, &self.body(&self.token), SERVER_NONCE, 0)
            .await
            .unwrap();
        let text = format!("bmctl exchanged v1\n{MAC}\n{NONCE}\n{SERVER_NONCE}\n");
        assert!(answer.contains(&hmac_hex(&self.token, text.as_bytes())));
        let text = format!("bmctl key v1\n{MAC}\n{NONCE}\n{SERVER_NONCE}\n");
        Key32::new(hmac(&self.token, text.as_bytes()))
    }

    async fn call(&self, key: &Key32, path: &str, seq: &str, body: &str) -> Result<Call, Refusal> {
        let tag = hmac_hex(
            key,
            format!("bmctl {path} v1\n{MAC}\n{seq}\n{body}").as_bytes(),
        );
        let headers = Headers {
            mac: MAC,
            seq,
            tag: &tag,
        };
        Call::authenticate(&self.store, path, &headers, body).await
    }
}

#[tokio::test]
async fn a_wrong_proof_is_refused_and_changes_nothing() {
    let f = fixture().await;
    let refusal = exchange(&f.store, &f.body(&Key32::new([8; 32])), SERVER_NONCE, 0)
        .await
        .unwrap_err();
    assert_eq!(refusal.status, StatusCode::FORBIDDEN);
    assert_eq!(f.status().await, DeploymentStatus::Waiting);
    // The honest node is not disturbed.
    f.exchange().await;
    assert_eq!(f.status().await, DeploymentStatus::Exchanged);
}

#[tokio::test]
async fn a_late_or_unknown_exchange_is_refused() {
    let f = fixture().await;
    let late = exchange(&f.store, &f.body(&f.token), SERVER_NONCE, EXPIRES_MS).await;
    assert_eq!(late.unwrap_err().status, StatusCode::FORBIDDEN);
    let other = f.body(&f.token).replace("00:01\n", "00:02\n");
    let unknown = exchange(&f.store, &other, SERVER_NONCE, 0).await;
    assert_eq!(unknown.unwrap_err().status, StatusCode::FORBIDDEN);
    assert_eq!(f.status().await, DeploymentStatus::Waiting);
}

#[tokio::test]
async fn a_second_exchange_alarms_and_stops_the_deployment() {
    let f = fixture().await;
    let key = f.exchange().await;
    let second = exchange(&f.store, &f.body(&f.token), SERVER_NONCE, 0).await;
    let refusal = second.unwrap_err();
    assert!(refusal.why.starts_with("ALARM"), "{}", refusal.why);
    assert_eq!(f.status().await, DeploymentStatus::Stopped);
    // Nor does the first one's key open anything any more.
    assert!(f.call(&key, "next", "1", "").await.is_err());
}

#[tokio::test]
async fn requests_are_authenticated_numbered_and_answered_under_the_key() {
    let f = fixture().await;
    let key = f.exchange().await;
    let body = "ramdisk\t2\naddress\t10.99.0.50\n";
    assert!(
        f.call(&Key32::new([1; 32]), "ready", "1", body)
            .await
            .is_err()
    );
    let call = f.call(&key, "ready", "1", body).await.unwrap();
    let answer = call.ready(&f.store, body).await.unwrap();
    let text = format!("bmctl answer v1\n{MAC}\n1\nok\n");
    assert_eq!(
        answer,
        format!("tag={}\nok\n", hmac_hex(&key, text.as_bytes()))
    );
    assert_eq!(f.status().await, DeploymentStatus::Ready);
    // Repeated, older, and for another path.
    for (path, seq) in [("ready", "1"), ("next", "0"), ("next", "-1"), ("next", "x")] {
        assert!(f.call(&key, path, seq, body).await.is_err(), "{path} {seq}");
    }
    let tag = hmac_hex(&key, format!("bmctl ready v1\n{MAC}\n2\n").as_bytes());
    let headers = Headers {
        mac: MAC,
        seq: "2",
        tag: &tag,
    };
    let moved = Call::authenticate(&f.store, "result", &headers, "").await;
    assert!(moved.is_err(), "a tag is for one path");
}

#[tokio::test]
async fn a_command_is_answered_once() {
    let f = fixture().await;
    let key = f.exchange().await;
    let id = f.store.send_command("d-1", "verb=reboot").await.unwrap();
    let body = format!("id={id}\nstatus=ok\nmessage=\n");
    let first = f.call(&key, "result", "1", &body).await.unwrap();
    first.result(&f.store, &body).await.unwrap();
    let again = f.call(&key, "result", "2", &body).await.unwrap();
    assert_eq!(
        again.result(&f.store, &body).await.unwrap_err().status,
        StatusCode::CONFLICT
    );
    let bad = f.call(&key, "result", "3", "id=1\n").await.unwrap();
    assert_eq!(
        bad.result(&f.store, "id=1\n").await.unwrap_err().status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_boot_script_is_served_once_and_a_phone_token_used_once() {
    let f = fixture().await;
    assert!(f.store.serve_once("d-1").await.unwrap());
    assert!(!f.store.serve_once("d-1").await.unwrap());
    let instance = "instance.a".parse().unwrap();
    f.store.expect_phone(&instance, "t", 10).await.unwrap();
    let said = crate::model::recorded::Phoned {
        hostname: "a".to_owned(),
        address: String::new(),
        root: String::new(),
    };
    assert_eq!(f.store.phone("other", &said, 0).await.unwrap(), None);
    assert_eq!(f.store.phone("t", &said, 10).await.unwrap(), None, "late");
    assert_eq!(f.store.phone("t", &said, 9).await.unwrap(), Some(instance));
    assert_eq!(f.store.phone("t", &said, 9).await.unwrap(), None, "used");
}
