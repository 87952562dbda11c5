//! `bmctl init` against repositories of git's own making.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

struct Place {
    dir: TempDir,
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    #[track_caller]
    fn expect(self, code: i32, parts: &[&str]) -> Ended {
        let all = format!("{}{}", self.out, self.err);
        assert_eq!(self.code, code, "{all}");
        for part in parts {
            assert!(all.contains(part), "`{part}` is not in:\n{all}");
        }
        self
    }
}

impl Place {
    /// A repository with the modules `rack` and, called by it, one from a second repository; and a configuration that calls the
    /// first.
    fn new() -> Place {
        let place = Place {
            dir: tempfile::tempdir().unwrap(),
        };
        place.write("inner/main.hcl", "output \"x\" {\n  value = 7\n}\n");
        place.commit("inner", "one");
        place.outer("1");
        place.git("outer", &["tag", "v1"]);
        let main = format!(
            "module \"m\" {{\n  source = \"{}//rack?ref=v1\"\n}}\noutput \"x\" {{\n  value = module.m.x\n}}\n",
            place.url("outer")
        );
        place.write("fleet/main.hcl", &main);
        place
    }

    fn outer(&self, value: &str) {
        let inner = self.url("inner");
        self.write(
            "outer/rack/main.hcl",
            &format!("module \"inner\" {{\n  source = \"{inner}\"\n}}\noutput \"x\" {{\n  value = \"{value}${{module.inner.x}}\"\n}}\n"),
        );
        self.commit("outer", value);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn url(&self, name: &str) -> String {
        format!("git::file://{}", self.path(name).display())
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn git(&self, repository: &str, args: &[&str]) {
        let ended = Command::new("git")
            .arg("-C")
            .arg(self.path(repository))
            .args([
                "-c",
                "user.name=n",
                "-c",
                "user.email=e",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(
            ended.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }

    fn commit(&self, repository: &str, message: &str) {
        if !self.path(repository).join(".git").exists() {
            self.git(repository, &["init", "--quiet"]);
        }
        self.git(repository, &["add", "--all"]);
        self.git(repository, &["commit", "--quiet", "--message", message]);
    }

    fn run(&self, args: &[&str]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_bmctl"))
            .args(["-C", "fleet"])
            .args(args)
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one checkout that holds `rack/`.
    fn checkout(&self) -> PathBuf {
        let mut found = std::fs::read_dir(self.path("fleet/.bmctl/modules")).unwrap();
        let found = found.find_map(|entry| {
            let path = entry.unwrap().path();
            path.join("rack").exists().then_some(path)
        });
        found.unwrap()
    }
}

const LOCK: &str = "fleet/.bmctl.lock.hcl";

#[test]
fn modules_are_fetched_locked_and_verified() {
    let place = Place::new();
    place
        .run(&["validate"])
        .expect(1, &["E0313", "run `bmctl init`"]);
    place
        .run(&["init", "--lockfile", "readonly"])
        .expect(1, &["would change"]);
    assert!(!place.path(LOCK).exists());
    place
        .run(&["init"])
        .expect(0, &["Initialized: 2 modules from repositories"]);
    let lock = place.read(LOCK);
    assert_eq!(lock.matches("commit = ").count(), 2, "{lock}");
    place.run(&["output", "--raw", "x"]).expect(0, &["17"]);

    // What the tag names has changed; what is locked has not.
    place.outer("2");
    place.git("outer", &["tag", "--force", "v1"]);
    place.run(&["init"]).expect(0, &[]);
    assert_eq!(place.read(LOCK), lock);

    // Another machine: only the lock file is there.
    std::fs::remove_dir_all(place.path("fleet/.bmctl/modules")).unwrap();
    place
        .run(&["init", "--lockfile", "readonly"])
        .expect(0, &[]);
    place.run(&["output", "--raw", "x"]).expect(0, &["17"]);

    place
        .run(&["init", "--upgrade", "--lockfile", "readonly"])
        .expect(1, &["would change"]);
    place.run(&["output", "--raw", "x"]).expect(0, &["17"]);
    place.run(&["init", "--upgrade"]).expect(0, &[]);
    place.run(&["output", "--raw", "x"]).expect(0, &["27"]);
}

#[test]
fn a_changed_checkout_is_refused_and_fetched_again() {
    let place = Place::new();
    place.run(&["init"]).expect(0, &[]);
    let file = place.checkout().join("rack/main.hcl");
    std::fs::write(&file, "output \"x\" {\n  value = \"evil\"\n}\n").unwrap();
    place
        .run(&["validate"])
        .expect(1, &["E0314", "is not what .bmctl.lock.hcl says"]);
    place.run(&["init"]).expect(0, &[]);
    place.run(&["output", "--raw", "x"]).expect(0, &["17"]);

    let lock = place.read(LOCK);
    let digest = lock
        .split("digest = \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    place.write(LOCK, &lock.replace(digest, &"0".repeat(64)));
    std::fs::remove_dir_all(place.path("fleet/.bmctl/modules")).unwrap();
    place
        .run(&["init"])
        .expect(1, &["somebody has rewritten one of them"]);
}

#[test]
fn what_cannot_be_fetched_says_why() {
    let place = Place::new();
    let call = |source: &str| {
        place.write(
            "fleet/main.hcl",
            &format!("module \"m\" {{\n  source = \"{source}\"\n}}\n"),
        )
    };
    call(&place.url("nowhere"));
    place
        .run(&["init"])
        .expect(1, &["git fetch file://", "nowhere"]);
    call(&format!("{}?ref=v9", place.url("outer")));
    place.run(&["init"]).expect(1, &["v9"]);
    call(&format!("{}//nothing", place.url("outer")));
    place.run(&["init"]).expect(1, &["E0312", "no such file"]);
    assert!(!place.path(LOCK).exists());
    std::os::unix::fs::symlink("/etc/hostname", place.path("outer/rack/link")).unwrap();
    place.commit("outer", "link");
    call(&place.url("outer"));
    place
        .run(&["init"])
        .expect(1, &["leads out of the repository"]);
    let left: Vec<_> = std::fs::read_dir(place.path("fleet/.bmctl/modules"))
        .unwrap()
        .collect();
    assert!(left.len() <= 2, "{left:?}");
}

#[test]
fn images_are_locked() {
    let place = Place::new();
    let image =
        "image \"i\" {\n  type   = \"disk\"\n  source = \"i.img\"\n}\nvariable \"v\" {\n}\n";
    place.write("fleet/main.hcl", image);
    place.run(&["init"]).expect(
        0,
        &[
            "i.img is not there",
            "1 variables have no value yet",
            "0 images locked",
        ],
    );
    place.write("fleet/i.img", "one");
    place.run(&["init"]).expect(0, &["1 images locked"]);
    let lock = place.read(LOCK);
    assert!(lock.contains("image \"image.i\""), "{lock}");
    place.write("fleet/i.img", "two");
    place
        .run(&["init"])
        .expect(1, &["not the file that was locked", "--upgrade"]);
    place.run(&["init", "--upgrade"]).expect(0, &[]);
    assert_ne!(place.read(LOCK), lock);
    let digest = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3";
    assert!(place.read(LOCK).contains(digest));
    place.write(
        "fleet/main.hcl",
        &image.replace("source =", &format!("sha256 = \"{digest}\"\n  source =")),
    );
    place.run(&["init"]).expect(0, &["0 images locked"]);
    assert!(!place.read(LOCK).contains("image.i"));
}

/// A lock file is read whole or not at all.
#[test]
fn a_lock_file_that_is_not_one_is_refused() {
    let place = Place::new();
    place.run(&["init"]).expect(0, &[]);
    let lock = place.read(LOCK);
    for broken in [
        lock.replace("commit", "comit"),
        lock.replace("module ", "modul "),
        format!("{lock}x = 1\n"),
    ] {
        place.write(LOCK, &broken);
        place.run(&["validate"]).expect(
            1,
            &[
                "E0314",
                Path::new(LOCK).file_name().unwrap().to_str().unwrap(),
            ],
        );
    }
}

/// What a killed one left is cleared away, and several at once end alike.
#[test]
fn several_at_once_and_after_one_that_was_killed() {
    let place = Place::new();
    place.write(
        "fleet/.bmctl/modules/.fetching-killed/rack/main.hcl",
        "half",
    );
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                place
                    .run(&["init"])
                    .expect(0, &["2 modules from repositories"]);
            });
        }
    });
    place.run(&["output", "--raw", "x"]).expect(0, &["17"]);
    let left = std::fs::read_dir(place.path("fleet/.bmctl/modules")).unwrap();
    let names: Vec<String> = left
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".fetching"))
        .collect();
    assert!(names.is_empty(), "{names:?}");

    // Killed at any instant, the next one ends well.
    for delay_ms in [1, 5, 10, 20, 40, 80] {
        let _ = std::fs::remove_dir_all(place.path("fleet/.bmctl"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_bmctl"))
            .args(["-C", "fleet", "init"])
            .current_dir(place.dir.path())
            .env("HOME", place.dir.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        let _ = child.kill();
        child.wait().unwrap();
        place.run(&["init"]).expect(0, &[]);
        place.run(&["output", "--raw", "x"]).expect(0, &["17"]);
    }
}
