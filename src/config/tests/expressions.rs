//! Expressions against what Terraform 1.11 makes of them.

use crate::config::testing::value_of;

/// Where we differ on purpose; docs/language.md says why.
const DIFFERENT: &[(&str, &str)] = &[
    // YAML 1.2: `yes` is a text.
    (
        "yamldecode(\"a: 1\\nb: [x, ~]\\nc: yes\\nd: 1.5\")",
        r#"{"a":1,"b":["x",null],"c":"yes","d":1.5}"#,
    ),
];

#[test]
fn expressions_have_the_values_terraform_gives_them() {
    let table = include_str!("../testdata/expressions.txt");
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in table.lines().filter(|l| !l.starts_with('#')) {
        let (expression, expected) = line.split_once('\t').expect("an expression and a result");
        let found = match value_of(&format!("jsonencode({expression})")) {
            Ok(value) => value.as_str().unwrap_or("?").to_owned(),
            Err(_) => "error".to_owned(),
        };
        count += 1;
        let ours = DIFFERENT.iter().find(|(e, _)| *e == expression);
        let expected = ours.map_or(expected, |(_, ours)| ours);
        if found != expected {
            wrong.push(format!(
                "{expression}\n   found    {found}\n   expected {expected}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= 200);
}
