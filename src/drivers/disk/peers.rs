//! Against programs that are not ours: tgt at the other end, sfdisk, sgdisk, blkid, e2fsck and mtools on what was written.

mod cases;
mod istgt;
mod rate;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use async_trait::async_trait;

use super::iscsi::IscsiDisk;
use crate::drivers::{Agent, Disk, DiskJob, Done, FoundDisk, IscsiTarget, Preparation, Report};
use crate::ids::Addr;
use crate::model::recorded::WrittenDisk;
use crate::model::{Erase, ExistingData, ImageFacts, ImageFormat, ImageType};
use crate::plan::layout::Layout;
use crate::plan::step::{ConfigDrive, DiskTarget, WriteDisk};
use crate::secret::Secret;
use crate::units::{MIB, Sha256};

const IQN: &str = "iqn.2026-01.org.bmctl:peer";

/// A tgtd of our own with LUN 1 on a file full of old data.
pub struct Target {
    child: Child,
    control: String,
    pub port: u16,
    pub dir: tempfile::TempDir,
    pub size: u64,
}

/// What LUN 1 can do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Provisioned {
    Thin,
    Thick,
}

impl Target {
    pub fn start(size: u64, how: Provisioned) -> Target {
        Target::on(tempfile::tempdir().unwrap(), size, how)
    }

