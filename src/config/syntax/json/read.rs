//! JSON with places. A slip that leaves no doubt, such as one comma too many, is reported and read over.

use std::ops::Range;

use crate::config::codes;
use crate::config::syntax::{DEPTH_MAX, REPORTS_MAX};
use crate::diag::{Diagnostic, FileId, Span};

#[derive(Debug)]
pub struct Json {
    pub span: Span,
    pub kind: JsonKind,
}

#[derive(Debug)]
pub enum JsonKind {
    Null,
    Bool(bool),
    /// As it is written.
    Number,
    String(Text),
    Array(Vec<Json>),
    Object(Vec<(Text, Json)>),
}

/// A string.
#[derive(Debug, Clone)]
pub struct Text {
    /// With its quotes.
    pub span: Span,
    /// What it stands for, when that is not what is written.
    pub decoded: Option<String>,
}

/// So many values in one file: a rack of a million rows of five columns fits.
const VALUES_MAX: usize = 6_000_000;

pub struct Reader<'t> {
    file: FileId,
    text: &'t str,
    at: usize,
    values: usize,
    pub reports: Vec<Diagnostic>,
}

impl<'t> Reader<'t> {
    fn report(&mut self, d: Diagnostic) {
        if self.reports.len() < REPORTS_MAX {
            self.reports.push(d);
        }
    }

