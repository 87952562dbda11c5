//! `bmctl validate`

use std::collections::BTreeMap;

use super::context::{self, ConfigArgs};
use super::out::Out;
use super::sources::FsSources;
use super::{CommandResult, Exit, Global};
use crate::model::rules;
use crate::secret::Key32;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the mistakes as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let root = context::root(global)?;
    // Nothing is compared with state, so any key will do: validation leaves no file behind.
    let sources = FsSources {
        root,
        key: Key32::new([0; 32]),
    };
    let loaded = crate::config::load(".", &context::variables(&args.config)?, &sources);
    // The count of those that were not kept comes along.
    let mut all = loaded.diagnostics;
    let wrong = all.has_errors();
    if !wrong {
        all.extend(rules::check(&loaded.fleet, &BTreeMap::new()));
    }
    if args.json {
        let list: Vec<serde_json::Value> = all.iter().map(|d| d.to_json(&loaded.sources)).collect();
        let value = serde_json::json!({ "valid": !all.has_errors(), "diagnostics": list, "dropped": all.dropped() });
        out.line(&serde_json::to_string_pretty(&value)?);
    } else {
        out.diagnostics(&all, &loaded.sources);
        if !all.has_errors() {
            out.line("The configuration is valid.");
        }
    }
    Ok(if all.has_errors() {
        Exit::Error
    } else {
        Exit::Done
    })
}
