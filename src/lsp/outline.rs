//! The blocks and attributes of a text that is being typed: what can be told without a parse, however broken the rest is.

use std::ops::Range;

use crate::config::schema;

/// Deeper blocks are not looked into.
const DEPTH_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub name: Range<usize>,
    /// With their quotes.
    pub labels: Vec<Range<usize>>,
    /// From the name to the end.
    pub range: Range<usize>,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An attribute: what stands after `=`.
    Value(Range<usize>),
    /// A block: what stands between the braces.
    Body(Range<usize>, Vec<Item>),
    /// Only a beginning.
    Nothing,
}

pub fn outline(text: &str) -> Vec<Item> {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        open: Vec::new(),
        top: Vec::new(),
    };
    reader.read();
    reader.top
}

struct Open {
    name: Range<usize>,
    labels: Vec<Range<usize>>,
    body: usize,
    items: Vec<Item>,
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    open: Vec<Open>,
    top: Vec<Item>,
}

impl Reader<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn read(&mut self) {
        while self.at < self.bytes.len() {
            match self.byte(self.at) {
                b'#' => self.at = line_end(self.bytes, self.at),
                b'/' if matches!(self.byte(self.at + 1), b'/' | b'*') => {
                    self.at = comment_end(self.bytes, self.at);
                }
                b'"' => self.at = string_end(self.bytes, self.at),
                b'}' => {
                    self.close(self.at, self.at + 1);
                    self.at += 1;
                }
                c if is_word(c) => self.item(),
                _ => self.at += 1,
            }
        }
        while !self.open.is_empty() {
            self.close(self.bytes.len(), self.bytes.len());
        }
    }

    fn item(&mut self) {
        if self.is_top_header(self.at) {
            // A block at the margin within another: the other one was never closed.
            while !self.open.is_empty() {
                self.close(self.at, self.at);
            }
        }
        let name = self.at..word_end(self.bytes, self.at);
        self.at = blank_end(self.bytes, name.end);
        if self.byte(self.at) == b'=' && self.byte(self.at + 1) != b'=' {
            let value = self.at + 1..self.value_end(self.at + 1);
            self.at = value.end;
            self.keep(Item {
                range: name.start..value.end,
                name,
                labels: Vec::new(),
                content: Content::Value(value),
            });
            return;
        }
        let labels = self.labels();
        if self.byte(self.at) == b'{' && self.open.len() < DEPTH_MAX {
            self.at += 1;
            self.open.push(Open {
                name,
                labels,
                body: self.at,
                items: Vec::new(),
            });
            return;
        }
        let end = labels.last().map_or(name.end, |l| l.end);
        self.keep(Item {
            range: name.start..end,
            name,
            labels,
            content: Content::Nothing,
        });
    }

    fn labels(&mut self) -> Vec<Range<usize>> {
        let mut labels = Vec::new();
        loop {
            let start = self.at;
            let end = match self.byte(start) {
                b'"' => string_end(self.bytes, start),
                c if is_word(c) => word_end(self.bytes, start),
                _ => return labels,
            };
            labels.push(start..end);
            self.at = blank_end(self.bytes, end);
        }
    }

    fn keep(&mut self, item: Item) {
        match self.open.last_mut() {
            Some(open) => open.items.push(item),
            None => self.top.push(item),
        }
    }

    fn close(&mut self, body_end: usize, end: usize) {
        let Some(open) = self.open.pop() else { return };
        self.keep(Item {
            range: open.name.start..end,
            name: open.name,
            labels: open.labels,
            content: Content::Body(open.body..body_end, open.items),
        });
    }

    /// Up to the end of the line that ends the value, or the brace that ends the block around it.
    fn value_end(&self, from: usize) -> usize {
        let mut depth = 0usize;
        let mut at = from;
        while at < self.bytes.len() {
            match self.byte(at) {
                b'\n' if depth == 0 || self.is_top_header(at + 1) => return at,
                b'#' => at = line_end(self.bytes, at),
                b'/' if matches!(self.byte(at + 1), b'/' | b'*') => {
                    at = comment_end(self.bytes, at)
                }
                b'"' => at = string_end(self.bytes, at),
                b'<' if self.byte(at + 1) == b'<' => at = heredoc_end(self.text, at),
                b'(' | b'[' | b'{' => {
                    depth += 1;
                    at += 1;
                }
                b')' | b']' | b'}' if depth == 0 => return at,
                b')' | b']' | b'}' => {
                    depth -= 1;
                    at += 1;
                }
                _ => at += 1,
            }
        }
        at.min(self.bytes.len())
    }

    /// Whether a block of the top of a file begins at the margin here.
    fn is_top_header(&self, at: usize) -> bool {
        if self.open.is_empty() && self.top.is_empty() {
            return false;
        }
        if (at > 0 && self.byte(at - 1) != b'\n') || !is_word(self.byte(at)) {
            return false;
        }
        let end = word_end(self.bytes, at);
        let word = self.text.get(at..end).unwrap_or_default();
        let next = self.byte(blank_end(self.bytes, end));
        matches!(next, b'"' | b'{') && schema::blocks().any(|b| b.name == word)
    }
}

fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-') || c >= 0x80
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    end_of(bytes, at, is_word)
}

