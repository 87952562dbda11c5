//! A run that goes on in one terminal, and what is asked of it from another.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::kill::Place;

/// Slow enough to be paused in the middle: a deployment takes about two seconds.
const FAULTS: &str = "seed=1,pace=120";

fn start(place: &Place, name: &str) -> Child {
    let events = std::fs::File::create(place.path(name)).unwrap();
    place
        .command(&["apply", "--json", "--sim", FAULTS])
        .stdout(events)
        .spawn()
        .unwrap()
}

/// How many steps the events say have started.
fn started(file: &Path) -> usize {
    let text = std::fs::read_to_string(file).unwrap();
    text.matches("\"event\":\"step_started\"").count()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ask(place: &Place, args: &[&str]) -> (i32, String) {
    let asked = place
        .command(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = [asked.stdout, asked.stderr].concat();
    (
        asked.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
    )
}

#[test]
fn a_run_is_paused_goes_on_and_is_ended_from_another_terminal() {
    let place = Place::new();
    place.want(0);
    let (code, said) = ask(&place, &["pause", "--sim"]);
    assert_eq!(code, 1);
    assert!(said.contains("no run goes on"), "{said}");

    let events = place.path("first");
    let mut run = start(&place, "first");
    wait_until("the run has begun", || started(&events) > 20);
    let (code, said) = ask(&place, &["pause", "--sim"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("is paused"), "{said}");
    std::thread::sleep(Duration::from_millis(100));
    let before = started(&events);
    // Long enough for the ramdisks to report: what would follow does not start.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(started(&events), before);
    assert!(run.try_wait().unwrap().is_none(), "a paused run waits");
    let (code, said) = ask(&place, &["resume", "--sim"]);
    assert_eq!(code, 0, "{said}");
    assert!(run.wait().unwrap().success());
    assert!(started(&events) > before);

    place.want(1);
    let events = place.path("second");
    let mut run = start(&place, "second");
    wait_until("the run has begun", || started(&events) > 5);
    let (code, said) = ask(&place, &["abort", "--sim"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(run.wait().unwrap().code(), Some(130));
    place.expect(&["apply", "--sim", "seed=1"]);
    place.expect(&["plan", "--detailed-exitcode", "--sim", "seed=1"]);
}
