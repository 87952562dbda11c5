//! Whatever the bytes, a load ends, soon, with a fleet or with reports.

use std::fmt::Write as _;

use proptest::prelude::*;

use crate::config::format::format;
use crate::config::load::load_within;
use crate::config::syntax::json::{parse_json, property};
use crate::config::syntax::parse_file;
use crate::config::testing::{value_of, value_within};
use crate::config::{MemorySources, codes as c};
use crate::diag::FileId;

const VALID: &str = include_str!("../testdata/design.hcl");

/// Small, so that a test that finds a loop is over soon.
const BUDGET: u64 = 200_000;

fn survives(bytes: Vec<u8>) {
    let sources = MemorySources::default()
        .file("main.hcl", bytes.clone())
        .file("bmctl.vars.hcl", bytes)
        .file("rack.csv", "name,cpus\na,1\n");
    let loaded = load_within(".", &[], &sources, BUDGET);
    for d in loaded.diagnostics.iter() {
        d.render(&loaded.sources, crate::diag::Color::Never);
    }
}

const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "${",
    "%{",
    "~}",
    "<<E\n",
    "<<-E\n",
    "E\n",
    "\n",
    "=",
    "=>",
    "...",
    "for x in ",
    "if ",
    "%{ if true }",
    "%{ endif }",
    "%{ for a in b }",
    "%{ endfor }",
    ":",
    "?",
    ",",
    ".",
    "[*]",
    ".*",
    ".0",
    "1e5",
    "1e999",
    "123456789012345678901234567890",
    "-",
    "!",
    "&&",
    "==",
    "local.a",
    "var.x",
    "node.rack",
    "each.key",
    "file(",
    "range(1000000)",
    "locals {\n",
    "flavor \"f\" {\n",
    "a = ",
    "b = ",
    "/*",
    "*/",
    "#",
    "//",
    "\\",
    "\\u00",
    "é",
    "\u{1F600}",
    "null",
    "true",
    "::",
    "<",
    "\r\n",
    "\u{feff}",
    "$${",
    "templatefile(\"rack.csv\", {})",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(bytes);
    }

    #[test]
    fn any_tokens(picks in prop::collection::vec(0..TOKENS.len(), 0..60)) {
        let text: String = picks.into_iter().map(|i| TOKENS[i]).collect();
        survives(text.clone().into_bytes());
        survives(format!("locals {{\n  a = {text}\n}}\n").into_bytes());
    }

    #[test]
    fn a_valid_text_with_changes(cuts in prop::collection::vec((0..VALID.len(), 0..TOKENS.len(), 0..20usize), 1..6)) {
        let mut bytes = VALID.as_bytes().to_vec();
        for (at, token, removed) in cuts {
            let at = at.min(bytes.len());
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, TOKENS[token].bytes());
        }
        survives(bytes);
    }
}

#[test]
fn depth_in_every_form_is_refused_not_followed() {
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("[", "", "]"),
        ("{a=", "1", "}"),
        ("!", "true", ""),
        ("-", "1", ""),
        ("true ? 1 : ", "1", ""),
        ("1 + ", "1", ""),
        ("1 + (", "1", ")"),
        ("\"${", "1", "}\""),
        ("%{ if true }", "", "%{ endif }"),
        ("upper(", "\"\"", ")"),
        ("a[", "0", "]"),
        ("[for x in ", "[]", ": x]"),
    ] {
        for n in [40, 47, 100, 5_000] {
            let inner = format!("{}{middle}{}", open.repeat(n), close.repeat(n));
            let _ = value_within(&inner, BUDGET);
            let _ = value_within(&format!("\"{inner}\""), BUDGET);
            survives(format!("locals {{\n  a = {inner}\n}}\n").into_bytes());
        }
    }
    survives("a {\n".repeat(5_000).into_bytes());
    survives("a ".repeat(50_000).into_bytes());
    let chain: String = (0..3_000)
        .map(|i| format!("  a{i} = [local.a{}]\n", i + 1))
        .collect();
    survives(format!("locals {{\n{chain}  a3000 = 1\n}}\n").into_bytes());
}

