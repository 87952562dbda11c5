//! A second target that is not ours: istgt, of another family than tgt (it comes from FreeBSD).

use super::cases::round_trip;
use super::*;
use crate::proto::iscsi::Digests;

struct Istgt {
    child: Child,
    _dir: tempfile::TempDir,
    port: u16,
}

impl Drop for Istgt {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn start() -> Istgt {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    for name in ["lun0", "lun1"] {
        File::create(dir.path().join(name))
            .unwrap()
            .set_len(64 * MIB)
            .unwrap();
    }
    let auth = "[AuthGroup1]\nAuth \"bmctl\" \"initiator-secret\" \"node\" \"target-secret1\"\n";
    std::fs::write(dir.path().join("auth.conf"), auth).unwrap();
    let (port, control) = (free_port(), free_port());
    let conf = format!(
        "[Global]\nNodeBase \"iqn.2026-01.org.bmctl\"\nPidFile {at}/pid\nAuthFile {at}/auth.conf\nMediaDirectory {at}\n\
         Timeout 30\nNopInInterval 20\nDiscoveryAuthMethod Auto\nMaxSessions 16\nMaxConnections 4\n\
         FirstBurstLength 262144\nMaxBurstLength 1048576\nMaxRecvDataSegmentLength 262144\n\
         [UnitControl]\nAuthMethod None\nPortal UC1 127.0.0.1:{control}\nNetmask 127.0.0.1\n\
         [PortalGroup1]\nPortal DA1 127.0.0.1:{port}\n\
         [InitiatorGroup1]\nInitiatorName \"ALL\"\nNetmask 127.0.0.0/8\n\
         [LogicalUnit1]\nTargetName peer\nMapping PortalGroup1 InitiatorGroup1\nAuthMethod CHAP Mutual\n\
         AuthGroup AuthGroup1\nUseDigest Auto\nUnitType Disk\nLUN0 Storage {at}/lun0 Auto\nLUN1 Storage {at}/lun1 Auto\n"
    );
    std::fs::write(dir.path().join("istgt.conf"), conf).unwrap();
    let child = Command::new("istgt")
        .args(["-D", "-c", &format!("{at}/istgt.conf")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("install istgt");
    Istgt {
        child,
        _dir: dir,
        port,
    }
}

#[tokio::test]
async fn peers_istgt_takes_the_same_commands() {
    let istgt = start();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while std::net::TcpStream::connect(("127.0.0.1", istgt.port)).is_err() {
        assert!(std::time::Instant::now() < until, "istgt does not answer");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let access = IscsiTarget {
        portal: std::net::SocketAddrV4::new([127, 0, 0, 1].into(), istgt.port),
        iqn: IQN.to_owned(),
        initiator_user: "bmctl".to_owned(),
        initiator_secret: Secret::new("initiator-secret"),
        target_user: "node".to_owned(),
        target_secret: Secret::new("target-secret1"),
    };
    for digests in [Digests::Avoid, Digests::Prefer] {
        let lun = round_trip(&access, digests).await;
        println!("{:?} zeroing {:?}", lun.agreed(), lun.zeroing());
        lun.log_out().await;
    }
}
