//! The real process, killed with SIGKILL at random moments of a paced simulation: what stands in the state is what happened to the
//! machines, and what was seen to its end is not done again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bmctl::drivers::sim::metal::{Content, Machine, Metal, Running};
use bmctl::drivers::sim::{Faults, World};
use bmctl::model::{ImageType, InstancePhase, InstanceRecord, Recorded, Resource};
use bmctl::secret::Key32;
use bmctl::store::{Sealer, Store, StoreError, Workspace};
use tempfile::TempDir;

use crate::fleet::CANARY;
use crate::postgres;

const KEY: [u8; 32] = [7; 32];
/// Simulated seconds in a real one: a whole deployment takes less than a second.
const PACE: u32 = 400;
/// The longest a run is left alive: a little more than it needs, so that some are killed when they have just ended.
const LIFE_MS_MAX: u64 = 900;
const NODES: usize = 5;

/// Where the state of the simulated rack is kept. The machines themselves are a file in both cases.
enum Backend {
    Sqlite,
    /// A workspace on the server that the tests share.
    Postgres {
        workspace: String,
    },
}

impl Backend {
    fn postgres() -> Backend {
        Backend::Postgres {
            workspace: postgres::workspace(),
        }
    }

    /// The block of the configuration that says so.
    fn block(&self) -> String {
        match self {
            Backend::Sqlite => "state \"sqlite\" {}".to_owned(),
            Backend::Postgres { workspace } => format!(
                "state \"postgres\" {{\n    url       = env(\"BMCTL_PG\")\n    workspace = \"{workspace}\"\n  }}"
            ),
        }
    }

    async fn open(&self, directory: &Path) -> Result<Store, StoreError> {
        let sealer = Sealer::new(Key32::new(KEY));
        match self {
            Backend::Sqlite => Store::open(directory, sealer).await,
            Backend::Postgres { workspace } => {
                let url = postgres::shared().url();
                let workspace = Workspace::Simulated(workspace.clone());
                Store::connect(&url, &workspace, sealer).await
            }
        }
    }
}

