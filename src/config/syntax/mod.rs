//! Text to syntax tree. Takes the text of a file; gives blocks and attributes with spans, and every syntax error of the file.
//! A mistake costs the attribute it stands in, which keeps its name. May import L0 and values. Never evaluates, never recurses
//! deeper than [`DEPTH_MAX`] brackets and [`LEVELS_MAX`] expressions, never looks at a byte more than a few times.

pub mod ast;
mod body;
pub mod describe;
mod escape;
mod expression;
mod heredoc;
mod item;
pub mod json;
pub mod lexer;
mod nest;
mod parser;
mod recover;
mod template;
mod term;
pub mod token;

use ast::{Body, Expr, Part};
use parser::Parser;

use crate::diag::{Diagnostic, FileId};

/// Brackets, strings, interpolations and blocks within each other.
pub const DEPTH_MAX: usize = 48;

/// Expressions within each other. Chains of operators count, so that nothing that walks the tree runs out of stack.
pub const LEVELS_MAX: u8 = 200;

/// After so many reports the rest of a file is not read: nobody reads on either.
const REPORTS_MAX: usize = 100;

/// A file's attributes and blocks, as far as they parse.
pub fn parse_file(file: FileId, text: &str, report: &mut Vec<Diagnostic>) -> Body {
    let mut parser = Parser::new(file, text);
    let body = parser.file();
    report.extend(parser.into_reports());
    body
}

/// An expression by itself, as a variable's value on the command line is.
pub fn parse_expression(file: FileId, text: &str) -> Result<Expr, Box<Diagnostic>> {
    let mut parser = Parser::new(file, text);
    let expr = parser.only_expression();
    first_mistake(parser, expr)
}

/// The text of a template file.
pub fn parse_template(file: FileId, text: &str) -> Result<Vec<Part>, Box<Diagnostic>> {
    let mut parser = Parser::template(file, text);
    let parts = parser.only_template();
    first_mistake(parser, parts)
}

fn first_mistake<T>(parser: Parser<'_>, parsed: T) -> Result<T, Box<Diagnostic>> {
    match parser.into_reports().into_iter().next() {
        Some(first) => Err(Box::new(first)),
        None => Ok(parsed),
    }
}
