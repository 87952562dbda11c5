//! Nested blocks of a block that is being read, written out or made by `dynamic`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Reader;
use crate::config::codes;
use crate::config::dynamic;
use crate::config::eval::{Scope, Stop};
use crate::config::syntax::ast::{Block, Body, Label};
use crate::config::value::{Entries, Value};
use crate::diag::{Diagnostic, Span};

/// Reads one nested block, whose labels have been counted.
type Read<'r, T> = &'r mut dyn FnMut(&mut Reader<'_>, &[Label]) -> Option<T>;

/// The nested blocks of a kind: what was read, what others see of it, and where it is written.
struct Nested<T> {
    values: Vec<T>,
    shown: Vec<Value>,
    /// Where each of them is, those included that could not be read.
    places: Vec<Span>,
}

impl<T> Default for Nested<T> {
    fn default() -> Nested<T> {
        Nested {
            values: Vec::new(),
            shown: Vec::new(),
            places: Vec::new(),
        }
    }
}

impl<'b> Reader<'b> {
    /// The nested blocks of a kind, written or made by `dynamic`, each read by `read`. What they hold is shown as an object, or
    /// as a list of objects. Also gives where each of them is written.
    fn nested<T>(&mut self, name: &'static str, labels: usize, read: Read<'_, T>) -> Nested<T> {
        self.blocks.push(name);
        let mut out = Nested::default();
        let body = self.body;
        for block in &body.blocks {
            if block.kind.as_ref() == name {
                let place = (block.header, labels);
                self.one(
                    &block.body,
                    place,
                    &block.labels,
                    self.scope,
                    read,
                    (name, &mut out),
                );
            } else if dynamic::makes(block, name)
                && let Err(stop) = self.made(block, (name, labels), read, &mut out)
            {
                self.failed = true;
                let note = format!("in {}", self.subject);
                self.report.stop(stop, Some(note));
            }
        }
        out
    }

    /// The blocks that a `dynamic` block stands for.
    fn made<T>(
        &mut self,
        block: &'b Block,
        (name, labels): (&'static str, usize),
        read: Read<'_, T>,
        out: &mut Nested<T>,
    ) -> Result<(), Stop> {
        let dynamic = dynamic::read(block, self.scope)?;
        for element in &dynamic.elements {
            let frame = dynamic.frame(element, self.scope.frame);
            let scope = self.scope.with(&frame);
            let given = dynamic.labels(&scope)?;
            let place = (block.header, labels);
            self.one(
                &dynamic.content.body,
                place,
                &given,
                &scope,
                read,
                (name, out),
            );
        }
        Ok(())
    }

    fn one<T>(
        &mut self,
        body: &Body,
        (header, wanted): (Span, usize),
        labels: &[Label],
        scope: &Scope<'_>,
        read: Read<'_, T>,
        (name, out): (&'static str, &mut Nested<T>),
    ) {
        out.places.push(header);
        if labels.len() != wanted {
            let text = format!("`{name}` takes {wanted} labels, found {}", labels.len());
            self.fail(Diagnostic::error(codes::LABELS, text).at(header, "this header"));
            return;
        }
        let mut inner = Reader {
            body,
            header,
            scope,
            report: self.report,
            subject: self.subject,
            prefix: format!("{}{name}.", self.prefix),
            attributes: Vec::new(),
            blocks: Vec::new(),
            effective: Entries::new(),
            origin: BTreeMap::new(),
            failed: false,
        };
        let read = read(&mut inner, labels);
        let (effective, origin) = inner.finish();
        self.origin.extend(Arc::unwrap_or_clone(origin.attributes));
        match read.zip(effective) {
            Some((value, effective)) => {
                out.values.push(value);
                out.shown.push(Value::object(effective));
            }
            None => self.failed = true,
        }
    }

    pub fn blocks<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Reader<'_>) -> Option<T>,
    ) -> Vec<T> {
        self.labelled_blocks(name, 0, |r, _| read(r))
    }

    pub fn block<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Reader<'_>) -> Option<T>,
    ) -> Option<T> {
        self.labelled_block(name, 0, |r, _| read(r))
    }

    pub fn labelled_blocks<T>(
        &mut self,
        name: &'static str,
        labels: usize,
        mut read: impl FnMut(&mut Reader<'_>, &[Label]) -> Option<T>,
    ) -> Vec<T> {
        let found = self.nested(name, labels, &mut read);
        let shown = Value::list(found.shown);
        self.effective.insert(Arc::from(name), shown);
        found.values
    }

    pub fn labelled_block<T>(
        &mut self,
        name: &'static str,
        labels: usize,
        mut read: impl FnMut(&mut Reader<'_>, &[Label]) -> Option<T>,
    ) -> Option<T> {
        self.only(name, labels, &mut read).0
    }

    /// A block that must be there; a `dynamic` block over nothing is none.
    pub fn required_block<T>(
        &mut self,
        name: &'static str,
        labels: usize,
        mut read: impl FnMut(&mut Reader<'_>, &[Label]) -> Option<T>,
    ) -> Option<T> {
        let failed_before = std::mem::take(&mut self.failed);
        let (value, count) = self.only(name, labels, &mut read);
        if count == 0 && self.body.incomplete {
            self.failed = true;
        } else if count == 0 && !self.failed {
            let text = format!("a block `{name}` is required");
            let header = self.header;
            self.fail(Diagnostic::error(codes::MISSING, text).at(header, "not in this block"));
        }
        self.failed |= failed_before;
        value
    }

    /// The block of a kind that comes once, and how many there are.
    fn only<T>(
        &mut self,
        name: &'static str,
        labels: usize,
        read: Read<'_, T>,
    ) -> (Option<T>, usize) {
        let found = self.nested(name, labels, read);
        if let [first, second, ..] = found.places.as_slice() {
            let text = format!("only one block `{name}` is allowed here");
            self.fail(
                Diagnostic::error(codes::DUPLICATE, text)
                    .at(*second, "a second one")
                    .also(*first, "the first"),
            );
        }
        let shown = found.shown.into_iter().next().unwrap_or_else(Value::null);
        self.effective.insert(Arc::from(name), shown);
        (found.values.into_iter().next(), found.places.len())
    }
}