/// What is asked of the rack in a round; each differs from the one before in what it destroys.
fn configuration(backend: &Backend, round: usize) -> String {
    let image = match image_of(round) {
        ImageType::Partition => "part",
        ImageType::Disk => "disk",
    };
    let guests = if round % 3 == 2 { 0 } else { 1 };
    format!(
        r#"
bmctl {{
  {}
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

image "part" {{
  type   = "partition"
  source = "part.img"
  kernel = "kernel"
  initrd = "kernel"
}}

image "disk" {{
  type   = "disk"
  source = "disk.img"
}}

node "n" {{
  count     = {NODES}
  site      = site.lab
  arch      = "x86_64"
  cpus      = 2
  memory_mb = 1024
  local_gb  = 10
  root_device {{ serial = "S${{count.index}}" }}
  power "ipmi" {{
    address  = cidrhost("10.98.0.0/24", count.index + 1)
    user     = "admin"
    password = "{CANARY}"
  }}
}}

nic "n" {{
  count   = {NODES}
  node    = node.n[count.index]
  network = network.pxe
  mac     = "52:54:00:00:00:0${{count.index}}"
  pxe     = true
}}

instance "i" {{
  count  = 3
  flavor = flavor.small
  image  = image.{image}
  node   = node.n[count.index]
}}

instance "guest" {{
  count  = {guests}
  flavor = flavor.small
  image  = image.disk
  erase  = "metadata"
  node   = node.n[3]
}}
"#,
        backend.block()
    )
}

fn image_of(round: usize) -> ImageType {
    [ImageType::Partition, ImageType::Disk][round % 2]
}

pub struct Place {
    dir: TempDir,
    backend: Backend,
}

/// What must never be counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    /// The state could not be read, or was empty.
    unreadable: usize,
    /// Recorded as done, and the machine says otherwise.
    not_done: usize,
    /// Seen to its end and noted, and done again.
    repeated: usize,
}

impl Place {
    pub fn new() -> Place {
        Place::on(Backend::Sqlite)
    }

    fn on(backend: Backend) -> Place {
        let place = Place {
            dir: tempfile::tempdir().unwrap(),
            backend,
        };
        let mut part = vec![0u8; 4096];
        part[1024 + 0x38..][..2].copy_from_slice(&[0x53, 0xef]);
        part[1024 + 0x68..][..16].copy_from_slice(&[9; 16]);
        let mut disk = vec![0u8; 4096];
        disk[440..444].copy_from_slice(&[1, 2, 3, 4]);
        disk[446 + 4] = 0x83;
        disk[446 + 8..][..8].copy_from_slice(&[1, 0, 0, 0, 7, 0, 0, 0]);
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        place.write("part.img", &part);
        place.write("disk.img", &disk);
        place.write("kernel", b"kernel");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// The configuration of this round.
    pub fn want(&self, round: usize) {
        self.write("main.hcl", configuration(&self.backend, round).as_bytes());
    }

    pub fn command(&self, args: &[&str]) -> Command {
        // Another build may be tried in its place.
        let program = std::env::var_os("BMCTL_BIN");
        let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_bmctl").into());
        let mut command = Command::new(program);
        command
            .arg("-C")
            .arg(self.dir.path())
            .args(args)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("BMCTL_KEY", hex::encode(KEY))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match self.backend {
            Backend::Sqlite => {}
            Backend::Postgres { .. } => {
                command
                    .env("BMCTL_PG", postgres::shared().url().expose())
                    .env("BMCTL_SIM_STATE", "configured");
            }
        }
        command
    }

    fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stderr(std::fs::File::create(self.path("stderr")).unwrap());
        command.spawn().unwrap()
    }

    pub fn expect(&self, args: &[&str]) {
        let ended = self.start(args).wait().unwrap();
        let said = std::fs::read_to_string(self.path("stderr")).unwrap();
        assert!(ended.success(), "{args:?}: {ended}\n{said}");
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join(".bmctl/sim")
    }

    /// `None` when it cannot be read or holds nothing.
    async fn recorded(&self) -> Option<Recorded> {
        let store = self.backend.open(&self.state()).await.ok()?;
        let recorded = store.recorded().await.ok();
        store.close().await;
        recorded.filter(|r| !r.lineage.is_empty())
    }

    /// A test that kills on the other database than it says proves nothing of this one.
    fn is_where_it_belongs(&self) {
        let is_here = self.state().join("state.db").exists();
        assert_eq!(is_here, matches!(self.backend, Backend::Sqlite));
    }

    fn metal(&self) -> Metal {
        metal(&self.state().join("metal"), self.dir.path())
    }
}

/// Read from a copy: the file is the killed process's own.
fn metal(file: &Path, dir: &Path) -> Metal {
    let copy = dir.join("metal.copy");
    std::fs::copy(file, &copy).unwrap();
    World::open(Faults::default(), &copy).unwrap().metal()
}

fn machine_of<'a>(record: &InstanceRecord, recorded: &Recorded, metal: &'a Metal) -> &'a Machine {
    let Some(Resource::Node(node)) = recorded.resources.get(&record.node) else {
        panic!("{} is not recorded", record.node);
    };
    &metal.machines[&node.power.endpoint().to_string()]
}

/// What the record says of the machine is so.
fn is_true(record: &InstanceRecord, machine: &Machine) -> bool {
    let content = machine.disk.as_ref().map(|d| &d.content);
    let is_written = match content {
        Some(Content::Image(written)) => {
            written.image == record.image_facts.sha256
                && written.hostname == record.desired.hostname.as_str()
        }
        _ => false,
    };
    let runs = matches!(&machine.running, Running::System { .. });
    match record.phase {
        InstancePhase::Running => is_written && runs,
        InstancePhase::Off => is_written && !machine.is_on,
        InstancePhase::Destroying if record.disk.is_none() => content == Some(&Content::Blank),
        InstancePhase::Destroying => true,
        InstancePhase::Deploying | InstancePhase::NeedsAttention(_) => {
            record.disk.is_none() || is_written
        }
    }
}

