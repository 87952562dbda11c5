//! Tests over the whole of `config`.

mod document;
mod expressions;
mod fleet;
mod gates;
mod heredocs;
mod hostile;
mod json;
mod layout;
mod locate;
mod mistakes;
mod modules;
mod policies;
mod rules;
mod scale;
mod syntax;
mod variables;

use crate::config::{Loaded, MemorySources, VariableInput, load};
use crate::diag::Color;

pub fn load_text(text: &str) -> Loaded {
    load_all(MemorySources::default().file("main.hcl", text), &[])
}

pub fn load_all(sources: MemorySources, variables: &[VariableInput]) -> Loaded {
    load(".", variables, &sources)
}

/// All diagnostics as a terminal without colours shows them.
pub fn rendered(loaded: &Loaded) -> String {
    let all = loaded.diagnostics.iter();
    let texts = all.map(|d| d.render(&loaded.sources, Color::Never));
    texts.collect::<Vec<_>>().join("\n")
}

pub fn codes(loaded: &Loaded) -> Vec<&'static str> {
    loaded.diagnostics.iter().map(|d| d.code).collect()
}
