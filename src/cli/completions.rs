//! `bmctl completions` and `bmctl man`

use std::path::PathBuf;

use super::out::Out;
use super::{CommandResult, Exit, Failure};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The directory that receives bmctl.1 and a page for each command
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub fn run(args: Args, out: &Out, mut command: clap::Command) -> CommandResult {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "bmctl", &mut text);
    out.print(&String::from_utf8_lossy(&text));
    Ok(Exit::Done)
}

pub fn man(args: ManArgs, _out: &Out, command: clap::Command) -> CommandResult {
    clap_mangen::generate_to(command, &args.dir)
        .map_err(|e| Failure::new(Exit::Error, format!("{}: {e}", args.dir.display())))?;
    Ok(Exit::Done)
}
