//! A scanner that knows strings, heredocs, comments and brackets, and nothing else. It cuts a file into its top-level items, so
//! that one mistake does not hide the next, and finds what must be known before the parser runs: depth, and long numbers.

use std::ops::Range;

/// Brackets, strings and interpolations within each other. The parser's own limit is 64.
pub const DEPTH_MAX: usize = 48;

/// Each unclosed bracket costs a scan to the end of the file; after so many, the rest is not looked at.
const UNCLOSED_MAX: usize = 20;

/// One top-level attribute or block, or what looks like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub range: Range<usize>,
    /// What the parser must not see, and what it sees instead: numbers that it would round or refuse, and heredocs without a
    /// line, whose end it does not find.
    pub masks: Vec<(Range<usize>, &'static str)>,
    pub problem: Option<Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// What is opened at the offset has no end.
    Unclosed {
        at: usize,
        what: &'static str,
    },
    NewlineInString {
        at: usize,
    },
    TooDeep {
        at: usize,
    },
}

#[derive(Debug, Clone)]
enum Open {
    Bracket(usize),
    /// `${` or `%{`
    Interpolation(usize),
    Quote(usize),
    Heredoc {
        at: usize,
        delimiter: Range<usize>,
    },
    /// The text of a template file, which has no end mark.
    Template,
}

/// The items of a file, in order.
pub fn items(text: &str) -> Vec<Item> {
    let mut out = Vec::new();
    let mut unclosed = 0;
    let mut at = if text.starts_with('\u{feff}') { 3 } else { 0 };
    loop {
        at = skip_blank(text.as_bytes(), at);
        if at >= text.len() {
            return out;
        }
        let mut item = Scanner::new(text, at).item();
        if let Some(Problem::Unclosed { at: opened, .. }) = &item.problem {
            // Everything after an unclosed bracket would be swallowed: go on at the next line that looks like a block.
            let from = opened.saturating_add(1);
            item.range.end = next_header(text, from).unwrap_or(text.len());
            unclosed += 1;
        }
        if unclosed > UNCLOSED_MAX {
            return out;
        }
        at = item.range.end.max(at + 1);
        out.push(item);
    }
}

/// The same for the text of a template: one item, no top-level structure.
pub fn template(text: &str) -> Item {
    let mut scanner = Scanner::new(text, 0);
    scanner.open.push(Open::Template);
    scanner.item()
}

/// Where the number that starts at `at` ends.
pub fn number_end(bytes: &[u8], at: usize) -> usize {
    let digits = |mut i: usize| {
        while bytes.get(i).is_some_and(u8::is_ascii_digit) {
            i += 1;
        }
        i
    };
    let mut end = digits(at);
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
            end = digits(end + 1 + sign);
        }
    }
    end
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

fn skip_blank(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            Some(b' ' | b'\t' | b'\r' | b'\n') => at += 1,
            Some(b'#') => at = line_end(bytes, at),
            Some(b'/') if bytes.get(at + 1) == Some(&b'/') => at = line_end(bytes, at),
            Some(b'/') if bytes.get(at + 1) == Some(&b'*') => match comment_end(bytes, at) {
                Some(end) => at = end,
                None => return at,
            },
            _ => return at,
        }
    }
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter()
        .position(|b| *b == b'\n')
        .map_or(bytes.len(), |n| at + n)
}

fn comment_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at + 2..)?;
    rest.windows(2)
        .position(|w| w == b"*/")
        .map(|n| at + 2 + n + 2)
}

/// The start of the next line that begins, without indentation, with a name and goes on with `{`, `"` or a name.
fn next_header(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = line_end(bytes, from);
    while at < bytes.len() {
        at += 1;
        let end = line_end(bytes, at);
        let line = bytes.get(at..end).unwrap_or_default();
        let word = line.iter().take_while(|b| is_word(**b)).count();
        let rest = line.get(word..).unwrap_or_default().trim_ascii_start();
        let starts_well = line
            .first()
            .is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
        if starts_well && matches!(rest.first(), Some(b'{' | b'"')) {
            return Some(at);
        }
        at = end;
    }
    None
}

