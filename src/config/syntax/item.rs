//! One attribute or block.

use std::sync::Arc;

use super::ast::{Attribute, Block, Body, Expr, Label};
use super::body::Filling;
use super::parser::{Bail, Lines, Parse, Parser};
use super::recover::{Level, Shape, is_assignment, line_start};
use super::token::{Kind, Token};
use crate::config::codes;
use crate::diag::Diagnostic;

impl Parser<'_> {
    /// Whatever is at hand: after this, something else is.
    pub fn next_item(&mut self, level: &Level, filling: &mut Filling) {
        self.after_newline = false;
        self.around = self.opens.len();
        let outer = std::mem::replace(&mut self.lines, Lines::End);
        let first = self.token;
        let attributes = filling.body.attributes.len();
        let done = match first.kind {
            Kind::Ident => self.item(level, filling),
            Kind::QuoteOpen => self.quoted_name(level, filling),
            _ => self.no_item(level),
        };
        if let Err(bail) = done {
            let kept = attributes < filling.body.attributes.len();
            filling.body.incomplete |= !kept;
            self.skip(&bail, level, first);
        }
        self.lines = outer;
    }

    fn item(&mut self, level: &Level, filling: &mut Filling) -> Parse<()> {
        let name = self.take();
        match self.kind() {
            Kind::Assign | Kind::Colon | Kind::Equal | Kind::Arrow => {
                self.attribute(name, level, filling)
            }
            Kind::BraceOpen | Kind::QuoteOpen | Kind::Ident | Kind::Apostrophe => {
                if level.shape == Shape::OneLine {
                    let text = "a block on one line holds an attribute, and no block";
                    let d = Diagnostic::error(codes::SYNTAX, text).at(self.span_of(name), "here");
                    self.report(d.help("put the inner block on a line of its own"));
                }
                self.block(name, level, filling)
            }
            _ => {
                let text = self.text_of(name);
                let d = self.unexpected(&format!("`=` or `{{` after `{text}`"));
                let d = match self.kind() {
                    Kind::Dot => {
                        d.help("what is set has a plain name; to refer to it, use it in a value")
                    }
                    Kind::BracketOpen => d.help("one element cannot be set: set all of it"),
                    Kind::Plus | Kind::Minus | Kind::Star => {
                        d.help("an attribute is set once, to its whole value")
                    }
                    Kind::Stray | Kind::Apostrophe => self.about_stray(d),
                    _ => d.help(format!("write {text} = value, or {text} {{ }} for a block")),
                };
                self.fail(d)
            }
        }
    }

    /// `"cpus" = 1`: the name is clear, so the attribute is read on.
    fn quoted_name(&mut self, level: &Level, filling: &mut Filling) -> Parse<()> {
        let open = self.token;
        let mistakes = self.mistakes;
        let text = self.label_text()?;
        if self.mistakes > mistakes {
            return Err(self.bail(None));
        }
        let place = self.since(open.start);
        let d = Diagnostic::error(codes::SYNTAX, "a name has no quotes here").at(place, "here");
        if self.kind() == Kind::Assign && super::lexer::word_len(&text) == text.len() {
            self.report(d.help(format!("write {text} = value")));
            let name = Token {
                kind: Kind::Ident,
                start: open.start + 1,
                end: place.end.saturating_sub(1),
            };
            return self.attribute(name, level, filling);
        }
        self.fail(d.help("a line starts with the name of an attribute or the kind of a block"))
    }

    fn no_item<T>(&mut self, level: &Level) -> Parse<T> {
        let token = self.token;
        if token.kind == Kind::BraceClose && level.open.is_none() {
            let d = Diagnostic::error(codes::SYNTAX, "this brace closes nothing")
                .at(self.span_of(token), "here")
                .help("take it away, or look above it for a `{` that is missing");
            self.advance();
            return self.fail(d);
        }
        let d = self.unexpected("an attribute or a block");
        let d = match token.kind {
            Kind::Stray | Kind::Apostrophe => self.about_stray(d),
            Kind::Number => d.help("a name starts with a letter"),
            Kind::Plus
            | Kind::Minus
            | Kind::Star
            | Kind::Slash
            | Kind::And
            | Kind::Or
            | Kind::Question
            | Kind::Colon
            | Kind::Dot => {
                d.help("an expression goes on over several lines within parentheses only")
            }
            _ => d.help("write name = value, or kind \"name\" { }"),
        };
        if token.kind == Kind::UnclosedHeredoc {
            return self.unclosed_heredoc();
        }
        let failed = self.fail(d);
        if !matches!(token.kind, Kind::BraceClose | Kind::End) {
            self.advance();
        }
        failed
    }

    /// The name has been read, and `=`, or what was written in its place, is at hand.
    fn attribute(&mut self, name: Token, level: &Level, filling: &mut Filling) -> Parse<()> {
        if self.kind() != Kind::Assign {
            let d = self.unexpected(&format!("`=` after `{}`", self.text_of(name)));
            self.report(d.help("an attribute is name = value"));
        }
        self.advance();
        let start = self.token.start;
        let mistakes = self.mistakes;
        let value = match self.kind() {
            Kind::Newline | Kind::End => self.no_value_on_line(name),
            _ => self.expression(),
        };
        // A mistake that was read over still leaves a value that nobody wrote.
        let sound = self.mistakes == mistakes && !self.is_full();
        let (value, ended) = match value {
            Ok(value) => {
                let ended = self.end_of_item(level, "attribute");
                let whole = sound && ended.is_ok();
                let invalid = Expr::invalid(value.span);
                (if whole { value } else { invalid }, ended)
            }
            Err(bail) => (
                Expr::invalid(self.span(start.min(self.end), self.end)),
                Err(bail),
            ),
        };
        let attribute = Attribute {
            name: self.name(name),
            name_span: self.span_of(name),
            value,
        };
        self.add_attribute(attribute, filling);
        ended
    }

    /// `name =` and nothing: the value may stand on the next line.
    fn no_value_on_line(&mut self, name: Token) -> Parse<Expr> {
        let text = self.text_of(name);
        let d = Diagnostic::error(codes::SYNTAX, format!("`{text}` has no value"))
            .at(self.here(), "expected here, on the line of the `=`")
            .help("begin the value on this line; within brackets it may go on over several");
        let next = self
            .text
            .get(self.token.start as usize..)
            .unwrap_or_default();
        let (here, there) = (
            line_start(self.text, self.token.start),
            line_start(self.text, name.start),
        );
        let indented = match (here, there) {
            (Some(here), Some(there)) => self.token.start - here > name.start - there,
            _ => false,
        };
        if indented && self.token.kind.starts_expression() && !is_assignment(next) {
            self.report(d);
            self.after_newline = false;
            return self.expression();
        }
        self.fail(d)
    }

    /// The end of the line is expected.
    fn end_of_item(&mut self, level: &Level, what: &str) -> Parse<()> {
        let here = self.here();
        let mistake = |text| Diagnostic::error(codes::SYNTAX, text).at(here, "here");
        let d = match (self.kind(), level.shape) {
            (Kind::BraceClose, Shape::OneLine) => return Ok(()),
            (Kind::Newline | Kind::End, Shape::Lines) => return Ok(()),
            (Kind::Newline | Kind::End, Shape::OneLine) => {
                mistake("a block begun on one line is closed on it")
                    .help("put its attribute on a line of its own, or `}` after it")
            }
            (Kind::BraceClose, Shape::Lines) if level.open.is_some() => {
                mistake("a block of several lines is closed on a line of its own")
                    .help("put this on the next line")
            }
            (Kind::Comma, Shape::Lines) => {
                self.advance();
                mistake("there are no commas between attributes").help("a line holds one attribute")
            }
            (_, shape) => return self.no_end_of_item(shape, what),
        };
        self.report(d);
        Ok(())
    }

    fn no_end_of_item(&mut self, shape: Shape, what: &str) -> Parse<()> {
        let next = self.text.get(self.token.start as usize..);
        let goes_on = self.kind() == Kind::Ident && next.is_some_and(is_assignment);
        if shape == Shape::OneLine && (goes_on || self.kind() == Kind::Comma) {
            let text = "a block on one line holds one attribute";
            let d = Diagnostic::error(codes::SYNTAX, text).at(self.here(), "here");
            self.report(d.help("write each attribute on a line of its own"));
            self.take_if(Kind::Comma);
            return Ok(());
        }
        let d = self.after_a_value("the end of the line");
        if goes_on {
            self.report(d.help(format!("the {what} ends its line: begin a new one")));
            return Ok(());
        }
        self.fail(d)
    }

    /// The kind has been read.
    fn block(&mut self, kind: Token, level: &Level, filling: &mut Filling) -> Parse<()> {
        let labels = self.labels(kind)?;
        let header_end = labels.last().map_or(kind.end, |label| label.span.end);
        let header = self.span(kind.start, header_end);
        let mut block = Block {
            kind: self.name(kind),
            labels,
            header,
            body: Body::default(),
        };
        let open = self.token;
        let inner = Level {
            shape: Shape::Lines,
            depth: level.depth + 1,
            open: Some(Token {
                start: kind.start,
                ..open
            }),
            header,
        };
        let body = match self.kind() {
            Kind::BraceOpen => self.within(Lines::End, |p| p.braced(&inner)),
            _ => {
                self.no_brace()?;
                // The body is there, only its brace is not.
                let at = self.token.start;
                self.resume(at, inner.depth);
                self.deeper(|p| Ok(p.block_body(&inner)))
            }
        };
        block.body = body?;
        block.body.span.start = open.start.min(block.body.span.end);
        filling.body.blocks.push(block);
        self.around = self.opens.len();
        self.end_of_item(level, "block")
    }

    fn braced(&mut self, level: &Level) -> Parse<Body> {
        let shape = match self.token.kind {
            Kind::BraceClose | Kind::End => Shape::Lines,
            _ if self.after_newline => Shape::Lines,
            _ => Shape::OneLine,
        };
        Ok(self.block_body(&Level { shape, ..*level }))
    }

    fn labels(&mut self, kind: Token) -> Parse<Vec<Label>> {
        let mut labels = Vec::new();
        loop {
            let token = self.token;
            let text = match self.kind() {
                Kind::Ident => {
                    self.advance();
                    self.name(token)
                }
                Kind::QuoteOpen => self.label_text()?,
                Kind::BraceOpen | Kind::Newline | Kind::End => return Ok(labels),
                _ => return self.wrong_label(kind, labels),
            };
            let span = self.since(token.start);
            labels.push(Label { text, span });
        }
    }

    /// `node r1.01 {`: what stands before the brace is the label, and wants quotes.
    fn wrong_label(&mut self, kind: Token, mut labels: Vec<Label>) -> Parse<Vec<Label>> {
        if self.kind() == Kind::Assign {
            let d = self.unexpected("`{` or a label");
            let next = self.text.get(self.token.end as usize..).unwrap_or_default();
            if next.trim_start_matches([' ', '\t']).starts_with('{') {
                self.report(d.help("a block has no `=` before its `{`"));
                self.advance();
                return Ok(labels);
            }
            let name = self.text_of(kind);
            return self.fail(d.help(format!(
                "a name is one word, and `{name}` is the kind of a block here"
            )));
        }
        let start = labels.last().map_or(self.token.start, |l| l.span.start);
        let d = self.unexpected("a label in quotes, or `{`");
        while !matches!(self.kind(), Kind::BraceOpen | Kind::Newline | Kind::End) {
            self.advance();
        }
        let text = self
            .text
            .get(start as usize..self.end as usize)
            .unwrap_or_default();
        let text = text.trim().trim_matches(['\'', '"']);
        if self.kind() != Kind::BraceOpen {
            return self.fail(d.help("a block is kind \"label\" { }"));
        }
        let span = self.since(start);
        self.report(d.help(format!("write \"{text}\"")));
        labels.pop();
        labels.push(Label {
            text: Arc::from(text),
            span,
        });
        Ok(labels)
    }

    /// A header without `{`. Where the next line stands deeper, the body has begun.
    fn no_brace(&mut self) -> Result<(), Bail> {
        let d = self.unexpected("`{` on the line of the block");
        let next = self.token.start;
        let header = line_start(self.text, self.end);
        let deeper = match (line_start(self.text, next), header) {
            (Some(here), Some(there)) => {
                let indent = |line: u32| {
                    let rest = self.text.get(line as usize..).unwrap_or_default();
                    rest.len() - rest.trim_start_matches([' ', '\t']).len()
                };
                indent(here) > indent(there)
            }
            _ => false,
        };
        match self.token.kind {
            // `{` on the next line.
            Kind::BraceOpen => {
                self.report(d.help("move it up: a new line ends the header"));
                self.advance();
                Ok(())
            }
            Kind::End => self.fail(d),
            _ if deeper => {
                self.report(d);
                Ok(())
            }
            _ => self.fail(d.help("a block is kind \"label\" { }")),
        }
    }
}
