//! Bodies: the attributes and blocks of a file or a block, each read whether or not the one before it parsed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::{Attribute, Body};
use super::parser::Parser;
use super::recover::{Level, Shape};
use super::token::Kind;
use crate::config::codes;
use crate::diag::{Diagnostic, Span};

/// Text that may be read a second time, because brackets in it did not come out even. The rest of such a file is read by its
/// indentation at once.
const READ_TWICE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a body holds so far.
pub struct Filling {
    pub body: Body,
    names: BTreeMap<Arc<str>, Span>,
}

impl Filling {
    fn new(span: Span) -> Filling {
        Filling {
            body: Body::new(span),
            names: BTreeMap::new(),
        }
    }

    fn truncate(&mut self, attributes: usize, blocks: usize) {
        for dropped in self.body.attributes.drain(attributes..) {
            if self.names.get(&dropped.name) == Some(&dropped.name_span) {
                self.names.remove(&dropped.name);
            }
        }
        self.body.blocks.truncate(blocks);
    }
}

impl Parser<'_> {
    /// The whole text is a body.
    pub fn file(&mut self) -> Body {
        let all = Span::new(self.file, 0..self.text.len());
        let level = Level {
            shape: Shape::Lines,
            depth: 0,
            open: None,
            header: all,
        };
        let mut filling = Filling::new(all);
        let mut read_twice = 0;
        while self.token.kind != Kind::End {
            let start = self.token.start;
            let reports = self.reports.len();
            let (attributes, blocks) = (filling.body.attributes.len(), filling.body.blocks.len());
            let (last_unclosed, expressions) = (self.last_unclosed, self.expressions);
            self.by_indent = read_twice > READ_TWICE_BYTES_MAX;
            self.cut_short = false;
            self.next_item(&level, &mut filling);
            if self.cut_short && !self.by_indent && !self.is_full() {
                read_twice += self.text.len() - start as usize;
                filling.truncate(attributes, blocks);
                self.reports.truncate(reports);
                self.last_unclosed = last_unclosed;
                self.expressions = expressions;
                self.by_indent = true;
                self.resume(start, 0);
                self.next_item(&level, &mut filling);
            }
        }
        filling.body
    }

    /// What is within braces; the opening one has been read. The closing one is read, unless it is missing.
    pub fn block_body(&mut self, level: &Level) -> Body {
        let start = level.open.map_or(self.token.start, |open| open.start);
        let mut filling = Filling::new(self.span(start, start));
        loop {
            if self.is_left(level) {
                self.unclosed_block(level);
                filling.body.incomplete = true;
                break;
            }
            if self.token.kind == Kind::BraceClose {
                self.advance();
                break;
            }
            self.next_item(level, &mut filling);
        }
        filling.body.span = self.since(start);
        filling.body
    }

    /// Whether the block's end is missing, as far as can be told here.
    pub fn is_left(&mut self, level: &Level) -> bool {
        let Some(open) = level.open else {
            return false;
        };
        if self.token.kind == Kind::End {
            self.cut_short = true;
            return true;
        }
        // A heredoc or comment without end was skipped to here, which may be far outside.
        self.by_indent && self.is_outside(open)
    }

    fn unclosed_block(&mut self, level: &Level) {
        let at = self.token.start;
        let header = self.text.get(level.header.range()).unwrap_or_default();
        let header: String = header.chars().take(60).collect();
        self.report_unclosed(level.header, "block", &header, Some(at));
        self.lexer_leaves(level);
    }

    /// The closing brace did not come: the token at hand belongs to what is around the block.
    fn lexer_leaves(&mut self, level: &Level) {
        let at = self.token.start;
        let newline = self.after_newline;
        self.resume(at, level.depth.saturating_sub(1));
        self.after_newline = newline;
    }

    pub fn add_attribute(&mut self, attribute: Attribute, filling: &mut Filling) {
        if let Some(first) = filling.names.get(&attribute.name) {
            let text = format!("`{}` is set twice", attribute.name);
            let d = Diagnostic::error(codes::DUPLICATE, text)
                .at(attribute.name_span, "again here")
                .also(*first, "first here");
            self.report(d);
            return;
        }
        let name = attribute.name.clone();
        filling.names.insert(name, attribute.name_span);
        filling.body.attributes.push(attribute);
    }
}
