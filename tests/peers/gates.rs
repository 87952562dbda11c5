//! Gates against programs that we did not write: a web server, a listener, a shell.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bmctl::drivers::gate::FromHere;
use bmctl::drivers::{Asked, Done, Gates, Look, Trouble};
use bmctl::ids::Addr;

const LIMIT: Duration = Duration::from_secs(5);

async fn look(root: &Path, look: Look<'_>, limit: Duration) -> Done<String> {
    let (instance, node): (Addr, Addr) = (
        "instance.web[0]".parse().unwrap(),
        "node.n".parse().unwrap(),
    );
    let asked = Asked {
        instance: &instance,
        node: &node,
        hostname: "web-0",
        address: Some(Ipv4Addr::LOCALHOST),
        look,
        limit,
    };
    let gates = FromHere {
        root: root.to_owned(),
    };
    gates.look(&asked).await
}

fn here(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

/// A port that nobody listens at.
fn closed() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Python's web server over a folder, until the test ends.
struct WebServer {
    child: Child,
    port: u16,
}

impl WebServer {
    async fn over(dir: &Path) -> WebServer {
        let port = closed();
        let child = Command::new("python3")
            .args([
                "-m",
                "http.server",
                "--bind",
                "127.0.0.1",
                &port.to_string(),
            ])
            .current_dir(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = WebServer { child, port };
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(here(port)).await.is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "python3 does not listen"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_web_server_answers_with_the_status_that_is_asked_for_or_not() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    std::fs::write(dir.path().join("health"), "x".repeat(300_000)).unwrap();
    let server = WebServer::over(dir.path()).await;
    let at = here(server.port);
    let ask = async |path, status| look(dir.path(), Look::Http { at, path, status }, LIMIT).await;
    assert_eq!(
        ask("/health", 200).await.unwrap(),
        format!("http://{at}/health: 200 OK")
    );
    assert!(
        ask("/folder", 301).await.is_ok(),
        "a redirection is an answer"
    );
    assert!(ask("/no%20such?a=b", 404).await.is_ok());
    let wrong = ask("/nothing", 200).await.unwrap_err();
    assert_eq!(wrong.kind, Trouble::Failed);
    assert!(
        wrong.message.contains("expected status 200, found 404"),
        "{wrong}"
    );
    let tcp = look(dir.path(), Look::Tcp { at }, LIMIT).await.unwrap();
    assert_eq!(tcp, format!("{at} accepts"));
}

#[tokio::test]
async fn nobody_there_a_mute_listener_and_one_that_speaks_something_else() {
    let root = Path::new("/");
    let refused = look(root, Look::Tcp { at: here(closed()) }, LIMIT).await;
    assert!(refused.unwrap_err().message.contains("refused"));

    // It takes the connection and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = here(mute.local_addr().unwrap().port());
    let (path, status) = ("/", 200);
    let short = Duration::from_secs(1);
    let silent = look(root, Look::Http { at, path, status }, short)
        .await
        .unwrap_err();
    assert_eq!(silent.kind, Trouble::Silent);
    assert!(silent.message.contains("no answer within 1 s"), "{silent}");

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = here(other.local_addr().unwrap().port());
    let speaker = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
    });
    let strange = look(root, Look::Http { at, path, status }, LIMIT)
        .await
        .unwrap_err();
    assert_eq!(strange.kind, Trouble::Failed, "{strange}");
    speaker.join().unwrap();
}

async fn run(root: &Path, argv: &[&str], limit: Duration) -> Done<String> {
    let argv: Vec<String> = argv.iter().map(|a| (*a).to_owned()).collect();
    look(root, Look::Command { argv: &argv }, limit).await
}

#[tokio::test]
async fn a_program_is_told_of_whom_it_asks_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        std::env::var_os("CARGO_PKG_NAME").is_some(),
        "there is something to leave out"
    );
    let told = run(dir.path(), &["sh", "-c", "env | sort; pwd; exit 3"], LIMIT).await;
    let told = told.unwrap_err().message;
    let names: Vec<&str> = told
        .lines()
        .filter_map(|l| Some(l.trim().rsplit("it said: ").next()?.split_once('=')?.0))
        .collect();
    for name in [
        "BMCTL_ADDRESS",
        "BMCTL_HOSTNAME",
        "BMCTL_INSTANCE",
        "BMCTL_NODE",
        "PATH",
    ] {
        assert!(names.contains(&name), "{name} is not in {told}");
    }
    let ours = names.iter().filter(|n| n.starts_with("BMCTL_")).count();
    assert_eq!(ours, 4, "{told}");
    let cargo = names.iter().filter(|n| n.starts_with("CARGO")).count();
    assert_eq!(cargo, 0, "{told}");
    assert!(told.contains("BMCTL_INSTANCE=instance.web[0]") && told.contains("exit status: 3"));
    assert!(
        told.contains(&dir.path().display().to_string()),
        "it runs in the root module: {told}"
    );
}

