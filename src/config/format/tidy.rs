//! What is written otherwise than it should be, besides blanks: `"${x}"`, types in quotes, labels without.

use std::ops::Range;

use super::tokens::Piece;
use crate::config::syntax::ast::{Block, Body};
use crate::config::syntax::token::Kind;
use crate::diag::Span;

/// Replaces a run of tokens.
struct Edit<'t> {
    at: Range<usize>,
    by: Vec<Piece<'t>>,
}

/// What becomes of `"${x}"` with a comment in it, whose line would end what it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comments {
    Moved,
    /// It stays as it is.
    Kept,
}

/// What was made of the tokens.
pub struct Tidied<'t> {
    pub tokens: Vec<Piece<'t>>,
    /// A comment lost the brackets around it, and may end a line that goes on.
    pub doubtful: bool,
    /// A `"${x}"` became x.
    pub unwrapped: bool,
}

pub fn tidy<'t>(
    tokens: Vec<Piece<'t>>,
    text: &'t str,
    body: &Body,
    comments: Comments,
) -> Tidied<'t> {
    let mut finder = Finder {
        text,
        tokens: &tokens,
        comments,
        edits: Vec::new(),
        unwrapped: false,
    };
    finder.body(body, None);
    let (mut edits, unwrapped) = (finder.edits, finder.unwrapped);
    let doubtful = edits.iter().any(|edit| edit.by.iter().any(is_line_comment));
    edits.sort_by_key(|edit| edit.at.start);
    let mut out = Vec::with_capacity(tokens.len());
    let mut edits = edits.into_iter().peekable();
    let mut skip_to = 0;
    for (i, token) in tokens.into_iter().enumerate() {
        if let Some(edit) = edits.next_if(|edit| edit.at.start == i) {
            skip_to = edit.at.end;
            out.extend(edit.by);
        }
        if i >= skip_to {
            out.push(token);
        }
    }
    Tidied {
        tokens: out,
        doubtful,
        unwrapped,
    }
}

struct Finder<'a, 't> {
    text: &'t str,
    tokens: &'a [Piece<'t>],
    comments: Comments,
    edits: Vec<Edit<'t>>,
    unwrapped: bool,
}

impl<'t> Finder<'_, 't> {
    fn body(&mut self, body: &Body, kind: Option<&str>) {
        for attribute in &body.attributes {
            let at = self.tokens_of(attribute.value.span);
            let value = self.tokens.get(at.clone()).unwrap_or_default();
            let is_type = kind == Some("variable") && attribute.name.as_ref() == "type";
            let by = match is_type {
                true => type_without_quotes(value),
                false => without_sequence(value).filter(|by| {
                    self.comments == Comments::Moved || !by.iter().any(is_line_comment)
                }),
            };
            self.unwrapped |= by.is_some() && !is_type;
            self.edits.extend(by.map(|by| Edit { at, by }));
        }
        for block in &body.blocks {
            self.labels(block);
            // A block within a variable is not one.
            let inner = match kind {
                None => block.kind.as_ref(),
                Some(_) => "",
            };
            self.body(&block.body, Some(inner));
        }
    }

    fn tokens_of(&self, span: Span) -> Range<usize> {
        let range = span.range();
        let index = |offset| self.tokens.partition_point(|t| (t.start as usize) < offset);
        index(range.start)..index(range.end).max(index(range.start))
    }

    /// Each label in quotes, and nothing else between the kind and the brace.
    fn labels(&mut self, block: &Block) {
        let mut by = Vec::new();
        for label in &block.labels {
            let start = label.span.start;
            let text = self.text.get(label.span.range()).unwrap_or_default();
            let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
            by.push(Piece::new(Kind::QuoteOpen, "\"", start));
            match inner.unwrap_or(text) {
                "" => {}
                text => by.push(Piece::new(Kind::Text, text, start)),
            }
            by.push(Piece::new(Kind::QuoteClose, "\"", start));
        }
        let header = self.tokens_of(block.header);
        let brace = self.tokens_of(block.body.span);
        let at = header.start + 1..brace.start;
        self.edits.push(Edit { at, by });
    }
}

/// `"${x}"` is x. On several lines, it stands in parentheses from then on.
fn without_sequence<'t>(value: &[Piece<'t>]) -> Option<Vec<Piece<'t>>> {
    let [quote, open, inside @ .., close, end] = value else {
        return None;
    };
    let wrapped = quote.kind == Kind::QuoteOpen
        && open.kind == Kind::Interpolation
        && close.kind == Kind::SequenceEnd
        && end.kind == Kind::QuoteClose;
    if !wrapped || inside.is_empty() {
        return None;
    }
    let mut quotes = 0;
    for token in inside {
        match token.kind {
            Kind::QuoteOpen => quotes += 1,
            Kind::QuoteClose => quotes -= 1,
            // `"${a}${b}"` has to stay; what stands in quotes within is part of the value.
            Kind::Interpolation | Kind::SequenceEnd | Kind::Text if quotes == 0 => return None,
            _ => {}
        }
    }
    // The end of a line that a comment takes is part of the comment.
    let comment_before = |i: usize| {
        let before = i.checked_sub(1).and_then(|n| inside.get(n));
        before.is_some_and(is_line_comment)
    };
    let ends_line = |i: usize, t: &Piece<'_>| t.kind == Kind::Newline && !comment_before(i);
    let first = inside.iter().position(|t| t.kind != Kind::Newline)?;
    let last = inside
        .iter()
        .enumerate()
        .rposition(|(i, t)| !ends_line(i, t))?;
    let trimmed = inside.get(first..=last)?;
    let several_lines = (first..=last).any(|i| inside.get(i).is_some_and(|t| ends_line(i, t)));
    let parens = matches!(trimmed, [open, .., close]
        if open.kind == Kind::ParenOpen && close.kind == Kind::ParenClose);
    let wrap = several_lines && !parens;
    let mut out = Vec::with_capacity(trimmed.len() + 2);
    if wrap {
        out.push(Piece::new(Kind::ParenOpen, "(", quote.start));
    }
    out.extend_from_slice(trimmed);
    if wrap {
        out.push(Piece::new(Kind::ParenClose, ")", end.start));
    }
    Some(out)
}

fn is_line_comment(piece: &Piece<'_>) -> bool {
    piece.kind == Kind::Comment && !piece.text.starts_with("/*")
}

/// `"string"` is string; `list` alone is a list of anything.
fn type_without_quotes<'t>(value: &[Piece<'t>]) -> Option<Vec<Piece<'t>>> {
    let (name, element, start) = match value {
        [word] if word.kind == Kind::Ident => match word.text {
            name @ ("list" | "map" | "set") => (name, "any", word.start),
            _ => return None,
        },
        [open, word, _] if open.kind == Kind::QuoteOpen => match word.text {
            "string" => ("string", "", open.start),
            // What such texts were written for made texts of all elements.
            name @ ("list" | "map") => (name, "string", open.start),
            _ => return None,
        },
        _ => return None,
    };
    let mut out = vec![Piece::new(Kind::Ident, name, start)];
    if !element.is_empty() {
        out.push(Piece::new(Kind::ParenOpen, "(", start));
        out.push(Piece::new(Kind::Ident, element, start));
        out.push(Piece::new(Kind::ParenClose, ")", start));
    }
    Some(out)
}
