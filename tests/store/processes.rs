//! Real applies as real processes on one state: started at once, stopped past their lease, on both databases.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Place, run, sealer};
use crate::postgres;

const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// A configuration, its state, and a BMC that takes what it is sent and never answers: an apply that looks at its node waits.
struct Rack {
    dir: TempDir,
    place: Place,
    _silent: UdpSocket,
}

impl Rack {
    fn new(place: Place) -> Rack {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let state = match &place {
            Place::Sqlite(dir) => {
                format!("state \"sqlite\" {{ path = \"{}\" }}", dir.path().display())
            }
            Place::Postgres(workspace) => format!(
                "state \"postgres\" {{\n    url = \"{}\"\n    workspace = \"{workspace}\"\n  }}",
                postgres::shared().url().expose()
            ),
        };
        let text = format!(
            r#"
bmctl {{
  {state}
}}
network "pxe" {{ cidr = "10.99.0.0/24" }}
site "lab" {{
  network = network.pxe
  address = "10.99.0.1"
}}
flavor "small" {{
  cpus      = 1
  memory_mb = 512
  root_gb   = 1
}}
node "n" {{
  site      = site.lab
  arch      = "x86_64"
  cpus      = 2
  memory_mb = 1024
  local_gb  = 10
  root_device {{ serial = "S" }}
  power "ipmi" {{
    address  = "127.0.0.1"
    port     = {port}
    user     = "admin"
    password = "hunter2"
  }}
}}
nic "n" {{
  node    = node.n
  network = network.pxe
  mac     = "52:54:00:00:00:01"
  pxe     = true
}}
image "disk" {{
  type   = "disk"
  source = "disk.img"
}}
instance "web" {{
  flavor = flavor.small
  image  = image.disk
}}
"#
        );
        let dir = tempfile::tempdir().unwrap();
        let mut disk = vec![0u8; 4096];
        disk[440..444].copy_from_slice(&[1, 2, 3, 4]);
        disk[446 + 4] = 0x83;
        disk[446 + 8..][..8].copy_from_slice(&[1, 0, 0, 0, 7, 0, 0, 0]);
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(dir.path().join("disk.img"), disk).unwrap();
        std::fs::write(dir.path().join("main.hcl"), text).unwrap();
        Rack {
            dir,
            place,
            _silent: silent,
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bmctl"));
        command
            .arg("-C")
            .arg(self.dir.path())
            .args(args)
            .env("BMCTL_KEY", KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// What it says goes to a file of its own.
    fn apply(&self, name: &str, lease_ms: u32) -> Apply {
        let log = self.dir.path().join(name);
        let child = self
            .command(&["apply", "--auto-approve"])
            .env("BMCTL_LEASE_MS", lease_ms.to_string())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Apply { child, log }
    }

    fn lock(&self, args: &[&str]) -> (i32, String) {
        let all: Vec<&str> = ["lock"].iter().chain(args).copied().collect();
        let ended = self
            .command(&all)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let text = [ended.stdout, ended.stderr].concat();
        (
            ended.status.code().unwrap(),
            String::from_utf8(text).unwrap(),
        )
    }

    /// The process that `lock list` shows.
    fn holder(&self) -> Option<u32> {
        let (_, text) = self.lock(&["list"]);
        let rest = text.split_once("process ")?.1;
        rest.split_whitespace().next()?.parse().ok()
    }
}

struct Apply {
    child: Child,
    log: PathBuf,
}

impl Apply {
    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Apply {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `count` applies at once: all but one are refused with exit code 4, naming the one; it is killed, and the next round's winner
/// takes over from a dead process.
fn round(rack: &Rack, count: usize) {
    let mut applies: Vec<Apply> = (0..count)
        .map(|n| rack.apply(&format!("log-{n}"), 30_000))
        .collect();
    let mut refused = 0;
    until("all but one to be refused", || {
        refused += applies
            .extract_if(.., |apply| match apply.child.try_wait().unwrap() {
                Some(status) => {
                    assert_eq!(status.code(), Some(4), "{}", apply.said());
                    assert!(
                        apply.said().contains("another apply holds the state"),
                        "{}",
                        apply.said()
                    );
                    true
                }
                None => false,
            })
            .count();
        refused == count - 1
    });
    // The one that is left holds it, and is not about to be refused.
    assert_eq!(applies.len(), 1);
    assert_eq!(rack.holder(), Some(applies[0].child.id()));
    assert_eq!(
        applies[0].child.try_wait().unwrap(),
        None,
        "{}",
        applies[0].said()
    );
}

fn rounds(place: Place, counts: impl Iterator<Item = usize>) {
    let rack = Rack::new(place);
    for count in counts {
        round(&rack, count);
    }
}

#[test]
fn of_applies_started_at_once_one_wins_on_sqlite() {
    rounds(Place::sqlite(), [2, 8].into_iter());
}

#[test]
fn of_applies_started_at_once_one_wins_on_postgres() {
    rounds(Place::postgres(), [2, 8].into_iter());
}

#[test]
#[ignore = "200 rounds of 2, 8 and 32 processes: make test-store"]
fn of_applies_started_at_once_one_wins_200_times() {
    for place in [Place::sqlite(), Place::postgres()] {
        rounds(place, [2, 8, 32].into_iter().cycle().take(200));
    }
}

fn a_stopped_holder_writes_nothing(place: Place) {
    let rack = Rack::new(place);
    let mut first = rack.apply("first", 500);
    until("the first to hold the lock", || {
        rack.holder() == Some(first.child.id())
    });
    first.signal(Signal::STOP);
    std::thread::sleep(Duration::from_millis(600));
    let second = rack.apply("second", 60_000);
    until("the second to hold the lock", || {
        rack.holder() == Some(second.child.id())
    });
    // Stopped as well, so that nothing else writes while the first one tries to.
    second.signal(Signal::STOP);
    let before = contents(&rack.place);
    first.signal(Signal::CONT);
    until("the first to end", || {
        first.child.try_wait().unwrap().is_some()
    });
    let said = first.said();
    assert_eq!(first.child.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("lost the state to another"), "{said}");
    assert!(
        said.contains(&format!("process {}", second.child.id())),
        "{said}"
    );
    assert_eq!(contents(&rack.place), before);
}

/// Everything that is recorded, and how far the journal has come.
fn contents(place: &Place) -> String {
    let mut out = String::new();
    let text = &mut out;
    run(async move {
        let store = match place {
            Place::Sqlite(dir) => bmctl::store::Store::open(dir.path(), sealer())
                .await
                .unwrap(),
            Place::Postgres(_) => place.open().await,
        };
        let (recorded, runs) = (store.recorded().await.unwrap(), store.runs().await.unwrap());
        let (verified, leases) = (store.verify().await.unwrap(), store.leases().await.unwrap());
        let lease = (leases[0].token, leases[0].expires_ms);
        *text = format!("{recorded:?} {runs:?} {verified:?} {lease:?}");
    });
    out
}

#[test]
fn a_stopped_holder_writes_nothing_on_sqlite() {
    a_stopped_holder_writes_nothing(Place::sqlite());
}

#[test]
fn a_stopped_holder_writes_nothing_on_postgres() {
    a_stopped_holder_writes_nothing(Place::postgres());
}

#[test]
fn the_lock_is_shown_and_taken_away() {
    let rack = Rack::new(Place::sqlite());
    assert_eq!(
        rack.lock(&["list"]),
        (0, "Nobody holds the lock.\n".to_owned())
    );
    let mut holder = rack.apply("holder", 1500);
    until("the lock to be held", || {
        rack.holder() == Some(holder.child.id())
    });
    let (_, shown) = rack.lock(&["list"]);
    for part in ["host ", "since ", "UTC", "expires in"] {
        assert!(shown.contains(part), "{shown}");
    }
    let (code, said) = rack.lock(&["release"]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("--force"), "{said}");
    let (code, said) = rack.lock(&["release", "--force"]);
    assert_eq!(code, 0, "{said}");
    until("the holder to end", || {
        holder.child.try_wait().unwrap().is_some()
    });
    assert!(
        holder.said().contains("lost the state"),
        "{}",
        holder.said()
    );
}
