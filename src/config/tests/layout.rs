//! The layout of files against the one that Terraform 1.11 gives: `testdata/fmt/*.txt` hold texts and what comes of them. Each
//! text ends before the newline in front of its mark.

use proptest::prelude::*;

use crate::config::format::{format, same_meaning};
use crate::diag::FileId;

const TABLES: [&str; 2] = [
    include_str!("../testdata/fmt/written.txt"),
    include_str!("../testdata/fmt/chance.txt"),
];

/// Title, text, and the text laid out.
fn cases() -> Vec<(&'static str, &'static str, &'static str)> {
    let all = TABLES.iter().flat_map(|table| {
        let table = table.strip_prefix("=== ").unwrap();
        table.strip_suffix('\n').unwrap().split("\n=== ")
    });
    all.map(|case| {
        let (title, rest) = case.split_once('\n').unwrap();
        let (text, laid_out) = rest.split_once("\n---\n").unwrap();
        (title, text, laid_out)
    })
    .collect()
}

#[test]
fn files_are_laid_out_as_terraform_does() {
    let mut wrong = String::new();
    for (title, text, expected) in cases() {
        match format(FileId(0), text) {
            Ok(found) if found == expected => {}
            Ok(found) => {
                let diff = similar::TextDiff::from_lines(expected, &found);
                wrong += &format!("=== {title}\n{}", diff.unified_diff());
            }
            Err(mistakes) => wrong += &format!("=== {title}\n{mistakes:?}\n"),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(cases().len() > 80);
}

/// A layout changes no meaning, and a second one changes nothing.
fn keeps_its_meaning(text: &str) {
    let Ok(once) = format(FileId(0), text) else {
        return;
    };
    assert!(same_meaning(text, &once), "{text}\n--- became\n{once}");
    let twice = format(FileId(0), &once).unwrap();
    assert_eq!(once, twice, "of {text}");
}

#[test]
fn a_layout_is_one_for_ever_and_changes_no_meaning() {
    for (_, text, laid_out) in cases() {
        keeps_its_meaning(text);
        keeps_its_meaning(laid_out);
    }
    for text in [
        "a = \"${\"${\"${b}\"}\"}\"\n",
        "a = \"${ # c\n b\n}\"\n",
        "a = \"${ b # c\n}\"\n",
        "a = \"${ b + # c\n d }\" # e\n",
        "x { a = \"${ b # c\n}\" }\n",
        "x \"a\\u0041$${b}\" \"\" { }\n",
        "a = b[true # c\n]\n",
        "\u{feff}a=1\n",
    ] {
        keeps_its_meaning(text);
    }
}

#[test]
fn a_text_with_mistakes_is_not_touched() {
    let mistakes = format(FileId(0), "a = = 1\nb = [\n").unwrap_err();
    assert_eq!(mistakes.len(), 2);
}

/// One long line must not push a million others.
#[test]
fn a_layout_is_not_many_times_its_text() {
    let names: String = (0..20_000).map(|i| format!("b{i}=1\n")).collect();
    let text = format!("{}=1\n{names}", "a".repeat(100_000));
    let laid_out = format(FileId(0), &text).unwrap();
    assert!(laid_out.len() < 100 << 20, "{}", laid_out.len());
    assert_eq!(format(FileId(0), &laid_out).unwrap(), laid_out);
}

const PIECES: [&str; 34] = [
    " ",
    "  ",
    "\t",
    "\n",
    "\n\n",
    " # c\n",
    "// c\n",
    "/* c */",
    "/* c\n */",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\"${",
    "}\"",
    "\"",
    ",",
    "=",
    ":",
    "-",
    "!",
    ".",
    "a",
    "1",
    "<<E\n",
    "E\n",
    "${",
    "%{ if a }",
    "%{ endif }",
    "...",
    "in",
    "\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_is_written_in_between(
        case in 0..cases().len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..PIECES.len(), 0..3usize), 1..5),
    ) {
        let mut text: Vec<char> = cases()[case].1.chars().collect();
        for (at, piece, removed) in changes {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            text.splice(at..end, PIECES[piece].chars());
        }
        keeps_its_meaning(&text.into_iter().collect::<String>());
    }
}
