//! L2, PURE. Text to desired state: parse, evaluate, decode. Takes the texts of a directory and values for variables, and asks
//! for everything else through [`Sources`]; gives a [`Loaded`] fleet with the place of every value, and every mistake found.
//! May import L0 and `model`. Never reads a clock, a file, the environment or a socket by itself; never prints; never panics
//! on input.

mod calls;
pub mod codes;
mod conditions;
mod console;
mod constraint;
mod convert;
mod declare;
mod decode;
mod depends;
mod dynamic;
mod eval;
mod evaluate;
mod expand;
pub mod explain;
mod files;
pub mod format;
mod functions;
mod gates;
pub mod generate;
mod involved;
mod lifecycle;
mod load;
mod locate;
mod modules;
mod moves;
mod number;
mod order;
mod outputs;
pub mod policies;
mod printing;
mod report;
mod resources;
mod rollouts;
pub mod schema;
mod settings;
mod show;
mod sources;
mod suggest;
mod syntax;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod types;
mod unread;
mod value;
mod variables;
mod windows;

pub use console::Console;
pub use load::{Loaded, load};
pub use locate::{Located, locate};
pub use modules::{GitSource, Lock, LockedModule};
pub use policies::{Policies, Policy, Rule};
pub use settings::{Settings, StateBackend};
pub use sources::{MemorySources, SourceError, SourceErrorKind, Sources, TreeDigest};
pub use suggest::did_you_mean;
pub use variables::{VariableInput, VariableOrigin};

use crate::diag::{Diagnostic, SourceMap};

/// Loads a directory with a budget of so many steps of evaluation.
pub fn load_within(
    dir: &str,
    variables: &[VariableInput],
    sources: &dyn Sources,
    steps: u64,
) -> Loaded {
    load::load_within(dir, variables, sources, steps)
}

/// A row of the table of functions: name, signature, what it does, an example, and its result.
pub fn functions() -> impl Iterator<Item = [&'static str; 5]> {
    functions::table()
        .values()
        .map(|f| [f.name, f.signature, f.doc, f.example, f.result])
}

/// The mistakes of syntax of one file, with the text they point into.
pub fn syntax_mistakes(path: &str, text: &str) -> (Vec<Diagnostic>, SourceMap) {
    let mut files = SourceMap::default();
    let file = files.add(path, text);
    let mut found = Vec::new();
    syntax::parse_file(file, text, &mut found);
    (found, files)
}
