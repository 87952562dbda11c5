//! Functions that ask the outside: files and the environment.

use base64::Engine as _;
use sha2::Digest as _;

use super::args::{Args, Fail, Param};
use super::{Function, row};
use crate::config::eval::{self, Scope};
use crate::config::sources::SourceErrorKind;
use crate::config::syntax;
use crate::config::syntax::ast::Part;
use crate::config::value::Value;

use Param::{Any, String as Str};

pub const TABLE: &[Function] = &[
    row(
        "file",
        "file(path)",
        "The text of a file, relative to the module.",
        ["file(\"hello.txt\")", "\"hello\\n\""],
        &[Str],
        |a| Ok(Value::string(text(a, 0)?)),
    ),
    row(
        "filebase64",
        "filebase64(path)",
        "The bytes of a file in base64.",
        ["filebase64(\"hello.txt\")", "\"aGVsbG8K\""],
        &[Str],
        |a| {
            let bytes = bytes(a, 0)?;
            a.spend_text(bytes.len() / 3 * 4)?;
            Ok(Value::string(
                base64::engine::general_purpose::STANDARD.encode(bytes),
            ))
        },
    ),
    row(
        "fileexists",
        "fileexists(path)",
        "Whether there is such a file.",
        ["fileexists(\"nowhere.txt\")", "false"],
        &[Str],
        |a| match a.scope.world.sources.read(&a.scope.path(a.text(0))) {
            Ok(_) => Ok(Value::bool(true)),
            Err(e) if e.kind == SourceErrorKind::NotFound => Ok(Value::bool(false)),
            Err(e) => Err(Fail::Source(e.to_string())),
        },
    ),
    row(
        "filesha256",
        "filesha256(path)",
        "The SHA-256 of a file in hex.",
        [
            "filesha256(\"hello.txt\")",
            "\"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\"",
        ],
        &[Str],
        |a| {
            Ok(Value::string(hex::encode(sha2::Sha256::digest(bytes(
                a, 0,
            )?))))
        },
    ),
    row(
        "templatefile",
        "templatefile(path, variables)",
        "The template in a file, with these variables.",
        [
            "templatefile(\"hello.tpl\", { name = \"a\" })",
            "\"hello a\\n\"",
        ],
        &[Str, Any],
        templatefile,
    )
    .keeps_marks(),
    row(
        "templatestring",
        "templatestring(template, variables)",
        "The template in a text, with these variables.",
        [
            "templatestring(\"hello $${name}\", { name = \"a\" })",
            "\"hello a\"",
        ],
        &[Str, Any],
        |a| render(a, "templatestring()", a.text(0)),
    )
    .keeps_marks(),
    row(
        "env",
        "env(name)",
        "An environment variable; sensitive.",
        ["nonsensitive(env(\"GREETING\"))", "\"hello\""],
        &[Str],
        |a| match a.scope.world.sources.env(a.text(0)) {
            Some(text) => Ok(Value::string(text).marked(true)),
            None => Err(Fail::Source(format!(
                "the environment has no {}",
                a.text(0)
            ))),
        },
    ),
];

pub fn bytes(a: &Args<'_>, i: usize) -> Result<Vec<u8>, Fail> {
    let path = a.scope.path(a.text(i));
    let bytes = a.scope.world.sources.read(&path);
    let bytes = bytes.map_err(|e| Fail::Source(e.to_string()))?;
    a.scope.world.grant(&path, bytes.len());
    a.spend_text(bytes.len())?;
    Ok(bytes)
}

fn text(a: &Args<'_>, i: usize) -> Result<String, Fail> {
    String::from_utf8(bytes(a, i)?).map_err(|_| {
        Fail::Source(format!(
            "{} is not UTF-8; filebase64() reads any bytes",
            a.text(i)
        ))
    })
}

fn templatefile(a: &Args<'_>) -> Result<Value, Fail> {
    render(a, &a.scope.path(a.text(0)), &text(a, 0)?)
}

/// The value of a template with the second argument's entries as its variables.
fn render(a: &Args<'_>, name: &str, text: &str) -> Result<Value, Fail> {
    let variables = a.entries(1)?;
    let sensitive = a.value(0).sensitive || a.value(1).sensitive;
    // A report shows the line, which may be a secret.
    let shown = if a.value(0).sensitive { "" } else { text };
    let file = a.scope.world.files.borrow_mut().add(name, shown);
    let parts = syntax::parse_template(file, text).map_err(|d| Fail::Stop(d.into()))?;
    let inner = Scope {
        each: None,
        count: None,
        frame: None,
        template: Some(variables),
        ..*a.scope
    };
    let result = match parts.as_slice() {
        // A value alone is itself, of whatever type.
        [Part::Value(only)] => eval::eval(only, &inner)?,
        parts => eval::render_template(parts, a.span, &inner)?,
    };
    match result.is_null() {
        true => Err(Fail::Call("the template gives null".to_owned())),
        false => Ok(result.marked(sensitive)),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{json, value_of};

    #[test]
    fn a_template_of_one_value_is_the_value() {
        for (expression, expected) in [
            ("templatestring(\"$${x}\", { x = [1] })", "tuple[1]"),
            ("templatestring(\"$${x}\", { x = 1 })", "1"),
            ("templatestring(\"$${x}\\n\", { x = 1 })", "\"1\\n\""),
        ] {
            assert_eq!(json(&value_of(expression).unwrap()), expected);
        }
        for expression in [
            "templatestring(\"$${x}\", { x = null })",
            "templatestring(\"$${y}\", {})",
            "templatestring(\"$${\", {})",
            "templatestring(\"$${templatestring(x, {})}\", { x = \"a\" })",
        ] {
            assert!(value_of(expression).is_err(), "{expression}");
        }
    }
}
