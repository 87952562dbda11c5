//! What a name may mean where an expression stands, and how much work is left.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::codes;
use crate::config::sources::Sources;
use crate::config::value::Value;
use crate::diag::{Diagnostic, SourceMap, Span};
use crate::ids::Kind;

/// Units of work for one load: about one per expression, element, and 32 bytes of text made. 10,000 nodes need 2 million.
pub const BUDGET: u64 = 100_000_000;
/// A string may hold a file of user data, never an image.
pub const STRING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why there is no value.
#[derive(Debug)]
pub enum Stop {
    Mistake(Box<Diagnostic>),
    /// It depends on something whose mistake is reported already.
    Reported,
}

impl From<Diagnostic> for Stop {
    fn from(d: Diagnostic) -> Stop {
        Stop::Mistake(Box::new(d))
    }
}

impl Stop {
    /// Whether `try` may go on: not after what was reported, and not when the budget is gone.
    pub fn may_be_caught(&self) -> bool {
        match self {
            Stop::Mistake(d) => d.code != codes::BUDGET,
            Stop::Reported => false,
        }
    }
}

/// `None`: declared, and its mistake is reported.
pub type Slot = Option<Value>;

/// Everything that is declared, as far as it has been evaluated.
pub struct World<'s> {
    pub sources: &'s dyn Sources,
    pub files: RefCell<SourceMap>,
    pub variables: BTreeMap<Arc<str>, Slot>,
    pub locals: BTreeMap<Arc<str>, Slot>,
    pub resources: BTreeMap<Kind, BTreeMap<Arc<str>, Slot>>,
    budget: Cell<u64>,
}

impl<'s> World<'s> {
    pub fn new(sources: &'s dyn Sources, files: SourceMap, budget: u64) -> World<'s> {
        World {
            sources,
            files: RefCell::new(files),
            variables: BTreeMap::new(),
            locals: BTreeMap::new(),
            resources: BTreeMap::new(),
            budget: Cell::new(budget),
        }
    }

    pub fn spend(&self, units: u64, at: Span) -> Result<(), Stop> {
        match self.budget.get().checked_sub(units) {
            Some(left) => {
                self.budget.set(left);
                Ok(())
            }
            None => {
                self.budget.set(0);
                Err(
                    Diagnostic::error(codes::BUDGET, "the configuration takes too much work")
                        .at(at, "the limit was reached here")
                        .note(format!("the limit is {BUDGET} evaluations"))
                        .help("look for loops within loops over the same large collection")
                        .into(),
                )
            }
        }
    }

    /// Pays for a text of so many bytes, or refuses it.
    pub fn spend_text(&self, bytes: usize, at: Span) -> Result<(), Stop> {
        if bytes > STRING_BYTES_MAX {
            return Err(Diagnostic::error(codes::TOO_LARGE, "this text is too long")
                .at(at, format!("{bytes} bytes"))
                .note(format!("a string holds at most {STRING_BYTES_MAX} bytes"))
                .into());
        }
        self.spend(bytes as u64 / 32, at)
    }
}

/// A name bound by a for-expression, a template's `for`, or the variables of a template file.
pub struct Frame<'p> {
    pub name: &'p str,
    pub value: Value,
    pub parent: Option<&'p Frame<'p>>,
}

#[derive(Clone, Copy)]
pub struct Scope<'p> {
    pub world: &'p World<'p>,
    /// `each.key` and `each.value`.
    pub each: Option<(&'p Value, &'p Value)>,
    pub count: Option<u32>,
    pub frame: Option<&'p Frame<'p>>,
    /// Inside a template file, only its own variables exist.
    pub template: Option<&'p BTreeMap<Arc<str>, Value>>,
}

impl<'p> Scope<'p> {
    pub fn new(world: &'p World<'p>) -> Scope<'p> {
        Scope {
            world,
            each: None,
            count: None,
            frame: None,
            template: None,
        }
    }

    pub fn with<'q>(&self, frame: &'q Frame<'q>) -> Scope<'q>
    where
        'p: 'q,
    {
        Scope {
            frame: Some(frame),
            ..*self
        }
    }

    pub fn bound(&self, name: &str) -> Option<&Value> {
        let mut frame = self.frame;
        while let Some(f) = frame {
            if f.name == name {
                return Some(&f.value);
            }
            frame = f.parent;
        }
        self.template.and_then(|variables| variables.get(name))
    }
}
