//! The size this is made for.

use std::fmt::Write as _;

use super::{load_all, rendered};
use crate::config::MemorySources;

fn sources(nodes: usize) -> MemorySources {
    let mut csv = String::from("name,cpus,memory_mb,local_gb,disk,bmc,console_port,mac\n");
    for i in 0..nodes {
        let (a, b) = (i / 250, i % 250 + 1);
        writeln!(
            csv,
            "r{a}-{b},4,8192,100,S{i},10.{}.{}.{b},9001,52:54:00:{:02x}:{:02x}:01",
            a / 250,
            a % 250,
            i / 256,
            i % 256
        )
        .unwrap();
    }
    let text = include_str!("../testdata/design.hcl").replace("r1-01", "r0-1");
    MemorySources::default()
        .file("main.hcl", text)
        .file("bmctl.vars.hcl", "bmc_password = \"hunter2\"\n")
        .file("rack.csv", csv)
        .file("id_ed25519.pub", "k")
        .file("cloud.yaml", "#")
}

#[test]
fn a_thousand_nodes_load() {
    let loaded = load_all(sources(1000), &[]);
    assert!(!loaded.diagnostics.has_errors(), "{}", rendered(&loaded));
    assert_eq!(
        (loaded.fleet.nodes.len(), loaded.fleet.nics.len()),
        (1000, 1000)
    );
}

/// `cargo test --lib config -- --ignored --nocapture ten_thousand` says how long it takes.
#[test]
#[ignore = "measures time"]
fn ten_thousand_nodes_and_nics_load() {
    let sources = sources(10_000);
    let start = std::time::Instant::now();
    let loaded = load_all(sources, &[]);
    let elapsed = start.elapsed();
    assert!(!loaded.diagnostics.has_errors(), "{}", rendered(&loaded));
    assert_eq!(
        (loaded.fleet.nodes.len(), loaded.fleet.nics.len()),
        (10_000, 10_000)
    );
    println!("10,000 nodes and 10,000 NICs: {elapsed:?}");
}
