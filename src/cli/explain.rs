//! `bmctl explain`

use super::out::Out;
use super::{CommandResult, Exit, Failure, schema as schema_command};
use crate::config::explain::{Explanation, explain, explanations};
use crate::config::schema::{self, Found};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The code of a mistake such as E0303, or an attribute or block such as node.power
    #[arg(value_name = "CODE", required_unless_present = "list")]
    what: Option<String>,
    /// List all codes
    #[arg(long, conflicts_with = "what")]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args, out: &Out) -> CommandResult {
    let Some(what) = args.what else {
        list(args.json, out);
        return Ok(Exit::Done);
    };
    if let Some(found) = explain(&what) {
        out.print(&match args.json {
            true => format!("{:#}\n", to_json(&found)),
            false => to_text(&found),
        });
        return Ok(Exit::Done);
    }
    if is_code(&what) {
        let text = format!("there is no code {what}; `bmctl explain --list` lists them all");
        return Err(Failure::new(Exit::Usage, text));
    }
    match schema_command::find(&what)? {
        _ if args.json => out.print(&format!("{:#}\n", schema_command::part_of_table(&what))),
        Found::Block(block) => out.print(&schema::block_text(block)),
        Found::Attribute(attribute) => {
            out.print(&format!("{what}\n{}", schema::attribute_text(attribute)));
        }
    }
    Ok(Exit::Done)
}

/// `E` and digits, so not the name of a block.
fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix(['E', 'e']);
    digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
}

fn list(json: bool, out: &Out) {
    let all = explanations();
    if json {
        let rows: Vec<_> = all.iter().map(to_json).collect();
        out.line(&format!("{:#}", serde_json::Value::from(rows)));
        return;
    }
    for one in all {
        out.line(&format!("{}  {}", one.code, one.title));
    }
}

fn to_json(one: &Explanation) -> serde_json::Value {
    serde_json::json!({
        "code": one.code,
        "title": one.title,
        "meaning": one.meaning,
        "wrong": one.wrong.map(|e| e.text),
        "right": one.right.map(|e| e.text),
        "then": one.then,
    })
}

fn to_text(one: &Explanation) -> String {
    let mut out = format!("{}: {}\n\n{}\n", one.code, one.title, one.meaning);
    for (title, example) in [("Wrong", one.wrong), ("Right", one.right)] {
        if let Some(example) = example {
            out.push_str(&format!("\n{title}:\n\n"));
            for line in example.text.lines() {
                out.push_str(format!("    {line}").trim_end());
                out.push('\n');
            }
        }
    }
    if let Some(then) = &one.then {
        out.push_str(&format!("\n{then}\n"));
    }
    out
}
