//! Operators, what stands before and after a term, and function calls.

use std::sync::Arc;

use super::LEVELS_MAX;
use super::ast::{BinaryOp, Call, Expr, ExprKind, Step, StepKind};
use super::parser::{Lines, Parse, Parser};
use super::token::{Kind, Token};
use crate::config::codes;
use crate::diag::Diagnostic;

/// Expressions in one file. Ten times as many as 10,000 machines need; a tree of them takes less than 1 GiB.
const EXPRESSIONS_MAX: usize = 4_000_000;

/// Attributes and indexes taken from one value, each from what the one before it gives.
const STEPS_MAX: usize = 200;

/// How tightly an operator binds, from loosest to tightest.
const TIGHTEST: u8 = 5;

fn operator(kind: Kind) -> Option<(u8, BinaryOp)> {
    Some(match kind {
        Kind::Or => (0, BinaryOp::Or),
        Kind::And => (1, BinaryOp::And),
        Kind::Equal => (2, BinaryOp::Equal),
        Kind::NotEqual => (2, BinaryOp::NotEqual),
        Kind::Less => (3, BinaryOp::Less),
        Kind::LessEqual => (3, BinaryOp::LessEqual),
        Kind::Greater => (3, BinaryOp::Greater),
        Kind::GreaterEqual => (3, BinaryOp::GreaterEqual),
        Kind::Plus => (4, BinaryOp::Add),
        Kind::Minus => (4, BinaryOp::Subtract),
        Kind::Star => (5, BinaryOp::Multiply),
        Kind::Slash => (5, BinaryOp::Divide),
        Kind::Percent => (5, BinaryOp::Modulo),
        _ => return None,
    })
}

