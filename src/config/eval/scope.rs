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

impl From<Box<Diagnostic>> for Stop {
    fn from(d: Box<Diagnostic>) -> Stop {
        Stop::Mistake(d)
    }
}

impl Stop {
    /// Whether `try` may go on: not after what was reported, which is also how a spent budget looks.
    pub fn may_be_caught(&self) -> bool {
        match self {
            Stop::Mistake(_) => true,
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
    exhausted_at: Cell<Option<Span>>,
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
            exhausted_at: Cell::new(None),
        }
    }

    /// For the next expression of a console.
    pub fn renew(&self, budget: u64) {
        self.budget.set(budget);
        self.exhausted_at.set(None);
    }

    /// When the budget is gone, everything stops as if it had been reported; [`World::exhausted`] is the report, so that nothing
    /// that swallows mistakes can swallow this one.
    pub fn spend(&self, units: u64, at: Span) -> Result<(), Stop> {
        match self.budget.get().checked_sub(units) {
            Some(left) => {
                self.budget.set(left);
                Ok(())
            }
            None => {
                self.budget.set(0);
                if self.exhausted_at.get().is_none() {
                    self.exhausted_at.set(Some(at));
                }
                Err(Stop::Reported)
            }
        }
    }

    pub fn exhausted(&self) -> Option<Diagnostic> {
        let at = self.exhausted_at.get()?;
        let text = "the configuration takes too much work";
        Some(
            Diagnostic::error(codes::BUDGET, text)
                .at(at, "the limit was reached here")
                .note(format!("the limit is {BUDGET} steps of evaluation"))
                .help("look for loops within loops over the same large collection"),
        )
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
