//! Faults on the wire and in the hardware.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::{Rack, base, instance, must};

/// Each fault ends in its own named error, the others finish, and after the cure only what failed is done.
#[test]
#[ignore = "needs root and the rack's packages"]
fn faults_are_named_and_cured() {
    let rack = Rack::up(&["bios", "bios", "bios", "bios", "bios"]);
    let site = "limits {\n    ramdisk_timeout_s = 75\n  }";
    let config = base(site)
        + &instance("good", "r1-01", "partition", "")
        + &instance("locked", "r1-02", "partition", "")
        + &instance("down", "r1-03", "partition", "")
        + &instance("small", "r1-04", "partition", "")
        + &instance("lost", "r1-05", "partition", "");
    rack.write(&config);
    let inventory = std::fs::read_to_string(rack.path().join("rack.hcl")).unwrap();
    let (_, second) = inventory.split_once("node \"r1-02\"").unwrap();
    let password = second.lines().find(|l| l.contains("password")).unwrap();
    let broken = inventory.replacen(
        &format!("node \"r1-02\"{second}"),
        &format!(
            "node \"r1-02\"{}",
            second.replacen(password, "    password = \"hunter2\"", 1)
        ),
        1,
    );
    std::fs::write(rack.path().join("rack.hcl"), &broken).unwrap();
    rack.edit_inventory("52:54:00:99:00:05", "52:54:00:99:00:55");
    let fourth = inventory
        .split_once("node \"r1-04\"")
        .unwrap()
        .1
        .lines()
        .find(|l| l.contains("local_gb"))
        .unwrap()
        .to_owned();
    let text = std::fs::read_to_string(rack.path().join("rack.hcl")).unwrap();
    let (head, tail) = text.split_once("node \"r1-04\"").unwrap();
    std::fs::write(
        rack.path().join("rack.hcl"),
        format!(
            "{head}node \"r1-04\"{}",
            tail.replacen(&fourth, "  local_gb = 8", 1)
        ),
    )
    .unwrap();
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(rack.path().join(".bmctl/rack/rack.json")).unwrap())
            .unwrap();
    let bmc = record["nodes"][2]["bmc"]["pid"]
        .as_u64()
        .unwrap()
        .to_string();
    must(Command::new("kill").args(["-STOP", &bmc]), "kill -STOP");

    let mut child = rack
        .inside(&["apply", "--auto-approve"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let spoofed = spoof(&rack);
    let mut text = String::new();
    for stream in [
        Box::new(child.stdout.take().unwrap()) as Box<dyn std::io::Read + Send>,
        Box::new(child.stderr.take().unwrap()),
    ] {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = writeln!(text, "{line}");
        }
    }
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(3), "{text}");
    assert_eq!(spoofed, ["403", "400", "403"], "forged calls are refused");
    for (who, wanted) in [
        ("instance.locked: ", "wrong password"),
        ("instance.down: ", "no answer"),
        ("instance.small: check disk", "local_gb"),
        ("instance.lost: wait for ramdisk", "no end after 75 s"),
    ] {
        assert!(
            text.lines().any(|l| l.contains(who) && l.contains(wanted)),
            "{who}{wanted}:\n{text}\n{}",
            rack.consoles()
        );
    }
    assert!(
        !text.contains("hunter2"),
        "a password in the output:\n{text}"
    );
    assert_eq!(
        rack.instances()["instance.good"]["phase"]["phase"],
        "running",
        "{text}"
    );

    must(Command::new("kill").args(["-CONT", &bmc]), "kill -CONT");
    std::fs::write(rack.path().join("rack.hcl"), &inventory).unwrap();
    let (code, text) = rack.apply();
    assert_eq!(code, 0, "{text}\n{}", rack.consoles());
    assert!(
        !text.contains("instance.good"),
        "what was done is not done again:\n{text}"
    );
    assert!(rack.plan_is_empty());
}

/// Forged calls to the deploy channel while a deployment is open; returns the HTTP status of each.
fn spoof(rack: &Rack) -> Vec<String> {
    let call = |path: &str, body: &str, headers: &[&str]| {
        let url = format!("http://10.99.0.1:8081{path}");
        let mut args = vec![
            "rack",
            "exec",
            "--",
            "curl",
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
        ];
        args.extend([
            "--retry",
            "60",
            "--retry-delay",
            "1",
            "--retry-connrefused",
            "--data-binary",
            body,
            &url,
        ]);
        for header in headers {
            args.extend(["-H", header]);
        }
        let output = rack.command(&args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let proof = "0".repeat(64);
    let nonce = "0".repeat(32);
    let exchange = format!("mac=52:54:00:99:00:01\nnonce={nonce}\nproof={proof}\n");
    let tag = format!("X-Bmctl-Tag: {proof}");
    vec![
        call("/v1/deploy/exchange", &exchange, &[]),
        call("/v1/deploy/exchange", "what\n", &[]),
        call(
            "/v1/deploy/ready",
            "address\t10.99.0.99\n",
            &["X-Bmctl-Mac: 52:54:00:99:00:01", "X-Bmctl-Seq: 1", &tag],
        ),
    ]
}
