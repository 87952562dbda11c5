//! docs/language.md holds the table of functions as the code has it.

use crate::config::functions;

const DOCUMENT: &str = include_str!("../../../docs/language.md");

fn row([_, signature, doc, example, result]: [&str; 5]) -> String {
    let cell = |t: &str| t.replace('|', "\\|");
    format!(
        "| `{}` | {} | `{}` | `{}` |",
        cell(signature),
        cell(doc),
        cell(example),
        cell(result)
    )
}

#[test]
fn the_document_has_every_function() {
    let missing: Vec<String> = functions()
        .map(row)
        .filter(|row| !DOCUMENT.contains(row.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/language.md lacks:\n{}",
        missing.join("\n")
    );
}