/// How often a machine may have been written to and erased when the round has come to its end.
#[derive(Debug)]
struct Bounds {
    machine: String,
    writes: u32,
    erasures: u32,
}

/// What is noted as done may not be done again; what is still to be replaced is written once.
fn bounds(recorded: &Recorded, metal: &Metal, wanted: ImageType) -> Vec<Bounds> {
    let mut out = Vec::new();
    for (addr, resource) in &recorded.resources {
        let Some(record) = resource.as_instance() else {
            continue;
        };
        let Some(Resource::Node(node)) = recorded.resources.get(&record.node) else {
            continue;
        };
        let machine = machine_of(record, recorded, metal);
        let is_guest = addr.name.as_str() == "guest";
        let is_gone = record.phase == InstancePhase::Destroying;
        let is_written = record.disk.is_some() && (is_guest || record.image.kind == wanted);
        out.push(Bounds {
            machine: node.power.endpoint().to_string(),
            writes: machine.writes_begun + u32::from(!is_written && !is_gone),
            erasures: machine.erased + u32::from(is_guest && record.disk.is_some()),
        });
    }
    out
}

/// Whole rounds: change what is wanted, apply, kill, look, apply to the end, look.
async fn kills(backend: Backend, rounds: usize, seed: u64) {
    // The same seed kills after the same times; what the process is doing by then is the machine's affair.
    let seed = std::env::var("BMCTL_SEED").map_or(seed, |text| text.parse().unwrap());
    eprintln!("BMCTL_SEED={seed}");
    let place = Place::on(backend);
    place.want(0);
    place.expect(&["apply", "--sim", "seed=1"]);
    place.is_where_it_belongs();
    let (mut counts, mut alive, mut dead) = (Counts::default(), 0, 0);
    let mut dice = seed;
    for round in 1..=rounds {
        place.want(round);
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let life = Duration::from_millis(40 + (dice >> 33) % LIFE_MS_MAX);
        let faults = format!("seed={round},pace={PACE}");
        let mut run = place.start(&["apply", "--sim", &faults]);
        let end = Instant::now() + life;
        while Instant::now() < end && run.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        match run.try_wait().unwrap() {
            Some(_) => alive += 1,
            None => dead += 1,
        }
        let _ = run.kill();
        run.wait().unwrap();

        let noted = look(&place, image_of(round), &mut counts).await;
        place.expect(&["apply", "--sim", "seed=1"]);
        let after = place.metal();
        for bound in noted {
            let machine = &after.machines[&bound.machine];
            let again = machine.writes_begun > bound.writes || machine.erased > bound.erasures;
            counts.repeated += usize::from(again);
        }
        place.expect(&["plan", "--detailed-exitcode", "--sim", "seed=1"]);
        look(&place, image_of(round), &mut counts).await;
    }
    eprintln!("{rounds} rounds: {dead} killed in the middle, {alive} had ended; {counts:?}");
    assert_eq!(counts, Counts::default(), "seed {seed}");
    assert!(
        dead > alive,
        "{dead} were killed in the middle, {alive} had ended: the pace is wrong"
    );
}

/// Counts what is wrong; gives what the rest of the round may do.
async fn look(place: &Place, wanted: ImageType, counts: &mut Counts) -> Vec<Bounds> {
    let Some(recorded) = place.recorded().await else {
        counts.unreadable += 1;
        return Vec::new();
    };
    let metal = place.metal();
    for resource in recorded.resources.values() {
        if let Some(record) = resource.as_instance() {
            let machine = machine_of(record, &recorded, &metal);
            counts.not_done += usize::from(!is_true(record, machine));
        }
    }
    bounds(&recorded, &metal, wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_the_truth() {
    kills(Backend::Sqlite, 8, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_the_truth_on_postgres() {
    kills(Backend::postgres(), 8, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: make crash"]
async fn two_hundred_killed_processes_leave_the_truth() {
    kills(Backend::Sqlite, 200, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: make crash"]
async fn two_hundred_killed_processes_leave_the_truth_on_postgres() {
    kills(Backend::postgres(), 200, 4).await;
}
