//! The pieces of a template as a tree, and the indentation of `<<-` heredocs taken away. Both work on the list, as Terraform's
//! do: what is trimmed and what counts as the start of a line depends on neighbours in the text, not in the tree.

use std::sync::Arc;

use super::DEPTH_MAX;
use super::ast::{Expr, Part};
use super::parser::{Parse, Parser};
use crate::config::codes;
use crate::diag::{Diagnostic, Span};

#[derive(Debug)]
pub struct Piece {
    pub place: Span,
    pub kind: PieceKind,
}

#[derive(Debug)]
pub enum PieceKind {
    Text(String),
    Value(Expr),
    If(Expr),
    Else,
    EndIf,
    For {
        key_name: Option<Arc<str>>,
        value_name: Arc<str>,
        over: Expr,
    },
    EndFor,
}

/// A directive whose end has not come.
struct Frame {
    place: Span,
    opened: Opened,
    /// The parts before `else`, once it has come.
    then: Option<Vec<Part>>,
    parts: Vec<Part>,
    /// Neighbours become one text, which comes after `parts`.
    text: String,
}

enum Opened {
    Root,
    If(Expr),
    For {
        key_name: Option<Arc<str>>,
        value_name: Arc<str>,
        over: Expr,
    },
}

impl Frame {
    fn new(place: Span, opened: Opened) -> Frame {
        Frame {
            place,
            opened,
            then: None,
            parts: Vec::new(),
            text: String::new(),
        }
    }

    fn push(&mut self, part: Option<Part>) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.parts.push(Part::Text(Arc::from(text)));
        }
        self.parts.extend(part);
    }

    fn take_parts(&mut self) -> Vec<Part> {
        self.push(None);
        std::mem::take(&mut self.parts)
    }
}

pub fn nest(p: &mut Parser<'_>, pieces: Vec<Piece>) -> Parse<Vec<Part>> {
    let several = pieces.len() > 1;
    let root = p.span(0, 0);
    let mut outer: Vec<Frame> = Vec::new();
    let mut frame = Frame::new(root, Opened::Root);
    for Piece { place, kind } in pieces {
        let opened = match kind {
            PieceKind::Text(text) => {
                frame.text.push_str(&text);
                continue;
            }
            PieceKind::Value(value) => {
                frame.push(Some(Part::Value(value)));
                continue;
            }
            PieceKind::If(condition) => Opened::If(condition),
            PieceKind::For {
                key_name,
                value_name,
                over,
            } => Opened::For {
                key_name,
                value_name,
                over,
            },
            PieceKind::Else => {
                let first = frame.then.is_none();
                if !first || !matches!(frame.opened, Opened::If(_)) {
                    return p.fail(misplaced(place, "else", &frame));
                }
                frame.then = Some(frame.take_parts());
                continue;
            }
            PieceKind::EndIf | PieceKind::EndFor => {
                let word = match kind {
                    PieceKind::EndIf => "endif",
                    _ => "endfor",
                };
                let fits = match frame.opened {
                    Opened::Root => false,
                    Opened::If(_) => word == "endif",
                    Opened::For { .. } => word == "endfor",
                };
                match outer.pop().filter(|_| fits) {
                    Some(around) => {
                        let done = std::mem::replace(&mut frame, around);
                        frame.push(part_of(done));
                    }
                    None => return p.fail(misplaced(place, word, &frame)),
                }
                continue;
            }
        };
        if outer.len() >= DEPTH_MAX {
            let text = format!("nested deeper than {DEPTH_MAX} levels");
            let d = Diagnostic::error(codes::NESTED_TOO_DEEP, text);
            return p.fail(d.at(place, "this level is one too many"));
        }
        outer.push(std::mem::replace(&mut frame, Frame::new(place, opened)));
    }
    if !outer.is_empty() {
        return p.fail(endless(&frame));
    }
    // A value alone is itself, of whatever type; beside a text, even one that was trimmed away, it is made a text.
    let mut parts = frame.take_parts();
    if several && let [Part::Value(_)] = parts.as_slice() {
        parts.push(Part::Text(Arc::from("")));
    }
    Ok(parts)
}

fn part_of(mut done: Frame) -> Option<Part> {
    let parts = done.take_parts();
    match done.opened {
        Opened::Root => None,
        Opened::If(condition) => {
            let (then, otherwise) = match done.then {
                Some(then) => (then, parts),
                None => (parts, Vec::new()),
            };
            Some(Part::If {
                condition,
                then,
                otherwise,
            })
        }
        Opened::For {
            key_name,
            value_name,
            over,
        } => Some(Part::For {
            key_name,
            value_name,
            over,
            body: parts,
        }),
    }
}

fn misplaced(place: Span, word: &str, frame: &Frame) -> Diagnostic {
    let d = Diagnostic::error(codes::SYNTAX, format!("`{word}` ends nothing here"));
    let d = d.at(place, "here");
    match (&frame.opened, &frame.then) {
        (Opened::Root, _) => d.help(match word {
            "endfor" => "%{ for x in list } comes before it",
            _ => "%{ if condition } comes before it",
        }),
        (Opened::If(_), Some(_)) if word == "else" => {
            d.also(frame.place, "this `if` has an `else` already")
        }
        (Opened::If(_), _) => d.also(frame.place, "this `if` needs %{ endif } first"),
        (Opened::For { .. }, _) => d.also(frame.place, "this `for` needs %{ endfor } first"),
    }
}

fn endless(frame: &Frame) -> Diagnostic {
    let (word, end) = match frame.opened {
        Opened::For { .. } => ("for", "endfor"),
        Opened::If(_) | Opened::Root => ("if", "endif"),
    };
    Diagnostic::error(codes::UNCLOSED, format!("this `{word}` has no end"))
        .at(frame.place, "opened here")
        .help(format!("%{{ {end} }} ends it, in the same string"))
}

/// Takes away the indentation that all lines of a `<<-` heredoc share, in characters. Blank lines do not count; a line that
/// starts with a sequence has none.
pub fn dedent(pieces: &mut [Piece]) {
    let mut least = usize::MAX;
    let mut line_start = true;
    for piece in &*pieces {
        let PieceKind::Text(text) = &piece.kind else {
            least = if line_start { 0 } else { least };
            line_start = false;
            continue;
        };
        for line in text.split_inclusive('\n') {
            if line_start && !is_blank_line(line) {
                let spaces = line.chars().take_while(|c| c.is_whitespace()).count();
                least = least.min(spaces);
            }
            line_start = line.ends_with('\n');
        }
    }
    if matches!(least, 0 | usize::MAX) {
        return;
    }
    line_start = true;
    for piece in pieces {
        let PieceKind::Text(text) = &mut piece.kind else {
            line_start = false;
            continue;
        };
        let mut out = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let cut = match line_start && !is_blank_line(line) {
                true => line
                    .char_indices()
                    .nth(least)
                    .map_or(line.len(), |(i, _)| i),
                false => 0,
            };
            out.push_str(line.get(cut..).unwrap_or_default());
            line_start = line.ends_with('\n');
        }
        *text = out;
    }
}

fn is_blank_line(text: &str) -> bool {
    text.ends_with('\n') && text.trim().is_empty()
}
