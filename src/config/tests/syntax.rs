//! Broken texts and everything that is said about them, as data: `testdata/syntax/*.txt` hold texts, each with the reports that
//! it gets and what is left of it. `BMCTL_BLESS=1` writes what is found.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::config::syntax::json::{parse_json, parse_json_values, property};
use crate::config::syntax::lexer::Lexer;
use crate::config::syntax::token::Kind;
use crate::config::syntax::{describe, parse_file};
use crate::diag::{Color, FileId, SourceMap};

const INPUT: &str = "=== ";
const OUTPUT: &str = "---\n";

fn files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/testdata/syntax");
    let entries = std::fs::read_dir(dir).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What a text parses to, and its reports. Tables of JSON are named so.
fn outcome(table: &Path, text: &str) -> String {
    let mut sources = SourceMap::default();
    let name = table.file_stem().unwrap().to_str().unwrap();
    let shown = if name.starts_with("json") {
        "a.json"
    } else {
        "a.hcl"
    };
    let file = sources.add(shown, text);
    let mut reports = Vec::new();
    let body = match name {
        "json" => parse_json(file, text, &property, &mut reports),
        "json-values" => parse_json_values(file, text, &mut reports),
        _ => parse_file(file, text, &mut reports),
    };
    let mut out = describe::body(&body);
    reports.sort_by_key(|d| d.primary.as_ref().map(|l| l.span));
    for d in reports {
        writeln!(out, "{}", d.render(&sources, Color::Never)).unwrap();
    }
    out
}

#[test]
fn broken_texts_get_these_reports() {
    let mut wrong = String::new();
    for path in files() {
        let table = std::fs::read_to_string(&path).unwrap();
        let mut found = String::new();
        for case in table.split(INPUT).filter(|c| !c.is_empty()) {
            let (title, rest) = case.split_once('\n').unwrap();
            let input = rest.split_once(OUTPUT).map_or(rest, |(input, _)| input);
            write!(
                found,
                "{INPUT}{title}\n{input}{OUTPUT}{}\n",
                outcome(&path, input).trim_end()
            )
            .unwrap();
        }
        if found != table {
            if std::env::var_os("BMCTL_BLESS").is_some() {
                std::fs::write(&path, &found).unwrap();
            }
            let diff = similar::TextDiff::from_lines(&table, &found);
            write!(wrong, "{}", diff.unified_diff().context_radius(4)).unwrap();
        }
    }
    assert!(wrong.is_empty(), "BMCTL_BLESS=1 accepts this\n{wrong}");
}

/// `cargo test --release --lib syntax -- --ignored --nocapture` says how long it takes.
#[test]
#[ignore = "measures time"]
fn how_fast_files_are_parsed() {
    let parse = |what: &str, text: String| {
        let mut reports = Vec::new();
        let start = std::time::Instant::now();
        let body = parse_file(crate::diag::FileId(0), &text, &mut reports);
        let parsed = start.elapsed();
        drop(body);
        println!(
            "{what}: {} MiB, {} reports, parsed in {parsed:?}, dropped after {:?}",
            text.len() >> 20,
            reports.len(),
            start.elapsed()
        );
    };
    let nodes: String = (0..100_000).map(node_block).collect();
    parse("100,000 nodes", nodes);
    for piece in [
        "[",
        "{",
        "(",
        "\"${",
        "${",
        "%{",
        "a {\n",
        "a = {\n",
        "a = [\n",
        "!",
        "-",
        "1+",
        "a.",
        "x?",
        "<<A\n",
        "a = <<A\n",
        "a=\"\n",
        "/*",
        "a \"b\" {\n\"\n",
        "f(",
        "a = 1 1\n",
        "\\",
        "'",
        "é",
        "a = [1 1 1 1 1 1 1\n",
        "\"a${",
        "1 ",
        "a {",
        "}",
        "a {\n}}\n",
    ] {
        let text = format!("a = {}", piece.repeat((32 << 20) / piece.len()));
        parse(&format!("{piece:?}"), text);
    }
    let marks: String = (0..50_000).map(|i| format!("a{i} = <<E{i}\nx\n")).collect();
    parse("heredocs without end, of many marks", marks);
}

fn node_block(i: usize) -> String {
    format!(
        "node \"r{i}\" {{\n  site      = site.lab\n  arch      = \"x86_64\"\n  cpus      = 8\n  memory_mb = 16384\n  \
         local_gb  = 100\n  firmware  = \"uefi\"\n  labels    = {{ rack = \"r{}\" }}\n\n  root_device {{\n    serial = \
         \"S{i}\"\n  }}\n\n  power \"ipmi\" {{\n    address  = \"10.0.0.1\"\n    user     = \"admin\"\n    password = \
         var.bmc_password\n  }}\n}}\n\n",
        i % 100
    )
}

/// One slip anywhere in a sound text: it is told, soon enough, and the blocks around it are still there.
#[test]
fn one_slip_is_one_report_or_few() {
    let text = include_str!("../testdata/design.hcl");
    let blocks = parse_file(FileId(0), text, &mut Vec::new()).blocks.len();
    let mut lexer = Lexer::new(text);
    let (mut slips, mut told) = (0, 0);
    loop {
        let token = lexer.next();
        if token.kind == Kind::End {
            break;
        }
        for slip in ["", "@", "\"", "{", "}", "(", "=", "x ", ",", "${"] {
            let kept = if slip.is_empty() {
                token.end
            } else {
                token.start
            };
            let changed = format!(
                "{}{slip}{}",
                &text[..token.start as usize],
                &text[kept as usize..]
            );
            let mut reports = Vec::new();
            let body = parse_file(FileId(0), &changed, &mut reports);
            let lines = text[..token.start as usize].lines().count();
            assert!(reports.len() <= 3, "{slip:?} on line {lines}: {reports:?}");
            assert!(
                body.blocks.len() + 2 >= blocks,
                "{slip:?} on line {lines} swallows blocks"
            );
            slips += 1;
            told += reports.len();
        }
    }
    assert!(told <= slips * 5 / 4, "{told} reports of {slips} slips");
}
