//! `bmctl fmt` in directories of its own: what it prints, what it writes, what it leaves alone, and its exit codes.

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const UGLY: &str = "node \"a\" {\ncpus=4\n}\n";
const NEAT: &str = "node \"a\" {\n  cpus = 4\n}\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bmctl"));
    command.arg("-C").arg(dir).arg("fmt").args(args);
    command
}

/// Exit code, standard output and standard error.
fn seen(output: &Output) -> (i32, String, String) {
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout.clone()).unwrap(),
        String::from_utf8(output.stderr.clone()).unwrap(),
    )
}

fn fmt(dir: &TempDir, args: &[&str]) -> (i32, String, String) {
    seen(&command(dir.path(), args).output().unwrap())
}

fn fmt_input(input: &str, args: &[&str]) -> (i32, String, String) {
    let mut child = command(Path::new("."), args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    seen(&child.wait_with_output().unwrap())
}

fn read(dir: &TempDir, name: &str) -> String {
    std::fs::read_to_string(dir.path().join(name)).unwrap()
}

#[test]
fn files_of_the_directory_are_written_and_named() {
    let dir = folder(&[
        ("b.hcl", UGLY),
        ("a.vars.hcl", "x=1\n"),
        ("neat.hcl", NEAT),
        ("sub/c.hcl", UGLY),
        (".bmctl.lock.hcl", UGLY),
        ("other.tf", UGLY),
    ]);
    assert_eq!(
        fmt(&dir, &[]),
        (0, "a.vars.hcl\nb.hcl\n".to_owned(), String::new())
    );
    assert_eq!(read(&dir, "b.hcl"), NEAT);
    assert_eq!(read(&dir, "a.vars.hcl"), "x = 1\n");
    for untouched in ["sub/c.hcl", ".bmctl.lock.hcl", "other.tf"] {
        assert_eq!(read(&dir, untouched), UGLY, "{untouched}");
    }
    assert_eq!(fmt(&dir, &[]), (0, String::new(), String::new()));
    assert_eq!(fmt(&dir, &["--recursive"]).1, "sub/c.hcl\n");
    assert_eq!(read(&dir, "sub/c.hcl"), NEAT);
}

#[test]
fn a_check_writes_nothing_and_says_so_by_its_exit_code() {
    let dir = folder(&[("a.hcl", UGLY), ("sub/b.hcl", UGLY)]);
    assert_eq!(
        fmt(&dir, &["--check"]),
        (2, "a.hcl\n".to_owned(), String::new())
    );
    assert_eq!(
        fmt(&dir, &["--check", "--recursive", "--list=false"]),
        (2, String::new(), String::new())
    );
    assert_eq!(fmt(&dir, &["--write=false"]).0, 0);
    assert_eq!(read(&dir, "a.hcl"), UGLY);
    let (code, shown, _) = fmt(&dir, &["--check", "--diff", "a.hcl"]);
    assert_eq!(code, 2);
    assert_eq!(
        shown,
        "a.hcl\n--- old/a.hcl\n+++ new/a.hcl\n@@ -1,3 +1,3 @@\n node \"a\" {\n-cpus=4\n+  cpus = 4\n }\n"
    );
    assert_eq!(fmt(&dir, &["sub"]).1, "sub/b.hcl\n");
    fmt(&dir, &[]);
    assert_eq!(fmt(&dir, &["--check"]).0, 0);
}

#[test]
fn a_file_with_mistakes_is_left_alone_and_the_others_are_not() {
    let broken = "node \"a\" {\ncpus==4\n}\n";
    let dir = folder(&[("a.hcl", broken), ("b.hcl", UGLY)]);
    let (code, listed, errors) = fmt(&dir, &[]);
    assert_eq!((code, listed.as_str()), (1, "b.hcl\n"));
    assert!(
        errors.contains("a.hcl:2:5") && errors.contains("E0101"),
        "{errors}"
    );
    assert_eq!(read(&dir, "a.hcl"), broken);
    std::fs::write(dir.path().join("a.hcl"), b"a = \"\xff\"\n").unwrap();
    let (code, _, errors) = fmt(&dir, &[]);
    assert!(code == 1 && errors.contains("a.hcl: not UTF-8"), "{errors}");
}

#[test]
fn a_link_and_a_mode_stay_what_they_are() {
    let dir = folder(&[("real/a.hcl", UGLY)]);
    let real = dir.path().join("real/a.hcl");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real/a.hcl", dir.path().join("link.hcl")).unwrap();
    symlink(".", dir.path().join("loop")).unwrap();
    symlink("nowhere", dir.path().join("dangling.hcl")).unwrap();
    assert_eq!(
        fmt(&dir, &["--recursive"]),
        (0, "link.hcl\n".to_owned(), String::new())
    );
    assert!(dir.path().join("link.hcl").is_symlink());
    assert_eq!(read(&dir, "real/a.hcl"), NEAT);
    let mode = std::fs::metadata(&real).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let left = std::fs::read_dir(dir.path().join("real")).unwrap().count();
    assert_eq!(left, 1, "no temporary file stays");
}

#[test]
fn standard_input_goes_to_standard_output() {
    assert_eq!(fmt_input(UGLY, &["-"]), (0, NEAT.to_owned(), String::new()));
    assert_eq!(fmt_input(UGLY, &["--check", "-"]).0, 2);
    assert_eq!(
        fmt_input(NEAT, &["--check", "-"]),
        (0, String::new(), String::new())
    );
    assert!(fmt_input(UGLY, &["--diff", "-"]).1.contains("+  cpus = 4"));
    let (code, out, errors) = fmt_input("a = [\n", &["-"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(errors.contains("<stdin>:1:5"), "{errors}");
}

#[test]
fn what_is_no_configuration_is_refused() {
    let dir = folder(&[("a.tf", UGLY)]);
    let (code, _, errors) = fmt(&dir, &["a.tf"]);
    assert!(code == 64 && errors.contains(".hcl"), "{errors}");
    assert_eq!(fmt(&dir, &["nowhere.hcl"]).0, 1);
    assert_eq!(fmt(&dir, &["-", "a.hcl"]).0, 64);
}
