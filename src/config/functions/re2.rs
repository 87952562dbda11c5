//! Patterns in RE2's syntax, as Terraform reads them, written for a library whose classes know more: `\d`, `\w`, `\s` and `\b` are
//! about ASCII, and `[`, `&&` and `~~` in a class are these characters.

use std::iter::Peekable;
use std::str::Chars;

/// RE2's `\s`, which has no vertical tab.
const SPACE: &str = r"\t\n\x0C\r ";

/// The pattern with the same meaning for `regex`. What is no pattern stays none.
pub fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, &mut out),
            '[' => class(&mut chars, &mut out),
            '{' if !counts(chars.clone()) => out.push_str(r"\{"),
            other => out.push(other),
        }
    }
    out
}

fn escape(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    match chars.next() {
        Some('Q') => quoted(chars, out),
        Some('b') => out.push_str(r"(?-u:\b)"),
        Some(c @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')) => {
            out.push('[');
            perl(c, out);
            out.push(']');
        }
        // The library's own names for the ends of a word; in RE2 these are the characters.
        Some(c @ ('<' | '>')) => out.push(c),
        Some(c) => {
            out.extend(['\\', c]);
            // `\x{e9}`, `\p{Greek}`: these braces count nothing.
            if matches!(c, 'x' | 'p' | 'P') {
                out.extend(chars.next_if_eq(&'{'));
            }
        }
        None => out.push('\\'),
    }
}

/// A class of Perl's within brackets.
fn perl(letter: char, out: &mut String) {
    match letter {
        'd' => out.push_str("[:digit:]"),
        'D' => out.push_str("[:^digit:]"),
        'w' => out.push_str("[:word:]"),
        'W' => out.push_str("[:^word:]"),
        's' => out.push_str(SPACE),
        _ => {
            out.push_str("[^");
            out.push_str(SPACE);
            out.push(']');
        }
    }
}

/// `\Q` takes everything up to `\E` as it is.
fn quoted(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let rest: String = chars.clone().collect();
    let text = rest.split_once("\\E").map_or(rest.as_str(), |(t, _)| t);
    out.push_str(&regex::escape(text));
    for _ in 0..text.chars().count() + 2 {
        chars.next();
    }
}

/// From behind `[` to the bracket that closes it.
fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    if chars.next_if_eq(&']').is_some() {
        out.push_str(r"\]");
    }
    while let Some(c) = chars.next() {
        match c {
            ']' => {
                out.push(']');
                return;
            }
            '[' if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' | '&' | '~' => out.extend(['\\', c]),
            '\\' => match chars.next() {
                Some(c @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')) => perl(c, out),
                Some(c) => out.extend(['\\', c]),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
}

/// Whether `{` begins a repetition: `{2}`, `{2,}`, `{2,5}`.
fn counts(mut rest: Peekable<Chars<'_>>) -> bool {
    let mut digits = 0;
    while rest.next_if(char::is_ascii_digit).is_some() {
        digits += 1;
    }
    if rest.next_if_eq(&',').is_some() {
        while rest.next_if(char::is_ascii_digit).is_some() {}
    }
    digits > 0 && rest.next() == Some('}')
}

#[cfg(test)]
mod tests {
    use super::translated;

    /// Each: pattern, text, what Terraform 1.11 finds in it.
    #[test]
    fn patterns_find_what_re2_finds() {
        for (pattern, text, expected) in [
            (r"\Qa.b\E+", "a.bb", Some("a.bb")),
            (r"\w+", "éa", Some("a")),
            (r"[\w-]+", "é-a", Some("-a")),
            (r"\d", "٣", None),
            (r"\bé", "xé", Some("é")),
            (r"\W", "é", Some("é")),
            (r"\S+", "a\u{a0}b", Some("a\u{a0}b")),
            (r"[^\S]", "a ", Some(" ")),
            ("[a&&b]+", "a&b", Some("a&b")),
            ("[[a]", "[", Some("[")),
            ("[]a]", "]", Some("]")),
            ("[[:^alpha:]]", "a1", Some("1")),
            ("a{,2}", "a{,2}", Some("a{,2}")),
            ("a{2}", "aaa", Some("aa")),
            ("{", "{", Some("{")),
            (r"\<a", "<a", Some("<a")),
            (r"\x{e9}\p{Greek}", "éα", Some("éα")),
        ] {
            let regex = regex::Regex::new(&translated(pattern)).unwrap();
            let found = regex.find(text).map(|m| m.as_str());
            assert_eq!(found, expected, "{pattern}");
        }
        for broken in ["[", "(", r"\", "[a", "a)", "[[:a"] {
            assert!(regex::Regex::new(&translated(broken)).is_err(), "{broken}");
        }
    }
}
