//! One secret as BMC password, variable and user data, looked for in all that the real program says and leaves behind.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::{KEY, Place, files_below};

const SECRET: &str = "canary-5c1f93a7e2b0";

fn holds(bytes: &[u8]) -> bool {
    let base64 = "Y2FuYXJ5LTVjMWY5M2E3ZTJiM";
    let hex = hex::encode(SECRET);
    [SECRET, base64, &hex]
        .iter()
        .any(|form| bytes.windows(form.len()).any(|w| w == form.as_bytes()))
}

fn run(place: &Place, args: &[&str]) -> (i32, String) {
    let ended = place.run_with(args, |command| {
        command
            .env("BMCTL_VAR_bmc_password", SECRET)
            .env("BMCTL_LOG", "trace");
    });
    for text in [&ended.out, &ended.err] {
        assert!(!holds(text.as_bytes()), "{args:?} shows the secret");
    }
    (ended.code, ended.out + &ended.err)
}

fn files(place: &Place) -> Vec<PathBuf> {
    let mut all = Vec::new();
    files_below(place.dir.path(), &mut all);
    all.retain(|path| path.is_file());
    all
}

#[test]
fn the_search_finds_what_is_there() {
    assert!(holds(format!("password: {SECRET}\n").as_bytes()));
    assert!(holds(hex::encode(SECRET).as_bytes()));
    assert!(!holds(b"canary"));
}

#[test]
fn a_secret_is_nowhere_in_what_is_said_and_written() {
    let place = Place::new();
    let inputs = files(&place);
    let sim = ["--sim", "seed=7"];
    let with = |args: &[&'static str]| [args, &sim[..]].concat();
    let (code, told) = run(
        &place,
        &with(&["plan", "--out", "saved.plan", "--report", "report.md"]),
    );
    assert_eq!(code, 0, "{told}");
    let done = [
        with(&["plan", "--report", "report.html"]),
        with(&["plan", "--json"]),
        vec!["show", "saved.plan"],
        vec!["verify", "--sim", "saved.plan"],
        with(&["apply", "--json", "--json-into", "events.json"]),
        with(&["apply", "--replace", "instance.web"]),
        vec!["console", "--help"],
        vec!["runs", "--sim"],
        vec!["why", "--sim", "instance.web"],
        vec!["state", "history", "--sim", "--json"],
        vec!["state", "pull", "--sim"],
        vec!["output"],
        vec!["state", "list"],
        vec!["state", "verify"],
        vec!["lock", "list"],
    ];
    for args in &done {
        let (code, told) = run(&place, args);
        assert_eq!(code, 0, "{args:?}: {told}");
        if let ["state", "pull", ..] = args.as_slice() {
            let document = told.get(told.find('{').unwrap()..=told.rfind('}').unwrap());
            place.write("pulled.json", document.unwrap());
        }
    }
    let pulled = place.path("pulled.json");
    std::fs::set_permissions(&pulled, PermissionsExt::from_mode(0o600)).unwrap();
    let (_, runs) = run(&place, &["runs", "--sim", "--json"]);
    let last = runs.split("\"run\": \"").last().unwrap();
    let last = last.split('"').next().unwrap();
    let pulled = pulled.display().to_string();
    for args in [
        vec!["show", "--sim", last],
        with(&["rollback"]).into_iter().chain([last]).collect(),
        vec!["state", "push", "--sim", &pulled],
        with(&["destroy"]),
        vec!["state", "prune", "--sim", "--keep", "1"],
    ] {
        let (code, told) = run(&place, &args);
        assert_eq!(code, 0, "{args:?}: {told}");
    }
    let written: Vec<PathBuf> = files(&place)
        .into_iter()
        .filter(|path| !inputs.contains(path))
        .collect();
    let is_there = |name: &str| written.iter().any(|p| p.ends_with(name));
    for name in [
        "saved.plan",
        "report.md",
        "report.html",
        "events.json",
        "state.db",
        "metal",
        "high-water",
    ] {
        assert!(is_there(name), "{name} is not among {written:?}");
    }
    for path in &written {
        let bytes = std::fs::read(path).unwrap();
        assert!(!holds(&bytes), "{} holds the secret", path.display());
        let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o077;
        let is_for_others = path.extension().is_some_and(|e| e == "md" || e == "html");
        assert!(mode == 0 || is_for_others, "{}: {mode:o}", path.display());
    }
}

#[test]
fn a_private_key_is_not_taken_for_a_public_one() {
    let place = Place::new();
    let key = format!(
        "-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----\n"
    );
    place.write("id", key);
    place.write(
        "more.hcl",
        "instance \"more\" {\n  flavor = flavor.small\n  image = image.disk\n  ssh_keys = [file(\"id\")]\n}\n",
    );
    let (code, told) = run(&place, &["plan", "--sim", "seed=7"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("this is a private key"), "{told}");
}

/// A run that takes a few seconds, in a shell that allows core files.
fn slow_run(place: &Place, script: &str) -> Child {
    Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_bmctl")])
        .current_dir(place.path(""))
        .env_clear()
        .env("HOME", place.dir.path())
        .env("BMCTL_KEY", KEY)
        .env("BMCTL_VAR_bmc_password", SECRET)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(place.dir.path().join("events")).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn cores(place: &Place) -> Vec<PathBuf> {
    let mut all = files(place);
    all.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name == "core" || name.starts_with("core.")
    });
    all
}

fn arguments_of_all(parent: u32) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let processes = entries
        .map(|e| e.path())
        .filter(|p| p.join("cmdline").exists());
    let is_ours = |path: &Path| {
        path.ends_with(parent.to_string())
            || std::fs::read_to_string(path.join("status"))
                .is_ok_and(|s| s.contains(&format!("PPid:\t{parent}\n")))
    };
    let ours = processes.filter(|path| is_ours(path));
    ours.filter_map(|path| std::fs::read(path.join("cmdline")).ok())
        .filter(|bytes| !bytes.is_empty())
        .collect()
}

