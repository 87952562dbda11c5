//! Text to tokens. Knows strings, heredocs and templates within each other, and nothing of what tokens mean together: whatever
//! the text, tokens come until [`Kind::End`], and each byte that is not blank is in one of them.

use super::heredoc::{self, Heredoc};
use super::token::{Kind, Token};

/// What a `}` closes, and whether text or code is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Brace,
    Sequence,
    Quote,
    Heredoc,
    /// The text of a template file, which has no end mark.
    Template,
}

#[derive(Debug)]
pub struct Lexer<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    modes: Vec<Mode>,
    /// Those in `modes`, the innermost last.
    heredocs: Vec<Heredoc<'t>>,
    ends: heredoc::Ends<'t>,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str) -> Lexer<'t> {
        Lexer {
            text,
            bytes: text.as_bytes(),
            at: if text.starts_with('\u{feff}') { 3 } else { 0 },
            modes: Vec::new(),
            heredocs: Vec::new(),
            ends: heredoc::Ends::default(),
        }
    }

    pub fn template(text: &'t str) -> Lexer<'t> {
        Lexer {
            at: 0,
            modes: vec![Mode::Template],
            ..Lexer::new(text)
        }
    }

    /// Strings, heredocs, sequences and braces that are open.
    pub fn depth(&self) -> usize {
        self.modes.len()
    }

    /// Goes on at `at`, as code within so many braces.
    pub fn resume(&mut self, at: usize, depth: usize) {
        self.at = at;
        self.modes.clear();
        self.modes.resize(depth, Mode::Brace);
        self.heredocs.clear();
    }

    /// Where the outermost heredoc that is open ends.
    pub fn heredoc_end(&mut self) -> Option<usize> {
        let outermost = self.heredocs.first()?;
        self.ends.find(self.text, outermost.marker, outermost.start)
    }

    pub fn next(&mut self) -> Token {
        match self.modes.last() {
            Some(Mode::Quote) => self.in_quote(),
            Some(Mode::Heredoc) => self.in_heredoc(),
            Some(Mode::Template) => self.in_template(),
            Some(Mode::Brace | Mode::Sequence) | None => self.in_code(),
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn token(&mut self, kind: Kind, len: usize) -> Token {
        let start = self.at;
        self.at = (start + len).min(self.bytes.len());
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Token {
            kind,
            start: clamp(start),
            end: clamp(self.at),
        }
    }

    fn opening(&mut self, kind: Kind, len: usize, mode: Mode) -> Token {
        self.modes.push(mode);
        self.token(kind, len)
    }

    fn in_code(&mut self) -> Token {
        while matches!(self.peek(0), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let Some(byte) = self.peek(0) else {
            return self.token(Kind::End, 0);
        };
        match (byte, self.peek(1)) {
            (b'\n', _) => self.token(Kind::Newline, 1),
            (b'\r', Some(b'\n')) => self.token(Kind::Newline, 2),
            (b'#', _) | (b'/', Some(b'/')) => self.line_comment(),
            (b'/', Some(b'*')) => self.block_comment(),
            (b'"', _) => self.opening(Kind::QuoteOpen, 1, Mode::Quote),
            (b'{', _) => self.opening(Kind::BraceOpen, 1, Mode::Brace),
            (b'}', _) => self.closing_brace(1),
            (b'~', Some(b'}')) if self.modes.last() == Some(&Mode::Sequence) => {
                self.closing_brace(2)
            }
            (b'<', Some(b'<')) => self.heredoc_open(),
            (b'0'..=b'9', _) => self.number(),
            (b'\'', _) => self.apostrophe(),
            (first, second) => match operator(first, second, self.peek(2)) {
                Some((kind, len)) => self.token(kind, len),
                None => self.word(),
            },
        }
    }

    fn closing_brace(&mut self, len: usize) -> Token {
        match self.modes.pop() {
            Some(Mode::Sequence) => self.token(Kind::SequenceEnd, len),
            _ => self.token(Kind::BraceClose, len),
        }
    }

    fn line_comment(&mut self) -> Token {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|b| *b == b'\n');
        let len = len.unwrap_or(rest.len());
        let before_newline = rest.get(..len).unwrap_or_default();
        let carriage = usize::from(before_newline.ends_with(b"\r") && len < rest.len());
        self.token(Kind::Comment, len - carriage)
    }

    fn block_comment(&mut self) -> Token {
        let rest = self.text.get(self.at + 2..).unwrap_or_default();
        match rest.find("*/") {
            Some(n) => self.token(Kind::Comment, n + 4),
            None => self.token(Kind::UnclosedComment, 2),
        }
    }

    fn number(&mut self) -> Token {
        let digits = |mut i: usize| {
            while self.bytes.get(i).is_some_and(u8::is_ascii_digit) {
                i += 1;
            }
            i
        };
        let is_digit = |i: usize| self.bytes.get(i).is_some_and(u8::is_ascii_digit);
        let mut end = digits(self.at);
        if self.bytes.get(end) == Some(&b'.') && is_digit(end + 1) {
            end = digits(end + 1);
        }
        if matches!(self.bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.bytes.get(end + 1), Some(b'+' | b'-')));
            if is_digit(end + 1 + sign) {
                end = digits(end + 1 + sign);
            }
        }
        self.token(Kind::Number, end - self.at)
    }

    /// To the next apostrophe of the line: what was meant to be a string is one token, so that it is one mistake.
    fn apostrophe(&mut self) -> Token {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let end = rest.find(['\'', '\n']);
        let closed = end.filter(|n| rest.as_bytes().get(*n) == Some(&b'\''));
        let len = closed.map_or(1, |n| n + 2);
        self.token(Kind::Apostrophe, len)
    }

    /// A name, or a character that starts none.
    fn word(&mut self) -> Token {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = word_len(rest);
        if len > 0 {
            return self.token(Kind::Ident, len);
        }
        let len = rest.chars().next().map_or(1, char::len_utf8);
        self.token(Kind::Stray, len)
    }

    fn heredoc_open(&mut self) -> Token {
        let Some(opened) = Heredoc::open(self.text, self.at) else {
            return self.token(Kind::Stray, 2);
        };
        let len = opened.start - self.at;
        if self
            .ends
            .find(self.text, opened.marker, opened.start)
            .is_none()
        {
            return self.token(Kind::UnclosedHeredoc, len);
        }
        self.heredocs.push(opened);
        self.opening(Kind::HeredocOpen, len, Mode::Heredoc)
    }

    fn in_heredoc(&mut self) -> Token {
        let at_line_start = self.at == 0 || self.bytes.get(self.at - 1) == Some(&b'\n');
        if at_line_start && let Some(heredoc) = self.heredocs.last() {
            let rest = self.text.get(self.at..).unwrap_or_default();
            if let Some(len) = heredoc::end_mark_len(rest, heredoc.marker) {
                self.heredocs.pop();
                self.modes.pop();
                return self.token(Kind::HeredocClose, len);
            }
        }
        self.in_template()
    }

    /// A line of text, or what stands in it.
    fn in_template(&mut self) -> Token {
        if let Some(sequence) = self.sequence() {
            return sequence;
        }
        let mut len = 0;
        loop {
            match self.peek(len) {
                None => break,
                Some(b'\n') => {
                    len += 1;
                    break;
                }
                Some(b'$' | b'%') => match self.dollar(len) {
                    0 => break,
                    n => len += n,
                },
                Some(_) => len += 1,
            }
        }
        let kind = if len == 0 { Kind::End } else { Kind::Text };
        self.token(kind, len)
    }

    fn in_quote(&mut self) -> Token {
        if let Some(sequence) = self.sequence() {
            return sequence;
        }
        let mut len = 0;
        loop {
            match self.peek(len) {
                None => break,
                Some(b'"' | b'\n' | b'\r') => break,
                Some(b'\\') => {
                    len += 1;
                    // The character after it, whatever it is, but not the end of the line.
                    let next = self.text.get(self.at + len..).unwrap_or_default();
                    let next = next.chars().next().filter(|c| !matches!(c, '\n' | '\r'));
                    len += next.map_or(0, char::len_utf8);
                }
                Some(b'$' | b'%') => match self.dollar(len) {
                    0 => break,
                    n => len += n,
                },
                Some(_) => len += 1,
            }
        }
        if len > 0 {
            return self.token(Kind::Text, len);
        }
        match self.peek(0) {
            None => self.token(Kind::End, 0),
            Some(b'"') => {
                self.modes.pop();
                self.token(Kind::QuoteClose, 1)
            }
            Some(_) => {
                // The newline itself is read again as code.
                self.modes.pop();
                self.token(Kind::LineInString, 0)
            }
        }
    }

    /// How many bytes of text start at a `$` or `%`: none when a sequence does.
    fn dollar(&self, ahead: usize) -> usize {
        let byte = self.peek(ahead);
        if self.peek(ahead + 1) == Some(b'{') {
            return 0;
        }
        if self.peek(ahead + 1) == byte && self.peek(ahead + 2) == Some(b'{') {
            return 3;
        }
        1
    }

    fn sequence(&mut self) -> Option<Token> {
        let kind = match self.peek(0)? {
            b'$' => Kind::Interpolation,
            b'%' => Kind::Directive,
            _ => return None,
        };
        if self.peek(1) != Some(b'{') {
            return None;
        }
        let trim = usize::from(self.peek(2) == Some(b'~'));
        Some(self.opening(kind, 2 + trim, Mode::Sequence))
    }
}

