//! The cases: what is written is judged by programs we did not write.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::drivers::Trouble;
use crate::drivers::disk::lun::{Lun, Op, Zeroing};
use crate::plan::layout::{Label, Partition, Role};
use crate::proto::iscsi::{Digests, Payload};
use crate::units::TableId;

const GUID: [u8; 16] = *b"\x01\x02\x03\x04\x05\x06\x07\x48\x89\x0a\x0b\x0c\x0d\x0e\x0f\x10";

/// Ephemeral 64 MiB, swap 16, config drive 8, root 64.
fn partitions(label: Label) -> Layout {
    let table = match label {
        Label::Mbr => TableId::Mbr(0xdead_beef),
        Label::Gpt => TableId::Gpt(GUID),
    };
    let part = |role, start: u64, size: u64| Partition {
        role,
        start: start * MIB,
        size: size * MIB,
        keep: false,
    };
    Layout::Partitions {
        label,
        table,
        partitions: vec![
            part(Role::Ephemeral, 1, 64),
            part(Role::Swap, 65, 16),
            part(Role::ConfigDrive, 81, 8),
            part(Role::Root, 89, 64),
        ],
    }
}

const DISK: u64 = 160 * MIB;
const ROOT: u64 = 89 * MIB;

/// 40 MiB and a bit: noise, holes, and an end off any sector.
fn image(dir: &Path) -> (PathBuf, Vec<u8>) {
    let mut content = vec![0; 40 * MIB as usize + 700];
    for (seed, (at, len)) in [
        (0, 9 << 20),
        (20 << 20, 70_000),
        (30 << 20, content.len() - (30 << 20)),
    ]
    .into_iter()
    .enumerate()
    {
        content[at..at + len].copy_from_slice(&noise(seed as u64 * 2 + 99, len));
    }
    let path = dir.join("image.raw");
    let file = File::create(&path).unwrap();
    for (n, chunk) in content.chunks(65536).enumerate() {
        if chunk.iter().any(|b| *b != 0) {
            file.write_all_at(chunk, n as u64 * 65536).unwrap();
        }
    }
    (path, content)
}

