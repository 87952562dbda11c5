//! Mistakes of a load, each told once: a mistake in a block with `for_each` shows up for every instance.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::eval::Stop;
use crate::diag::{Diagnostic, Diagnostics, Span};

#[derive(Default)]
pub struct Report {
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    told: BTreeSet<(&'static str, Option<Span>, String)>,
    list: Vec<Diagnostic>,
}

/// More than this is not even collected.
const COLLECTED_MAX: usize = 5_000;

impl Report {
    pub fn push(&self, d: Diagnostic) {
        let mut inner = self.inner.borrow_mut();
        let key = (
            d.code,
            d.primary.as_ref().map(|l| l.span),
            d.message.clone(),
        );
        if inner.list.len() < COLLECTED_MAX && inner.told.insert(key) {
            inner.list.push(d);
        }
    }

    /// A stop that has not been told yet, with a note about where it happened.
    pub fn stop(&self, stop: Stop, note: Option<String>) {
        match stop {
            Stop::Mistake(d) => self.push(match note {
                Some(note) => d.note(note),
                None => *d,
            }),
            Stop::Reported => {}
        }
    }

    /// In the order of their places, whatever the order of evaluation was.
    pub fn into_diagnostics(self) -> Diagnostics {
        let mut list = self.inner.into_inner().list;
        list.sort_by_key(|d| d.primary.as_ref().map(|l| l.span));
        let mut out = Diagnostics::default();
        out.extend(list);
        out
    }
}