#[test]
fn a_process_that_dies_leaves_no_core_file_and_tells_nothing_in_its_arguments() {
    let place = Place::new();
    let mut control = slow_run(&place, "ulimit -c unlimited && kill -ABRT $$");
    control.wait().unwrap();
    let can_dump = !cores(&place).is_empty();
    for core in cores(&place) {
        std::fs::remove_file(core).unwrap();
    }
    let script = "ulimit -c unlimited; exec \"$1\" apply --json --sim seed=1,pace=120";
    let mut child = slow_run(&place, script);
    let events = place.dir.path().join("events");
    let limit = Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string(&events)
        .unwrap()
        .contains("step_finished")
    {
        assert!(Instant::now() < limit, "the run has not begun");
        std::thread::sleep(Duration::from_millis(20));
    }
    let arguments = arguments_of_all(child.id());
    assert!(!arguments.is_empty());
    assert!(!arguments.iter().any(|bytes| holds(bytes)));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT).unwrap();
    let ended = child.wait().unwrap();
    assert!(!ended.success());
    if can_dump {
        assert_eq!(cores(&place), Vec::<PathBuf>::new());
    } else {
        eprintln!("this machine writes no core files here: that part was not tested");
    }
}

/// A program that bmctl starts tells what it was given: the first git on the path is ours.
#[test]
fn a_child_is_given_no_secret() {
    let place = Place::new();
    let bin = place.dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let git = "#!/bin/sh\ncat /proc/$$/environ /proc/$$/cmdline >\"$HOME/child.$$\"\nexit 1\n";
    std::fs::write(bin.join("git"), git).unwrap();
    std::fs::set_permissions(bin.join("git"), PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    place.write("more.hcl", "locals {\n  token = env(\"OF_THE_USER\")\n}\n");
    let ended = place.run_with(&["apply", "--sim", "seed=7"], |command| {
        command
            .env("PATH", &path)
            .env("BMCTL_VAR_bmc_password", SECRET)
            .env("OF_THE_USER", SECRET);
    });
    assert_eq!(ended.code, 0, "{}", ended.err);
    let told: Vec<Vec<u8>> = files(&place)
        .iter()
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("child.")
        })
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert!(!told.is_empty(), "no git was started");
    for given in &told {
        let text = String::from_utf8_lossy(given);
        assert!(
            text.contains("PATH=") && text.contains("rev-parse"),
            "{text}"
        );
        assert!(!holds(given), "{text}");
        assert!(!text.contains("BMCTL_"), "{text}");
    }
}