impl Parser<'_> {
    /// The whole text is one expression.
    pub fn only_expression(&mut self) -> Expr {
        self.lines = Lines::Blank;
        let parsed = self.expression();
        if parsed.is_ok() && self.kind() != Kind::End {
            let d = self.after_a_value("the end of the expression");
            self.report(d);
        }
        parsed.unwrap_or_else(|_| Expr::invalid(self.span(0, self.end)))
    }

    pub fn make(&mut self, start: u32, kind: ExprKind) -> Parse<Expr> {
        let expr = Expr::new(self.since(start), kind);
        if expr.levels > LEVELS_MAX {
            return self.too_many_levels(expr.span);
        }
        self.expressions += 1;
        if self.expressions > EXPRESSIONS_MAX {
            let text = format!("a file of more than {EXPRESSIONS_MAX} expressions");
            let d = Diagnostic::error(codes::TOO_LARGE, text).at(expr.span, "this one is too many");
            return self.give_up(d.help("make several files of it"));
        }
        Ok(expr)
    }

    pub fn expression(&mut self) -> Parse<Expr> {
        self.deeper(|p| {
            let start = p.token.start;
            let condition = p.binary(0)?;
            if p.kind() != Kind::Question {
                return Ok(condition);
            }
            let question = p.take();
            let yes = p.expression()?;
            if !p.take_if(Kind::Colon) {
                let d = p
                    .unexpected("`:` and the value for false")
                    .also(p.span_of(question), "this asks for two values")
                    .help("a conditional is condition ? value : value");
                return p.fail(d);
            }
            let no = p.expression()?;
            p.make(start, ExprKind::Conditional(Box::new([condition, yes, no])))
        })
    }

    fn binary(&mut self, least: u8) -> Parse<Expr> {
        if least > TIGHTEST {
            return self.unary();
        }
        let start = self.token.start;
        let mut left = self.unary()?;
        while let Some((binds, op)) = operator(self.kind()).filter(|(binds, _)| *binds >= least) {
            self.advance();
            let right = self.binary(binds + 1)?;
            left = self.make(start, ExprKind::Binary(op, Box::new([left, right])))?;
        }
        Ok(left)
    }

    /// `-` and `!` are gathered first: a million of them are no recursion.
    fn unary(&mut self) -> Parse<Expr> {
        let mut signs: Vec<Token> = Vec::new();
        while matches!(self.kind(), Kind::Minus | Kind::Not) {
            if signs.len() >= usize::from(LEVELS_MAX) {
                let place = self.here();
                return self.too_many_levels(place);
            }
            signs.push(self.take());
        }
        let mut expr = self.postfix()?;
        for sign in signs.into_iter().rev() {
            let inner = Box::new(expr);
            let kind = match sign.kind {
                Kind::Not => ExprKind::Not(inner),
                _ => ExprKind::Negate(inner),
            };
            expr = self.make(sign.start, kind)?;
        }
        Ok(expr)
    }

    /// A term and what is taken from it: `.name`, `[index]`, `.0`, `[*]`, `.*`.
    fn postfix(&mut self) -> Parse<Expr> {
        let start = self.token.start;
        let base = self.term()?;
        let mut steps = Vec::new();
        loop {
            if steps.len() > STEPS_MAX {
                let place = self.here();
                return self.too_many_levels(place);
            }
            match self.kind() {
                Kind::Dot => self.dot(&mut steps)?,
                Kind::BracketOpen => steps.push(self.index()?),
                _ => break,
            }
        }
        if steps.is_empty() {
            return Ok(base);
        }
        self.make(start, ExprKind::Traversal(Box::new(base), steps))
    }

    fn dot(&mut self, steps: &mut Vec<Step>) -> Parse<()> {
        self.advance();
        let token = self.token;
        let span = self.span_of(token);
        match self.kind() {
            Kind::Ident => {
                self.advance();
                let name = self.name(token);
                steps.push(Step {
                    span,
                    kind: StepKind::Attribute(name),
                });
            }
            Kind::Star => {
                self.advance();
                steps.push(Step {
                    span,
                    kind: StepKind::AttributeSplat,
                });
            }
            // `a.0.1`: the lexer sees a number with a fraction.
            Kind::Number => {
                for part in self.text_of(token).split('.') {
                    let Ok(index) = part.parse() else {
                        let d = self.unexpected("a name or an index after `.`");
                        return self.fail(d);
                    };
                    steps.push(Step {
                        span,
                        kind: StepKind::LegacyIndex(index),
                    });
                }
                self.advance();
            }
            _ => {
                let d = self.unexpected("the name of an attribute after `.`");
                let d = d.help("a name that is computed, or not a plain word, goes into [\"...\"]");
                return self.fail(d);
            }
        }
        Ok(())
    }

    fn index(&mut self) -> Parse<Step> {
        let start = self.token.start;
        let kind = self.within(Lines::Blank, |p| {
            if p.kind() == Kind::BracketClose {
                let d = p.unexpected("an index");
                return p.fail(d.help("write [0], [\"key\"], or [*] for every element"));
            }
            let kind = match p.take_if(Kind::Star) {
                true => StepKind::Splat,
                false => StepKind::Index(p.expression()?),
            };
            p.close(Kind::BracketClose)?;
            Ok(kind)
        })?;
        let span = self.since(start);
        Ok(Step { span, kind })
    }

    /// The name has been read, and a `(` or `::` is at hand.
    pub fn call(&mut self, first: Token) -> Parse<Expr> {
        let mut name = self.name(first);
        while self.take_if(Kind::DoubleColon) {
            if self.kind() != Kind::Ident {
                let d = self.unexpected("the name of a function after `::`");
                return self.fail(d);
            }
            name = Arc::from(format!("{name}::{}", self.text_of(self.token)));
            self.advance();
        }
        let name_span = self.since(first.start);
        if self.kind() != Kind::ParenOpen {
            let d = self.unexpected("`(` after the name of a function");
            return self.fail(d);
        }
        let (args, expand) = self.within(Lines::Blank, Self::arguments)?;
        let call = Call {
            name,
            name_span,
            args,
            expand,
        };
        self.make(first.start, ExprKind::Call(Box::new(call)))
    }

    fn arguments(&mut self) -> Parse<(Vec<Expr>, bool)> {
        let mut args = Vec::new();
        let mut expand = false;
        while self.kind() != Kind::ParenClose {
            args.push(self.expression()?);
            if self.kind() == Kind::Ellipsis {
                let dots = self.take();
                expand = true;
                if self.kind() != Kind::ParenClose {
                    let d = self
                        .unexpected("`)` after `...`")
                        .also(self.span_of(dots), "only the last argument can be spread");
                    return self.fail(d);
                }
                break;
            }
            self.comma(Kind::ParenClose)?;
        }
        self.close(Kind::ParenClose)?;
        Ok((args, expand))
    }

    /// What stands after a value does not belong there.
    pub fn after_a_value(&self, expected: &str) -> Diagnostic {
        let d = self.unexpected(expected);
        let word = self.text_of(self.token);
        let touches = self.end == self.token.start && !self.after_newline;
        let before = self.text.get(..self.end as usize).unwrap_or_default();
        let help = match self.kind() {
            Kind::Ident if touches && before.ends_with(|c: char| c.is_ascii_digit()) => {
                "numbers are decimal: 16, 1000, 1.5, 1e3"
            }
            Kind::Ident if matches!(word, "and" | "or" | "not") => {
                "and is `&&`, or is `||`, not is `!`"
            }
            Kind::Assign => "two values are compared with `==`",
            Kind::Ident | Kind::Number | Kind::QuoteOpen => {
                "a value ends before it: is an operator, a comma or a quote missing?"
            }
            Kind::ParenClose | Kind::BracketClose | Kind::BraceClose => {
                "nothing is open that this could close"
            }
            Kind::Stray | Kind::Apostrophe => return self.about_stray(d),
            _ => return d,
        };
        d.help(help)
    }

    /// A value is expected, and this is none.
    pub fn no_value(&self) -> Diagnostic {
        let d = self.unexpected("a value");
        let help = match self.kind() {
            Kind::Newline => "an expression goes on over several lines within parentheses only",
            Kind::Dot => "a number starts with a digit, a reference with a name",
            Kind::Assign => "one `=` is enough",
            Kind::Comma => "two commas, or a comma before the first value: leave one out",
            Kind::And | Kind::Or | Kind::Question => "what stands on its left is missing",
            Kind::ParenClose | Kind::BracketClose | Kind::BraceClose | Kind::SequenceEnd => {
                "something is missing before it"
            }
            Kind::Stray | Kind::Apostrophe => return self.about_stray(d),
            _ => return d,
        };
        d.help(help)
    }

    /// Characters that mean something elsewhere.
    pub fn about_stray(&self, mut d: Diagnostic) -> Diagnostic {
        let text = self.text_of(self.token);
        let first = text.chars().next().unwrap_or(' ');
        if self.token.kind == Kind::Apostrophe {
            d.message = "a string stands in double quotes".to_owned();
            let inner = text.trim_matches('\'');
            return match inner.is_empty() {
                true => d,
                false => d.help(format!("write \"{inner}\"")),
            };
        }
        let help = match first {
            '&' => "and is `&&`".to_owned(),
            '|' => "or is `||`; there are no pipes".to_owned(),
            '^' | '~' => "there are no operators on bits".to_owned(),
            '`' => "a string stands in double quotes; several lines go into a heredoc, <<-EOT"
                .to_owned(),
            ';' => "each attribute has a line of its own, without `;`".to_owned(),
            '<' => "a heredoc is <<EOT or <<-EOT at the end of a line, then its lines, then EOT alone on a line"
                .to_owned(),
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{2018}' | '\u{2019}' => {
                "this is a typographic quote; write \"".to_owned()
            }
            '\\' => "a backslash means something in strings only".to_owned(),
            c if c.is_control() || c.is_whitespace() || !c.is_ascii() => {
                format!("this is U+{:04X}, which belongs into strings and comments only", u32::from(c))
            }
            _ => return d,
        };
        d.help(help)
    }

    /// A number's value; what the lexer takes for one always is one, but may be too long.
    pub fn number(&mut self, token: Token) -> Parse<Expr> {
        use crate::config::number::{DIGITS_MAX, Number};
        let kind = match Number::parse(self.text_of(token)) {
            Ok(Some(n)) => ExprKind::Literal(crate::config::value::Value::number(n)),
            Ok(None) | Err(_) => {
                let text = format!("numbers have at most {DIGITS_MAX} digits");
                let d = Diagnostic::error(codes::NUMBER_TOO_LARGE, text)
                    .at(self.span_of(token), "this one has more");
                self.report(d);
                ExprKind::Invalid
            }
        };
        self.make(token.start, kind)
    }
}
