//! Mistakes of a load, each told once: a mistake in a block with `for_each` shows up for every instance.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::eval::Stop;
use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::ids::{ModuleStep, fmt_path};

#[derive(Default)]
pub struct Report {
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    told: BTreeSet<(&'static str, Option<Span>, String)>,
    list: Vec<Diagnostic>,
    around: Option<Around>,
}

/// The instance of a module whose evaluation is going on.
pub struct Around {
    pub path: Vec<ModuleStep>,
    /// The call.
    pub header: Span,
}

struct Path<'p>(&'p [ModuleStep]);

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fmt_path(self.0, f)
    }
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
            let d = match &inner.around {
                Some(Around { path, header }) => {
                    let name = Path(path).to_string();
                    let told = format!("in {name}");
                    let d = d.also(*header, format!("{name} is called here"));
                    if d.notes.iter().any(|note| note.starts_with(&told)) {
                        d
                    } else {
                        d.note(told)
                    }
                }
                None => d,
            };
            inner.list.push(d);
        }
    }

    /// From here on, reports say that they come from within a module; `None`: from the root module.
    pub fn enter(&self, around: Option<Around>) {
        self.inner.borrow_mut().around = around;
    }

    pub fn leave(&self) {
        self.enter(None);
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
