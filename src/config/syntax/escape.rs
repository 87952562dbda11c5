//! What the characters of a string stand for.

use super::parser::Parser;
use super::token::Token;
use crate::config::codes;
use crate::diag::Diagnostic;

/// Where a text stands: `\` means something between quotes only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    Quoted,
    Plain,
}

impl Parser<'_> {
    /// The text that a token stands for. A wrong escape is reported and left as it is.
    pub fn unescape(&mut self, token: Token, quoting: Quoting) -> String {
        let text = self.text_of(token);
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(n) = rest.find(['\\', '$', '%']) {
            let (plain, special) = rest.split_at(n);
            out.push_str(plain);
            let at = token.start as usize + text.len() - special.len();
            let used = if let Some(used) = doubled(special) {
                out.push_str(special.get(1..used).unwrap_or_default());
                used
            } else if special.starts_with('\\') && quoting == Quoting::Quoted {
                self.escape(special, at, &mut out)
            } else {
                out.push_str(special.get(..1).unwrap_or_default());
                1
            };
            rest = special.get(used..).unwrap_or_default();
        }
        out.push_str(rest);
        out
    }

    /// How many bytes the escape at the start of the text has.
    fn escape(&mut self, special: &str, at: usize, out: &mut String) -> usize {
        let selector = special.chars().nth(1);
        let digits = match selector {
            Some('n') => return push(out, '\n', 2),
            Some('r') => return push(out, '\r', 2),
            Some('t') => return push(out, '\t', 2),
            Some('"') => return push(out, '"', 2),
            Some('\\') => return push(out, '\\', 2),
            Some('u') => 4,
            Some('U') => 8,
            _ => 0,
        };
        let found = special.get(2..).unwrap_or_default();
        let hex = found
            .bytes()
            .take(digits)
            .take_while(u8::is_ascii_hexdigit)
            .count();
        let number = found.get(..hex).unwrap_or_default();
        let code = u32::from_str_radix(number, 16).ok();
        if digits > 0
            && hex == digits
            && let Some(c) = code.and_then(char::from_u32)
        {
            return push(out, c, 2 + digits);
        }
        let len = match digits {
            0 => 1 + selector.map_or(0, char::len_utf8),
            _ => 2 + hex,
        };
        let place = self.span_at(at, len);
        let wrong = special.get(..len).unwrap_or_default();
        let d = Diagnostic::error(codes::SYNTAX, format!("`{wrong}` is no escape sequence"));
        let help = match (selector, digits) {
            (Some('$' | '%'), _) => {
                "a `${` that is text is written `$${`, a `%{` as `%%{`".to_owned()
            }
            (_, 0) => {
                "there are \\n \\r \\t \\\" \\\\ \\uNNNN \\UNNNNNNNN; a backslash itself is \\\\"
                    .to_owned()
            }
            _ if hex == digits => "there is no character of this number".to_owned(),
            _ => format!("{digits} hex digits follow"),
        };
        self.report_each(d.at(place, "here").help(help));
        out.push_str(wrong);
        len
    }

    fn span_at(&self, at: usize, len: usize) -> crate::diag::Span {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.span(clamp(at), clamp(at + len))
    }
}

fn push(out: &mut String, c: char, used: usize) -> usize {
    out.push(c);
    used
}

/// `$${` and `%%{` stand for `${` and `%{`.
fn doubled(text: &str) -> Option<usize> {
    (text.starts_with("$${") || text.starts_with("%%{")).then_some(3)
}
