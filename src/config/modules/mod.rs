//! Modules: from a root directory to every module it calls, each parsed once. Takes directories through `Sources` and the
//! lock file; gives a tree of declarations. Never evaluates, never fetches: what is not there is named, with what fetches it.

mod address;
mod lock;
mod tree;

pub use address::{GitSource, ModuleSource};
pub use lock::{Lock, LockedModule};
pub use tree::{ModuleId, Tree};
