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
    list: Diagnostics,
}

impl Report {
    pub fn push(&self, d: Diagnostic) {
        let mut inner = self.inner.borrow_mut();
        let key = (d.code, d.primary.as_ref().map(|l| l.span), d.message.clone());
        if inner.told.insert(key) {
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

    pub fn into_diagnostics(self) -> Diagnostics {
        self.inner.into_inner().list
    }
}
