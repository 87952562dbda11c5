//! What a configuration says about how resources may change: what is left alone, what follows what, and what has moved.

use std::collections::BTreeSet;

use crate::diag::Span;
use crate::ids::{Addr, ModuleStep};

/// `lifecycle` of one resource, as far as a plan follows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lifecycle {
    pub ignore_changes: Ignore,
    pub replace_triggered_by: Vec<Trigger>,
}

/// Attributes whose recorded value stays, whatever the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ignore {
    /// Attributes and nested blocks by name; a key of `labels` and the like as `labels.key`.
    These(BTreeSet<String>),
    All,
}

impl Default for Ignore {
    fn default() -> Ignore {
        Ignore::These(BTreeSet::new())
    }
}

impl Ignore {
    /// Whether the whole attribute is ignored.
    pub fn covers(&self, name: &str) -> bool {
        match self {
            Ignore::All => true,
            Ignore::These(names) => names.contains(name),
        }
    }
}

/// A change of this deploys the instance again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    pub addr: Addr,
    /// One attribute of it; `None` means any change.
    pub attribute: Option<String>,
    pub span: Span,
}

/// What `moved` and `removed` are about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A resource; without a key, also all of its instances.
    Resource(Addr),
    /// Everything in a module; without a key on the last step, in all of its instances.
    Module(Vec<ModuleStep>),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::Resource(addr) => addr.fmt(f),
            Subject::Module(path) => crate::ids::fmt_path(path, f),
        }
    }
}

/// `moved { from, to }`: the same thing under another address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub from: Subject,
    pub to: Subject,
    /// `None` when it follows from the history and not from a block.
    pub span: Option<Span>,
}

/// `removed { from }`: what has left the configuration on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    pub from: Subject,
    /// Whether it is taken down, or only forgotten.
    pub destroy: bool,
    pub span: Span,
}

/// `import { to, id }`: an instance whose system stands on a node already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub to: Addr,
    /// The node.
    pub node: Addr,
    pub span: Span,
}