fn check_partitions(target: &Target, label: Label, image: &[u8]) {
    let disk = target.disk();
    let path = disk.to_str().unwrap();
    let table: serde_json::Value = serde_json::from_str(&run("sfdisk", &["-J", path])).unwrap();
    let table = &table["partitiontable"];
    let starts: Vec<u64> = table["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["start"].as_u64().unwrap() * 512 / MIB)
        .collect();
    assert_eq!(starts, [1, 65, 81, 89]);
    match label {
        Label::Mbr => {
            assert_eq!(
                (&table["label"], &table["id"]),
                (&"dos".into(), &"0xdeadbeef".into())
            );
            assert_eq!(table["partitions"][3]["bootable"], true);
            assert_eq!(table["partitions"][1]["type"], "82");
        }
        Label::Gpt => {
            assert_eq!(table["id"], "04030201-0605-4807-890A-0B0C0D0E0F10");
            assert_eq!(table["partitions"][3]["name"], "root");
            assert!(run("sgdisk", &["-v", path]).contains("No problems found"));
        }
    }
    assert!(
        bytes(&disk, ROOT, image.len() as u64) == image,
        "the root partition is not the image"
    );
    let part = |name: &str, start: u64, size: u64| {
        let path = target.dir.path().join(name);
        std::fs::write(&path, bytes(&disk, start * MIB, size * MIB)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ephemeral, swap, config) = (part("e", 1, 64), part("s", 65, 16), part("c", 81, 8));
    assert!(run("blkid", &["-p", "-o", "export", &swap]).contains("LABEL=swap1\n"));
    assert!(run("blkid", &["-p", "-o", "export", &ephemeral]).contains("LABEL=ephemeral0\n"));
    run("e2fsck", &["-f", "-n", &ephemeral]);
    check_config(&config);
}

fn check_config(path: &str) {
    assert!(run("blkid", &["-p", "-o", "export", path]).contains("LABEL=CIDATA\n"));
    for (name, content) in config_files() {
        let file = format!("::{name}");
        assert_eq!(run("mcopy", &["-i", path, &file, "-"]).as_bytes(), content);
    }
    run("fsck.fat", &["-n", path]);
}

async fn partition_image(label: Label, how: Provisioned) {
    let target = Target::start(DISK, how);
    let (path, content) = image(target.dir.path());
    let job = Job::new(&target, partitions(label), &path, ImageFormat::Raw);
    let written = job.run().await.unwrap();
    assert_eq!((written.size, written.serial.as_str()), (DISK, "S1"));
    check_partitions(&target, label, &content);
}

#[tokio::test]
async fn peers_partition_image_with_mbr_on_a_thin_target() {
    partition_image(Label::Mbr, Provisioned::Thin).await;
}

#[tokio::test]
async fn peers_partition_image_with_gpt_on_a_thick_target() {
    partition_image(Label::Gpt, Provisioned::Thick).await;
}

#[tokio::test]
async fn peers_ephemeral_that_is_kept_is_not_touched() {
    let target = Target::start(DISK, Provisioned::Thin);
    let (path, _) = image(target.dir.path());
    let mut layout = partitions(Label::Gpt);
    if let Layout::Partitions { partitions, .. } = &mut layout {
        partitions[0].keep = true;
    }
    let before = bytes(&target.disk(), MIB, 64 * MIB);
    Job::new(&target, layout, &path, ImageFormat::Raw)
        .run()
        .await
        .unwrap();
    assert!(bytes(&target.disk(), MIB, 64 * MIB) == before);
}

/// A disk image of 48 MiB with one partition of noise from 1 to 33 MiB.
fn disk_image(dir: &Path, label: &str) -> PathBuf {
    let path = dir.join("whole.raw");
    let file = File::create(&path).unwrap();
    file.set_len(48 * MIB).unwrap();
    let script = dir.join("script");
    std::fs::write(&script, format!("label: {label}\nstart=2048, size=65536\n")).unwrap();
    let text = format!("sfdisk -q {} < {}", path.display(), script.display());
    run("sh", &["-c", &text]);
    for at in [1, 7, 32] {
        file.write_all_at(&noise(at, MIB as usize), at * MIB)
            .unwrap();
    }
    // Boot code, and a loader between table and first partition.
    file.write_all_at(&noise(5, 440), 0).unwrap();
    file.write_all_at(&noise(6, 4096), 100 * 512).unwrap();
    path
}

async fn whole_disk(label: &str, format: ImageFormat) {
    let target = Target::start(DISK, Provisioned::Thin);
    let raw = disk_image(target.dir.path(), label);
    let image = match format {
        ImageFormat::Raw => raw.clone(),
        ImageFormat::Qcow2 => {
            let to = raw.with_extension("qcow2");
            run(
                "qemu-img",
                &[
                    "convert",
                    "-c",
                    "-O",
                    "qcow2",
                    raw.to_str().unwrap(),
                    to.to_str().unwrap(),
                ],
            );
            to
        }
    };
    let config_drive_size = 8 * MIB;
    Job::new(
        &target,
        Layout::WholeDisk { config_drive_size },
        &image,
        format,
    )
    .run()
    .await
    .unwrap();
    let disk = target.disk();
    let path = disk.to_str().unwrap();
    let table: serde_json::Value = serde_json::from_str(&run("sfdisk", &["-J", path])).unwrap();
    let config = &table["partitiontable"]["partitions"][1];
    let at = config["start"].as_u64().unwrap() * 512;
    assert!(at >= 150 * MIB && config["size"].as_u64().unwrap() * 512 == config_drive_size);
    if label == "gpt" {
        assert!(run("sgdisk", &["-v", path]).contains("No problems found"));
    }
    // The table lies in the first 34 sectors; the partition's own entry of an MBR is unchanged.
    assert!(
        bytes(&disk, 34 * 512, 48 * MIB - 34 * 512) == bytes(&raw, 34 * 512, 48 * MIB - 34 * 512)
    );
    assert_eq!(bytes(&disk, 0, 440), bytes(&raw, 0, 440));
    let out = target.dir.path().join("c");
    std::fs::write(&out, bytes(&disk, at, config_drive_size)).unwrap();
    check_config(out.to_str().unwrap());
}

#[tokio::test]
async fn peers_whole_disk_raw_with_gpt() {
    whole_disk("gpt", ImageFormat::Raw).await;
}

#[tokio::test]
async fn peers_whole_disk_qcow2_with_mbr() {
    whole_disk("dos", ImageFormat::Qcow2).await;
}

#[tokio::test]
async fn peers_wrong_secrets_are_refused_in_both_directions() {
    let target = Target::start(DISK, Provisioned::Thin);
    let (path, _) = image(target.dir.path());
    let before = bytes(&target.disk(), 0, DISK);
    for ours in [true, false] {
        let mut job = Job::new(&target, partitions(Label::Mbr), &path, ImageFormat::Raw);
        if ours {
            job.access.initiator_secret = Secret::new("initiator-wrong1");
        } else {
            job.access.target_secret = Secret::new("target-wrong-1");
        }
        let error = job.run().await.unwrap_err();
        assert_eq!(error.kind, Trouble::Refused, "{error}");
        assert!(!error.message.contains("wrong") && !error.message.contains("-secret"));
    }
    assert!(bytes(&target.disk(), 0, DISK) == before);
}

#[tokio::test]
async fn peers_another_capacity_is_refused_before_any_write() {
    let target = Target::start(DISK, Provisioned::Thin);
    let (path, _) = image(target.dir.path());
    let before = bytes(&target.disk(), 0, DISK);
    let mut job = Job::new(&target, partitions(Label::Mbr), &path, ImageFormat::Raw);
    job.size = DISK + MIB;
    let error = job.run().await.unwrap_err();
    assert_eq!(error.kind, Trouble::Conflict);
    for size in [DISK, DISK + MIB] {
        assert!(error.message.contains(&size.to_string()), "{error}");
    }
    assert!(bytes(&target.disk(), 0, DISK) == before);
}

/// Passes connections on, and cuts each of the first ones after so many bytes.
async fn proxy(to: u16, cuts: Vec<u64>) -> (SocketAddrV4, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&count);
    tokio::spawn(async move {
        let mut cuts = cuts.into_iter();
        while let Ok((client, _)) = listener.accept().await {
            seen.fetch_add(1, Ordering::Relaxed);
            let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let left = cuts.next().unwrap_or(u64::MAX);
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let up = async {
                    let (mut left, mut buffer) = (left, vec![0; 65536]);
                    while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
                        let n = (n as u64).min(left) as usize;
                        left -= n as u64;
                        let passed = to_server.write_all(&buffer[..n]).await;
                        if passed.is_err() || left == 0 {
                            break;
                        }
                    }
                };
                let down = tokio::io::copy(&mut from_server, &mut to_client);
                tokio::select! { () = up => {}, _ = down => {} }
            });
        }
    });
    (SocketAddrV4::new([127, 0, 0, 1].into(), port), count)
}

