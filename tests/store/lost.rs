//! The answer to a COMMIT is lost: the transaction is done, and who asked for it does not know. Asked again it is found to be
//! done: what is handed out once is handed out once, and to the one who asked.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bmctl::model::recorded::Phoned;
use bmctl::plan::step::BootTarget;
use bmctl::secret::{Key32, Secret};
use bmctl::store::{BootEntry, NewDeployment, Request, RequestProof, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{begin, plan_of, real, run, sealer};
use crate::fleet::addr;
use crate::postgres;

/// Between the store and its server: when it is armed, the next COMMIT reaches the server and its answer reaches nobody.
struct Wire {
    armed: Arc<AtomicBool>,
    cut: Arc<AtomicU32>,
    port: u16,
}

impl Wire {
    async fn to(server: u16) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Wire {
            armed: Arc::default(),
            cut: Arc::default(),
            port: listener.local_addr().unwrap().port(),
        };
        let (armed, cut) = (wire.armed.clone(), wire.cut.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(carry(client, server, armed.clone(), cut.clone()));
            }
        });
        wire
    }

    /// How often a connection was cut.
    fn cuts(&self) -> u32 {
        self.cut.load(Ordering::SeqCst)
    }
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    armed: Arc<AtomicBool>,
    cut: Arc<AtomicU32>,
) -> Option<()> {
    let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => {
                let text = &asked[..count.ok().filter(|c| *c > 0)?];
                server.write_all(text).await.ok()?;
                let is_commit = text.windows(6).any(|w| w == b"COMMIT");
                if is_commit && armed.swap(false, Ordering::SeqCst) {
                    let answer = server.read(&mut answered).await;
                    answer.ok().filter(|c| *c > 0)?;
                    cut.fetch_add(1, Ordering::SeqCst);
                    return None;
                }
            }
            count = server.read(&mut answered) => {
                client.write_all(&answered[..count.ok().filter(|c| *c > 0)?]).await.ok()?;
            }
        }
    }
}

/// A store whose next COMMIT has its answer lost each time that `lose` is called.
struct Lossy {
    wire: Wire,
    store: Store,
    told: Arc<Mutex<u32>>,
}

impl Lossy {
    async fn new() -> Lossy {
        let wire = Wire::to(postgres::shared().port).await;
        let url = format!(
            "postgres://bmctl@127.0.0.1:{}/postgres?sslmode=disable",
            wire.port
        );
        let workspace = real(&postgres::workspace());
        let store = Store::connect(&Secret::new(url), &workspace, sealer())
            .await
            .unwrap();
        let told: Arc<Mutex<u32>> = Arc::default();
        let tell = told.clone();
        let store = store.patient(move |_| *tell.lock().unwrap() += 1);
        Lossy { wire, store, told }
    }

    /// What is done, whose answer was lost and which was done all the same.
    async fn lose<T>(&self, doing: impl Future<Output = Result<T, bmctl::store::StoreError>>) -> T {
        let before = self.wire.cuts();
        self.wire.armed.store(true, Ordering::SeqCst);
        let done = doing.await.unwrap();
        assert_eq!(self.wire.cuts(), before + 1, "no answer was lost");
        done
    }
}

fn entry(deployment: &str) -> BootEntry {
    BootEntry::Deploy {
        deployment: deployment.to_owned(),
        target: BootTarget {
            site: addr("site.lab"),
            server: [10, 99, 0, 1].into(),
            http_port: 8081,
            bios_loader: bmctl::model::BiosLoader::Ipxe,
            firmware: bmctl::model::Firmware::Bios,
            macs: vec!["52:54:00:00:00:01".parse().unwrap()],
            address: None,
        },
        ramdisk: "r".to_owned(),
        kernel_args: String::new(),
    }
}

#[test]
fn what_is_asked_of_a_run_is_heard_once() {
    run(async {
        let lossy = Lossy::new().await;
        let store = &lossy.store;
        let plan = plan_of(store, 1).await;
        begin(store, "r-1", &plan).await;
        for request in [Request::Pause, Request::Abort] {
            store.ask("r-1", request, "somebody", 1).await.unwrap();
        }
        let heard = lossy.lose(store.hear("r-1", 2)).await;
        assert_eq!(heard, [Request::Pause, Request::Abort]);
        assert_eq!(store.hear("r-1", 3).await.unwrap(), []);
        assert!(store.was_heard(1).await.unwrap() && store.was_heard(2).await.unwrap());
        assert!(*lossy.told.lock().unwrap() > 0);
        store.verify().await.unwrap();
    });
}

#[test]
fn what_a_booting_node_is_given_once_is_given_to_it_once() {
    run(async {
        let lossy = Lossy::new().await;
        let store = &lossy.store;
        let (node, web) = (addr("node.n"), addr("instance.web"));
        let token = Key32::new([1; 32]);
        let new = NewDeployment {
            id: "d-1",
            instance: &web,
            node: &node,
            token: &token,
            expires_ms: 100,
        };
        lossy.lose(store.open_deployment(&new, &entry("d-1"))).await;
        assert!(lossy.lose(store.serve_once("d-1")).await);
        assert!(!store.serve_once("d-1").await.unwrap());
        let (mac, key) = ("52:54:00:00:00:01".parse().unwrap(), Key32::new([2; 32]));
        assert!(lossy.lose(store.exchange("d-1", mac, &key)).await);
        assert!(!store.exchange("d-1", mac, &key).await.unwrap());
        let proof = RequestProof { seq: 4 };
        assert!(lossy.lose(store.take_seq("d-1", proof)).await);
        assert!(!store.take_seq("d-1", proof).await.unwrap());
        lossy.lose(store.ready("d-1", "disks")).await;
        assert_eq!(lossy.lose(store.send_command("d-1", "verb=a")).await, 1);
        assert_eq!(store.send_command("d-1", "verb=a").await.unwrap(), 2);
        assert!(lossy.lose(store.answer_command("d-1", 1, "ok", "x")).await);
        assert!(!store.answer_command("d-1", 1, "ok", "x").await.unwrap());
        lossy.lose(store.expect_phone(&web, "t", 10)).await;
        let said = Phoned {
            hostname: "web".to_owned(),
            address: "x".to_owned(),
            root: "y".to_owned(),
        };
        let caller = lossy.lose(store.phone("t", &said, 9)).await;
        assert_eq!(caller, Some(web));
        assert_eq!(store.phone("t", &said, 9).await.unwrap(), None);
        let entries = store.boot_entries(&addr("site.lab")).await.unwrap();
        lossy.lose(store.mark_served(&entries)).await;
        lossy.lose(store.end_deployment(&node)).await;
        assert!(store.deployment_of(&node).await.unwrap().is_none());
        store.verify().await.unwrap();
    });
}
