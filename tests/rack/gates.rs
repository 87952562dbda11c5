//! Gates of a rollout, asked of machines that have really booted.

use super::{Rack, base, instance};

/// Each is asked for a port and for a page of the system that was written to it.
fn rollout(page: &str) -> String {
    format!(
        r#"
rollout "one_by_one" {{
  wave = 1
  gate "tcp" {{
    port     = 80
    interval = 1
    timeout  = 30
  }}
  gate "http" {{
    path     = "{page}"
    interval = 1
    timeout  = 5
  }}
}}
"#
    )
}

/// The canary's page is not there: the second machine is not touched. Then it is, and the canary is asked again, not written again.
#[test]
#[ignore = "needs root and the rack's packages"]
fn a_gate_that_is_not_passed_keeps_the_next_wave() {
    let rack = Rack::up(&["bios", "bios"]);
    let both =
        base("") + &instance("a", "r1-01", "partition", "") + &instance("b", "r1-02", "disk", "");
    rack.write(&(both.clone() + &rollout("/none")));
    let (code, text) = rack.apply();
    assert_eq!(code, 3, "{text}\n{}", rack.consoles());
    let line = |who: &str, what: &str| {
        let mut lines = text.lines();
        lines.any(|l| l.starts_with(who) && what.split('*').all(|part| l.contains(part)))
    };
    assert!(line("instance.a: gate tcp", "done"), "{text}");
    assert!(line("instance.a: gate http", "FAILED*404"), "{text}");
    let kept = "blocked by rollout one_by_one: 1 failed";
    assert!(line("instance.b: claim node", kept), "{text}");
    assert!(!line("instance.b: ", "done"), "{text}");
    let known = rack.instances();
    assert_eq!(known["instance.a"]["phoned"]["hostname"], "a");
    assert!(known["instance.b"].is_null(), "{known}");

    rack.write(&(both + &rollout("/")));
    let (code, text) = rack.apply();
    assert_eq!(code, 0, "{text}\n{}", rack.consoles());
    let asked = |who: &str, gate: &str| {
        let start = format!("{who}: {gate}");
        text.lines()
            .any(|l| l.starts_with(&start) && l.contains("done"))
    };
    for who in ["instance.a", "instance.b"] {
        assert!(
            asked(who, "gate tcp") && asked(who, "gate http"),
            "{who}: {text}"
        );
    }
    assert!(!asked("instance.a", "write disk"), "{text}");
    assert!(rack.plan_is_empty());
}
