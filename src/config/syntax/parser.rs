//! What every part of the parser stands on: the token at hand, what has been reported, and how deep we are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lexer::Lexer;
use super::token::{Kind, Token};
use super::{DEPTH_MAX, LEVELS_MAX, REPORTS_MAX};
use crate::config::codes;
use crate::diag::{Diagnostic, FileId, Span};

/// The mistake has been reported; the attribute or block it stands in is given up.
#[derive(Debug)]
pub struct Bail {
    /// Where a line starts that does not belong to it.
    pub resume: Option<u32>,
    /// How many `(` and `[` of it were open.
    pub brackets: usize,
}

pub type Parse<T> = Result<T, Bail>;

/// What the end of a line means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// It ends what is read.
    End,
    /// Nothing, as within brackets.
    Blank,
}

/// Where a text stands in its file.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// It begins at an offset.
    From(u32),
    /// It is not what is written there: all of it is one place.
    Whole(Span),
}

pub struct Parser<'t> {
    pub file: FileId,
    pub text: &'t str,
    place: Place,
    pub lexer: Lexer<'t>,
    /// The token at hand.
    pub token: Token,
    /// How many braces and strings are open before it.
    pub depth: usize,
    /// Whether a line ends before it.
    pub after_newline: bool,
    /// Where the token before it ends.
    pub end: u32,
    pub lines: Lines,
    /// What is open: blocks, brackets, strings.
    pub opens: Vec<Token>,
    /// How many of them are not of the attribute that is read.
    pub around: usize,
    levels: u8,
    /// How many were made.
    pub expressions: usize,
    /// The end of the text came where something was open.
    pub cut_short: bool,
    /// A first reading found something open at the end of the text: indentation counts in this one.
    pub by_indent: bool,
    pub last_unclosed: Option<super::recover::Unclosed>,
    pub reports: Vec<Diagnostic>,
    /// The file is too large.
    given_up: bool,
    names: BTreeMap<&'t str, Arc<str>>,
}

impl<'t> Parser<'t> {
    pub fn new(file: FileId, text: &'t str) -> Parser<'t> {
        Parser::over(file, text, Lexer::new(text))
    }

    pub fn template(file: FileId, text: &'t str) -> Parser<'t> {
        Parser::over(file, text, Lexer::template(text))
    }

    fn over(file: FileId, text: &'t str, lexer: Lexer<'t>) -> Parser<'t> {
        let none = Token {
            kind: Kind::End,
            start: 0,
            end: 0,
        };
        let mut parser = Parser {
            file,
            text,
            place: Place::From(0),
            lexer,
            token: none,
            depth: 0,
            after_newline: false,
            end: 0,
            lines: Lines::End,
            opens: Vec::new(),
            around: 0,
            levels: 0,
            expressions: 0,
            cut_short: false,
            by_indent: false,
            last_unclosed: None,
            reports: Vec::new(),
            given_up: false,
            names: BTreeMap::new(),
        };
        parser.advance();
        parser
    }

    /// For a text that is a part of a file.
    pub fn placed(mut self, place: Place) -> Parser<'t> {
        self.place = place;
        self
    }

    pub fn into_reports(self) -> Vec<Diagnostic> {
        self.reports
    }

    /// The kind of the token at hand; the end of a line is one where it counts.
    pub fn kind(&self) -> Kind {
        match self.lines {
            Lines::End if self.after_newline => Kind::Newline,
            Lines::End | Lines::Blank => self.token.kind,
        }
    }

    pub fn advance(&mut self) {
        self.end = self.token.end;
        self.after_newline = false;
        loop {
            self.depth = self.lexer.depth();
            self.token = self.lexer.next();
            match self.token.kind {
                Kind::Newline => self.after_newline = true,
                Kind::Comment => {}
                Kind::UnclosedComment => {
                    self.unclosed_comment();
                    self.after_newline = true;
                }
                _ => return,
            }
        }
    }

    pub fn take(&mut self) -> Token {
        let token = self.token;
        self.advance();
        token
    }

    pub fn take_if(&mut self, kind: Kind) -> bool {
        let found = self.kind() == kind;
        if found {
            self.advance();
        }
        found
    }

    /// Goes on at an offset, as code within so many braces.
    pub fn resume(&mut self, at: u32, depth: usize) {
        // What has been given up stays so.
        let at = if self.is_full() {
            self.text.len()
        } else {
            at as usize
        };
        self.lexer.resume(at, depth);
        self.token.end = self.end;
        self.advance();
    }

