//! What each code means, at length: the sections of `docs/diagnostics.md`, which is the one place where it is written.

const PAGE: &str = include_str!("../../docs/diagnostics.md");

/// One code's section, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub code: &'static str,
    pub title: &'static str,
    pub meaning: String,
    pub wrong: Option<Example>,
    pub right: Option<Example>,
    /// The next move.
    pub then: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// What stands behind the backticks, such as `hcl wrong`.
    pub mark: &'static str,
    pub text: &'static str,
}

/// All of them, by code.
pub fn explanations() -> Vec<Explanation> {
    PAGE.split("\n## ").skip(1).filter_map(section).collect()
}

pub fn explain(code: &str) -> Option<Explanation> {
    let all = explanations().into_iter();
    all.into_iter().find(|e| e.code.eq_ignore_ascii_case(code))
}

fn section(text: &'static str) -> Option<Explanation> {
    let (head, body) = text.split_once('\n')?;
    let (code, title) = head.split_once(' ')?;
    // Between fences: text, example, text, example, text.
    let mut parts = body.split("```");
    let meaning = paragraph(parts.next()?)?;
    let wrong = parts.next().and_then(example);
    let between = parts.next().and_then(paragraph);
    let right = parts.next().and_then(example);
    let after = parts.next().and_then(paragraph);
    let (meaning, then) = match wrong {
        Some(_) => (meaning, after.or(between)),
        None => without_examples(body, meaning),
    };
    Some(Explanation {
        code,
        title,
        meaning,
        wrong,
        right,
        then,
    })
}

/// The last paragraph is the next move.
fn without_examples(body: &str, whole: String) -> (String, Option<String>) {
    match body.trim().rsplit_once("\n\n") {
        Some((meaning, then)) => (meaning.to_owned(), Some(then.to_owned())),
        None => (whole, None),
    }
}

fn paragraph(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn example(fenced: &'static str) -> Option<Example> {
    let (mark, text) = fenced.split_once('\n')?;
    Some(Example { mark, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_read_in_parts() {
        let found = explain("e0103").unwrap();
        assert_eq!(
            (found.code, found.title),
            ("E0103", "a line ends inside a string")
        );
        assert!(found.meaning.starts_with("A string in quotes"));
        assert!(found.wrong.unwrap().text.contains("\"hello\n"));
        assert!(found.right.unwrap().text.contains("<<-EOT"));
        assert!(found.then.unwrap().contains("heredoc"));
        let short = explain("E0106").unwrap();
        assert!(short.wrong.is_none() && short.then.unwrap().starts_with("Save the file"));
        assert!(explain("E9999").is_none());
    }
}
