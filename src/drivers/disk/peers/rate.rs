//! How fast, beside `qemu-img`. Run with `cargo test --release --lib peers_rate -- --ignored --nocapture`.

use std::time::Instant;

use super::*;
use crate::drivers::disk::lun::{Lun, Op};
use crate::proto::iscsi::{Digests, Payload};

const BYTES: u64 = 256 * MIB;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; other tests would disturb it"]
async fn peers_rate_beside_qemu_img() {
    let image = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    image
        .as_file()
        .write_all_at(&noise(7, BYTES as usize), 0)
        .unwrap();
    let target = Target::on(
        tempfile::tempdir_in("/dev/shm").unwrap(),
        300 * MIB,
        Provisioned::Thin,
    );
    let rate = |what: &str, start: Instant| {
        let s = start.elapsed().as_secs_f64();
        println!("{what}: {:.0} MiB/s", BYTES as f64 / MIB as f64 / s);
    };
    for _ in 0..3 {
        let start = Instant::now();
        let url = format!("iscsi://127.0.0.1:{}/{IQN}/1", target.port);
        let secrets = [
            ("LIBISCSI_CHAP_USERNAME", "bmctl"),
            ("LIBISCSI_CHAP_PASSWORD", "initiator-secret"),
        ];
        let out = Command::new("qemu-img")
            .args(["convert", "-n", "-W", "-m", "16", "-f", "raw", "-O", "raw"])
            .arg(image.path())
            .arg(&url)
            .envs(secrets)
            .output()
            .expect("install qemu-utils and qemu-block-extra");
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        rate("qemu-img -m 16 -W", start);

        let start = Instant::now();
        let stall = std::time::Duration::from_secs(20);
        let mut lun = Lun::open(&target.access(), Digests::Avoid, stall)
            .await
            .unwrap();
        let mut data = vec![0; MIB as usize];
        for at in (0..BYTES).step_by(MIB as usize) {
            image.as_file().read_exact_at(&mut data, at).unwrap();
            while lun.is_full() {
                lun.next().await.unwrap();
            }
            lun.queue(Op::Write {
                at,
                data: Payload::new(data.clone()),
            });
        }
        lun.flush().await.unwrap();
        lun.log_out().await;
        rate("bmctl, the same bytes", start);

        let start = Instant::now();
        let layout = Layout::Partitions {
            label: crate::plan::layout::Label::Mbr,
            table: crate::units::TableId::Mbr(7),
            partitions: vec![crate::plan::layout::Partition {
                role: crate::plan::layout::Role::Root,
                start: MIB,
                size: 290 * MIB,
                keep: false,
            }],
        };
        let job = Job::new(&target, layout, image.path(), ImageFormat::Raw);
        job.run().await.unwrap();
        rate("bmctl, a whole deployment with verify", start);
    }
}
