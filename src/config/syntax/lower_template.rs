//! Templates: trim markers are applied here, once, so that evaluation sees text and values only.

use std::sync::Arc;

use hcl_edit::template::{
    Directive, Element, ForDirective, HeredocTemplate, IfDirective, Strip, Template,
};

use super::ast::Part;
use super::lower::Lower;
use crate::diag::Diagnostic;

/// What a template is made of before trimming.
enum Piece {
    Text(String),
    Part(Part),
    /// `~` here takes the white space before or after it.
    TrimBefore,
    TrimAfter,
}

/// How far a trim marker reaches: where lines are lines of the file, to the next one.
#[derive(Clone, Copy)]
enum Literals {
    Whole,
    ByLine,
}

impl Lower<'_> {
    /// The text of a template file.
    pub(super) fn template(&self, template: &Template) -> Result<Vec<Part>, Box<Diagnostic>> {
        let mut parts = self.trimmed(template.iter(), (false, false), Literals::ByLine)?;
        drop_empty(&mut parts);
        Ok(parts)
    }

    pub(super) fn heredoc(&self, heredoc: &HeredocTemplate) -> Result<Vec<Part>, Box<Diagnostic>> {
        if heredoc.indent().is_none() {
            return self.template(&heredoc.template);
        }
        // The parser takes the indentation away before trim markers count; it is read again, and taken away after them.
        let span = self.span(&heredoc.template);
        let text = self.text.get(span.range()).unwrap_or_default();
        let masked = super::parse::mask(text, &super::scan::template(text));
        let Ok(raw) = hcl_edit::parser::parse_template(&masked) else {
            return self.template(&heredoc.template);
        };
        let inner = self.at(span.start as usize);
        let mut parts = inner.trimmed(raw.iter(), (false, false), Literals::ByLine)?;
        let mut indent = Indent::default();
        indent.measure(&parts);
        indent.at_line_start = true;
        indent.take_away(&mut parts);
        drop_empty(&mut parts);
        Ok(parts)
    }

    pub(super) fn parts<'e>(
        &self,
        elements: impl Iterator<Item = &'e Element>,
    ) -> Result<Vec<Part>, Box<Diagnostic>> {
        let mut parts = self.trimmed(elements, (false, false), Literals::Whole)?;
        drop_empty(&mut parts);
        Ok(parts)
    }

    /// `before` and `after`: whether the control sequences around these elements trim into them.
    fn trimmed<'e>(
        &self,
        elements: impl Iterator<Item = &'e Element>,
        (before, after): (bool, bool),
        literals: Literals,
    ) -> Result<Vec<Part>, Box<Diagnostic>> {
        let mut pieces = Vec::new();
        if before {
            pieces.push(Piece::TrimAfter);
        }
        for element in elements {
            self.element(element, literals, &mut pieces)?;
        }
        if after {
            pieces.push(Piece::TrimBefore);
        }
        Ok(apply_trims(pieces))
    }

    fn element(
        &self,
        element: &Element,
        literals: Literals,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Box<Diagnostic>> {
        let (part, strip) = match element {
            Element::Literal(text) => {
                match literals {
                    Literals::Whole => pieces.push(Piece::Text(text.as_str().to_owned())),
                    Literals::ByLine => {
                        let lines = text.as_str().split_inclusive('\n');
                        pieces.extend(lines.map(|l| Piece::Text(l.to_owned())));
                    }
                }
                return Ok(());
            }
            Element::Interpolation(i) => (Part::Value(self.expr(&i.expr)?), ends(i.strip)),
            Element::Directive(d) => match d.as_ref() {
                Directive::If(d) => self.if_directive(d, literals)?,
                Directive::For(d) => self.for_directive(d, literals)?,
            },
        };
        if strip.0 {
            pieces.push(Piece::TrimBefore);
        }
        pieces.push(Piece::Part(part));
        if strip.1 {
            pieces.push(Piece::TrimAfter);
        }
        Ok(())
    }

    fn if_directive(
        &self,
        d: &IfDirective,
        literals: Literals,
    ) -> Result<(Part, (bool, bool)), Box<Diagnostic>> {
        let first = ends(d.if_expr.strip);
        let last = ends(d.endif_expr.strip);
        let middle = d.else_expr.as_ref().map(|e| ends(e.strip));
        let then = self.trimmed(
            d.if_expr.template.iter(),
            (first.1, middle.map_or(last.0, |m| m.0)),
            literals,
        )?;
        let otherwise = match (&d.else_expr, middle) {
            (Some(e), Some(m)) => self.trimmed(e.template.iter(), (m.1, last.0), literals)?,
            _ => Vec::new(),
        };
        let condition = self.expr(&d.if_expr.cond_expr)?;
        let part = Part::If {
            condition,
            then,
            otherwise,
        };
        Ok((part, (first.0, last.1)))
    }

    fn for_directive(
        &self,
        d: &ForDirective,
        literals: Literals,
    ) -> Result<(Part, (bool, bool)), Box<Diagnostic>> {
        let first = ends(d.for_expr.strip);
        let last = ends(d.endfor_expr.strip);
        let part = Part::For {
            key_name: d.for_expr.key_var.as_ref().map(|k| Arc::from(k.as_str())),
            value_name: Arc::from(d.for_expr.value_var.as_str()),
            over: self.expr(&d.for_expr.collection_expr)?,
            body: self.trimmed(d.for_expr.template.iter(), (first.1, last.0), literals)?,
        };
        Ok((part, (first.0, last.1)))
    }
}

