//! What is said about the name at a place: the schema's word on attributes and blocks, a function's, the value of a name.

use super::cursor::{At, Cursor, Value, schema_of};
use super::folder::Folder;
use super::outline::Mode;
use crate::config::schema;
use crate::config::{Console, VariableInput};
use crate::ids::Kind;

/// A value of more lines is cut: the console shows the rest.
const LINES_MAX: usize = 30;

/// Markdown.
pub fn hover(
    cursor: &Cursor<'_>,
    folder: &Folder<'_>,
    variables: &[VariableInput],
) -> Option<String> {
    match &cursor.at {
        At::Elsewhere | At::Name("") => None,
        At::Name(name) => about_name(cursor, name),
        At::Value(value) if value.mode == Mode::Quotes || value.under.is_empty() => None,
        At::Value(value) if value.called => about_function(value.under),
        At::Value(value) => about_value(value, folder, variables),
    }
}

fn about_name(cursor: &Cursor<'_>, name: &str) -> Option<String> {
    if cursor.blocks.is_empty() {
        let block = schema::blocks().find(|b| b.name == name)?;
        return Some(fenced(&schema::block_text(block)));
    }
    let block = schema_of(&cursor.blocks)?;
    match (block.attribute(name), block.nested(name)) {
        (Some(attribute), _) => Some(fenced(&schema::attribute_text(attribute))),
        (None, Some(nested)) => Some(fenced(&schema::block_text(nested.block))),
        (None, None) => None,
    }
}

fn about_function(name: &str) -> Option<String> {
    let [_, signature, doc, example, result] = crate::config::functions().find(|f| f[0] == name)?;
    Some(format!(
        "{}\n{doc}\n\n{}",
        fenced(signature),
        fenced(&format!("{example}\n= {result}"))
    ))
}

/// The value of a name of the configuration; `each` and `count` have many.
fn about_value(
    value: &Value<'_>,
    folder: &Folder<'_>,
    variables: &[VariableInput],
) -> Option<String> {
    let root = value.under.split(['.', '[']).next()?;
    if !matches!(root, "var" | "local" | "path") && root.parse::<Kind>().is_err() {
        return None;
    }
    let (console, _) = Console::open(".", variables, folder);
    let shown = console.evaluate(value.under).ok()?;
    let mut lines: Vec<&str> = shown.lines().take(LINES_MAX).collect();
    if shown.lines().count() > LINES_MAX {
        lines.push("...");
    }
    Some(fenced(&format!("{} = {}", value.under, lines.join("\n"))))
}

fn fenced(text: &str) -> String {
    format!("```hcl\n{}\n```\n", text.trim_end().replace("```", "'''"))
}