#[test]
fn limits_hold() {
    for (expression, code) in [
        ("range(2000000)", c::FUNCTION),
        (
            "[for a in range(100000) : [for b in range(100000) : b]]",
            c::BUDGET,
        ),
        ("1e3000 * 1e3000", c::TOO_LARGE),
        ("1e999999999", c::NUMBER_TOO_LARGE),
        ("setproduct(range(10000), range(10000))", c::FUNCTION),
        ("indent(1000000000, \"a\\nb\")", c::TOO_LARGE),
        ("format(\"%999999999d\", 1)", c::FUNCTION),
        ("regex(\"(a{1000}){1000}\", \"a\")", c::FUNCTION),
        ("pow(10, 400)", c::FUNCTION),
        (
            "join(join(\",\", range(100000)), [for x in range(1000) : \"\"])",
            c::TOO_LARGE,
        ),
    ] {
        let found = value_within(expression, 2_000_000).map(|v| v.shown());
        assert!(
            found.as_ref().is_err_and(|e| e.contains(code)),
            "{expression}: {found:?}"
        );
    }
    let longest = value_of("1e400").unwrap().shown();
    assert!(longest.starts_with('1'));
}

/// Each local holds the one before it twice: a few lines, and more values than there are atoms.
#[test]
fn shared_values_do_not_explode() {
    let mut text = String::from("locals {\n  a0 = [1]\n");
    for i in 1..90 {
        writeln!(text, "  a{i} = [local.a{0}, local.a{0}]", i - 1).unwrap();
    }
    let alone = MemorySources::default().file("main.hcl", format!("{text}}}\n"));
    let loaded = load_within(".", &[], &alone, BUDGET);
    let found: Vec<_> = loaded.diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(found, [c::TOO_LARGE]);
    for (i, use_of_it) in [
        "jsonencode(local.a20)",
        "flatten(local.a20)",
        "local.a20 == local.a20",
        "true ? local.a20 : local.a19",
        "tolist(local.a20)",
        "toset([local.a20, local.a19])",
        "[for x in range(10000) : distinct(local.a20)]",
        "[for x in range(10000) : local.a20 == local.a20]",
    ]
    .into_iter()
    .enumerate()
    {
        writeln!(text, "  b{i} = {use_of_it}").unwrap();
    }
    text.push_str("}\noutput \"o\" { value = local.a21 }\n");
    let sources = MemorySources::default().file("main.hcl", text);
    let loaded = load_within(".", &[], &sources, 5_000_000);
    let found: Vec<_> = loaded.diagnostics.iter().map(|d| d.code).collect();
    assert!(found.contains(&c::BUDGET), "{found:?}");
}

#[test]
fn many_blocks_attributes_and_open_brackets_take_no_long_time() {
    let blocks: String = (0..5_000)
        .map(|i| format!("flavor \"f{i}\" {{\n  cpus = 1\n  memory_mb = 1\n  root_gb = 1\n}}\n"))
        .collect();
    survives(blocks.into_bytes());
    let attributes: String = (0..20_000).map(|i| format!("a{i} = 1\n")).collect();
    survives(attributes.into_bytes());
    survives("a {\n".repeat(100_000).into_bytes());
    survives("a \"b\" {\n\"\n".repeat(50_000).into_bytes());
}

/// Pieces that open, chain or repeat without end, much of each: what costs more than its length would not end here.
#[test]
fn much_of_anything_is_read_to_its_end() {
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
        "a = [1 1 1 1\n",
        "\"a${",
        "1 ",
        "a {",
        "}",
        "a {\n}}\n",
        "%{ if x }",
        "[for x in ",
        "{ a = ",
        "a[",
        "a\n  ",
        "# ",
        "\"x\" ",
        "::",
        "a = \"${x\n",
        "a \"b\"\n ",
        "a = <<-A\n  x\n A\n",
        "$${",
        "~}",
        "\r",
        "a = 1\r\n",
        "x=\"%{for a in b}\n",
    ] {
        let text = format!("a = {}", piece.repeat((1 << 18) / piece.len()));
        let mut reports = Vec::new();
        parse_file(FileId(0), &text, &mut reports);
        assert!(reports.len() <= 100, "{piece:?}: {} reports", reports.len());
        let _ = format(FileId(0), &text);
    }
    let many_marks: String = (0..20_000).map(|i| format!("a{i} = <<E{i}\nx\n")).collect();
    parse_file(FileId(0), &many_marks, &mut Vec::new());
}

