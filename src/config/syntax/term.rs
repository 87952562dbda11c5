//! Terms: what an operator works on.

use super::ast::{Expr, ExprKind, For};
use super::parser::{Lines, Parse, Parser};
use super::token::{Kind, Token};
use crate::config::codes;
use crate::config::value::Value;
use crate::diag::Diagnostic;

/// What a `for` makes.
#[derive(Debug, Clone, Copy)]
enum Makes {
    Tuple,
    Object,
}

type Name = std::sync::Arc<str>;

impl Parser<'_> {
    pub fn term(&mut self) -> Parse<Expr> {
        let token = self.token;
        match self.kind() {
            Kind::Number => {
                self.advance();
                self.number(token)
            }
            Kind::Ident => {
                self.advance();
                self.word(token)
            }
            Kind::QuoteOpen | Kind::HeredocOpen => self.string(),
            Kind::ParenOpen => self.paren(),
            Kind::BracketOpen => self.tuple(),
            Kind::BraceOpen => self.object(),
            Kind::UnclosedHeredoc => self.unclosed_heredoc(),
            // One mistake of its own; what follows is read on.
            Kind::Apostrophe => {
                let d = self.no_value();
                self.report(d);
                self.advance();
                self.make(token.start, ExprKind::Invalid)
            }
            _ => {
                if let Some(bail) = self.unclosed_here() {
                    return Err(bail);
                }
                let d = self.no_value();
                self.fail(d)
            }
        }
    }

    fn word(&mut self, token: Token) -> Parse<Expr> {
        if matches!(self.kind(), Kind::ParenOpen | Kind::DoubleColon) {
            return self.call(token);
        }
        let kind = match self.text_of(token) {
            "true" => ExprKind::Literal(Value::bool(true)),
            "false" => ExprKind::Literal(Value::bool(false)),
            "null" => ExprKind::Literal(Value::null()),
            _ => ExprKind::Name(self.name(token)),
        };
        self.make(token.start, kind)
    }

    fn paren(&mut self) -> Parse<Expr> {
        let start = self.token.start;
        let inner = self.within(Lines::Blank, |p| {
            let inner = p.expression()?;
            p.close(Kind::ParenClose)?;
            Ok(inner)
        })?;
        self.make(start, ExprKind::Paren(Box::new(inner)))
    }

    fn tuple(&mut self) -> Parse<Expr> {
        let start = self.token.start;
        let kind = self.within(Lines::Blank, |p| {
            if p.at_word("for") {
                return p.for_expr(Makes::Tuple);
            }
            let mut items = Vec::new();
            while p.kind() != Kind::BracketClose {
                items.push(p.expression()?);
                p.comma(Kind::BracketClose)?;
            }
            p.close(Kind::BracketClose)?;
            Ok(ExprKind::Tuple(items))
        })?;
        self.make(start, kind)
    }

    fn object(&mut self) -> Parse<Expr> {
        let start = self.token.start;
        let kind = self.within(Lines::Blank, |p| match p.at_word("for") {
            true => p.for_expr(Makes::Object),
            false => p.object_items(),
        })?;
        self.make(start, kind)
    }

    fn object_items(&mut self) -> Parse<ExprKind> {
        let mut items = Vec::new();
        loop {
            self.lines = Lines::Blank;
            if let Some(bail) = self.unclosed_by_indent() {
                return Err(bail);
            }
            if self.take_if(Kind::BraceClose) {
                return Ok(ExprKind::Object(items));
            }
            self.lines = Lines::End;
            self.after_newline = false;
            let key = self.object_key()?;
            self.key_separator()?;
            items.push((key, self.expression()?));
            match self.kind() {
                Kind::Newline | Kind::BraceClose => {}
                Kind::Comma => self.advance(),
                _ if self.starts_another_key() => {
                    let d = self
                        .unexpected("a comma or a new line between two attributes of an object");
                    self.report(d.help("put a comma before it"));
                }
                _ => return Err(self.missing("a comma, a new line or `}`")),
            }
        }
    }

    /// `a = 1 b = 2`: only the comma is missing.
    fn starts_another_key(&self) -> bool {
        let rest = self.text.get(self.token.start as usize..);
        !self.is_full() && rest.is_some_and(super::recover::is_assignment)
    }

    /// A bare name is itself; anything else is an expression.
    fn object_key(&mut self) -> Parse<Expr> {
        let token = self.token;
        let key = self.expression()?;
        let is_one_word = self.end == token.end;
        if token.kind == Kind::Ident && is_one_word {
            let name = Value::string(self.text_of(token));
            return Ok(Expr::new(key.span, ExprKind::Literal(name)));
        }
        if matches!(key.kind, ExprKind::Traversal(..)) && token.kind == Kind::Ident {
            let d = Diagnostic::error(codes::SYNTAX, "a key with dots is not clear")
                .at(key.span, "a name, or a reference?")
                .help("quote it to use it as it is written, or put it into parentheses to use its value");
            self.report(d);
            return Ok(Expr::invalid(key.span));
        }
        Ok(key)
    }

    fn key_separator(&mut self) -> Parse<()> {
        match self.kind() {
            Kind::Assign | Kind::Colon => {
                self.advance();
                Ok(())
            }
            Kind::Equal | Kind::Arrow => {
                let d = self.unexpected("`=` after a key");
                self.report(d);
                self.advance();
                Ok(())
            }
            Kind::Newline | Kind::Comma | Kind::BraceClose => {
                let d = self
                    .unexpected("`=` and a value after a key")
                    .help("`{ }` holds keys with values, `[ ]` holds values");
                self.fail(d)
            }
            _ => Err(self.missing("`=` or `:` after a key")),
        }
    }

    /// The `for` is at hand.
    fn for_expr(&mut self, makes: Makes) -> Parse<ExprKind> {
        let start = self.token.start;
        self.advance();
        let (key_name, value_name, over) = self.for_intro()?;
        if self.kind() != Kind::Colon {
            return Err(self.missing("`:` after the collection of a `for`"));
        }
        self.advance();
        let mut value = self.expression()?;
        let mut key = None;
        if self.take_if(Kind::Arrow) {
            key = Some(std::mem::replace(&mut value, self.expression()?));
        }
        let grouping = self.take_if(Kind::Ellipsis);
        let mut condition = None;
        if self.at_word("if") {
            self.advance();
            condition = Some(self.expression()?);
        }
        let place = self.since(start);
        let (close, wrong) = match makes {
            Makes::Object if key.is_none() => (
                Kind::BraceClose,
                Some("`{ for }` makes an object: it needs key => value"),
            ),
            Makes::Object => (Kind::BraceClose, None),
            Makes::Tuple if key.is_some() => (
                Kind::BracketClose,
                Some("`[for]` makes a list: it has no key =>"),
            ),
            Makes::Tuple if grouping => (
                Kind::BracketClose,
                Some("`...` groups by key: only `{ for }` has one"),
            ),
            Makes::Tuple => (Kind::BracketClose, None),
        };
        self.close(close)?;
        if let Some(text) = wrong {
            self.report(Diagnostic::error(codes::SYNTAX, text).at(place, "here"));
            return Ok(ExprKind::Invalid);
        }
        Ok(ExprKind::For(Box::new(For {
            key_name,
            value_name,
            over,
            key,
            value,
            condition,
            grouping,
        })))
    }

    /// `x in list` or `k, v in map`.
    pub fn for_intro(&mut self) -> Parse<(Option<Name>, Name, Expr)> {
        let mut value_name = self.bound_name()?;
        let mut key_name = None;
        if self.take_if(Kind::Comma) {
            key_name = Some(std::mem::replace(&mut value_name, self.bound_name()?));
        }
        if !self.at_word("in") {
            let d = self.unexpected("`in` after the names of a `for`");
            return self.fail(d.help("for x in list, or for k, v in map"));
        }
        self.advance();
        Ok((key_name, value_name, self.expression()?))
    }

    fn bound_name(&mut self) -> Parse<Name> {
        if self.kind() != Kind::Ident {
            let d = self.unexpected("a name for the element, after `for`");
            return self.fail(d.help("for x in list, or for k, v in map"));
        }
        let token = self.take();
        Ok(self.name(token))
    }

    /// A comma, or the closing bracket, which stays.
    pub fn comma(&mut self, close: Kind) -> Parse<()> {
        if self.kind() == close || self.take_if(Kind::Comma) {
            return Ok(());
        }
        if let Some(bail) = self.unclosed_here() {
            return Err(bail);
        }
        if self.kind().starts_expression() && !self.is_full() {
            let d = self.unexpected("a comma between two values");
            self.report(d.help("put a comma before it"));
            return Ok(());
        }
        Err(self.missing("a comma or the closing bracket"))
    }

    /// Reads a closing bracket.
    pub fn close(&mut self, close: Kind) -> Parse<()> {
        if self.token.kind != close {
            return Err(self.missing("the closing bracket"));
        }
        self.advance();
        Ok(())
    }
}
