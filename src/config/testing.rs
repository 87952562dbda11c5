//! What the tests of this folder share.

use crate::config::eval::{BUDGET, Scope, World, eval};
use crate::config::functions;
use crate::config::sources::MemorySources;
use crate::config::syntax::parse_expression;
use crate::config::value::{Data, Value};
use crate::diag::{Color, SourceMap};

pub fn sources() -> MemorySources {
    MemorySources::default()
        .file("hello.txt", "hello\n")
        .file("hello.tpl", "hello ${name}\n")
        .variable("GREETING", "hello")
}

/// The value of an expression by itself, or the rendered mistake.
pub fn value_of(text: &str) -> Result<Value, String> {
    value_within(text, BUDGET)
}

pub fn value_within(text: &str, budget: u64) -> Result<Value, String> {
    let sources = sources();
    let mut files = SourceMap::default();
    let file = files.add("expression", text);
    let parsed = parse_expression(file, text).map_err(|d| d.render(&files, Color::Never))?;
    let world = World::new(&sources, files, budget);
    eval(&parsed, &Scope::new(&world)).map_err(|stop| match stop {
        super::eval::Stop::Mistake(d) => d.render(&world.files.borrow(), Color::Never),
        super::eval::Stop::Reported => match world.exhausted() {
            Some(d) => d.render(&world.files.borrow(), Color::Never),
            None => "reported".to_owned(),
        },
    })
}

/// A value with its kind of collection, as one line.
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    let _ = functions::encode_json(value, &mut out);
    let kind = match &value.data {
        Data::Seq(_) | Data::Map(_) => value.type_name(),
        _ => "",
    };
    format!("{kind}{out}")
}
