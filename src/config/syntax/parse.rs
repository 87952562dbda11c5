//! A file, item by item: what the scanner cut out goes through hcl-edit and is lowered; mistakes become diagnostics.

use std::collections::BTreeMap;
use std::sync::Arc;

use hcl_edit::structure::Structure;

use super::ast::{Attribute, Block, Body, Expr, Part};
use super::lower::Lower;
use super::scan::{self, Item, Problem};
use crate::config::codes;
use crate::diag::{Diagnostic, FileId, Span};

/// A file's attributes and blocks, as far as they parse.
pub fn parse_file(file: FileId, text: &str, report: &mut Vec<Diagnostic>) -> Body {
    let mut body = Body::default();
    let mut names = BTreeMap::new();
    for item in scan::items(text) {
        if let Some(problem) = &item.problem {
            report.push(explain(file, problem));
            continue;
        }
        match parse_item(file, text, &item) {
            Ok(parsed) => {
                for attribute in parsed.attributes {
                    if let Some(first) = names.get(&attribute.name) {
                        report.push(redefined(&attribute, *first));
                    } else {
                        names.insert(attribute.name.clone(), attribute.name_span);
                        body.attributes.push(attribute);
                    }
                }
                body.blocks.extend(parsed.blocks);
            }
            Err(mistake) => report.push(*mistake),
        }
    }
    body
}

fn redefined(again: &Attribute, first: Span) -> Diagnostic {
    Diagnostic::error(codes::DUPLICATE, format!("`{}` is set twice", again.name))
        .at(again.name_span, "again here")
        .also(first, "first here")
}

fn parse_item(file: FileId, text: &str, item: &Item) -> Result<Body, Box<Diagnostic>> {
    let lower = Lower::new(file, text, item.range.start);
    let masked = mask(text, item);
    let body = hcl_edit::parser::parse_body(&masked)
        .map_err(|e| syntax_error(file, text, item, &e, &masked))?;
    lower.body(body)
}

/// An expression by itself, as a variable's value on the command line is.
pub fn parse_expression(file: FileId, text: &str) -> Result<Expr, Box<Diagnostic>> {
    let padded = Item {
        range: 0..text.len(),
        ..scan::items(&format!("({text}\n)"))
            .into_iter()
            .next()
            .unwrap_or_else(|| scan::template(""))
    };
    let item = Item {
        masks: padded
            .masks
            .iter()
            .map(|(r, by)| (r.start.saturating_sub(1)..r.end.saturating_sub(1), *by))
            .collect(),
        ..padded
    };
    if let Some(problem) = &item.problem {
        return Err(Box::new(explain(file, &shifted(problem))));
    }
    let masked = mask(text, &item);
    let expr = hcl_edit::parser::parse_expr(masked.trim_end())
        .map_err(|e| syntax_error(file, text, &item, &e, &masked))?;
    Lower::new(file, text, 0).expr(&expr)
}

fn shifted(problem: &Problem) -> Problem {
    match problem {
        Problem::Unclosed { at, what } => Problem::Unclosed {
            at: at.saturating_sub(1),
            what,
        },
        Problem::NewlineInString { at } => Problem::NewlineInString {
            at: at.saturating_sub(1),
        },
        Problem::TooDeep { at } => Problem::TooDeep {
            at: at.saturating_sub(1),
        },
    }
}

/// The text of a template file.
pub fn parse_template(file: FileId, text: &str) -> Result<Vec<Part>, Box<Diagnostic>> {
    let item = scan::template(text);
    if let Some(problem) = &item.problem {
        return Err(Box::new(explain(file, problem)));
    }
    let masked = mask(text, &item);
    let template = hcl_edit::parser::parse_template(&masked)
        .map_err(|e| syntax_error(file, text, &item, &e, &masked))?;
    Lower::new(file, text, 0).template(&template)
}

/// The item's text as the parser is to see it, as long as the original; the lowering reads numbers from the original.
pub(super) fn mask(text: &str, item: &Item) -> String {
    let mut out = String::with_capacity(item.range.len());
    let mut at = item.range.start;
    for (hidden, by) in &item.masks {
        out.push_str(text.get(at..hidden.start).unwrap_or_default());
        out.push_str(by);
        out.extend(std::iter::repeat_n(
            ' ',
            hidden.len().saturating_sub(by.len()),
        ));
        at = hidden.end;
    }
    out.push_str(text.get(at..item.range.end).unwrap_or_default());
    out
}

fn syntax_error(
    file: FileId,
    text: &str,
    item: &Item,
    error: &hcl_edit::parser::Error,
    masked: &str,
) -> Box<Diagnostic> {
    let offset = error.location().offset().min(masked.len());
    let start = item.range.start + offset;
    let width = text
        .get(start..)
        .and_then(|t| t.chars().next())
        .map_or(0, char::len_utf8);
    let message = error.message();
    let what = if message.is_empty() {
        "this does not parse"
    } else {
        message
    };
    let (head, expected) = match what.split_once("; expected ") {
        Some((head, expected)) => (head, Some(expected)),
        None => (what, None),
    };
    let d = Diagnostic::error(codes::SYNTAX, head.to_owned())
        .at(Span::new(file, start..start + width), "here");
    Box::new(match expected {
        Some(expected) => d.note(format!("expected {expected}")),
        None => d,
    })
}

fn explain(file: FileId, problem: &Problem) -> Diagnostic {
    let place = |at: usize, len: usize| Span::new(file, at..at + len);
    match problem {
        Problem::Unclosed { at, what } => {
            Diagnostic::error(codes::UNCLOSED, format!("this {what} has no end"))
                .at(place(*at, 1), "opened here")
                .help("close it; the blocks after it were read from the next line that starts one")
        }
        Problem::NewlineInString { at } => Diagnostic::error(
            codes::NEWLINE_IN_STRING,
            "a line ends inside a quoted string",
        )
        .at(place(*at, 1), "the string starts here")
        .help("close the string on its line, write \\n, or use a heredoc (<<-EOT)"),
        Problem::TooDeep { at } => Diagnostic::error(
            codes::NESTED_TOO_DEEP,
            format!("nested deeper than {} levels", scan::DEPTH_MAX),
        )
        .at(place(*at, 1), "this level is one too many")
        .help("name the inner parts in `locals`"),
    }
}

impl Lower<'_> {
    fn body(&self, body: hcl_edit::structure::Body) -> Result<Body, Box<Diagnostic>> {
        let mut out = Body::default();
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => {
                    let name = attribute.key.as_str();
                    let name_span = self.span(&attribute.key);
                    out.attributes.push(Attribute {
                        name: Arc::from(name),
                        name_span,
                        value: self.expr(&attribute.value)?,
                    });
                }
                Structure::Block(block) => out.blocks.push(self.block(block)?),
            }
        }
        Ok(out)
    }

    fn block(&self, block: hcl_edit::structure::Block) -> Result<Block, Box<Diagnostic>> {
        let mut header = self.span(&block.ident);
        let mut labels = Vec::new();
        for label in &block.labels {
            let span = self.span(label);
            header.end = header.end.max(span.end);
            labels.push(super::ast::Label {
                text: Arc::from(label.as_str()),
                span,
            });
        }
        Ok(Block {
            kind: Arc::from(block.ident.as_str()),
            labels,
            header,
            body: self.body(block.body)?,
        })
    }
}
