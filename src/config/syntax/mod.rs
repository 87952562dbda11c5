//! Text to syntax tree. Takes the text of a file; gives blocks and attributes with spans, and every syntax error of the file.
//! May import L0 and values. Never evaluates, never recurses deeper than [`scan::DEPTH_MAX`].

pub mod ast;
mod lower;
mod lower_template;
mod parse;
pub mod scan;

pub use parse::{parse_expression, parse_file, parse_template};