    pub fn new(file: FileId, text: &'t str) -> Reader<'t> {
        Reader {
            file,
            text,
            at: if text.starts_with('\u{feff}') { 3 } else { 0 },
            values: 0,
            reports: Vec::new(),
        }
    }

    /// The one value of a file; `None` when the rest of it was given up.
    pub fn document(&mut self) -> Option<Json> {
        let value = self.value(0)?;
        self.blank();
        if self.at < self.text.len() {
            let d = self.wrong("expected the end of the file");
            self.report(d.help("a file holds one value, an object"));
        }
        Some(value)
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn peek(&mut self) -> Option<u8> {
        self.blank();
        self.text.as_bytes().get(self.at).copied()
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range)
    }

    fn wrong(&mut self, expected: &str) -> Diagnostic {
        self.blank();
        let found = self.rest().chars().next();
        let shown = found.map_or("the end of the file".to_owned(), |c| format!("`{c}`"));
        let len = found.map_or(0, char::len_utf8);
        let d = Diagnostic::error(codes::SYNTAX, format!("{expected}, found {shown}"))
            .at(self.span(self.at..self.at + len), "here");
        match found {
            Some('\'') => d.help("strings and names stand in double quotes"),
            Some('/' | '#') => {
                d.help("JSON has no comments; a property named \"//\" is not looked at")
            }
            Some('=') => d.help("JSON has `:` between a name and its value"),
            _ => d,
        }
    }

    fn fail<T>(&mut self, expected: &str) -> Option<T> {
        let d = self.wrong(expected);
        self.report(d);
        None
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        if self.reports.len() >= REPORTS_MAX {
            return None;
        }
        let first = self.peek();
        let start = self.at;
        self.values += 1;
        if depth >= DEPTH_MAX || self.values > VALUES_MAX {
            let (code, text) = match depth >= DEPTH_MAX {
                true => (
                    codes::NESTED_TOO_DEEP,
                    format!("nested deeper than {DEPTH_MAX} levels"),
                ),
                false => (codes::TOO_LARGE, format!("more than {VALUES_MAX} values")),
            };
            let d = Diagnostic::error(code, text);
            self.report(d.at(self.span(start..start + 1), "this one is too many"));
            return None;
        }
        let kind = match first {
            Some(b'{') => JsonKind::Object(self.object(depth)?),
            Some(b'[') => JsonKind::Array(self.array(depth)?),
            Some(b'"') => JsonKind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => self.word()?,
            _ => return self.fail("expected a value"),
        };
        let span = self.span(start..self.at);
        Some(Json { span, kind })
    }

    fn object(&mut self, depth: usize) -> Option<Vec<(Text, Json)>> {
        let open = self.at;
        self.at += 1;
        let mut entries = Vec::new();
        loop {
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Some(entries);
                }
                Some(b'"') => {}
                None => return self.unclosed(open),
                Some(_) => return self.fail("expected a name in quotes, or `}`"),
            }
            let name = self.string()?;
            if self.peek() != Some(b':') {
                return self.fail("expected `:` after a name");
            }
            self.at += 1;
            entries.push((name, self.value(depth + 1)?));
            self.comma(open, b'}')?;
        }
    }

    fn array(&mut self, depth: usize) -> Option<Vec<Json>> {
        let open = self.at;
        self.at += 1;
        let mut items = Vec::new();
        loop {
            match self.peek() {
                Some(b']') => {
                    self.at += 1;
                    return Some(items);
                }
                None => return self.unclosed(open),
                Some(_) => {}
            }
            items.push(self.value(depth + 1)?);
            self.comma(open, b']')?;
        }
    }

    /// A comma, or the closing bracket, which stays.
    fn comma(&mut self, open: usize, close: u8) -> Option<()> {
        match self.peek() {
            Some(b',') => {
                let place = self.span(self.at..self.at + 1);
                self.at += 1;
                if self.peek() == Some(close) {
                    let d = Diagnostic::error(codes::SYNTAX, "a comma after the last value");
                    self.report(
                        d.at(place, "here")
                            .help("JSON has none there: leave it out"),
                    );
                }
                Some(())
            }
            Some(b) if b == close => Some(()),
            Some(b'"') => {
                let d = self.wrong("expected a comma between two values");
                self.report(d);
                Some(())
            }
            None => self.unclosed(open),
            Some(_) => self.fail("expected a comma or the closing bracket"),
        }
    }

    fn unclosed<T>(&mut self, open: usize) -> Option<T> {
        let d = Diagnostic::error(codes::UNCLOSED, "this bracket has no end")
            .at(self.span(open..open + 1), "opened here");
        self.report(d);
        None
    }

    fn word(&mut self) -> Option<JsonKind> {
        let rest = self.rest();
        let len = super::super::lexer::word_len(rest);
        let kind = match rest.get(..len) {
            Some("true") => JsonKind::Bool(true),
            Some("false") => JsonKind::Bool(false),
            Some("null") => JsonKind::Null,
            _ => {
                let d = self.wrong("expected a value");
                let help = "strings stand in double quotes; an expression is \"${...}\"";
                self.report(d.help(help));
                return None;
            }
        };
        self.at += len;
        Some(kind)
    }

    fn number(&mut self) -> Option<JsonKind> {
        let rest = self.rest();
        let len = rest
            .bytes()
            .take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .count();
        let text = rest.get(..len).unwrap_or_default();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let leading_zero = digits.len() > 1
            && digits.starts_with('0')
            && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        let bare_point = text.ends_with('.') || text.contains(".e") || text.contains(".E");
        let place = self.span(self.at..self.at + len);
        self.at += len;
        let is_number = crate::config::number::Number::parse(text) != Ok(None);
        if leading_zero || bare_point || !is_number || digits.starts_with('.') {
            let d = Diagnostic::error(codes::SYNTAX, format!("`{text}` is no number of JSON"));
            self.report(d.at(place, "here"));
        }
        Some(JsonKind::Number)
    }

    fn string(&mut self) -> Option<Text> {
        let start = self.at;
        let mut at = start + 1;
        let mut plain = true;
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    at += 2;
                }
                Some(b'\n') | None => {
                    let d = Diagnostic::error(codes::NEWLINE_IN_STRING, "a string has no end");
                    let place = self.span(start..start + 1);
                    self.report(
                        d.at(place, "it starts here")
                            .help("close it on its line; a new line in it is written \\n"),
                    );
                    return None;
                }
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
        let span = self.span(start..self.at);
        let decoded = match plain {
            true => None,
            false => Some(self.decode(start + 1..at)),
        };
        Some(Text { span, decoded })
    }

    fn decode(&mut self, range: Range<usize>) -> String {
        let written = self.text.get(range.clone()).unwrap_or_default();
        let mut out = String::with_capacity(written.len());
        let mut rest = written;
        while let Some((before, escape)) = rest.split_once('\\') {
            out.push_str(before);
            let at = range.start + written.len() - escape.len() - 1;
            let used = match escape.chars().next() {
                Some(c @ ('"' | '\\' | '/')) => push(&mut out, c),
                Some('b') => push(&mut out, '\u{8}'),
                Some('f') => push(&mut out, '\u{c}'),
                Some('n') => push(&mut out, '\n'),
                Some('r') => push(&mut out, '\r'),
                Some('t') => push(&mut out, '\t'),
                Some('u') => unicode(escape, &mut out),
                _ => 0,
            };
            if used == 0 {
                let d = Diagnostic::error(codes::SYNTAX, "this is no escape sequence of JSON")
                    .at(self.span(at..at + 2), "here")
                    .help("there are \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uNNNN");
                self.report(d);
            }
            rest = escape.get(used..).unwrap_or_default();
        }
        out.push_str(rest);
        out
    }
}

fn push(out: &mut String, c: char) -> usize {
    out.push(c);
    1
}

/// `uNNNN`, or two of them that are one character. Gives how many bytes that is; none when it is wrong.
fn unicode(escape: &str, out: &mut String) -> usize {
    let unit = |at: usize| {
        let digits = escape.get(at..at + 4)?;
        let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| hex)
    };
    let Some(first) = unit(1) else {
        return 0;
    };
    if let Some(c) = char::from_u32(u32::from(first)) {
        out.push(c);
        return 5;
    }
    let second = escape
        .get(5..7)
        .filter(|mark| *mark == "\\u")
        .and_then(|_| unit(7));
    match char::decode_utf16([first, second.unwrap_or(0)]).next() {
        Some(Ok(c)) if second.is_some() => {
            out.push(c);
            11
        }
        _ => {
            out.push(char::REPLACEMENT_CHARACTER);
            5
        }
    }
}
