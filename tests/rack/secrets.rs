//! A real deploy, watched while it goes on: no secret of it is in what is said, in what is written, in any argument, or in the
//! environment of any program that bmctl starts.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bmctl::drivers::agent::chap_secret;
use bmctl::plan::Step;
use bmctl::secret::Key32;
use bmctl::store::{Sealer, Store};

use super::{BMCTL, Rack, base, instance};
use crate::cli::files_below;

/// Of every BMC; it has the length that one may have.
const PASSWORD: &str = "canary-5c1f93a7e2b0";
/// A variable, which is in the user data.
const VARIABLE: &str = "canary-7d20b4c8f3a1";
const KEY: [u8; 32] = [0x5a; 32];

/// What was seen while it went on.
#[derive(Default)]
struct Seen {
    /// By the program: its arguments and its environment.
    arguments: BTreeSet<Vec<u8>>,
    environments: BTreeMap<String, BTreeSet<Vec<u8>>>,
    /// Everything that was served over TFTP, and what dnsmasq was told.
    boot_files: BTreeMap<PathBuf, BTreeSet<Vec<u8>>>,
}

impl Seen {
    /// One look at all that runs below a process.
    fn look(&mut self, root: u32) {
        let mut ours = BTreeSet::from([root]);
        let parents = parents();
        while let Some(child) = parents
            .iter()
            .find(|(pid, parent)| ours.contains(parent) && !ours.contains(pid))
        {
            ours.insert(*child.0);
        }
        for pid in ours {
            let of = |what: &str| std::fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
            self.arguments.insert(of("cmdline"));
            let Ok(program) = std::fs::read_link(format!("/proc/{pid}/exe")) else {
                continue;
            };
            // A child that has not become another program yet has the memory of its parent, and is as closed.
            if program != Path::new(BMCTL) {
                let name = program.file_name().unwrap().to_string_lossy().into_owned();
                self.environments
                    .entry(name)
                    .or_default()
                    .insert(of("environ"));
            }
        }
        let mut files = Vec::new();
        if Path::new("/run/bmctl").exists() {
            still_below(Path::new("/run/bmctl"), &mut files);
        }
        for file in files {
            if let Ok(bytes) = std::fs::read(&file)
                && bytes.len() < 1 << 20
            {
                self.boot_files.entry(file).or_default().insert(bytes);
            }
        }
    }
}

fn parents() -> BTreeMap<u32, u32> {
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let parent = status.lines().find_map(|l| l.strip_prefix("PPid:\t"));
        if let Some(Ok(parent)) = parent.map(str::parse) {
            out.insert(pid, parent);
        }
    }
    out
}

/// Files come and go while it is looked.
fn still_below(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            still_below(&path, out);
        } else {
            out.push(path);
        }
    }
}

fn forms(secret: &str) -> [Vec<u8>; 2] {
    [secret.as_bytes().to_vec(), hex::encode(secret).into_bytes()]
}

