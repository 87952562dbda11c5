//! JSON values as attributes, blocks and expressions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::read::{Json, JsonKind, Text};
use super::{Property, Shape};
use crate::config::codes;
use crate::config::number::{DIGITS_MAX, Number};
use crate::config::syntax::REPORTS_MAX;
use crate::config::syntax::ast::{Attribute, Block, Body, Expr, ExprKind, Label, Part};
use crate::config::syntax::parser::{Parser, Place};
use crate::config::value::Value;
use crate::diag::{Diagnostic, FileId, Span};

/// What a string of an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strings {
    Templates,
    Plain,
    /// A type or a reference.
    Expressions,
}

pub struct Maker<'a> {
    pub file: FileId,
    pub text: &'a str,
    pub shape: Shape<'a>,
    pub strings: Strings,
    pub reports: Vec<Diagnostic>,
}

/// A property with this name is a comment.
const COMMENT: &str = "//";

/// A block whose labels are being read.
struct Header<'a> {
    kind: Arc<str>,
    around: &'a [&'a str],
    place: Span,
    labels: Vec<Label>,
}

impl Maker<'_> {
    fn report(&mut self, d: Diagnostic) {
        if self.reports.len() < REPORTS_MAX {
            self.reports.push(d);
        }
    }

    pub fn root(&mut self, root: &Json) -> Body {
        let mut body = Body::new(root.span);
        self.fill(root, &[], &mut body);
        body
    }

    /// The properties of an object, or of several in a list.
    fn fill(&mut self, value: &Json, around: &[&str], body: &mut Body) {
        let mut names = BTreeMap::new();
        let objects = match &value.kind {
            JsonKind::Array(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        for object in objects {
            let JsonKind::Object(entries) = &object.kind else {
                self.not_an_object(object);
                body.incomplete = true;
                continue;
            };
            for (name, value) in entries {
                let text = self.plain(name);
                if text != COMMENT {
                    self.property(name, &text, value, around, &mut names, body);
                }
            }
        }
    }

    fn property(
        &mut self,
        name: &Text,
        text: &str,
        value: &Json,
        around: &[&str],
        names: &mut BTreeMap<String, Span>,
        body: &mut Body,
    ) {
        let strings = match self.property_kind(around, text, value) {
            Property::Block { labels } => {
                let header = Header {
                    kind: Arc::from(text),
                    around,
                    place: name.span,
                    labels: Vec::new(),
                };
                return self.blocks(value, labels, &header, body);
            }
            Property::Attribute => self.strings,
            Property::Expression => Strings::Expressions,
        };
        if let Some(first) = names.get(text) {
            self.twice(text, name.span, *first);
            return;
        }
        names.insert(text.to_owned(), name.span);
        let outer = std::mem::replace(&mut self.strings, strings);
        let expr = self.expr(value);
        self.strings = outer;
        body.attributes.push(Attribute {
            name: Arc::from(text),
            name_span: name.span,
            value: expr,
        });
    }

    /// Outside of any block an object can be nothing but blocks, so that a misspelt kind is told as one.
    fn property_kind(&self, around: &[&str], name: &str, value: &Json) -> Property {
        let found = (self.shape)(around, name);
        // One without properties would be a block type that comes no times, known or not.
        let is_object = matches!(&value.kind, JsonKind::Object(entries) if !entries.is_empty());
        let configuration = self.strings == Strings::Templates;
        match found {
            Property::Attribute if around.is_empty() && is_object && configuration => {
                Property::Block { labels: 1 }
            }
            found => found,
        }
    }

    fn twice(&mut self, name: &str, again: Span, first: Span) {
        let d = Diagnostic::error(codes::DUPLICATE, format!("`{name}` is set twice"))
            .at(again, "again here")
            .also(first, "first here");
        self.report(d);
    }

    fn not_an_object(&mut self, value: &Json) {
        let text = "expected an object, or a list of objects";
        let d = Diagnostic::error(codes::SYNTAX, text).at(value.span, "found this");
        self.report(d.help("a block is { \"name\": value, ... }"));
    }

    fn blocks(&mut self, value: &Json, labels_left: usize, header: &Header<'_>, body: &mut Body) {
        match &value.kind {
            JsonKind::Null => {}
            JsonKind::Array(items) => {
                for item in items {
                    match item.kind {
                        // A list in a list would be no other than the list.
                        JsonKind::Array(_) => self.not_an_object(item),
                        _ => self.blocks(item, labels_left, header, body),
                    }
                }
            }
            JsonKind::Object(entries) if labels_left > 0 => {
                for (name, value) in entries {
                    let text = self.plain(name);
                    if text == COMMENT {
                        continue;
                    }
                    let mut labels: Vec<Label> = header.labels.iter().map(copy).collect();
                    labels.push(Label {
                        text: Arc::from(text),
                        span: name.span,
                    });
                    let inner = Header {
                        kind: header.kind.clone(),
                        labels,
                        ..*header
                    };
                    self.blocks(value, labels_left - 1, &inner, body);
                }
            }
            JsonKind::Object(_) => body.blocks.push(self.block(value, header)),
            _ => {
                self.not_an_object(value);
                body.incomplete = true;
            }
        }
    }

    fn block(&mut self, value: &Json, header: &Header<'_>) -> Block {
        let mut around = header.around.to_vec();
        around.push(&header.kind);
        let mut body = Body::new(value.span);
        self.fill(value, &around, &mut body);
        Block {
            kind: header.kind.clone(),
            header: header.labels.last().map_or(header.place, |l| l.span),
            labels: header.labels.iter().map(copy).collect(),
            body,
        }
    }

    fn expr(&mut self, value: &Json) -> Expr {
        let kind = match &value.kind {
            JsonKind::Null => ExprKind::Literal(Value::null()),
            JsonKind::Bool(b) => ExprKind::Literal(Value::bool(*b)),
            JsonKind::Number => self.number(value.span),
            JsonKind::String(text) => return self.string(text),
            JsonKind::Array(items) => {
                ExprKind::Tuple(items.iter().map(|item| self.expr(item)).collect())
            }
            JsonKind::Object(entries) => self.object(entries),
        };
        Expr::new(value.span, kind)
    }

    fn object(&mut self, entries: &[(Text, Json)]) -> ExprKind {
        let mut names: BTreeMap<String, Span> = BTreeMap::new();
        let mut items = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            let text = self.plain(name);
            if let Some(first) = names.get(&text) {
                self.twice(&text, name.span, *first);
                continue;
            }
            names.insert(text, name.span);
            let key = match self.strings {
                Strings::Templates | Strings::Plain => self.string(name),
                Strings::Expressions => {
                    let text = Value::string(self.plain(name));
                    Expr::new(name.span, ExprKind::Literal(text))
                }
            };
            items.push((key, self.expr(value)));
        }
        ExprKind::Object(items)
    }

    fn number(&mut self, span: Span) -> ExprKind {
        match Number::parse(self.text.get(span.range()).unwrap_or_default()) {
            Ok(Some(n)) => ExprKind::Literal(Value::number(n)),
            // Reported where it was read.
            Ok(None) => ExprKind::Invalid,
            Err(_) => {
                let text = format!("numbers have at most {DIGITS_MAX} digits");
                let d = Diagnostic::error(codes::NUMBER_TOO_LARGE, text);
                self.report(d.at(span, "this one has more"));
                ExprKind::Invalid
            }
        }
    }

    /// What a string stands for.
    fn plain(&self, text: &Text) -> String {
        match &text.decoded {
            Some(decoded) => decoded.clone(),
            None => self.written(text).to_owned(),
        }
    }

    fn written(&self, text: &Text) -> &str {
        let range = text.span.range();
        let inside = range.start + 1..range.end.saturating_sub(1);
        self.text.get(inside).unwrap_or_default()
    }

    fn string(&mut self, text: &Text) -> Expr {
        // Where escapes stand for characters, places within the string are not those of the file.
        let place = match &text.decoded {
            Some(_) => Place::Whole(text.span),
            None => Place::From(text.span.start + 1),
        };
        let content = self.plain(text);
        let is_template = content.contains("${") || content.contains("%{");
        let parsed = match self.strings {
            Strings::Expressions if !content.starts_with("${") => {
                let mut parser = Parser::new(self.file, &content).placed(place);
                let expr = parser.only_expression();
                self.take(parser, text.span).then_some(expr.kind)
            }
            Strings::Templates | Strings::Expressions if is_template => {
                let mut parser = Parser::template(self.file, &content).placed(place);
                let parts = parser.only_template();
                self.take(parser, text.span).then(|| template(parts))
            }
            Strings::Templates | Strings::Plain | Strings::Expressions => {
                Some(ExprKind::Literal(Value::string(content)))
            }
        };
        Expr::new(text.span, parsed.unwrap_or(ExprKind::Invalid))
    }

    /// Takes over what was reported; false when something was.
    fn take(&mut self, parser: Parser<'_>, whole: Span) -> bool {
        let reports = parser.into_reports();
        let sound = reports.is_empty();
        self.reports.extend(reports.into_iter().map(|mut d| {
            if d.primary.is_none() {
                d = d.at(whole, "in this string");
            }
            d
        }));
        sound
    }
}

fn template(parts: Vec<Part>) -> ExprKind {
    match parts.as_slice() {
        [] => ExprKind::Literal(Value::string("")),
        [Part::Text(text)] => ExprKind::Literal(Value::string(text)),
        _ => ExprKind::Template(parts),
    }
}

fn copy(label: &Label) -> Label {
    Label {
        text: label.text.clone(),
        span: label.span,
    }
}
