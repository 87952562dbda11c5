//! What a name may mean where an expression stands, and how much work is left.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::codes;
use crate::config::declare::Declarations;
use crate::config::sources::Sources;
use crate::config::value::Value;
use crate::diag::{Diagnostic, SourceMap, Span};
use crate::ids::{Kind, ModuleStep};

/// Units of work for one load, whatever it reads: about one per expression, element, and 32 bytes of text made. 10,000 nodes
/// need 2 million; so many take about half a second.
pub const BUDGET: u64 = 5_000_000;
/// And for each byte that is read: a larger fleet is described by larger files.
const BUDGET_PER_BYTE: u64 = 8;
/// However much is read.
const BUDGET_MAX: u64 = 100_000_000;
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
    /// Whether `try` may go on: not after what was reported, which is also how a spent budget looks, and not after a name that is
    /// declared nowhere, which no value could mend.
    pub fn may_be_caught(&self) -> bool {
        match self {
            Stop::Mistake(d) => d.code != codes::UNDECLARED,
            Stop::Reported => false,
        }
    }

    /// A name that is declared nowhere is a mistake even where nothing is evaluated.
    pub fn is_undeclared(&self) -> bool {
        match self {
            Stop::Mistake(d) => d.code == codes::UNDECLARED,
            Stop::Reported => false,
        }
    }
}

/// `None`: declared, and its mistake is reported.
pub type Slot = Option<Value>;

/// Everything that is declared, as far as it has been evaluated: one environment for each instance of each module.
pub struct World<'s> {
    pub sources: &'s dyn Sources,
    pub files: RefCell<SourceMap>,
    envs: Vec<Env>,
    budget: Cell<u64>,
    /// All that was ever granted, what is spent included.
    granted: Cell<u64>,
    /// Files that have been paid for.
    read: RefCell<BTreeSet<String>>,
    exhausted_at: Cell<Option<Span>>,
}

/// Which instance of which module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvId(usize);

impl EnvId {
    pub const ROOT: EnvId = EnvId(0);
}

/// What the names in one instance of a module mean. What is declared and not in here has not been evaluated, which is
/// somebody's reported mistake: the order of evaluation sees to it.
#[derive(Default)]
pub struct Env {
    /// The way from the root module; empty in the root module itself.
    pub path: Vec<ModuleStep>,
    /// Where the module's files are, relative to the root module; empty for the root module.
    pub dir: Arc<str>,
    pub declared: Arc<Declarations>,
    pub variables: BTreeMap<Arc<str>, Slot>,
    pub locals: BTreeMap<Arc<str>, Slot>,
    pub resources: BTreeMap<Kind, BTreeMap<Arc<str>, Slot>>,
    pub outputs: BTreeMap<Arc<str>, Slot>,
    pub calls: BTreeMap<Arc<str>, Called>,
    /// The module instance that this one is called from, with what `each` and `count` are in the call's arguments.
    pub caller: Option<Caller>,
}

#[derive(Clone)]
pub struct Caller {
    pub env: EnvId,
    pub header: Span,
    pub each: Option<(Value, Value)>,
    pub count: Option<u32>,
}

/// The instances of a module call.
pub enum Called {
    One(EnvId),
    Count(Vec<EnvId>),
    Each(BTreeMap<Arc<str>, EnvId>),
    /// Its mistake is reported.
    Failed,
}

impl<'s> World<'s> {
    pub fn new(sources: &'s dyn Sources, files: SourceMap, budget: u64) -> World<'s> {
        World {
            sources,
            files: RefCell::new(files),
            envs: vec![Env::default()],
            budget: Cell::new(budget),
            granted: Cell::new(budget),
            read: RefCell::default(),
            exhausted_at: Cell::new(None),
        }
    }

    pub fn add(&mut self, env: Env) -> EnvId {
        self.envs.push(env);
        EnvId(self.envs.len() - 1)
    }

    pub fn env_count(&self) -> usize {
        self.envs.len()
    }

    pub fn env(&self, id: EnvId) -> &Env {
        &self.envs[id.0]
    }

    pub fn env_mut(&mut self, id: EnvId) -> &mut Env {
        &mut self.envs[id.0]
    }

    /// More work for a file that is read, once for each.
    pub fn grant(&self, path: &str, bytes: usize) {
        if !self.read.borrow().contains(path) {
            self.read.borrow_mut().insert(path.to_owned());
            let before = self.granted.get();
            let more = (bytes as u64).saturating_mul(BUDGET_PER_BYTE);
            let more = more.min(BUDGET_MAX.saturating_sub(before));
            self.granted.set(before.saturating_add(more));
            self.budget.set(self.budget.get().saturating_add(more));
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
                .note(format!(
                    "the limit is {} steps of evaluation: {BUDGET}, and {BUDGET_PER_BYTE} for each byte that is read",
                    self.granted.get()
                ))
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
    pub env: &'p Env,
    /// `each.key` and `each.value`.
    pub each: Option<(&'p Value, &'p Value)>,
    pub count: Option<u32>,
    pub frame: Option<&'p Frame<'p>>,
    /// Inside a template file, only its own variables exist.
    pub template: Option<&'p BTreeMap<Arc<str>, Value>>,
    /// What a condition about a finished resource may look at.
    pub itself: Option<&'p Value>,
}

impl<'p> Scope<'p> {
    /// The names of the root module.
    pub fn new(world: &'p World<'p>) -> Scope<'p> {
        Scope::of(world, EnvId::ROOT)
    }

    /// The names of one instance of a module.
    pub fn of(world: &'p World<'p>, env: EnvId) -> Scope<'p> {
        Scope {
            world,
            env: world.env(env),
            each: None,
            count: None,
            frame: None,
            template: None,
            itself: None,
        }
    }

    /// The names where a module is called, with the call's own `each` and `count`.
    pub fn calling(world: &'p World<'p>, caller: &'p Caller) -> Scope<'p> {
        Scope {
            each: caller.each.as_ref().map(|(key, value)| (key, value)),
            count: caller.count,
            ..Scope::of(world, caller.env)
        }
    }

    /// A path as it is written in a file of the module, from the root module.
    pub fn path(&self, written: &str) -> String {
        join(&self.env.dir, written)
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

/// A relative path starts at `dir`; the result is as short as it can be made without looking.
pub fn join(dir: &str, path: &str) -> String {
    if dir.is_empty() || path.starts_with('/') {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = dir.split('/').filter(|p| *p != ".").collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
