//! PostgreSQL over TLS: a server that proves its name by a certificate that is trusted, and servers that do not.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use bmctl::secret::Secret;
use bmctl::store::{Store, StoreError};

use super::{real, run, sealer};
use crate::postgres::{Server, unprivileged};

fn openssl(dir: &Path, args: &str) {
    let ended = Command::new("openssl")
        .args(args.split_whitespace())
        .current_dir(dir)
        .output()
        .expect("`openssl` is not there: run scripts/setup.sh");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "openssl {args}: {said}");
}

/// An authority, and a key with its certificate for `localhost`.
fn certificate(dir: &Path, authority: &str) {
    openssl(
        dir,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={authority} -keyout {authority}.key -out {authority}.pem"
        ),
    );
}

fn server(dir: &Path) -> Server {
    certificate(dir, "ca");
    certificate(dir, "stranger");
    openssl(
        dir,
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
    );
    std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        dir,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
    // The server reads its key as its own user, and only when nobody else can.
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    let key = dir.join("server.key");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    if let Some((uid, gid)) = unprivileged() {
        std::os::unix::fs::chown(&key, Some(uid), Some(gid)).unwrap();
    }
    let place = dir.display();
    Server::start(&[
        "ssl = on",
        &format!("ssl_cert_file = '{place}/server.pem'"),
        &format!("ssl_key_file = '{place}/server.key'"),
    ])
}

#[test]
fn a_server_is_known_by_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let connect = async |rest: String| {
        let url = server.tls_url(&rest);
        Store::connect(&url, &real("default"), sealer()).await
    };
    let root = |authority: &str| format!("sslrootcert={}/{authority}.pem", dir.path().display());
    run(async {
        let rest = format!("sslmode=verify-full&{}", root("ca"));
        let store = connect(rest).await.unwrap();
        assert_eq!(store.recorded().await.unwrap().serial, 0);

        // Another authority, or none that this machine trusts.
        for rest in [
            format!("sslmode=verify-full&{}", root("stranger")),
            "sslmode=verify-full".to_owned(),
        ] {
            let refused = connect(rest).await.map(|_| ()).unwrap_err();
            assert!(
                matches!(
                    refused,
                    StoreError::Database { .. } | StoreError::Lost { .. }
                ),
                "{refused:?}"
            );
            assert!(refused.to_string().contains("localhost"), "{refused}");
        }
        // The right authority, another name.
        let other = server.tls_url(&format!("sslmode=verify-full&{}", root("ca")));
        let other = other.expose().replace("localhost", "127.0.0.1");
        let refused = Store::connect(&Secret::new(other), &real("default"), sealer()).await;
        assert!(refused.is_err(), "127.0.0.1 is not localhost");
    });
}
