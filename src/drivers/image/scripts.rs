//! The shell scripts that run inside a ramdisk, and the tests that hold them to published vectors.

/// The first process of the deploy ramdisk; speaks docs/design/0001-deploy-channel.md.
pub const INIT: &str = include_str!("init.sh");
/// HMAC-SHA256 from busybox alone.
pub const HMAC: &str = include_str!("hmac.sh");
/// What udhcpc runs when it has a lease.
pub const DHCP_SCRIPT: &str = include_str!("udhcpc.sh");

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Runs a line of shell in busybox with hmac.sh at hand.
    fn shell(line: &str) -> String {
        let script = format!("{HMAC}\n{line}\n");
        let output = Command::new("busybox")
            .args(["sh", "-u", "-c", &script])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// RFC 4231, cases 1 to 4, 6 and 7: key, data (hex), tag. Case 5 is the same with a cut tag.
    #[test]
    fn shell_hmac_passes_rfc_4231() {
        let long = "aa".repeat(131);
        let cases = [
            (
                "0b".repeat(20),
                hex::encode("Hi There"),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                hex::encode("Jefe"),
                hex::encode("what do ya want for nothing?"),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                "aa".repeat(20),
                "dd".repeat(50),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                (1..=25).map(|b| format!("{b:02x}")).collect(),
                "cd".repeat(50),
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                long.clone(),
                hex::encode("Test Using Larger Than Block-Size Key - Hash Key First"),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                long,
                hex::encode(
                    "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be \
                     hashed before being used by the HMAC algorithm.",
                ),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, data, tag) in cases {
            assert_eq!(
                shell(&format!("unhex {data} | hmac {key}")),
                tag,
                "key {key}"
            );
        }
    }

    #[test]
    fn shell_bytes_survive() {
        let all: String = (0..=255).map(|b| format!("{b:02x}")).collect();
        assert_eq!(shell(&format!("unhex {all} | xxd -p | tr -d '\\n'")), all);
    }

    #[test]
    fn the_scripts_parse() {
        for text in [INIT, HMAC, DHCP_SCRIPT] {
            let output = Command::new("busybox")
                .args(["sh", "-n", "-c", text])
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}
