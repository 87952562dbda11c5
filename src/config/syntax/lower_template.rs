//! Templates: trim markers are applied here, once, so that evaluation sees text and values only.

use std::sync::Arc;

use hcl_edit::template::{Directive, Element, ForDirective, IfDirective, Strip, Template};

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

impl Lower<'_> {
    pub(super) fn template(&self, template: &Template) -> Result<Vec<Part>, Box<Diagnostic>> {
        self.parts(template.iter())
    }

    pub(super) fn parts<'e>(
        &self,
        elements: impl Iterator<Item = &'e Element>,
    ) -> Result<Vec<Part>, Box<Diagnostic>> {
        self.trimmed(elements, false, false)
    }

    /// `before` and `after`: whether the control sequences around these elements trim into them.
    fn trimmed<'e>(
        &self,
        elements: impl Iterator<Item = &'e Element>,
        before: bool,
        after: bool,
    ) -> Result<Vec<Part>, Box<Diagnostic>> {
        let mut pieces = Vec::new();
        if before {
            pieces.push(Piece::TrimAfter);
        }
        for element in elements {
            self.element(element, &mut pieces)?;
        }
        if after {
            pieces.push(Piece::TrimBefore);
        }
        Ok(apply_trims(pieces))
    }

    fn element(&self, element: &Element, pieces: &mut Vec<Piece>) -> Result<(), Box<Diagnostic>> {
        let (part, strip) = match element {
            Element::Literal(text) => {
                pieces.push(Piece::Text(text.as_str().to_owned()));
                return Ok(());
            }
            Element::Interpolation(i) => (Part::Value(self.expr(&i.expr)?), ends(i.strip)),
            Element::Directive(d) => match d.as_ref() {
                Directive::If(d) => self.if_directive(d)?,
                Directive::For(d) => self.for_directive(d)?,
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

    fn if_directive(&self, d: &IfDirective) -> Result<(Part, (bool, bool)), Box<Diagnostic>> {
        let first = ends(d.if_expr.strip);
        let last = ends(d.endif_expr.strip);
        let middle = d.else_expr.as_ref().map(|e| ends(e.strip));
        let then = self.trimmed(
            d.if_expr.template.iter(),
            first.1,
            middle.map_or(last.0, |m| m.0),
        )?;
        let otherwise = match (&d.else_expr, middle) {
            (Some(e), Some(m)) => self.trimmed(e.template.iter(), m.1, last.0)?,
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

    fn for_directive(&self, d: &ForDirective) -> Result<(Part, (bool, bool)), Box<Diagnostic>> {
        let first = ends(d.for_expr.strip);
        let last = ends(d.endfor_expr.strip);
        let part = Part::For {
            key_name: d.for_expr.key_var.as_ref().map(|k| Arc::from(k.as_str())),
            value_name: Arc::from(d.for_expr.value_var.as_str()),
            over: self.expr(&d.for_expr.collection_expr)?,
            body: self.trimmed(d.for_expr.template.iter(), first.1, last.0)?,
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
        Piece::Text(text) if text.is_empty() => None,
        Piece::Text(text) => Some(Part::Text(Arc::from(text))),
        Piece::Part(part) => Some(part),
        Piece::TrimBefore | Piece::TrimAfter => None,
    });
    parts.collect()
}
