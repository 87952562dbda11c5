//! What a rollout's gates may say.

use super::{codes, load_text, rendered};
use crate::config::codes as c;

fn gated(gate: &str) -> crate::config::Loaded {
    load_text(&format!(
        "variable \"s\" {{\n  default   = \"x\"\n  sensitive = true\n}}\nrollout \"r\" {{\n  wave = 1\n  gate {gate}\n}}\n"
    ))
}

#[test]
fn gates_are_read_in_their_order_and_with_their_defaults() {
    let loaded = load_text(
        r#"
rollout "r" {
  wave = 1
  gate "phone_home" {
  }
  dynamic "gate" {
    for_each = [22, 443]
    labels   = ["tcp"]
    content {
      port = gate.value
    }
  }
  gate "http" {
    path    = "/up?x=1"
    timeout = 9
  }
  gate "command" {
    command  = ["curl", "-f", "https://x/"]
    interval = 1
  }
}
"#,
    );
    assert_eq!(codes(&loaded), [""; 0], "{}", rendered(&loaded));
    let gates = &loaded.fleet.rollouts[0].gates;
    let told: Vec<String> = gates
        .iter()
        .map(|g| format!("{g} for {} every {}", g.timeout_s, g.interval_s))
        .collect();
    assert_eq!(
        told,
        [
            "phone home for 300 every 5",
            "tcp 22 for 300 every 5",
            "tcp 443 for 300 every 5",
            "http :80/up?x=1 is 200 for 9 every 5",
            "command curl -f https://x/ for 300 every 1"
        ]
    );
}

#[test]
fn what_a_gate_cannot_ask_is_refused() {
    for (gate, code, word) in [
        (
            r#""icmp" { }"#,
            c::WRONG_VALUE,
            "phone_home, tcp, http or command",
        ),
        (r#"{ }"#, c::LABELS, "1 labels"),
        (r#""tcp" { }"#, c::MISSING, "`gate.port` is required"),
        (r#""tcp" { port = null }"#, c::MISSING, "this is null"),
        (r#""command" { }"#, c::MISSING, "`gate.command` is required"),
        (r#""tcp" { port = 0 }"#, c::WRONG_VALUE, "1 to 65535"),
        (r#""tcp" { port = 65536 }"#, c::WRONG_VALUE, "65535"),
        (
            r#""phone_home" { port = 1 }"#,
            c::WRONG_VALUE,
            "has no `port`",
        ),
        (r#""command" { command = [] }"#, c::WRONG_VALUE, "no shell"),
        (
            r#""command" { command = ["x", var.s] }"#,
            c::SENSITIVE,
            "sensitive",
        ),
        (r#""http" { path = "up" }"#, c::WRONG_VALUE, "from / on"),
        (r#""http" { path = "/a b" }"#, c::WRONG_VALUE, "from / on"),
        (
            r#""http" { path = "/a\r\nX: y" }"#,
            c::WRONG_VALUE,
            "from / on",
        ),
        (r#""http" { status = 600 }"#, c::WRONG_VALUE, "100 to 599"),
        (r#""http" { timeout = 0 }"#, c::WRONG_VALUE, "1 second"),
        (
            r#""http" { scheme = "https" }"#,
            c::UNKNOWN_ATTRIBUTE,
            "scheme",
        ),
    ] {
        let loaded = gated(gate);
        let shown = rendered(&loaded);
        assert_eq!(codes(&loaded), [code], "{gate}: {shown}");
        assert!(shown.contains(word), "{gate}: `{word}` is not in:\n{shown}");
    }
}