#[test]
#[ignore = "needs root and the rack's packages"]
fn no_secret_of_a_deploy_is_anywhere() {
    let rack = Rack::prepared(&["bios"], |dir| {
        let of_rack = dir.join(".bmctl/rack");
        let mut private = std::fs::DirBuilder::new();
        private
            .recursive(true)
            .mode(0o700)
            .create(&of_rack)
            .unwrap();
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(of_rack.join("bmc.password")).unwrap();
        std::io::Write::write_all(&mut file, PASSWORD.as_bytes()).unwrap();
    });
    let user_data = "user_data = \"#cloud-config\\npassword: ${var.canary}\\n\"";
    let variable = "variable \"canary\" {\n  type      = string\n  sensitive = true\n}\n";
    rack.write(
        &(base("bios_loader = \"pxelinux\"")
            + variable
            + &instance("web", "r1-01", "partition", user_data)),
    );
    let (out, err) = (rack.path().join("out"), rack.path().join("err"));
    let events = rack.path().join("events.json").display().to_string();
    let mut apply = rack
        .inside(&["apply", "--auto-approve", "--json-into", &events])
        .env("BMCTL_VAR_canary", VARIABLE)
        .env("BMCTL_LOG", "trace")
        .stdout(std::fs::File::create(&out).unwrap())
        .stderr(Stdio::from(std::fs::File::create(&err).unwrap()))
        .spawn()
        .unwrap();
    let (root, over) = (apply.id(), AtomicBool::new(false));
    let mut seen = Seen::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                seen.look(root);
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        let ended = apply.wait();
        over.store(true, Ordering::Relaxed);
        let said = std::fs::read_to_string(&err).unwrap();
        assert!(ended.unwrap().success(), "{said}\n{}", rack.consoles());
    });
    let chap = chap_of(rack.path());
    assert_eq!(chap.len(), 2);
    let mut secrets = vec![PASSWORD.to_owned(), VARIABLE.to_owned(), "5a".repeat(32)];
    secrets.extend(chap);
    let holds = |bytes: &[u8]| {
        let mut found = secrets.iter().filter(|secret| {
            let mut forms = forms(secret).into_iter();
            forms.any(|form| bytes.windows(form.len()).any(|w| w == form))
        });
        found.next().cloned()
    };
    assert_eq!(holds(VARIABLE.as_bytes()), Some(VARIABLE.to_owned()));

    let dnsmasq = &seen.environments["dnsmasq"];
    assert!(
        dnsmasq
            .iter()
            .any(|e| e.starts_with(b"PATH=") || e.windows(6).any(|w| w == b"\0PATH="))
    );
    for (program, environments) in &seen.environments {
        for bytes in environments {
            assert_eq!(holds(bytes), None, "the environment of {program}");
        }
    }
    for bytes in &seen.arguments {
        assert_eq!(holds(bytes), None, "{}", String::from_utf8_lossy(bytes));
    }
    let pxelinux = seen
        .boot_files
        .keys()
        .filter(|p| p.display().to_string().contains("pxelinux.cfg"));
    assert!(pxelinux.count() > 0, "{:?}", seen.boot_files.keys());
    for (path, contents) in &seen.boot_files {
        for bytes in contents {
            assert_eq!(holds(bytes), None, "{}", path.display());
        }
    }
    written(&rack, &holds);
}

/// What stays behind, but for what is the rack's own and what the user wrote.
fn written(rack: &Rack, holds: &impl Fn(&[u8]) -> Option<String>) {
    let mut files = Vec::new();
    files_below(rack.path(), &mut files);
    let mut count = 0;
    for path in files.iter().filter(|path| path.is_file()) {
        let name = path.strip_prefix(rack.path()).unwrap();
        let is_input = name.starts_with("images") || name.starts_with(".bmctl/ramdisk");
        let is_of_rack = name.starts_with(".bmctl/rack") || name.ends_with("rack.hcl");
        if is_input || is_of_rack {
            continue;
        }
        count += 1;
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(holds(&bytes), None, "{}", path.display());
        if name.starts_with(".bmctl") {
            let mode = path.metadata().unwrap().permissions().mode() & 0o077;
            assert_eq!(mode, 0, "{}: {mode:o}", path.display());
        }
    }
    assert!(count > 5, "{files:?}");
    assert_eq!(holds(rack.consoles().as_bytes()), None, "the console");
}

/// The two CHAP secrets of the write that was done, from what the store has of it.
fn chap_of(dir: &Path) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let state = dir.join(".bmctl");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(state.join("state.db"));
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        let id: String = sqlx::query_scalar("SELECT id FROM deployments")
            .fetch_one(&pool)
            .await
            .unwrap();
        pool.close().await;
        let store = Store::open(&state, Sealer::new(Key32::new(KEY)))
            .await
            .unwrap();
        let key = store.deployment(&id).await.unwrap().unwrap().key.unwrap();
        let run = &store.runs().await.unwrap()[0];
        let plan = store.plan(&run.plan).await.unwrap().unwrap();
        let mut iqns = plan.steps.iter().filter_map(|step| match &step.step {
            Step::WriteDisk(write) => Some(write.iqn.as_str().to_owned()),
            _ => None,
        });
        let iqn = iqns.next().unwrap();
        let secret = |role| chap_secret(&key, role, &iqn).expose().to_owned();
        vec![secret("initiator"), secret("target")]
    })
}
