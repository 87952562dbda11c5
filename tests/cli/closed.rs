//! Files are for their owner, and hold no secret.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{Place, contains, files_below, mode};
use crate::fleet::CANARY;

/// State, sealed secrets, plans and journals: nobody else reads them, and no password is in them.
#[test]
fn what_is_written_is_closed_to_others_and_holds_no_secret() {
    let place = Place::new();
    // They are there already, open to everybody.
    let told = ["plan.json", "events.json", "report.md"].map(|name| place.dir.path().join(name));
    for file in &told {
        std::fs::write(file, "").unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    place
        .run(&[
            "plan",
            "--refresh=false",
            "--out",
            "plan.json",
            "--json-into",
            "events.json",
            "--report",
            "report.md",
        ])
        .expect(0);
    for file in &told {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    place.run(&["apply", "--sim", "seed=7"]).expect(0);
    let state = place.path(".bmctl");
    for dir in [&state, &state.join("sim")] {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
    for file in ["state.db", "sim/state.db", "high-water", "open.lock"] {
        assert_eq!(mode(&state.join(file)), 0o600, "{file}");
    }
    let mut all = Vec::new();
    files_below(place.dir.path(), &mut all);
    assert!(all.len() > 8);
    for path in all.iter().filter(|p| p.is_file()) {
        let bytes = std::fs::read(path).unwrap();
        let found = bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes());
        assert!(!found, "{} holds a secret", path.display());
    }
}

#[test]
fn without_a_key_one_is_made_that_only_its_owner_reads() {
    let place = Place::new();
    let no_key = |c: &mut Command| {
        c.env_remove("BMCTL_KEY");
    };
    place
        .run_with(&["plan", "--refresh=false"], no_key)
        .expect(0);
    let key = place.dir.path().join(".config/bmctl/key");
    assert_eq!(mode(&key), 0o600);
    let first = std::fs::read(&key).unwrap();
    place
        .run_with(&["plan", "--refresh=false"], no_key)
        .expect(0);
    assert_eq!(std::fs::read(&key).unwrap(), first);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    contains(
        &place
            .run_with(&["plan", "--refresh=false"], no_key)
            .expect(1)
            .err,
        &["expected mode 0600", "chmod 600"],
    );
}