#[tokio::test]
async fn a_program_of_the_module_passes_and_one_that_is_not_there_is_not_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("smoke.sh");
    std::fs::write(&script, "#!/bin/sh\ntest \"$1\" = \"a b\"\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    assert!(run(dir.path(), &["./smoke.sh", "a b"], LIMIT).await.is_ok());
    let missing = run(dir.path(), &["./nothing"], LIMIT).await.unwrap_err();
    assert_eq!(missing.kind, Trouble::Conflict);
}

#[tokio::test]
async fn what_it_says_is_cut_and_harmless() {
    let root = Path::new("/");
    let loud = run(
        root,
        &["sh", "-c", "printf '\\033[2Jboom\\a\\n' >&2; exit 1"],
        LIMIT,
    )
    .await;
    let loud = loud.unwrap_err().message;
    assert!(loud.contains("\\u{1b}[2Jboom\\u{7}"), "{loud}");
    assert!(!loud.contains('\u{1b}'));
    let endless = run(
        root,
        &["sh", "-c", "yes | head -c 9000000; echo the end; false"],
        LIMIT,
    )
    .await;
    let endless = endless.unwrap_err().message;
    assert!(endless.len() < 20_000, "{}", endless.len());
    assert!(endless.contains("...") && endless.ends_with("the end"));
}

/// The processes that carry this mark on their command line.
fn alive(mark: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|e| std::fs::read(e.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(mark))
        .count()
}

async fn gone(mark: &str) {
    let begun = Instant::now();
    while alive(mark) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "it lives on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_all_that_it_started() {
    let mark = format!("3117.{}", std::process::id());
    let hangs = format!("echo begun; sleep {mark} & sleep {mark}");
    let begun = Instant::now();
    let killed = run(
        Path::new("/"),
        &["sh", "-c", &hangs],
        Duration::from_secs(1),
    )
    .await;
    let killed = killed.unwrap_err();
    assert_eq!(killed.kind, Trouble::TimedOut);
    assert!(killed.message.contains("killed after 1 s") && killed.message.contains("begun"));
    assert!(begun.elapsed() < Duration::from_secs(4));
    gone(&mark).await;
}

#[tokio::test]
async fn a_run_that_is_interrupted_leaves_no_program_behind() {
    let mark = format!("3118.{}", std::process::id());
    let hangs = format!("sleep {mark} & sleep {mark}");
    let asked = tokio::spawn(async move {
        run(
            Path::new("/"),
            &["sh", "-c", &hangs],
            Duration::from_secs(60),
        )
        .await
    });
    let begun = Instant::now();
    while alive(&mark) < 3 {
        assert!(begun.elapsed() < Duration::from_secs(10), "it never began");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    gone(&mark).await;
}

/// What a program leaves in the background keeps its output open: that is no reason to wait for it. It ends with the program, passed
/// or not; only what has made a session of its own stays.
#[tokio::test]
async fn a_program_that_has_ended_is_not_waited_for_and_leaves_nothing_behind() {
    let (mark, service) = (
        format!("3119.{}", std::process::id()),
        format!("3.{}", std::process::id()),
    );
    for (last, passes) in [("echo well", true), ("exit 7", false)] {
        let begun = Instant::now();
        let script = format!("sleep {mark} & setsid sleep {service} & {last}");
        let ended = run(Path::new("/"), &["sh", "-c", &script], LIMIT).await;
        assert_eq!(ended.is_ok(), passes, "{ended:?}");
        assert!(begun.elapsed() < Duration::from_secs(2));
        gone(&mark).await;
    }
}
