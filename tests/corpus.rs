//! Every file of the fuzzers' corpus through what the fuzzers check.

use std::path::Path;

#[path = "../fuzz/checks.rs"]
mod checks;

/// What fuzzing begins with beside the corpus, as fuzz/README.md says.
const SEEDS: [&str; 2] = [
    "src/config/testdata/design.hcl",
    "src/config/testdata/heredocs.hcl",
];

#[track_caller]
fn all(target: &str, check: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = root.join("fuzz/corpus").join(target);
    let found = std::fs::read_dir(dir).unwrap();
    let found = found.map(|entry| entry.unwrap().path());
    let mut count = 0;
    for path in found.chain(SEEDS.map(|seed| root.join(seed))) {
        let data = std::fs::read(&path).unwrap();
        let checked = std::panic::catch_unwind(|| check(&data));
        assert!(checked.is_ok(), "{}", path.display());
        count += 1;
    }
    assert!(count > 10, "only {count} files are there");
}

#[test]
fn the_parser_reads_the_corpus() {
    all("parser", checks::parser);
    all("layout", checks::parser);
}

#[test]
fn the_evaluator_loads_the_corpus() {
    all("evaluator", checks::evaluator);
    all("parser", checks::evaluator);
}

#[test]
fn the_layout_of_the_corpus_keeps_its_meaning() {
    all("layout", checks::layout);
    all("evaluator", checks::layout);
}
