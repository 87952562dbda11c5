//! Tokens with their texts and the blanks before each.

use unicode_segmentation::UnicodeSegmentation;

use crate::config::syntax::lexer::Lexer;
use crate::config::syntax::token::Kind;

#[derive(Debug, Clone, Copy)]
pub struct Piece<'t> {
    pub kind: Kind,
    /// Blanks before it.
    pub spaces: u32,
    /// Where it starts in the text it was read from.
    pub start: u32,
    pub text: &'t str,
}

impl<'t> Piece<'t> {
    /// One that the text does not have.
    pub fn new(kind: Kind, text: &'t str, start: u32) -> Piece<'t> {
        Piece {
            kind,
            spaces: 0,
            start,
            text,
        }
    }

    pub fn columns(&self) -> usize {
        // A carriage return and its newline are one column.
        let width = match self.text.is_ascii() && !self.text.contains('\r') {
            true => self.text.len(),
            false => self.text.graphemes(true).count(),
        };
        self.spaces as usize + width
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
        out.push(Piece {
            kind: token.kind,
            spaces: token.start.saturating_sub(end),
            start: token.start,
            text: text.get(token.range()).unwrap_or_default(),
        });
        end = token.end;
        if token.kind == Kind::End {
            return out;
        }
    }
}
