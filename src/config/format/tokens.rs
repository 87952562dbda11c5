//! Tokens with their texts and the blanks before each.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

use crate::config::syntax::lexer::Lexer;
use crate::config::syntax::token::Kind;

#[derive(Debug, Clone)]
pub struct Piece<'t> {
    pub kind: Kind,
    pub text: Cow<'t, str>,
    /// Blanks before it.
    pub spaces: usize,
    /// Where it starts in the text it was read from.
    pub start: usize,
}

impl<'t> Piece<'t> {
    /// One that the text does not have.
    pub fn new(kind: Kind, text: impl Into<Cow<'t, str>>, start: usize) -> Piece<'t> {
        Piece {
            kind,
            text: text.into(),
            spaces: 0,
            start,
        }
    }

    pub fn columns(&self) -> usize {
        // A carriage return and its newline are one column.
        let width = match self.text.is_ascii() && !self.text.contains('\r') {
            true => self.text.len(),
            false => self.text.graphemes(true).count(),
        };
        self.spaces + width
    }

    /// What it adds to the brackets that are open.
    pub fn brackets(&self) -> isize {
        match self.kind {
            Kind::BraceOpen
            | Kind::BracketOpen
            | Kind::ParenOpen
            | Kind::Interpolation
            | Kind::Directive => 1,
            Kind::BraceClose | Kind::BracketClose | Kind::ParenClose | Kind::SequenceEnd => -1,
            _ => 0,
        }
    }
}

/// All tokens of a text, comments and newlines too, and the blanks at its end.
pub fn tokens(text: &str) -> Vec<Piece<'_>> {
    let mut lexer = Lexer::new(text);
    let mut out = Vec::new();
    let mut end = 0;
    loop {
        let token = lexer.next();
        let range = token.range();
        let start = range.start;
        out.push(Piece {
            kind: token.kind,
            spaces: start.saturating_sub(end),
            start,
            text: Cow::Borrowed(text.get(range.clone()).unwrap_or_default()),
        });
        end = range.end;
        if token.kind == Kind::End {
            return out;
        }
    }
}
