//! The layout of files. Takes the text of a file; gives the same text laid out as `terraform fmt` does, or why it cannot be read.
//! May import L0 and the syntax tree. Never changes what a file means, never looks at what its blocks are for.

mod cells;
mod indent;
mod spaces;
mod tidy;
mod tokens;

use super::syntax::{describe, parse_file};
use crate::diag::{Diagnostic, FileId};
use tidy::Comments;

/// The text laid out. A text with mistakes is not touched: a layout made from a guess would hide them.
pub fn format(file: FileId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let mut done = pass(file, text)?;
    // What came out of a `"${x}"` may be another one. Each pass takes one away, so this ends.
    while done.unwrapped
        && let Ok(again) = pass(file, &done.text)
    {
        done = again;
    }
    Ok(done.text)
}

struct Pass {
    text: String,
    unwrapped: bool,
}

fn pass(file: FileId, text: &str) -> Result<Pass, Vec<Diagnostic>> {
    let mut mistakes = Vec::new();
    let body = parse_file(file, text, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let laid_out = |comments| {
        let tidied = tidy::tidy(tokens::tokens(text), text, &body, comments);
        let pass = Pass {
            unwrapped: tidied.unwrapped,
            text: lay_out(tidied.tokens),
        };
        (pass, tidied.doubtful)
    };
    let (pass, doubtful) = laid_out(Comments::Moved);
    Ok(match doubtful && !same_meaning(text, &pass.text) {
        true => laid_out(Comments::Kept).0,
        false => pass,
    })
}

fn lay_out(mut tokens: Vec<tokens::Piece<'_>>) -> String {
    let lines = cells::lines(&tokens);
    indent::indent(&mut tokens, &lines);
    spaces::spaces(&mut tokens, &lines);
    cells::align(&mut tokens, &lines);
    cells::text(&tokens)
}

/// Whether two texts parse without mistakes to the same tree.
pub fn same_meaning(one: &str, other: &str) -> bool {
    let described = |text: &str| {
        let mut mistakes = Vec::new();
        let body = parse_file(FileId(0), text, &mut mistakes);
        mistakes.is_empty().then(|| describe::body(&body))
    };
    described(one).is_some_and(|one| described(other) == Some(one))
}