    pub fn text_of(&self, token: Token) -> &'t str {
        self.text.get(token.range()).unwrap_or_default()
    }

    pub fn at_word(&self, word: &str) -> bool {
        self.kind() == Kind::Ident && self.text_of(self.token) == word
    }

    /// One copy of each name.
    pub fn name(&mut self, token: Token) -> Arc<str> {
        let text = self.text_of(token);
        let known = self.names.entry(text).or_insert_with(|| Arc::from(text));
        known.clone()
    }

    pub fn span(&self, start: u32, end: u32) -> Span {
        match self.place {
            Place::From(offset) => Span {
                file: self.file,
                start: start.saturating_add(offset),
                end: end.max(start).saturating_add(offset),
            },
            Place::Whole(span) => span,
        }
    }

    pub fn span_of(&self, token: Token) -> Span {
        self.span(token.start, token.end)
    }

    /// From an offset to the end of what was read.
    pub fn since(&self, start: u32) -> Span {
        self.span(start, self.end)
    }

    pub fn report(&mut self, d: Diagnostic) {
        if self.is_full() {
            self.lexer.resume(self.text.len(), 0);
            return;
        }
        self.reports.push(d);
    }

    pub fn is_full(&self) -> bool {
        self.given_up || self.reports.len() >= REPORTS_MAX
    }

    pub fn fail<T>(&mut self, d: Diagnostic) -> Parse<T> {
        self.report(d);
        Err(self.bail(None))
    }

    /// Reads no further.
    pub fn give_up<T>(&mut self, d: Diagnostic) -> Parse<T> {
        self.report(d);
        self.given_up = true;
        self.lexer.resume(self.text.len(), 0);
        self.advance();
        Err(self.bail(None))
    }

    pub fn bail(&self, resume: Option<u32>) -> Bail {
        let open = self.opens.get(self.around..).unwrap_or_default();
        let brackets = open
            .iter()
            .filter(|t| matches!(t.kind, Kind::ParenOpen | Kind::BracketOpen));
        Bail {
            resume,
            brackets: brackets.count(),
        }
    }

    /// The innermost bracket or string of this attribute.
    pub fn innermost(&self) -> Option<Token> {
        let open = self.opens.get(self.around..).unwrap_or_default();
        open.last().copied()
    }

    /// What is at hand, for a report.
    pub fn found(&self) -> String {
        let kind = self.kind();
        match kind.describe() {
            Some(described) => described.to_owned(),
            None => {
                let text = self.text_of(self.token);
                let short: String = text.chars().take(40).collect();
                format!("`{short}`")
            }
        }
    }

    /// The place of what is at hand: for the end of a line, where the line ends.
    pub fn here(&self) -> Span {
        match self.kind() {
            Kind::Newline => self.span(self.end, self.end),
            _ => self.span_of(self.token),
        }
    }

    /// A syntax error at the token at hand: what was expected, and what is there.
    pub fn unexpected(&self, expected: &str) -> Diagnostic {
        let found = self.found();
        Diagnostic::error(codes::SYNTAX, format!("expected {expected}, found {found}"))
            .at(self.here(), "here")
    }

    /// Reads an opening bracket, and what is within it.
    pub fn within<T>(
        &mut self,
        lines: Lines,
        read: impl FnOnce(&mut Self) -> Parse<T>,
    ) -> Parse<T> {
        if self.opens.len() >= DEPTH_MAX {
            let text = format!("nested deeper than {DEPTH_MAX} levels");
            let d = Diagnostic::error(codes::NESTED_TOO_DEEP, text)
                .at(self.here(), "this level is one too many")
                .help("name the inner parts in `locals`");
            return self.fail(d);
        }
        self.opens.push(self.token);
        self.advance();
        let outer = std::mem::replace(&mut self.lines, lines);
        let done = read(self);
        self.lines = outer;
        self.opens.pop();
        done
    }

    /// Reads an expression within another one.
    pub fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.levels >= LEVELS_MAX {
            let place = self.here();
            return self.too_many_levels(place);
        }
        self.levels += 1;
        let done = read(self);
        self.levels -= 1;
        done
    }

    pub fn too_many_levels<T>(&mut self, place: Span) -> Parse<T> {
        let text = format!("an expression of more than {LEVELS_MAX} levels");
        let d = Diagnostic::error(codes::NESTED_TOO_DEEP, text)
            .at(place, "this level is one too many")
            .help("name parts of it in `locals`");
        self.fail(d)
    }
}
