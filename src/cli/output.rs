//! `bmctl output`

use serde_json::{Value, json};

use super::context::{self, ConfigArgs};
use super::out::Out;
use super::sources::FsSources;
use super::{CommandResult, Exit, Failure, Global};
use crate::config::show_json;
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
    let root = std::fs::canonicalize(&global.dir)
        .map_err(|e| Failure::new(Exit::Error, format!("{}: {e}", global.dir.display())))?;
    // Nothing is compared with state, so any key will do.
    let sources = FsSources {
        root,
        key: Key32::new([0; 32]),
    };
    let loaded = crate::config::load(".", &context::variables(&args.config)?, &sources);
    out.diagnostics(&loaded.diagnostics, &loaded.sources);
    if loaded.diagnostics.has_errors() {
        return Err(Failure::told(Exit::Error));
    }
    let outputs = &loaded.fleet.outputs;
    let Some(name) = &args.name else {
        if args.json {
            let all = outputs.iter().map(|(name, o)| (name.clone(), described(o)));
            let all: serde_json::Map<String, Value> = all.collect();
            out.line(&format!("{:#}", Value::from(all)));
            return Ok(Exit::Done);
        }
        if outputs.is_empty() {
            out.note("The configuration has no outputs: output \"name\" { value = ... } is one.");
        }
        for (name, output) in outputs {
            out.line(&format!("{name} = {}", shown(output)));
        }
        return Ok(Exit::Done);
    };
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
        (false, false) => out.line(&shown(output)),
    }
    Ok(Exit::Done)
}

fn shown(output: &Output) -> String {
    match output.sensitive {
        true => "<sensitive>".to_owned(),
        false => show_json(&output.value),
    }
}

/// For all at once, a sensitive value stays out: somebody who wants it names it.
fn described(output: &Output) -> Value {
    let mut row = json!({ "sensitive": output.sensitive, "type": type_of(&output.value) });
    if let (Value::Object(fields), false) = (&mut row, output.sensitive) {
        fields.insert("value".to_owned(), output.value.clone());
    }
    row
}

/// The type as Terraform writes it in JSON: `"string"`, `["tuple", ["number"]]`.
fn type_of(value: &Value) -> Value {
    match value {
        Value::Null => "dynamic".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(items) => json!(["tuple", items.iter().map(type_of).collect::<Vec<_>>()]),
        Value::Object(entries) => {
            let types = entries.iter().map(|(k, v)| (k.clone(), type_of(v)));
            json!(["object", types.collect::<serde_json::Map<_, _>>()])
        }
    }
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