#[tokio::test]
async fn peers_a_connection_cut_in_mid_write_ends_with_the_same_bytes() {
    let target = Target::start(DISK, Provisioned::Thin);
    let (path, content) = image(target.dir.path());
    let mut job = Job::new(&target, partitions(Label::Gpt), &path, ImageFormat::Raw);
    let cuts = vec![3_000_001, 5_000_000, 700];
    let (portal, count) = proxy(target.port, cuts).await;
    job.access.portal = portal;
    job.run().await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 4);
    check_partitions(&target, Label::Gpt, &content);
}

#[tokio::test]
async fn peers_a_connection_that_breaks_again_and_again_is_given_up() {
    let target = Target::start(DISK, Provisioned::Thin);
    let (path, _) = image(target.dir.path());
    let mut job = Job::new(&target, partitions(Label::Gpt), &path, ImageFormat::Raw);
    let (portal, _) = proxy(target.port, vec![0; 100]).await;
    job.access.portal = portal;
    assert_eq!(job.run().await.unwrap_err().kind, Trouble::Silent);
}

#[tokio::test]
async fn peers_a_target_that_says_nothing_is_a_time_out() {
    let target = Target::start(DISK, Provisioned::Thin);
    let (path, _) = image(target.dir.path());
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut job = Job::new(&target, partitions(Label::Gpt), &path, ImageFormat::Raw);
    job.access
        .portal
        .set_port(silent.local_addr().unwrap().port());
    job.stall_s = 1;
    assert_eq!(job.run().await.unwrap_err().kind, Trouble::TimedOut);
}