fn blank_end(bytes: &[u8], at: usize) -> usize {
    end_of(bytes, at, |c| matches!(c, b' ' | b'\t'))
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    end_of(bytes, at, |c| c != b'\n')
}

fn end_of(bytes: &[u8], at: usize, inside: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter()
        .position(|c| !inside(*c))
        .map_or(bytes.len(), |n| at + n)
}

fn comment_end(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at + 1) == Some(&b'/') {
        return line_end(bytes, at);
    }
    let rest = bytes.get(at + 2..).unwrap_or_default();
    let close = rest.windows(2).position(|w| w == b"*/");
    close.map_or(bytes.len(), |n| at + 2 + n + 2)
}

/// After the closing quote; a line's end closes it as well.
pub fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut modes = vec![Mode::Code];
    let mut at = at;
    loop {
        let Some(next) = step(bytes, at, &mut modes) else {
            return bytes.len();
        };
        at = next;
        if modes.len() <= 1 || bytes.get(at) == Some(&b'\n') {
            return at;
        }
    }
}

/// After the line that ends it, or the end of the text.
fn heredoc_end(text: &str, at: usize) -> usize {
    let rest = text.get(at + 2..).unwrap_or_default();
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    let mark: String = rest
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    if mark.is_empty() {
        return at + 2;
    }
    let mut from = line_end(text.as_bytes(), at);
    while from < text.len() {
        let end = line_end(text.as_bytes(), from + 1);
        if text.get(from + 1..end).unwrap_or_default().trim() == mark {
            return end;
        }
        from = end;
    }
    text.len()
}

/// What a place in a value is within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Code,
    Quotes,
}

/// The place after the next letter, and what it is within.
pub fn step(bytes: &[u8], at: usize, modes: &mut Vec<Mode>) -> Option<usize> {
    let c = *bytes.get(at)?;
    let next = bytes.get(at + 1).copied();
    let quoted = modes.last() == Some(&Mode::Quotes);
    Some(match (quoted, c, next) {
        (true, b'\\', Some(_)) => at + 2,
        (true, b'$' | b'%', Some(b'{')) => {
            modes.push(Mode::Code);
            at + 2
        }
        // An escaped template: two signs before the brace.
        (true, b'$' | b'%', Some(n)) if n == c => at + 2,
        (true, b'"', _) => {
            modes.pop();
            at + 1
        }
        (false, b'"', _) => {
            modes.push(Mode::Quotes);
            at + 1
        }
        (false, b'{', _) => {
            modes.push(Mode::Code);
            at + 1
        }
        (false, b'}', _) if modes.len() > 1 => {
            modes.pop();
            at + 1
        }
        _ => at + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        fn one(item: &Item, text: &str, out: &mut String) {
            out.push_str(&text[item.name.clone()]);
            item.labels
                .iter()
                .for_each(|l| out.push_str(&text[l.clone()]));
            match &item.content {
                Content::Value(value) => out.push_str(&format!("={}", text[value.clone()].trim())),
                Content::Body(_, items) => {
                    out.push('{');
                    for (n, inner) in items.iter().enumerate() {
                        out.push_str(if n > 0 { "; " } else { "" });
                        one(inner, text, out);
                    }
                    out.push('}');
                }
                Content::Nothing => out.push('?'),
            }
        }
        let mut out = String::new();
        for (n, item) in outline(text).iter().enumerate() {
            out.push_str(if n > 0 { "\n" } else { "" });
            one(item, text, &mut out);
        }
        out
    }

    #[test]
    fn whole_and_broken_texts_have_an_outline() {
        for (text, expected) in [
            (
                "node \"a\" {\n  cpus = 1 # x\n  power \"ipmi\" { port = 1 }\n}\n",
                "node\"a\"{cpus=1 # x; power\"ipmi\"{port=1}}",
            ),
            (
                "a = \"x${ { b = \"}\" }.b }\"\nb = [\n  1,\n]\n",
                "a=\"x${ { b = \"}\" }.b }\"\nb=[\n  1,\n]",
            ),
            (
                "a = <<-E\n  } \" {\n  E\nb = 1",
                "a=<<-E\n  } \" {\n  E\nb=1",
            ),
            ("nod\nnode \"a\"\n", "nod?\nnode\"a\"?"),
            (
                "node \"a\" {\n  site = \n\nnic \"b\" {\n}\n",
                "node\"a\"{site=}\nnic\"b\"{}",
            ),
            (
                "locals {\n  a = [1,\n\nnode \"x\" {}",
                "locals{a=[1,}\nnode\"x\"{}",
            ),
            ("a = \"open\nb = 1 }\n}\nc = 2", "a=\"open\nb=1\nc=2"),
            ("/* { */ a = 1 /* \n */\n// b = {\n", "a=1 /* \n */"),
            ("é = 1\n@ ! \u{1f600} = {", "é=1\n\u{1f600}={"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn depth_is_bounded_and_every_prefix_is_read() {
        let deep = "a {".repeat(100_000);
        assert_eq!(outline(&deep).len(), 1);
        let text =
            "node \"ä\" {\n  a = \"${b(\"c\")}\" // x\n  p \"q\" { r = <<E\nx\nE\n } /* é */\n}\n";
        for (at, _) in text.char_indices() {
            outline(&text[..at]);
        }
    }
}