    pub fn on(dir: tempfile::TempDir, size: u64, how: Provisioned) -> Target {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        // tgtd takes control numbers up to 32767; a free port makes one that nobody else has.
        let control = (1000 + port % 31_000).to_string();
        let disk = dir.path().join("disk");
        let file = File::create(&disk).unwrap();
        file.set_len(size).unwrap();
        // Somebody's data at both ends and in between: none of it may be left where zeroes belong.
        for at in (0..size)
            .step_by(64 << 20)
            .chain([size - MIB, MIB, 3 * MIB])
        {
            file.write_all_at(&vec![0xA5; MIB as usize], at.min(size - MIB))
                .unwrap();
        }
        let child = Command::new("tgtd")
            .args([
                "-f",
                "-C",
                &control,
                "--iscsi",
                &format!("portal=127.0.0.1:{port}"),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("install tgt");
        let target = Target {
            child,
            control,
            port,
            dir,
            size,
        };
        target.configure(&disk, how);
        target
    }

    fn configure(&self, disk: &Path, how: Provisioned) {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !self.admin("--mode sys --op show") {
            assert!(std::time::Instant::now() < until, "tgtd does not answer");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let disk = disk.to_str().unwrap();
        let mut lines = vec![
            format!("--mode target --op new --tid 1 -T {IQN}"),
            format!("--mode logicalunit --op new --tid 1 --lun 1 -b {disk}"),
            "--mode account --op new --user bmctl --password initiator-secret".to_owned(),
            "--mode account --op new --user node --password target-secret1".to_owned(),
            "--mode account --op bind --tid 1 --user bmctl".to_owned(),
            "--mode account --op bind --tid 1 --user node --outgoing".to_owned(),
            "--mode target --op bind --tid 1 -I ALL".to_owned(),
        ];
        if how == Provisioned::Thin {
            lines.push(
                "--mode logicalunit --op update --tid 1 --lun 1 --params thin_provisioning=1"
                    .to_owned(),
            );
        }
        for line in lines {
            assert!(self.admin(&line), "tgtadm {line}");
        }
    }

    fn admin(&self, line: &str) -> bool {
        let out = Command::new("tgtadm")
            .args(["-C", &self.control, "--lld", "iscsi"])
            .args(line.split(' '))
            .output();
        out.expect("install tgt").status.success()
    }

    pub fn disk(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    pub fn access(&self) -> IscsiTarget {
        IscsiTarget {
            portal: std::net::SocketAddrV4::new([127, 0, 0, 1].into(), self.port),
            iqn: IQN.to_owned(),
            initiator_user: "bmctl".to_owned(),
            initiator_secret: Secret::new("initiator-secret"),
            target_user: "node".to_owned(),
            target_secret: Secret::new("target-secret1"),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // tgtd ignores SIGTERM while it has targets; its parts share this one process.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for end in ["", ".lock"] {
            let _ = std::fs::remove_file(format!("/var/run/tgtd/socket.{}{end}", self.control));
        }
    }
}

/// A ramdisk that only settles, and may do something else then.
type Hook = Box<dyn FnMut() + Send>;

pub struct Node(pub Mutex<Hook>);

impl Node {
    pub fn plain() -> Node {
        Node(Mutex::new(Box::new(|| {})))
    }
}

#[async_trait]
impl Agent for Node {
    async fn prepare(&self, _: &Preparation<'_>) -> Done<()> {
        unreachable!()
    }
    async fn report(&self, _: &Addr) -> Done<Report> {
        unreachable!()
    }
    async fn export(&self, _: &Addr, _: &FoundDisk, _: &str) -> Done<IscsiTarget> {
        unreachable!()
    }
    async fn settle(&self, _: &Addr, _: &FoundDisk) -> Done<()> {
        (self.0.lock().unwrap())();
        Ok(())
    }
    async fn unexport(&self, _: &Addr) -> Done<()> {
        unreachable!()
    }
    async fn erase(&self, _: &Addr, _: &FoundDisk, _: Erase) -> Done<()> {
        unreachable!()
    }
    async fn reboot(&self, _: &Addr) -> Done<()> {
        unreachable!()
    }
    async fn end(&self, _: &Addr) -> Done<()> {
        unreachable!()
    }
}

pub fn config_files() -> Vec<(String, Vec<u8>)> {
    vec![
        ("meta-data".to_owned(), b"instance-id: i-1\n".to_vec()),
        ("user-data".to_owned(), b"#cloud-config\n".to_vec()),
    ]
}

/// One write with everything that may be varied.
pub struct Job {
    pub layout: Layout,
    pub image: PathBuf,
    pub format: ImageFormat,
    pub size: u64,
    pub access: IscsiTarget,
    pub node: Node,
    pub stall_s: u32,
}

impl Job {
    pub fn new(target: &Target, layout: Layout, image: &Path, format: ImageFormat) -> Job {
        Job {
            layout,
            image: image.to_owned(),
            format,
            size: target.size,
            access: target.access(),
            node: Node::plain(),
            stall_s: 20,
        }
    }

    pub async fn run(&self) -> Done<WrittenDisk> {
        let found = FoundDisk {
            name: "vda".to_owned(),
            serial: "S1".to_owned(),
            wwn: String::new(),
            model: String::new(),
            size: self.size,
            rotational: false,
            blank: true,
            head: Vec::new(),
        };
        let plan = self.plan();
        let files = config_files();
        let job = DiskJob {
            plan: &plan,
            found: &found,
            target: &self.access,
            config_drive: &files,
            agent: &self.node,
        };
        let last = Mutex::new((String::new(), 0));
        let progress = |phase: &str, done: u64, total: u64| {
            let mut last = last.lock().unwrap();
            assert!(done <= total);
            assert!(last.0 != phase || last.1 <= done, "{phase} goes back");
            *last = (phase.to_owned(), done);
        };
        IscsiDisk { root: "/".into() }.write(&job, &progress).await
    }

    fn plan(&self) -> WriteDisk {
        let addr = |text: &str| text.parse::<Addr>().unwrap();
        WriteDisk {
            instance: addr("instance.a"),
            node: addr("node.n"),
            disk: DiskTarget {
                root_device: Default::default(),
                size_min: 0,
                size_max: u64::MAX,
                serial: None,
            },
            iqn: IQN.parse().unwrap(),
            image_type: ImageType::Partition,
            image: addr("image.i"),
            source: self.image.to_str().unwrap().to_owned(),
            facts: ImageFacts {
                sha256: Sha256([0; 32]),
                format: self.format,
                file_size: 0,
                virtual_size: 0,
                fs_uuid: None,
                table: None,
                kernel_sha256: None,
                initrd_sha256: None,
            },
            layout: self.layout.clone(),
            config_drive: ConfigDrive {
                instance_id: "i-1".to_owned(),
                hostname: "a".parse().unwrap(),
                ssh_keys: Vec::new(),
                user_data_fingerprint: None,
                phone_home: None,
                interfaces: Vec::new(),
            },
            existing: ExistingData::Overwrite,
            known_tables: Vec::new(),
            stall_s: self.stall_s,
        }
    }
}

pub fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("install {program}: {e}"));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.success(),
        "{program} {args:?}: {text}{}",
        String::from_utf8_lossy(&out.stderr)
    );
    text
}

pub fn bytes(path: &Path, at: u64, len: u64) -> Vec<u8> {
    let mut out = vec![0; len as usize];
    File::open(path)
        .unwrap()
        .read_exact_at(&mut out, at)
        .unwrap();
    out
}

/// Bytes without a pattern, the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend(state.to_le_bytes());
    }
    out.truncate(len);
    out
}
