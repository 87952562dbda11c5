//! What cannot stand on one line, against Terraform 1.11.

use super::{load_text, rendered};

#[test]
fn heredocs_and_lines_are_read_as_terraform_reads_them() {
    let text = include_str!("../testdata/heredocs.hcl");
    let expected = include_str!("../testdata/heredocs.txt");
    let names: String = (b'a'..=b'p')
        .map(char::from)
        .map(|c| format!("output \"{c}\" {{ value = jsonencode(local.{c}) }}\n"))
        .collect();
    let loaded = load_text(&format!("{text}{names}"));
    assert!(!loaded.diagnostics.has_errors(), "{}", rendered(&loaded));
    let found: Vec<String> = loaded
        .fleet
        .outputs
        .values()
        .map(|o| o.value.to_string())
        .collect();
    assert_eq!(found, expected.lines().collect::<Vec<_>>());
}