/// The password in the URL of a server, at the highest level of the log, when all is well and when nothing is.
#[test]
fn the_password_of_a_server_is_not_told() {
    let place = Place::new();
    let server = crate::postgres::shared();
    let workspace = crate::postgres::workspace();
    place.write(
        "state.hcl",
        format!(
            "bmctl {{\n  state \"postgres\" {{\n    url       = env(\"BMCTL_PG\")\n    workspace = \"{workspace}\"\n  }}\n}}\n"
        ),
    );
    let good = server
        .url()
        .expose()
        .replace("bmctl@", &format!("bmctl:{SECRET}@"));
    let absent = format!("postgres://bmctl:{SECRET}@127.0.0.1:1/postgres");
    let broken = format!("postgres//bmctl:{SECRET}@127.0.0.1");
    let slashless = format!("postgres:bmctl:{SECRET}@127.0.0.1/postgres");
    let no_tls = format!("{good}&sslmode=verify-full&sslrootcert=/nowhere");
    let told = |url: &str, args: &[&str]| {
        let ended = place.run_with(args, |command| {
            command
                .env("BMCTL_PG", url)
                .env("BMCTL_SIM_STATE", "configured")
                .env("BMCTL_LOG", "trace");
        });
        let said = ended.out + &ended.err;
        assert!(!holds(said.as_bytes()), "{args:?}: {said}");
        (ended.code, said)
    };
    for args in [
        vec!["apply", "--sim", "seed=7"],
        vec!["runs", "--sim"],
        vec!["state", "verify"],
        vec!["lock", "list"],
        vec!["plan", "--sim", "seed=7", "--json"],
    ] {
        let (code, said) = told(&good, &args);
        assert_eq!(code, 0, "{args:?}: {said}");
        for url in [&absent, &broken, &slashless, &no_tls] {
            let (code, said) = told(url, &args);
            assert_eq!(code, 1, "{args:?} {url}: {said}");
        }
    }
    for path in files(&place) {
        assert!(!holds(&std::fs::read(&path).unwrap()), "{}", path.display());
    }
}

/// Not even by another process of the same user: its memory and its environment are closed, and no debugger gets a core file of it.
#[test]
fn another_process_of_the_same_user_reads_nothing() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: nobody else can be played here");
        return;
    }
    let place = Place::new();
    let program = place.dir.path().join("program");
    std::fs::copy(env!("CARGO_BIN_EXE_bmctl"), &program).unwrap();
    let mut all = Vec::new();
    files_below(place.dir.path(), &mut all);
    all.push(place.dir.path().to_owned());
    for path in all {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let nobody = |command: &str, args: &[&str]| {
        let mut process = Command::new("setpriv");
        process
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", command])
            .args(args)
            .current_dir(place.path(""))
            .env("BMCTL_KEY", KEY)
            .env("HOME", place.dir.path())
            .env("BMCTL_VAR_bmc_password", SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        process
    };
    let reads = |pid: u32, what: &str| {
        let file = format!("/proc/{pid}/{what}");
        let status = nobody("head", &["-c", "1", &file]).status().unwrap();
        status.success()
    };
    let debugs = |pid: u32| {
        let core = place.path("core-of").display().to_string();
        let mut gcore = nobody("gcore", &["-o", &core, &pid.to_string()]);
        gcore.status().unwrap().success()
    };
    let mut control = nobody("sleep", &["60"]).spawn().unwrap();
    let program = program.display().to_string();
    let mut child = nobody(&program, &["apply", "--sim", "seed=1,pace=60"])
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(20);
    while !place.path(".bmctl/sim/metal").exists() {
        assert!(Instant::now() < limit, "the run has not begun");
        std::thread::sleep(Duration::from_millis(20));
    }
    let open = (reads(control.id(), "environ"), debugs(control.id()));
    let found = (reads(child.id(), "environ"), debugs(child.id()));
    assert!(child.try_wait().unwrap().is_none(), "the run was over");
    for process in [&mut control, &mut child] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(
        open.0,
        "nothing would be proved: a sleep cannot be read either"
    );
    if !open.1 {
        eprintln!("this machine lets nobody debug: that part was not tested");
    }
    assert_eq!(found, (false, false));
}
