//! What is on a disk after it was written, read by programs that we did not write.

use std::path::Path;
use std::process::Command;

use super::{MIB, Rack, base, instance, must};

/// The first bytes where two files differ, by a program we did not write.
fn same_bytes(a: &Path, a_skip: u64, b: &Path, b_skip: u64, len: u64) {
    let skip = format!("{a_skip}:{b_skip}");
    must(
        Command::new("cmp")
            .args(["-n", &len.to_string(), "-i", &skip])
            .arg(a)
            .arg(b),
        "the disk differs from the image",
    );
}

#[test]
#[ignore = "needs root and the rack's packages"]
fn the_disk_equals_the_image() {
    let rack = Rack::up(&["bios", "uefi"]);
    // Off right after the write, so that nothing but bmctl has written when the bytes are compared.
    let still = "power_state = \"off\"\n  wait_for_phone_home = false";
    let config = base("")
        + &instance("part", "r1-01", "partition", still)
        + &instance("whole", "r1-02", "disk", still);
    rack.write(&config);
    let (code, text) = rack.apply();
    assert_eq!(code, 0, "{text}\n{}", rack.consoles());

    let disk = rack.disk("r1-01");
    let table: serde_json::Value =
        serde_json::from_str(&must(Command::new("sfdisk").arg("-J").arg(&disk), "sfdisk")).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    assert_eq!(table["partitiontable"]["label"], "dos");
    let kinds: Vec<&str> = partitions
        .iter()
        .filter_map(|p| p["type"].as_str())
        .collect();
    assert_eq!(
        kinds.first(),
        Some(&"82"),
        "swap first, root last (row G1): {table}"
    );
    let root = partitions.last().unwrap();
    assert_eq!(
        (root["type"].as_str(), root["size"].as_u64()),
        (Some("83"), Some(1024 * MIB / 512))
    );
    let image = rack.path().join("images/partition.img");
    same_bytes(
        &disk,
        root["start"].as_u64().unwrap() * 512,
        &image,
        0,
        image.metadata().unwrap().len(),
    );

    let (disk, image) = (rack.disk("r1-02"), rack.path().join("images/disk.img"));
    // The first MiB holds the table, which now spans the disk; the last one of the image was its backup.
    same_bytes(
        &disk,
        MIB,
        &image,
        MIB,
        image.metadata().unwrap().len() - 2 * MIB,
    );
    must(Command::new("sgdisk").arg("-v").arg(&disk), "sgdisk -v");

    assert!(rack.plan_is_empty());
    // In place: no write, and both come up from what was written.
    rack.write(&config.replace("power_state = \"off\"", "power_state = \"on\""));
    let (code, text) = rack.apply();
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("write disk"), "{text}");
    assert!(rack.plan_is_empty());
}