#[test]
fn much_json_is_read_to_its_end() {
    for piece in [
        "[",
        "{\"a\":",
        "[1,",
        "1",
        "\"",
        "\"a\",",
        "{",
        "\\",
        "[[],",
        "{\"a\":1,\"a\":1,",
        "\"${",
        "-",
        "tru",
        "[1 ",
    ] {
        for start in ["", "{\"locals\": {\"a\": [", "{\"locals\": {\"a\": \"${"] {
            let text = format!("{start}{}", piece.repeat((1 << 18) / piece.len()));
            let mut reports = Vec::new();
            parse_json(FileId(0), &text, &property, &mut reports);
            assert!(
                (1..=100).contains(&reports.len()),
                "{start}{piece}: {} reports",
                reports.len()
            );
        }
    }
}

/// A tree would need many times the memory of its text.
#[test]
#[ignore = "takes a gigabyte"]
fn a_file_of_endless_values_is_given_up() {
    let text = format!("a = [{}]", "1,".repeat(30 << 20));
    let mut reports = Vec::new();
    parse_file(FileId(0), &text, &mut reports);
    assert_eq!(
        reports.iter().map(|d| d.code).collect::<Vec<_>>(),
        [c::TOO_LARGE]
    );
}

#[test]
fn a_file_of_100_megabytes_is_refused() {
    let sources = MemorySources::default().file("main.hcl", vec![b'#'; 100_000_000]);
    let loaded = load_within(".", &[], &sources, BUDGET);
    let found: Vec<_> = loaded.diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(found, [c::UNREADABLE]);
}

/// A few lines that stand for more than there is memory.
#[test]
fn what_unpacks_without_end_is_stopped() {
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\\n";
    let yaml: String = (b'b'..=b'k')
        .map(|c| {
            let (name, before) = (char::from(c), char::from(c - 1));
            format!(
                "{name}: &{name} [{}]\\n",
                vec![format!("*{before}"); 10].join(", ")
            )
        })
        .collect();
    let doubled: String = (1..40)
        .map(|i| format!("  s{i} = \"${{local.s{0}}}${{local.s{0}}}\"\n", i - 1))
        .collect();
    for expression in [
        format!("yamldecode(\"{bomb}{yaml}\")"),
        "range(1e12)".to_owned(),
        "[for a in range(1000000) : [for b in range(1000000) : a * b]]".to_owned(),
        "replace(join(\"\", range(100000)), \"1\", join(\"\", range(100000)))".to_owned(),
        "replace(join(\"\", range(100000)), \"/[0-9]/\", join(\"\", range(100000)))".to_owned(),
        "join(\"\", [for x in range(1000000) : \"0123456789012345678901234567890123456789\"])".to_owned(),
        format!("jsondecode(\"{}\")", "[".repeat(100_000)),
        format!("yamldecode(\"{}\")", "[".repeat(100_000)),
        "pow(pow(10, 300), pow(10, 300))".to_owned(),
        format!("parseint(\"{}\", 10)", "9".repeat(100_000)),
        format!("1{}", " * 1e4000".repeat(20)),
        "setproduct([for x in range(20) : range(10)]...)".to_owned(),
        "format(\"%1000d\", 1) == format(\"%-999999999d\", 1)".to_owned(),
        "substr(strrev(join(\"\", range(1000000))), 0, 1000000000000000000000000)".to_owned(),
        "templatestring(\"%%{ for a in range(1000000) }%%{ for b in range(1000000) }x%%{ endfor }%%{ endfor }\", {})".to_owned(),
    ] {
        let found = value_within(&expression, 1_000_000);
        let shown = found.map(|v| v.shown());
        assert!(shown.is_err(), "{expression:.60}: {shown:.100?}");
    }
    let text = format!("locals {{\n  s0 = \"0123456789\"\n{doubled}}}\n");
    let sources = MemorySources::default().file("main.hcl", text);
    let loaded = load_within(".", &[], &sources, 10_000_000);
    assert!(loaded.diagnostics.has_errors());
}
