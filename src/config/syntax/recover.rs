//! Going on after a mistake. What is open and never closed is found where a line starts that cannot belong to it.
//!
//! A file is read twice at most: by its brackets alone, and, where these do not come out even, by its indentation too.

use super::parser::{Bail, Parser};
use super::token::{Kind, Token};
use crate::config::codes;
use crate::diag::{Diagnostic, Span};

/// No line that a person indented is longer; others are not searched for their start.
pub const LINE_BYTES_MAX: usize = 4096;

/// A report about something open, to which another may be joined.
#[derive(Debug, Clone, Copy)]
pub struct Unclosed {
    report: usize,
    /// Where reading went on.
    resume: u32,
    /// A heredoc or a comment, which explains why what is around it seems open too.
    swallows: bool,
}

/// How a body is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Lines,
    /// `a { b = 1 }`, which holds one attribute.
    OneLine,
}

/// The body that is read.
#[derive(Debug, Clone, Copy)]
pub struct Level {
    pub shape: Shape,
    /// Braces around what stands in the body.
    pub depth: usize,
    /// The brace of the block; none for a file.
    pub open: Option<Token>,
    pub header: Span,
}

impl Parser<'_> {
    /// Something else is expected within what is open: the mistake is that it is open, or what is found.
    pub fn missing(&mut self, expected: &str) -> Bail {
        if let Some(bail) = self.unclosed_here() {
            return bail;
        }
        let mut d = self.after_a_value(expected);
        if let Some(open) = self.innermost() {
            d = d.also(self.span_of(open), "within this");
            let closer = match open.kind {
                Kind::ParenOpen => "`(` is closed by `)`",
                Kind::BracketOpen => "`[` is closed by `]`",
                _ => "`{` is closed by `}`",
            };
            if matches!(self.token.kind, Kind::ParenClose | Kind::BracketClose) {
                d = d.help(closer);
            }
        }
        self.report(d);
        self.bail(None)
    }

    /// Whether what is at hand shows that the innermost bracket or string has no end.
    pub fn unclosed_here(&mut self) -> Option<Bail> {
        let open = self.innermost()?;
        let closes_more = match self.token.kind {
            Kind::End => {
                self.cut_short = true;
                true
            }
            Kind::BraceClose => open.kind != Kind::BraceOpen,
            _ => false,
        };
        if closes_more {
            return Some(self.unclosed(open, Some(self.token.start)));
        }
        let ends_text = matches!(
            self.token.kind,
            Kind::SequenceEnd | Kind::QuoteClose | Kind::HeredocClose
        );
        let is_bracket = matches!(
            open.kind,
            Kind::ParenOpen | Kind::BracketOpen | Kind::BraceOpen
        );
        if ends_text && is_bracket {
            return Some(self.unclosed(open, None));
        }
        let line = line_start(self.text, self.token.start)?;
        if line <= open.start || !self.is_item_outside(line, open) {
            return None;
        }
        Some(self.unclosed(open, Some(line + indent_len(self.text, line))))
    }

    /// Where brackets did not come out even: whether this line is outside of the innermost bracket by its indentation.
    pub fn unclosed_by_indent(&mut self) -> Option<Bail> {
        let open = self.innermost()?;
        if self.token.kind == Kind::End {
            self.cut_short = true;
            return Some(self.unclosed(open, Some(self.token.start)));
        }
        if !self.by_indent || !self.after_newline {
            return None;
        }
        let outside = self.is_outside(open);
        outside.then(|| self.unclosed(open, Some(self.token.start)))
    }

    /// Whether the line that starts with the token at hand is left of what `open` opens.
    pub fn is_outside(&self, open: Token) -> bool {
        let (Some(here), Some(there)) = (
            line_start(self.text, self.token.start),
            line_start(self.text, open.start),
        ) else {
            return false;
        };
        if here <= open.start {
            return false;
        }
        let (inner, outer) = (indent_len(self.text, here), indent_len(self.text, there));
        match self.token.kind {
            Kind::BraceClose => inner < outer,
            _ => inner <= outer && is_item(self.text.get(here as usize..).unwrap_or_default()),
        }
    }

    fn is_item_outside(&self, line: u32, open: Token) -> bool {
        let Some(there) = line_start(self.text, open.start) else {
            return false;
        };
        let rest = self.text.get(line as usize..).unwrap_or_default();
        let fits = match open.kind {
            // Within an object, an assignment is nothing special.
            Kind::BraceOpen => is_header(rest.trim_start()),
            _ => is_item(rest),
        };
        fits && indent_len(self.text, line) <= indent_len(self.text, there)
    }

    fn unclosed(&mut self, open: Token, resume: Option<u32>) -> Bail {
        let what = match open.kind {
            Kind::QuoteOpen => "string",
            Kind::HeredocOpen => "heredoc",
            Kind::Interpolation => "interpolation",
            Kind::Directive => "directive",
            _ => "bracket",
        };
        let text = self.text_of(open).trim_end().to_owned();
        self.report_unclosed(self.span_of(open), what, &text, resume);
        self.bail(resume)
    }

    /// One slip leaves a bracket open and every block around it: that is one report, about the outermost.
    pub fn report_unclosed(&mut self, place: Span, what: &str, text: &str, resume: Option<u32>) {
        let mut d = Diagnostic::error(codes::UNCLOSED, format!("this {what} has no end"))
            .at(place, format!("`{text}` opened here"))
            .help("close it; what follows was read from the next line that starts something");
        let same = self.last_unclosed.filter(|u| Some(u.resume) == resume);
        if let Some(last) = same {
            if last.swallows {
                return;
            }
            if let Some(inner) = self.reports.get_mut(last.report) {
                d.secondary.extend(inner.primary.take());
                d.secondary.append(&mut inner.secondary);
                *inner = d;
            }
            return;
        }
        self.tell_unclosed(d, resume, false);
    }

    fn tell_unclosed(&mut self, d: Diagnostic, resume: Option<u32>, swallows: bool) {
        let report = self.reports.len();
        self.report(d);
        let told = self.reports.len() > report;
        self.last_unclosed = resume.filter(|_| told).map(|resume| Unclosed {
            report,
            resume,
            swallows,
        });
    }

    pub fn unclosed_comment(&mut self) {
        let next = next_header(self.text, self.token.end);
        self.swallowed("comment", "`*/` ends it", next);
        let depth = self.lexer.depth();
        self.lexer.resume(next as usize, depth);
    }

    pub fn unclosed_heredoc<T>(&mut self) -> Result<T, Bail> {
        let next = next_header(self.text, self.token.end);
        let opening = self.text_of(self.token);
        let marker = opening.trim().trim_start_matches(['<', '-']);
        let mut help = format!("`{marker}` alone on a line ends it");
        let skipped = self.text.get(self.token.end as usize..next as usize);
        let mut lines = skipped.unwrap_or_default().lines();
        if let Some(almost) = lines.find(|line| line.trim_start().starts_with(marker)) {
            help = format!("{help}; there is `{}`", almost.trim());
        }
        self.swallowed("heredoc", &help, next);
        Err(self.bail(Some(next)))
    }

    fn swallowed(&mut self, what: &str, help: &str, next: u32) {
        let start = self.token.start;
        let len = u32::try_from(self.text_of(self.token).trim_end().len()).unwrap_or(0);
        let d = Diagnostic::error(codes::UNCLOSED, format!("this {what} has no end"))
            .at(self.span(start, start + len), "opened here")
            .help(help);
        self.tell_unclosed(d, Some(next), true);
    }

    /// Whether nothing but a comment or another brace stands after the token at hand.
    fn ends_line(&self) -> bool {
        let rest = self.text.get(self.token.end as usize..).unwrap_or_default();
        let next = rest.trim_start_matches([' ', '\t', '\r']);
        next.is_empty() || next.starts_with(['\n', '#', '}']) || next.starts_with("//")
    }

    /// Goes on after an attribute that did not parse: at the next line that is not within its brackets, or cannot be.
    pub fn skip(&mut self, bail: &Bail, level: &Level, item: Token) {
        if let Some(at) = bail.resume {
            self.resume(at, level.depth);
            self.after_newline = true;
            return;
        }
        let mut brackets = bail.brackets;
        if let Some(end) = self.lexer.heredoc_end() {
            let end = u32::try_from(end).unwrap_or(u32::MAX);
            self.resume(end, level.depth);
        }
        loop {
            let inside = brackets > 0 || self.depth > level.depth;
            match self.token.kind {
                Kind::End => {
                    self.cut_short |= inside;
                    return;
                }
                _ if self.after_newline && (!inside || self.is_outside(item)) => {
                    if inside {
                        self.resume(self.token.start, level.depth);
                        self.after_newline = true;
                    }
                    return;
                }
                Kind::BraceClose if self.lexer.depth() < level.depth => {
                    if level.shape == Shape::OneLine || self.ends_line() {
                        return;
                    }
                    // In the middle of a line, it is part of the slip.
                    let end = self.token.end;
                    self.lexer.resume(end as usize, level.depth);
                }
                Kind::ParenOpen | Kind::BracketOpen => brackets += 1,
                Kind::ParenClose | Kind::BracketClose => brackets = brackets.saturating_sub(1),
                _ => {}
            }
            self.advance();
        }
    }
}