struct Scanner<'t> {
    bytes: &'t [u8],
    start: usize,
    at: usize,
    open: Vec<Open>,
    masks: Vec<(Range<usize>, &'static str)>,
    problem: Option<Problem>,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t str, start: usize) -> Scanner<'t> {
        Scanner {
            bytes: text.as_bytes(),
            start,
            at: start,
            open: Vec::new(),
            masks: Vec::new(),
            problem: None,
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn note(&mut self, problem: Problem) {
        self.problem.get_or_insert(problem);
    }

    fn push(&mut self, open: Open) {
        if self.open.len() >= DEPTH_MAX {
            self.note(Problem::TooDeep { at: self.at });
        }
        // The scan goes on to the item's end; what is too deep is not parsed.
        self.open.push(open);
    }

    fn item(mut self) -> Item {
        while let Some(byte) = self.peek(0) {
            let done = match self.open.last().cloned() {
                Some(Open::Quote(at)) => self.in_quote(byte, at),
                Some(Open::Heredoc { delimiter, .. }) => self.in_heredoc(byte, delimiter),
                Some(Open::Template) => self.in_text(byte),
                Some(Open::Bracket(_) | Open::Interpolation(_)) | None => self.in_code(byte),
            };
            if done {
                break;
            }
        }
        let unclosed = self.open.iter().rev().find_map(|open| match open {
            Open::Bracket(at) => Some((*at, "bracket")),
            Open::Interpolation(at) => Some((*at, "interpolation")),
            Open::Quote(at) => Some((*at, "string")),
            Open::Heredoc { at, .. } => Some((*at, "heredoc")),
            Open::Template => None,
        });
        // The innermost heredoc or string explains more than the block around it; of brackets, the outermost.
        let outermost = self.open.iter().find_map(|open| match open {
            Open::Bracket(at) => Some((*at, "bracket")),
            _ => None,
        });
        if let Some(innermost) = unclosed {
            let (at, what) = match innermost.1 {
                "bracket" => outermost.unwrap_or(innermost),
                _ => innermost,
            };
            // What was noted on the way may belong to the blocks after it, and is found again there.
            self.problem = Some(Problem::Unclosed { at, what });
        }
        Item {
            range: self.start..self.at.min(self.bytes.len()),
            masks: self.masks,
            problem: self.problem,
        }
    }

    /// Expressions and structure. True at the end of the item.
    fn in_code(&mut self, byte: u8) -> bool {
        match byte {
            b'\n' if self.open.is_empty() => return true,
            b'#' => self.at = line_end(self.bytes, self.at),
            b'/' if self.peek(1) == Some(b'/') => self.at = line_end(self.bytes, self.at),
            b'/' if self.peek(1) == Some(b'*') => match comment_end(self.bytes, self.at) {
                Some(end) => self.at = end,
                None => {
                    let at = self.at;
                    self.note(Problem::Unclosed {
                        at,
                        what: "comment",
                    });
                    self.at = self.bytes.len();
                }
            },
            b'"' => {
                self.push(Open::Quote(self.at));
                self.at += 1;
            }
            b'{' | b'[' | b'(' => {
                self.push(Open::Bracket(self.at));
                self.at += 1;
            }
            b'}' | b']' | b')' => {
                // A bracket that does not fit is the parser's to report.
                if !matches!(self.open.last(), Some(Open::Template)) {
                    self.open.pop();
                }
                self.at += 1;
            }
            b'<' if self.peek(1) == Some(b'<') => self.heredoc_start(),
            b'0'..=b'9' => self.number(),
            _ if is_word(byte) => {
                while self.peek(0).is_some_and(|b| is_word(b) || b == b'-') {
                    self.at += 1;
                }
            }
            _ => self.at += 1,
        }
        false
    }

    fn number(&mut self) {
        let before = self.at.checked_sub(1).and_then(|i| self.bytes.get(i));
        if before == Some(&b'.') {
            // `a.0`: an index, never a fraction.
            while self.peek(0).is_some_and(|b| b.is_ascii_digit()) {
                self.at += 1;
            }
            return;
        }
        let end = number_end(self.bytes, self.at);
        let text = self.bytes.get(self.at..end).unwrap_or_default();
        if text.len() > 15 || text.iter().any(|b| matches!(b, b'e' | b'E')) {
            self.masks.push((self.at..end, "1"));
        }
        self.at = end;
    }

    fn heredoc_start(&mut self) {
        let at = self.at;
        let dash = usize::from(self.peek(2) == Some(b'-'));
        let name = at + 2 + dash;
        let mut end = name;
        while self
            .bytes
            .get(end)
            .is_some_and(|b| is_word(*b) || *b == b'-')
        {
            end += 1;
        }
        let newline = match self.bytes.get(end) {
            Some(b'\n') => Some(end),
            Some(b'\r') if self.bytes.get(end + 1) == Some(&b'\n') => Some(end + 1),
            _ => None,
        };
        match newline {
            Some(newline) if end > name => {
                let delimiter = name..end;
                self.push(Open::Heredoc { at, delimiter });
                self.at = newline;
                let depth = self.open.len();
                self.in_heredoc(b'\n', name..end);
                if self.open.len() < depth {
                    self.masks.push((at..self.at, "\"\""));
                }
            }
            _ => self.at += 2,
        }
    }

    fn in_heredoc(&mut self, byte: u8, delimiter: Range<usize>) -> bool {
        if byte != b'\n' {
            return self.in_text(byte);
        }
        self.at += 1;
        let word = self.bytes.get(delimiter).unwrap_or_default();
        let line = self.bytes.get(self.at..).unwrap_or_default();
        let indent = line
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\t'))
            .count();
        let rest = line.get(indent..).unwrap_or_default();
        let ends = rest.starts_with(word)
            && !rest
                .get(word.len())
                .is_some_and(|b| is_word(*b) || *b == b'-');
        if ends {
            self.open.pop();
            self.at += indent + word.len();
        }
        false
    }

    /// The text of a heredoc or template file: only interpolations matter.
    fn in_text(&mut self, byte: u8) -> bool {
        if matches!(byte, b'$' | b'%') {
            if self.peek(1) == Some(byte) && self.peek(2) == Some(b'{') {
                self.at += 3;
                return false;
            }
            if self.peek(1) == Some(b'{') {
                self.push(Open::Interpolation(self.at));
                self.at += 1;
            }
        }
        self.at += 1;
        false
    }

    fn in_quote(&mut self, byte: u8, opened: usize) -> bool {
        match byte {
            b'"' => {
                self.open.pop();
                self.at += 1;
                false
            }
            b'\\' => {
                self.at += if self.peek(1) == Some(b'\n') { 1 } else { 2 };
                false
            }
            b'\n' => {
                self.note(Problem::NewlineInString { at: opened });
                self.open.pop();
                false
            }
            _ => self.in_text(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        items(text).into_iter().map(|i| &text[i.range]).collect()
    }

    #[test]
    fn cuts_at_top_level_only() {
        let text = "a = 1\n# c {\nb \"x\" {\n  s = \"}${ { a = \"}\" } }\"\n  h = <<-E\n  } ${\"E\"}\n  E\n}\nc = [\n1]\n";
        assert_eq!(cut(text).len(), 3, "{:?}", cut(text));
    }

    #[test]
    fn an_unclosed_block_does_not_swallow_the_next() {
        let text = "a \"x\" {\n  b = [1\n\nc \"y\" {\n}\n";
        let found = items(text);
        assert_eq!(found.len(), 2);
        assert!(matches!(found[0].problem, Some(Problem::Unclosed { .. })));
        assert_eq!(found[1].problem, None);
    }

    #[test]
    fn sees_newlines_in_strings_and_depth() {
        assert!(matches!(
            items("a = \"x\ny\"\n")[0].problem,
            Some(Problem::NewlineInString { at: 4 })
        ));
        let deep = format!("a = {}{}", "[".repeat(1000), "]".repeat(1000));
        assert!(matches!(
            items(&deep)[0].problem,
            Some(Problem::TooDeep { .. })
        ));
        assert_eq!(items("a = x1e5 + 1e5 + b.0.1e")[0].masks, [(11..14, "1")]);
    }
}
