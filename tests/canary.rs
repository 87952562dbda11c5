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
        vec!["output"],
        vec!["state", "list"],
        with(&["destroy"]),
    ];
    for args in &done {
        let (code, told) = run(&place, args);
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