/// Where the line of an offset starts.
pub fn line_start(text: &str, at: u32) -> Option<u32> {
    let at = at as usize;
    let from = at.saturating_sub(LINE_BYTES_MAX);
    let before = text.as_bytes().get(from..at)?;
    let newline = before.iter().rposition(|b| *b == b'\n');
    let start = match newline {
        Some(n) => from + n + 1,
        None if from == 0 => 0,
        None => return None,
    };
    u32::try_from(start).ok()
}

fn indent_len(text: &str, line: u32) -> u32 {
    let rest = text.as_bytes().get(line as usize..).unwrap_or_default();
    let blank = rest.iter().take_while(|b| matches!(b, b' ' | b'\t'));
    u32::try_from(blank.count()).unwrap_or(u32::MAX)
}

/// Whether a text starts as an attribute or a block does.
fn is_item(text: &str) -> bool {
    let text = text.trim_start_matches([' ', '\t']);
    is_assignment(text) || is_header(text)
}

/// `name =`, and not `==` or `=>`.
pub fn is_assignment(text: &str) -> bool {
    let word = super::lexer::word_len(text);
    let after = text.get(word..).unwrap_or_default();
    let after = after.trim_start_matches([' ', '\t']);
    word > 0 && after.starts_with('=') && !after.starts_with("==") && !after.starts_with("=>")
}

/// `name {` or `name "label"`.
fn is_header(text: &str) -> bool {
    let word = super::lexer::word_len(text);
    let after = text.get(word..).unwrap_or_default();
    let after = after.trim_start_matches([' ', '\t']);
    word > 0 && after.starts_with(['{', '"'])
}

/// The next line that starts a block without any indentation, or the end of the text.
fn next_header(text: &str, from: u32) -> u32 {
    let rest = text.get(from as usize..).unwrap_or_default();
    let mut at = from as usize;
    for (i, line) in rest.split_inclusive('\n').enumerate() {
        if i > 0 && is_header(line) {
            break;
        }
        at += line.len();
    }
    u32::try_from(at).unwrap_or(u32::MAX)
}
