//! PostgreSQL servers of the tests' own, from Debian's package: one for the whole run, more for those that kill theirs. Each
//! is stopped and its files removed when the test program ends, however it ends.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use bmctl::secret::Secret;

pub struct Server {
    /// Socket, data and log.
    dir: PathBuf,
    pub port: u16,
    /// Its standard input ends with this program; then it stops the server.
    _watcher: Child,
}

/// The server that tests share.
pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&[]))
}

/// A workspace that no other test uses.
pub fn workspace() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Server {
    /// Settings are those of postgresql.conf, such as `ssl=on`.
    pub fn start(settings: &[&str]) -> Server {
        let dir = empty_dir();
        let data = dir.join("data");
        let data_text = data.to_str().unwrap();
        check(program("initdb").args([
            "-D",
            data_text,
            "-U",
            "bmctl",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]));
        let port = free_port();
        let mut text = format!(
            "port = {port}\nlisten_addresses = 'localhost'\nunix_socket_directories = '{}'\nfsync = off\nmax_connections = 300\n",
            dir.display()
        );
        for setting in settings {
            text.push_str(setting);
            text.push('\n');
        }
        std::fs::write(data.join("bmctl.conf"), text).unwrap();
        let conf = data.join("postgresql.conf");
        let old = std::fs::read_to_string(&conf).unwrap();
        std::fs::write(&conf, format!("{old}\ninclude 'bmctl.conf'\n")).unwrap();
        std::fs::set_permissions(data.join("bmctl.conf"), PermissionsExt::from_mode(0o644))
            .unwrap();
        let server = Server::watched(dir, port);
        server.control(&["start"]);
        server
    }

    fn watched(dir: PathBuf, port: u16) -> Server {
        let data = dir.join("data");
        let watcher = program("sh")
            .args([
                "-c",
                "read _; \"$1\" -D \"$2\" -m immediate stop >/dev/null 2>&1; rm -rf \"$3\"",
                "sh",
            ])
            .arg(find("pg_ctl"))
            .arg(&data)
            .arg(&dir)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        Server {
            dir,
            port,
            _watcher: watcher,
        }
    }

    /// A second server that follows this one, reads only, and confirms what this one commits.
    pub fn standby(&self) -> Server {
        let dir = empty_dir();
        let data = dir.join("data");
        check(program("pg_basebackup").args([
            "-D",
            data.to_str().unwrap(),
            "-h",
            self.dir.to_str().unwrap(),
            "-p",
            &self.port.to_string(),
            "-U",
            "bmctl",
            "--checkpoint=fast",
            "--write-recovery-conf",
            "--no-sync",
        ]));
        let port = free_port();
        let text = format!(
            "port = {port}\nlisten_addresses = 'localhost'\nunix_socket_directories = '{}'\nfsync = off\nmax_connections = 300\n",
            dir.display()
        );
        std::fs::write(data.join("bmctl.conf"), text).unwrap();
        let server = Server::watched(dir, port);
        server.control(&["start"]);
        server
    }

    /// A setting of a server that runs.
    pub async fn set(&self, setting: &'static str) {
        let pool = sqlx::PgPool::connect(self.url().expose()).await.unwrap();
        let sql = sqlx::AssertSqlSafe(format!("ALTER SYSTEM SET {setting}"));
        sqlx::query(sql).execute(&pool).await.unwrap();
        sqlx::query("SELECT pg_reload_conf()")
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
    }

    /// From here on it is the one that is written to.
    pub fn promote(&self) {
        self.control(&["promote"]);
    }

    /// As after a power cut of the server, and up again.
    pub fn restart(&self) {
        self.control(&["restart", "-m", "immediate"]);
    }

    pub fn stop(&self) {
        self.control(&["stop", "-m", "immediate"]);
    }

    pub fn go_on(&self) {
        self.control(&["start"]);
    }

    fn control(&self, what: &[&str]) {
        let data = self.dir.join("data");
        check(
            program("pg_ctl")
                .arg("-D")
                .arg(&data)
                .args(["-w", "-l"])
                .arg(self.dir.join("log"))
                .args(what),
        );
    }

    /// Over TCP and TLS, to a server whose name is `localhost`.
    pub fn tls_url(&self, rest: &str) -> Secret {
        Secret::new(format!(
            "postgres://bmctl@localhost:{}/postgres?{rest}",
            self.port
        ))
    }

    /// Over the socket, as a user without a password.
    pub fn url(&self) -> Secret {
        Secret::new(format!(
            "postgres://bmctl@localhost:{}/postgres?host={}",
            self.port,
            self.dir.display()
        ))
    }
}

/// Of the user that servers run as.
fn empty_dir() -> PathBuf {
    let place = Path::new("/dev/shm");
    let place = if place.is_dir() {
        place
    } else {
        Path::new("/tmp")
    };
    let dir = tempfile::Builder::new()
        .prefix("bmctl-pg-")
        .tempdir_in(place)
        .unwrap()
        .keep();
    if let Some((uid, gid)) = unprivileged() {
        std::os::unix::fs::chown(&dir, Some(uid), Some(gid)).unwrap();
    }
    dir
}

/// The user that a server runs as when the tests are run by root, which PostgreSQL refuses.
pub fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let mut fields = users.lines().map(|l| l.split(':').collect::<Vec<_>>());
    let postgres = fields
        .find(|f| f[0] == "postgres")
        .expect("there is no user `postgres`: run scripts/setup.sh, which installs PostgreSQL");
    Some((postgres[2].parse().unwrap(), postgres[3].parse().unwrap()))
}

fn program(name: &str) -> Command {
    let path = if name == "sh" {
        name.into()
    } else {
        find(name)
    };
    let Some((uid, gid)) = unprivileged() else {
        return Command::new(path);
    };
    let mut command = Command::new("setpriv");
    command
        .args([format!("--reuid={uid}"), format!("--regid={gid}")])
        .args(["--clear-groups", "--"])
        .arg(path)
        .current_dir("/");
    command
}

fn find(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|v| v.unwrap().path().join("bin").join(name))
        .filter(|p| p.exists())
        .collect();
    found.sort();
    let path = std::env::var("PATH").unwrap_or_default();
    let on_path = path.split(':').map(|d| Path::new(d).join(name));
    found
        .pop()
        .or_else(|| on_path.into_iter().find(|p| p.exists()))
        .unwrap_or_else(|| {
            panic!("`{name}` is not there: run scripts/setup.sh, which installs PostgreSQL")
        })
}

fn check(command: &mut Command) {
    // What it starts must not hold a pipe of this program open.
    let mut log = tempfile::tempfile().unwrap();
    let status = command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log.try_clone().unwrap())
        .status()
        .unwrap();
    let mut said = String::new();
    std::io::Seek::rewind(&mut log).unwrap();
    std::io::Read::read_to_string(&mut log, &mut said).unwrap();
    assert!(status.success(), "{command:?}: {said}");
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
