//! Functions over text.

use unicode_segmentation::UnicodeSegmentation as _;

use super::args::{Args, Fail, Param};
use super::{Function, row};
use crate::config::value::Value;

use Param::{Number, String as Str, Strings};

pub const TABLE: &[Function] = &[
    row(
        "upper",
        "upper(text)",
        "Upper case.",
        ["upper(\"a-é\")", "\"A-É\""],
        &[Str],
        |a| ok(a.text(0).chars().map(upper).collect::<String>()),
    ),
    row(
        "lower",
        "lower(text)",
        "Lower case.",
        ["lower(\"A-É\")", "\"a-é\""],
        &[Str],
        |a| ok(a.text(0).chars().map(lower).collect::<String>()),
    ),
    row(
        "title",
        "title(text)",
        "The first letter of each word in upper case.",
        ["title(\"hello big world\")", "\"Hello Big World\""],
        &[Str],
        |a| ok(title(a.text(0))),
    ),
    row(
        "trim",
        "trim(text, chars)",
        "Without any of the characters at both ends.",
        ["trim(\"?!hello?!\", \"!?\")", "\"hello\""],
        &[Str, Str],
        |a| ok(a.text(0).trim_matches(|c| a.text(1).contains(c))),
    ),
    row(
        "trimspace",
        "trimspace(text)",
        "Without white space at both ends.",
        ["trimspace(\"  a b\\n\")", "\"a b\""],
        &[Str],
        |a| ok(a.text(0).trim()),
    ),
    row(
        "trimprefix",
        "trimprefix(text, prefix)",
        "Without the prefix.",
        ["trimprefix(\"node-1\", \"node-\")", "\"1\""],
        &[Str, Str],
        |a| ok(a.text(0).strip_prefix(a.text(1)).unwrap_or(a.text(0))),
    ),
    row(
        "trimsuffix",
        "trimsuffix(text, suffix)",
        "Without the suffix.",
        ["trimsuffix(\"a.hcl\", \".hcl\")", "\"a\""],
        &[Str, Str],
        |a| ok(a.text(0).strip_suffix(a.text(1)).unwrap_or(a.text(0))),
    ),
    row(
        "split",
        "split(separator, text)",
        "The pieces between separators, a list.",
        ["split(\",\", \"a,b\")", "tolist([\"a\", \"b\"])"],
        &[Str, Str],
        split,
    ),
    row(
        "join",
        "join(separator, list...)",
        "The elements of the lists with separators between them.",
        ["join(\"-\", [\"a\", 1])", "\"a-1\""],
        &[Str],
        join,
    )
    .variadic(Strings),
    row(
        "replace",
        "replace(text, part, by)",
        "With each part replaced; a part between slashes is a regular expression.",
        ["replace(\"a.b\", \".\", \"-\")", "\"a-b\""],
        &[Str, Str, Str],
        super::regular::replace,
    ),
    row(
        "substr",
        "substr(text, offset, length)",
        "Part of a text, in characters; length -1 means the rest.",
        ["substr(\"hello\", 1, 3)", "\"ell\""],
        &[Str, Number, Number],
        substr,
    ),
    row(
        "startswith",
        "startswith(text, prefix)",
        "Whether the text starts with it.",
        ["startswith(\"web-1\", \"web\")", "true"],
        &[Str, Str],
        |a| Ok(Value::bool(a.text(0).starts_with(a.text(1)))),
    ),
    row(
        "endswith",
        "endswith(text, suffix)",
        "Whether the text ends with it.",
        ["endswith(\"web-1\", \"-1\")", "true"],
        &[Str, Str],
        |a| Ok(Value::bool(a.text(0).ends_with(a.text(1)))),
    ),
    row(
        "strcontains",
        "strcontains(text, part)",
        "Whether the text contains it.",
        ["strcontains(\"web-1\", \"b-\")", "true"],
        &[Str, Str],
        |a| Ok(Value::bool(a.text(0).contains(a.text(1)))),
    ),
    row(
        "strrev",
        "strrev(text)",
        "The characters in reverse order.",
        ["strrev(\"abc\")", "\"cba\""],
        &[Str],
        |a| ok(a.text(0).graphemes(true).rev().collect::<String>()),
    ),
    row(
        "indent",
        "indent(spaces, text)",
        "With spaces before every line but the first.",
        ["indent(2, \"a\\nb\")", "\"a\\n  b\""],
        &[Number, Str],
        indent,
    ),
    row(
        "chomp",
        "chomp(text)",
        "Without newlines at the end.",
        ["chomp(\"a\\n\\n\")", "\"a\""],
        &[Str],
        |a| ok(a.text(0).trim_end_matches(['\n', '\r'])),
    ),
];

#[allow(clippy::unnecessary_wraps)]
fn ok(text: impl AsRef<str>) -> Result<Value, Fail> {
    Ok(Value::string(text))
}

/// One character for one, as Go has it: `ß` stays.
fn upper(c: char) -> char {
    let mut all = c.to_uppercase();
    match (all.next(), all.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// Letters that are two in one have a form of their own at the start of a word.
fn titled(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        c => upper(c),
    }
}

/// As Go's `strings.Title`: letters, digits and underscores are inside words.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.push(c);
        } else {
            out.push(titled(c));
        }
        inside = if c.is_ascii() {
            c.is_ascii_alphanumeric() || c == '_'
        } else {
            !c.is_whitespace()
        };
    }
    out
}

fn split(a: &Args<'_>) -> Result<Value, Fail> {
    let (separator, text) = (a.text(0), a.text(1));
    let pieces: Vec<Value> = if separator.is_empty() {
        text.chars()
            .map(|c| Value::string(c.encode_utf8(&mut [0; 4])))
            .collect()
    } else {
        text.split(separator).map(Value::string).collect()
    };
    a.spend(pieces.len() as u64)?;
    Ok(Value::list(pieces))
}

fn join(a: &Args<'_>) -> Result<Value, Fail> {
    let mut pieces = Vec::new();
    for i in 1..a.values.len() {
        pieces.extend(a.strings(i)?);
    }
    if a.values.len() < 2 {
        return Err(Fail::Call("it needs at least one list".to_owned()));
    }
    let separators = a.text(0).len().saturating_mul(pieces.len());
    let total = pieces.iter().map(|p| p.len()).sum::<usize>();
    a.spend_text(total.saturating_add(separators))?;
    ok(pieces.join(a.text(0)))
}

fn substr(a: &Args<'_>) -> Result<Value, Fail> {
    let (text, offset, length) = (a.text(0), a.whole(1)?, a.whole(2)?);
    let count = i64::try_from(text.graphemes(true).count()).unwrap_or(i64::MAX);
    // A negative offset counts from the end; one beyond the start is the start.
    let start = if offset < 0 {
        count.saturating_add(offset).max(0)
    } else {
        offset
    };
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let rest = text.graphemes(true).skip(start);
    if length < 0 {
        return ok(rest.collect::<String>());
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    ok(rest.take(length).collect::<String>())
}

fn indent(a: &Args<'_>) -> Result<Value, Fail> {
    let width = usize::try_from(a.whole(0)?)
        .map_err(|_| Fail::Arg(0, "expected 0 or more spaces".to_owned()))?;
    let lines = a.text(1).matches('\n').count();
    a.spend_text(width.saturating_mul(lines).saturating_add(a.text(1).len()))?;
    ok(a.text(1).replace(
        '\n',
        &format!("\n{}", " ".repeat(if lines == 0 { 0 } else { width })),
    ))
}
