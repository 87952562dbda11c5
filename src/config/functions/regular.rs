//! Regular expressions, in RE2's syntax.

use regex::{Captures, Regex, RegexBuilder};

use super::args::{Args, Fail, Param};
use super::{Function, re2, row};
use crate::config::value::{Entries, Value};

use Param::String as Str;

/// A compiled expression may take this much memory, so that a hostile one cannot take all of it.
const REGEX_BYTES_MAX: usize = 1 << 20;

pub const TABLE: &[Function] = &[
    row(
        "regex",
        "regex(pattern, text)",
        "The first match: a text, or its groups as a tuple or an object.",
        ["regex(\"[0-9]+\", \"node-17\")", "\"17\""],
        &[Str, Str],
        |a| {
            let compiled = with_groups(a.text(0))?;
            match compiled.captures(a.text(1)) {
                Some(captures) => Ok(captured(&compiled, &captures)),
                None => Err(Fail::Call(
                    "the text does not match; can() or try() catch this".to_owned(),
                )),
            }
        },
    ),
    row(
        "regexall",
        "regexall(pattern, text)",
        "All matches, a list.",
        ["regexall(\"[0-9]\", \"a1b2\")", "tolist([\"1\", \"2\"])"],
        &[Str, Str],
        |a| {
            let compiled = with_groups(a.text(0))?;
            let all = compiled.captures_iter(a.text(1));
            Ok(Value::list(all.map(|c| captured(&compiled, &c)).collect()))
        },
    ),
];

fn compile(pattern: &str) -> Result<Regex, Fail> {
    RegexBuilder::new(&re2::translated(pattern))
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|e| {
            let text = e.to_string();
            let last = text.lines().last().unwrap_or_default().trim().to_owned();
            Fail::Arg(0, last)
        })
}

/// A pattern whose groups are the result: all of them have names, or none.
fn with_groups(pattern: &str) -> Result<Regex, Fail> {
    let regex = compile(pattern)?;
    let named = regex.capture_names().flatten().count();
    if named > 0 && named + 1 < regex.captures_len() {
        let why = "some groups have names and some have none; name all of them, or write (?:...)";
        return Err(Fail::Arg(0, why.to_owned()));
    }
    Ok(regex)
}

fn captured(regex: &Regex, captures: &Captures<'_>) -> Value {
    let text =
        |m: Option<regex::Match<'_>>| m.map_or_else(Value::null, |m| Value::string(m.as_str()));
    let names: Vec<&str> = regex.capture_names().flatten().collect();
    if !names.is_empty() {
        let entries = names
            .into_iter()
            .map(|n| (n.into(), text(captures.name(n))));
        return Value::object(entries.collect::<Entries>());
    }
    if captures.len() == 1 {
        return text(captures.get(0));
    }
    Value::tuple(captures.iter().skip(1).map(text).collect())
}

pub fn replace(a: &Args<'_>) -> Result<Value, Fail> {
    let (text, part, by) = (a.text(0), a.text(1), a.text(2));
    let pattern = part
        .strip_prefix('/')
        .and_then(|p| p.strip_suffix('/'))
        .filter(|_| part.len() > 1);
    let Some(pattern) = pattern else {
        let matches = if part.is_empty() {
            text.chars().count() + 1
        } else {
            text.matches(part).count()
        };
        a.spend_text(matches.saturating_mul(by.len()).saturating_add(text.len()))?;
        return Ok(Value::string(text.replace(part, by)));
    };
    let regex = compile(pattern).map_err(|e| match e {
        Fail::Arg(_, why) => Fail::Arg(1, why),
        other => other,
    })?;
    let matches = regex.find_iter(text).count();
    let each = by
        .len()
        .saturating_add(if by.contains('$') { text.len() } else { 0 });
    a.spend_text(matches.saturating_mul(each).saturating_add(text.len()))?;
    Ok(Value::string(regex.replace_all(text, by)))
}
