//! The JSON form of the language, for programs that write configuration. Takes the text of a file; gives the same tree as the
//! native form: a property is an attribute or blocks, as [`shape`] says; a string is a template; `"//"` is a comment.

mod body;
mod read;
mod shape;

pub use shape::{Property, property};

use read::{Json, Reader};

use super::ast::Body;
use crate::diag::{Diagnostic, FileId};

/// What a property is, by the kinds of the blocks around it and its name.
pub type Shape<'s> = &'s dyn Fn(&[&str], &str) -> Property;

/// A file of configuration.
pub fn parse_json(
    file: FileId,
    text: &str,
    shape: Shape<'_>,
    report: &mut Vec<Diagnostic>,
) -> Body {
    parse(file, text, shape, body::Strings::Templates, report)
}

/// A file of values for variables: its strings are what they are.
pub fn parse_json_values(file: FileId, text: &str, report: &mut Vec<Diagnostic>) -> Body {
    let attributes = |_: &[&str], _: &str| Property::Attribute;
    parse(file, text, &attributes, body::Strings::Plain, report)
}

fn parse(
    file: FileId,
    text: &str,
    shape: Shape<'_>,
    strings: body::Strings,
    report: &mut Vec<Diagnostic>,
) -> Body {
    let mut reader = Reader::new(file, text);
    let root: Option<Json> = reader.document();
    let mut maker = body::Maker {
        file,
        text,
        shape,
        strings,
        reports: reader.reports,
    };
    let body = match root {
        Some(root) => maker.root(&root),
        None => Body {
            incomplete: true,
            ..Body::default()
        },
    };
    report.append(&mut maker.reports);
    body
}
