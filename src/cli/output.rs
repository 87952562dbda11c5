//! `bmctl output`

use serde_json::{Value, json};

use super::context::{self, ConfigArgs};
use super::out::Out;
use super::sources::FsSources;
use super::{CommandResult, Exit, Failure, Global};
use crate::config::Console;
use crate::model::fleet::Output;
use crate::secret::Key32;

/// Print what the configuration says about itself.
///
/// Nothing is unknown until an apply, so outputs come from the configuration as it stands; no state is read. A sensitive one is
/// shown only when it is asked for by name with --raw or --json.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The one output to print; without it, all
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print a string, number or bool as it is, without quotes or newline
    #[arg(long, requires = "name", conflicts_with = "json")]
    raw: bool,
}

pub fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let root = context::root(global)?;
    // Nothing is compared with state, so any key will do.
    let sources = FsSources {
        root,
        key: Key32::new([0; 32]),
    };
    let (console, mistakes) = Console::open(".", &context::variables(&args.config)?, &sources);
    out.diagnostics(&mistakes, &console.files());
    if mistakes.has_errors() {
        return Err(Failure::told(Exit::Error));
    }
    match &args.name {
        None => all(&console, args.json, out),
        Some(name) => one(&console, name, &args, out),
    }
}

fn all(console: &Console<'_>, json: bool, out: &Out) -> CommandResult {
    let outputs = &console.fleet.outputs;
    if json {
        let rows = outputs
            .iter()
            .map(|(name, o)| (name.clone(), described(console, name, o)));
        let rows: serde_json::Map<String, Value> = rows.collect();
        out.line(&format!("{:#}", Value::from(rows)));
        return Ok(Exit::Done);
    }
    if outputs.is_empty() {
        out.note("The configuration has no outputs: output \"name\" { value = ... } is one.");
    }
    for (name, output) in outputs {
        out.line(&format!("{name} = {}", shown(console, name, output)));
    }
    Ok(Exit::Done)
}

fn one(console: &Console<'_>, name: &str, args: &Args, out: &Out) -> CommandResult {
    let outputs = &console.fleet.outputs;
    let Some(output) = outputs.get(name) else {
        let names = outputs.keys().map(String::as_str);
        let next = crate::config::did_you_mean(name, names)
            .unwrap_or_else(|| format!("`bmctl output` lists the {} there are", outputs.len()));
        return Err(Failure::new(
            Exit::Error,
            format!("there is no output `{name}`; {next}"),
        ));
    };
    match (args.json, args.raw) {
        (true, _) => out.line(&format!("{:#}", output.value)),
        (false, true) => out.print(&raw(name, &output.value)?),
        (false, false) => out.line(&shown(console, name, output)),
    }
    Ok(Exit::Done)
}

fn shown(console: &Console<'_>, name: &str, output: &Output) -> String {
    match output.sensitive {
        true => "<sensitive>".to_owned(),
        false => console
            .output(name)
            .map(|(text, _)| text)
            .unwrap_or_default(),
    }
}

/// For all at once, a sensitive value stays out: somebody who wants it names it.
fn described(console: &Console<'_>, name: &str, output: &Output) -> Value {
    let of = console.output(name).map(|(_, of)| of);
    let mut row = json!({ "sensitive": output.sensitive, "type": of });
    if let (Value::Object(fields), false) = (&mut row, output.sensitive) {
        fields.insert("value".to_owned(), output.value.clone());
    }
    row
}

fn raw(name: &str, value: &Value) -> Result<String, Failure> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(n) => Ok(n.to_string()),
        Value::Bool(b) => Ok(b.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Failure::new(
            Exit::Error,
            format!("--raw prints a string, number or bool; output `{name}` is none: use --json"),
        )),
    }
}