/// How many bytes the name at the start of a text has.
pub fn word_len(text: &str) -> usize {
    let mut end = 0;
    for (i, c) in text.char_indices() {
        let fits = match c {
            'a'..='z' | 'A'..='Z' | '_' => true,
            '0'..='9' | '-' => i > 0,
            _ if c.is_ascii() => false,
            _ if i == 0 => unicode_ident::is_xid_start(c),
            _ => unicode_ident::is_xid_continue(c),
        };
        if !fits {
            break;
        }
        end = i + c.len_utf8();
    }
    end
}

fn operator(first: u8, second: Option<u8>, third: Option<u8>) -> Option<(Kind, usize)> {
    Some(match (first, second) {
        (b'=', Some(b'=')) => (Kind::Equal, 2),
        (b'=', Some(b'>')) => (Kind::Arrow, 2),
        (b'=', _) => (Kind::Assign, 1),
        (b'!', Some(b'=')) => (Kind::NotEqual, 2),
        (b'!', _) => (Kind::Not, 1),
        (b'<', Some(b'=')) => (Kind::LessEqual, 2),
        (b'<', _) => (Kind::Less, 1),
        (b'>', Some(b'=')) => (Kind::GreaterEqual, 2),
        (b'>', _) => (Kind::Greater, 1),
        (b'&', Some(b'&')) => (Kind::And, 2),
        (b'|', Some(b'|')) => (Kind::Or, 2),
        (b'.', Some(b'.')) if third == Some(b'.') => (Kind::Ellipsis, 3),
        (b'.', _) => (Kind::Dot, 1),
        (b':', Some(b':')) => (Kind::DoubleColon, 2),
        (b':', _) => (Kind::Colon, 1),
        (b'[', _) => (Kind::BracketOpen, 1),
        (b']', _) => (Kind::BracketClose, 1),
        (b'(', _) => (Kind::ParenOpen, 1),
        (b')', _) => (Kind::ParenClose, 1),
        (b'+', _) => (Kind::Plus, 1),
        (b'-', _) => (Kind::Minus, 1),
        (b'*', _) => (Kind::Star, 1),
        (b'/', _) => (Kind::Slash, 1),
        (b'%', _) => (Kind::Percent, 1),
        (b'?', _) => (Kind::Question, 1),
        (b',', _) => (Kind::Comma, 1),
        _ => return None,
    })
}