fn ends(strip: Strip) -> (bool, bool) {
    match strip {
        Strip::None => (false, false),
        Strip::Start => (true, false),
        Strip::End => (false, true),
        Strip::Both => (true, true),
    }
}

fn apply_trims(mut pieces: Vec<Piece>) -> Vec<Part> {
    for at in 0..pieces.len() {
        let (before, rest) = pieces.split_at_mut(at);
        let Some((here, after)) = rest.split_first_mut() else {
            break;
        };
        match (here, before.last_mut(), after.first_mut()) {
            (Piece::TrimBefore, Some(Piece::Text(text)), _) => {
                text.truncate(text.trim_end().len());
            }
            (Piece::TrimAfter, _, Some(Piece::Text(text))) => {
                *text = text.trim_start().to_owned();
            }
            _ => {}
        }
    }
    let parts = pieces.into_iter().filter_map(|piece| match piece {
        Piece::Text(text) => Some(Part::Text(Arc::from(text))),
        Piece::Part(part) => Some(part),
        Piece::TrimBefore | Piece::TrimAfter => None,
    });
    parts.collect()
}

fn drop_empty(parts: &mut Vec<Part>) {
    parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
    for part in parts {
        match part {
            Part::If {
                then, otherwise, ..
            } => {
                drop_empty(then);
                drop_empty(otherwise);
            }
            Part::For { body, .. } => drop_empty(body),
            Part::Text(_) | Part::Value(_) => {}
        }
    }
}

/// The indentation that all lines of a `<<-` heredoc share, in characters. Blank lines do not count; a line that starts with a
/// value or a directive has none.
struct Indent {
    least: usize,
    at_line_start: bool,
}

impl Default for Indent {
    fn default() -> Indent {
        Indent {
            least: usize::MAX,
            at_line_start: true,
        }
    }
}

impl Indent {
    fn not_text(&mut self) {
        if self.at_line_start {
            self.least = 0;
            self.at_line_start = false;
        }
    }

    fn measure(&mut self, parts: &[Part]) {
        for part in parts {
            match part {
                Part::Text(text) => {
                    if self.at_line_start && !is_blank_line(text) {
                        let spaces = text.chars().take_while(|c| c.is_whitespace()).count();
                        self.least = self.least.min(spaces);
                    }
                    self.at_line_start = text.ends_with('\n');
                }
                Part::Value(_) => self.not_text(),
                Part::If {
                    then, otherwise, ..
                } => {
                    self.not_text();
                    self.measure(then);
                    self.not_text();
                    if !otherwise.is_empty() {
                        self.measure(otherwise);
                        self.not_text();
                    }
                }
                Part::For { body, .. } => {
                    self.not_text();
                    self.measure(body);
                    self.not_text();
                }
            }
        }
    }

    fn take_away(&mut self, parts: &mut [Part]) {
        for part in parts {
            match part {
                Part::Text(text) => {
                    let starts = self.at_line_start && !is_blank_line(text);
                    self.at_line_start = text.ends_with('\n');
                    if starts && self.least > 0 {
                        *text = text.chars().skip(self.least).collect::<String>().into();
                    }
                }
                Part::Value(_) => self.at_line_start = false,
                Part::If {
                    then, otherwise, ..
                } => {
                    self.at_line_start = false;
                    self.take_away(then);
                    self.at_line_start = false;
                    self.take_away(otherwise);
                    self.at_line_start = false;
                }
                Part::For { body, .. } => {
                    self.at_line_start = false;
                    self.take_away(body);
                    self.at_line_start = false;
                }
            }
        }
    }
}

fn is_blank_line(text: &str) -> bool {
    text.ends_with('\n') && text.trim().is_empty()
}