#[tokio::test]
async fn peers_a_disk_that_loses_data_is_found_and_does_not_boot() {
    // In data, and in what should be zero.
    for at in [ROOT + 12345, ROOT + 9 * MIB + 5] {
        let target = Target::start(DISK, Provisioned::Thin);
        let (path, content) = image(target.dir.path());
        let mut job = Job::new(&target, partitions(Label::Mbr), &path, ImageFormat::Raw);
        let disk = target.disk();
        let good = content[(at - ROOT) as usize];
        job.node = Node(Mutex::new(Box::new(move || {
            let file = File::options().write(true).open(&disk).unwrap();
            file.write_all_at(&[good ^ 1], at).unwrap();
        })));
        let error = job.run().await.unwrap_err();
        assert!(error.message.contains("verify"), "{error}");
        assert!(bytes(&target.disk(), 0, MIB).iter().all(|b| *b == 0));
    }
}

/// Writes, zeroes and reads 8 MiB without a layout around them.
pub async fn round_trip(access: &IscsiTarget, digests: Digests) -> Lun {
    let stall = std::time::Duration::from_secs(20);
    let mut lun = Lun::open(access, digests, stall).await.unwrap();
    let data = noise(3, 8 * MIB as usize);
    for (n, chunk) in data.chunks(MIB as usize).enumerate() {
        lun.queue(Op::Write {
            at: n as u64 * MIB,
            data: Payload::new(chunk.to_vec()),
        });
    }
    lun.flush().await.unwrap();
    lun.queue(Op::Zero {
        at: 2 * MIB,
        len: 3 * MIB + 512,
    });
    lun.flush().await.unwrap();
    for n in 0..8 {
        let mut want = data[(n * MIB) as usize..((n + 1) * MIB) as usize].to_vec();
        match n {
            2..=4 => want.fill(0),
            5 => want[..512].fill(0),
            _ => {}
        }
        assert!(lun.read(n * MIB, MIB).await.unwrap() == want, "MiB {n}");
    }
    lun
}

#[tokio::test]
async fn peers_digests_are_agreed_on_and_right() {
    let target = Target::start(DISK, Provisioned::Thin);
    for (only, offer, used) in [
        (None, Digests::Avoid, false),
        (Some("CRC32C"), Digests::Avoid, true),
        (Some("CRC32C"), Digests::Prefer, true),
    ] {
        for name in ["HeaderDigest", "DataDigest"] {
            let line =
                |value| format!("--mode target --op update --tid 1 --name {name} --value {value}");
            assert!(only.is_none_or(|value| target.admin(&line(value))));
        }
        let lun = round_trip(&target.access(), offer).await;
        let agreed = lun.agreed().unwrap().digests;
        assert_eq!(
            (agreed.header.is_some(), agreed.data.is_some()),
            (used, used),
            "{offer:?}"
        );
        lun.log_out().await;
    }
}

#[tokio::test]
async fn peers_every_way_of_zeroing_zeroes() {
    let target = Target::start(DISK, Provisioned::Thin);
    for way in [
        Zeroing::SameUnmap,
        Zeroing::Unmap,
        Zeroing::Same,
        Zeroing::Wire,
    ] {
        let stall = std::time::Duration::from_secs(20);
        let mut lun = Lun::open(&target.access(), Digests::Avoid, stall)
            .await
            .unwrap();
        assert_eq!(lun.zeroing(), Zeroing::SameUnmap);
        lun.set_zeroing(way);
        let data = Payload::new(noise(9, MIB as usize));
        lun.queue(Op::Write { at: 0, data });
        lun.flush().await.unwrap();
        lun.queue(Op::Zero {
            at: 4096,
            len: MIB - 8192,
        });
        lun.flush().await.unwrap();
        let back = lun.read(0, MIB).await.unwrap();
        let wrong = back[4096..MIB as usize - 4096].iter().any(|b| *b != 0);
        assert!(!wrong && back[4095] == noise(9, 4096)[4095], "{way:?}");
        // tgt 1.0.85 answers our UNMAP with 5/25/00 though its page 0xB2 offers it: the next way down is taken by itself.
        let ended = if way == Zeroing::Unmap {
            Zeroing::Same
        } else {
            way
        };
        assert!([way, ended].contains(&lun.zeroing()), "{way:?}");
        lun.log_out().await;
    }
}
