//! Strings, heredocs and template files: text with sequences in it, as a list; [`super::nest`] makes a tree of the list.

use std::sync::Arc;

use super::ast::{Expr, ExprKind, Part};
use super::escape::Quoting;
use super::nest::{Piece, PieceKind, dedent, nest};
use super::parser::{Lines, Parse, Parser};
use super::token::Kind;
use crate::config::codes;
use crate::config::value::Value;
use crate::diag::{Diagnostic, Span};

impl Parser<'_> {
    /// The whole text is one template.
    pub fn only_template(&mut self) -> Vec<Part> {
        let parsed = self.pieces(Kind::End, Quoting::Plain);
        let parts = parsed.and_then(|pieces| nest(self, pieces));
        parts.unwrap_or_default()
    }

    /// A quoted string or a heredoc.
    pub fn string(&mut self) -> Parse<Expr> {
        let open = self.token;
        let pieces = self.within(Lines::End, |p| match open.kind {
            Kind::QuoteOpen => p.pieces(Kind::QuoteClose, Quoting::Quoted),
            _ => p.pieces(Kind::HeredocClose, Quoting::Plain),
        });
        let mut pieces = pieces?;
        if self.text_of(open).starts_with("<<-") {
            dedent(&mut pieces);
        }
        let only_text = pieces
            .iter()
            .all(|piece| matches!(piece.kind, PieceKind::Text(_)));
        if only_text {
            let text = pieces.into_iter().find_map(|piece| match piece.kind {
                PieceKind::Text(text) => Some(text),
                _ => None,
            });
            let value = Value::string(text.unwrap_or_default());
            return self.make(open.start, ExprKind::Literal(value));
        }
        let parts = nest(self, pieces)?;
        self.make(open.start, ExprKind::Template(parts))
    }

    /// To the closing token, which is read too.
    fn pieces(&mut self, close: Kind, quoting: Quoting) -> Parse<Vec<Piece>> {
        let mut out: Vec<Piece> = Vec::new();
        let mut trim_next = false;
        loop {
            let token = self.token;
            let place = self.span_of(token);
            match token.kind {
                kind if kind == close => {
                    self.advance();
                    return Ok(out);
                }
                Kind::Text => {
                    self.advance();
                    let mut text = self.unescape(token, quoting);
                    if std::mem::take(&mut trim_next) {
                        text = text.trim_start().to_owned();
                    }
                    add_text(&mut out, place, text);
                }
                Kind::Interpolation | Kind::Directive => {
                    if self.text_of(token).ends_with('~')
                        && let Some(PieceKind::Text(before)) = out.last_mut().map(|p| &mut p.kind)
                    {
                        trim_last_line(before, quoting);
                    }
                    let (kind, trim) = self.within(Lines::Blank, |p| p.sequence(token.kind))?;
                    trim_next = trim;
                    let place = self.since(token.start);
                    out.push(Piece { place, kind });
                }
                Kind::LineInString => {
                    self.line_in_string();
                    return Ok(out);
                }
                _ => {
                    let bail = self.unclosed_here();
                    return Err(bail.unwrap_or_else(|| self.missing("the end of the text")));
                }
            }
        }
    }

    fn line_in_string(&mut self) {
        let open = self.innermost().unwrap_or(self.token);
        let d = Diagnostic::error(
            codes::NEWLINE_IN_STRING,
            "a line ends inside a quoted string",
        )
        .at(self.span_of(open), "the string starts here")
        .help("close the string on its line, write \\n, or use a heredoc (<<-EOT)");
        self.report(d);
        self.advance();
    }

    /// What stands in `${ }` or `%{ }`, and whether its end trims.
    fn sequence(&mut self, kind: Kind) -> Parse<(PieceKind, bool)> {
        let piece = match kind {
            Kind::Directive => self.directive()?,
            _ => PieceKind::Value(self.expression()?),
        };
        let close = self.token;
        if close.kind != Kind::SequenceEnd {
            return Err(self.no_sequence_end());
        }
        let trim = self.text_of(close).starts_with('~');
        self.advance();
        Ok((piece, trim))
    }

    fn no_sequence_end(&mut self) -> super::parser::Bail {
        if self.token.kind == Kind::Colon {
            let d = self.unexpected("`}` after the value").help(
                "`${` that is text, such as a shell's, is written `$${`; a conditional is condition ? a : b",
            );
            self.report(d);
            return self.bail(None);
        }
        self.missing("`}` after the value")
    }

    fn directive(&mut self) -> Parse<PieceKind> {
        let word = self.token;
        let name = match self.kind() {
            Kind::Ident => self.text_of(word),
            _ => "",
        };
        let makes = match name {
            "if" => {
                self.advance();
                return Ok(PieceKind::If(self.expression()?));
            }
            "for" => {
                self.advance();
                let (key_name, value_name, over) = self.for_intro()?;
                return Ok(PieceKind::For {
                    key_name,
                    value_name,
                    over,
                });
            }
            "else" => PieceKind::Else,
            "endif" => PieceKind::EndIf,
            "endfor" => PieceKind::EndFor,
            _ => return self.unknown_directive(),
        };
        self.advance();
        if name == "else" && self.at_word("if") {
            let d = self
                .unexpected("`}` after `else`")
                .help("put a whole %{ if }...%{ endif } between %{ else } and %{ endif }");
            return self.fail(d);
        }
        Ok(makes)
    }

    fn unknown_directive<T>(&mut self) -> Parse<T> {
        if let Some(bail) = self.unclosed_here() {
            return Err(bail);
        }
        let d = self.unexpected("if, else, endif, for or endfor after `%{`");
        let help = match self.text_of(self.token) {
            "elseif" | "elif" | "elsif" => {
                "put a whole %{ if }...%{ endif } between %{ else } and %{ endif }"
            }
            "end" => "an if ends with %{ endif }, a for with %{ endfor }",
            _ => "a `%{` that is text is written `%%{`",
        };
        self.fail(d.help(help))
    }

    /// The label of a block: a quoted string without sequences.
    pub fn label_text(&mut self) -> Parse<Arc<str>> {
        let pieces = self.within(Lines::End, |p| p.pieces(Kind::QuoteClose, Quoting::Quoted))?;
        let mut text = String::new();
        for piece in pieces {
            match piece.kind {
                PieceKind::Text(more) => text.push_str(&more),
                _ => {
                    let d = Diagnostic::error(codes::SYNTAX, "a label is a plain text")
                        .at(piece.place, "this would be computed")
                        .help("for_each makes many of one block; `$${` is a `${` that is text");
                    return self.fail(d);
                }
            }
        }
        Ok(Arc::from(text))
    }
}

/// Lines that follow each other are one piece: a text of a million lines is no million pieces.
fn add_text(pieces: &mut Vec<Piece>, place: Span, text: String) {
    match pieces.last_mut() {
        Some(Piece {
            place: before,
            kind: PieceKind::Text(all),
        }) => {
            before.end = place.end;
            all.push_str(&text);
        }
        _ => {
            let kind = PieceKind::Text(text);
            pieces.push(Piece { place, kind });
        }
    }
}

/// A `~` takes the white space before it: between quotes all of it, elsewhere that of one line, with its newline when the line
/// has nothing else.
fn trim_last_line(text: &mut String, quoting: Quoting) {
    let inner = text.len().saturating_sub(1);
    let line = match quoting {
        Quoting::Quoted => 0,
        Quoting::Plain => text
            .as_bytes()
            .get(..inner)
            .and_then(|before| before.iter().rposition(|b| *b == b'\n'))
            .map_or(0, |n| n + 1),
    };
    let kept = text.get(line..).map_or(0, |last| last.trim_end().len());
    text.truncate(line + kept);
}
