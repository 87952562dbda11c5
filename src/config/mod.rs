//! L2, PURE. Text to desired state: parse, evaluate, decode. Takes the texts of a directory and values for variables, and asks
//! for everything else through [`Sources`]; gives a [`Loaded`] fleet with the place of every value, and every mistake found.
//! May import L0 and `model`. Never reads a clock, a file, the environment or a socket by itself; never prints; never panics
//! on input.

pub mod codes;
mod constraint;
mod convert;
mod declare;
mod decode;
mod eval;
mod expand;
pub mod format;
mod functions;
mod load;
mod number;
mod order;
mod outputs;
mod report;
mod settings;
mod sources;
mod suggest;
mod syntax;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod types;
mod value;
mod variables;

pub use load::{Loaded, load};
pub use settings::{Settings, StateBackend};
pub use sources::{MemorySources, SourceError, SourceErrorKind, Sources};
pub use variables::{VariableInput, VariableOrigin};

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
