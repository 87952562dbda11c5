//! `bmctl schema`

use std::path::PathBuf;

use super::out::Out;
use super::{CommandResult, Exit, Failure};
use crate::config::schema::{self, Found};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A block such as node, or what is within it, such as node.power; without it, the list of blocks
    #[arg(value_name = "KIND")]
    path: Option<String>,
    /// Print the table as JSON
    #[arg(long)]
    json: bool,
    /// Write JSON Schemas into DIR: of configuration in JSON syntax, of plan files, of events
    #[arg(long, value_name = "DIR", conflicts_with_all = ["path", "json"])]
    write: Option<PathBuf>,
}

pub fn run(args: Args, out: &Out) -> CommandResult {
    if let Some(dir) = args.write {
        return write(&dir, out);
    }
    let found = args
        .path
        .as_deref()
        .map(|path| find(path).map(|found| (path, found)));
    let Some((path, found)) = found.transpose()? else {
        out.print(&match args.json {
            true => format!("{:#}\n", schema::table()),
            false => schema::overview(),
        });
        return Ok(Exit::Done);
    };
    out.print(&match (args.json, found) {
        (true, _) => format!("{:#}\n", part_of_table(path)),
        (false, Found::Block(block)) => schema::block_text(block),
        (false, Found::Attribute(attribute)) => schema::attribute_text(attribute),
    });
    Ok(Exit::Done)
}

/// What the table holds at a path, or the nearest path to try.
pub fn find(path: &str) -> Result<Found, Failure> {
    schema::find(path).ok_or_else(|| {
        let paths = schema::paths();
        let next = match crate::config::did_you_mean(path, paths.iter().map(String::as_str)) {
            Some(help) => help,
            None => "`bmctl schema` lists the blocks".to_owned(),
        };
        Failure::new(
            Exit::Usage,
            format!("there is no `{path}` in the language; {next}"),
        )
    })
}

/// The same path in the JSON of the table: names of blocks and attributes lead through `blocks` and `attributes`.
pub fn part_of_table(path: &str) -> serde_json::Value {
    let table = schema::table();
    let mut names = path.split('.');
    let mut at = names.next().and_then(|first| table.get(first));
    for name in names {
        at = at.and_then(|at| {
            let inner = |group: &str| at.get(group).and_then(|g| g.get(name));
            inner("blocks").or_else(|| inner("attributes"))
        });
    }
    at.cloned().unwrap_or_default()
}

fn write(dir: &std::path::Path, out: &Out) -> CommandResult {
    let trouble = |e: std::io::Error| Failure::new(Exit::Error, format!("{}: {e}", dir.display()));
    std::fs::create_dir_all(dir.join("blocks")).map_err(trouble)?;
    for (name, content) in schema::files() {
        std::fs::write(dir.join(&name), content).map_err(trouble)?;
    }
    for (name, content) in crate::plan::schema::files() {
        std::fs::write(dir.join(name), content).map_err(trouble)?;
    }
    out.line(&format!("Written to {}.", dir.display()));
    Ok(Exit::Done)
}
