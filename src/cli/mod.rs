//! L6. The command line: one file for each command, holding its arguments and its help.
//!
//! Takes argv; calls the layers below; the only layer that writes to the terminal, through [`out::Out`]. Decides nothing
//! about machines.

mod apply;
mod argv;
mod bars;
mod completions;
mod console;
mod context;
mod events;
mod exit;
mod explain;
mod facts;
mod fmt;
mod graph;
mod guards;
mod history;
mod image;
mod import;
mod init;
mod key;
mod keygen;
mod locate;
mod lock;
mod look;
mod lsp;
mod migrate;
mod out;
mod output;
mod plan;
mod power;
mod prune;
mod rack;
mod ramdisk;
mod report;
mod rollback;
mod run;
mod runs;
mod schema;
mod select;
mod serve;
mod show;
mod sources;
mod state;
mod surgery;
mod table;
mod transfer;
mod validate;
mod verify;
mod whole;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use clap::{CommandFactory, Parser, Subcommand};

use crate::apply::Request;
pub use exit::Exit;
use out::Out;

/// Declarative reconciler for bare metal: plan in a review, apply in CI.
#[derive(Debug, Parser)]
#[command(name = "bmctl", version, max_term_width = 100, after_help = exit::HELP)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
pub struct Global {
    /// The directory of the configuration and its state; files that other options name are from where you stand
    #[arg(
        short = 'C',
        long = "chdir",
        value_name = "DIR",
        default_value = ".",
        global = true,
        hide_default_value = true
    )]
    dir: PathBuf,
    /// When to use colours
    #[arg(long, value_enum, default_value_t = When::Auto, global = true, hide_default_value = true)]
    color: When,
    /// No colours: --color never
    #[arg(long, global = true, conflicts_with = "color")]
    no_color: bool,
}

impl Global {
    fn colors(&self) -> When {
        match self.no_color {
            true => When::Never,
            false => self.color,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what apply would do, down to the step and the data it destroys
    Plan(plan::Args),
    /// Carry out a plan
    Apply(apply::Args),
    Verify(verify::Args),
    Import(Box<import::Args>),
    Keygen(keygen::Args),
    /// Take down everything that state records
    Destroy(apply::DestroyArgs),
    /// Let what runs of an apply go to its end, and start nothing until resume
    Pause(run::Args),
    /// Let a paused run go on
    Resume(run::Args),
    /// End a run as Ctrl-C would: what runs goes to its end, nothing else is started
    Abort(run::Args),
    /// Show the recorded fleet, a plan file, or a run again
    Show(show::Args),
    /// Fetch modules from repositories, and lock them and the images
    Init(init::Args),
    /// Check the configuration without looking at state or machines
    Validate(validate::Args),
    Output(output::Args),
    Graph(graph::Args),
    Console(console::Args),
    /// Lay out configuration files
    Fmt(fmt::Args),
    Runs(runs::Args),
    Why(runs::WhyArgs),
    Rollback(rollback::Args),
    /// Look into the state, and mend it by hand
    State(state::Args),
    Untaint(surgery::UntaintArgs),
    Lock(lock::Args),
    /// Look at and change the power of nodes
    Power(power::Args),
    /// Serve DHCP, TFTP, boot scripts and the deploy channel of the sites
    Serve(serve::Args),
    /// A virtual rack of real protocols, to rehearse changes on
    Rack(rack::Args),
    /// The deploy ramdisk
    Ramdisk(ramdisk::Args),
    /// Images
    Image(image::Args),
    /// What a mistake's code means, with an example and its correction; or what an attribute is for
    Explain(explain::Args),
    /// What may be written: every block and attribute, and JSON Schemas of them
    Schema(schema::Args),
    Lsp(lsp::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Write manual pages
    Man(completions::ManArgs),
}

/// Runs the program on its real arguments.
pub fn main() -> ExitCode {
    let args = argv::with_two_dashes(&Cli::command(), std::env::args_os());
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and are no error. Nothing can be done about a closed terminal.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let out = Out::new(cli.global.colors());
    // What is in use is in memory in clear: no core file of this process is written, and no other process of the user reads it.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        out.note(&format!(
            "a core file of this process would hold secrets, and cannot be prevented: {error}"
        ));
    }
    let level = log_level(&out);
    if let Some(level) = level {
        // What happens inside, to standard error. The first setting holds: a second one cannot occur here.
        let log = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(std::io::stderr);
        let _ = if std::io::stderr().is_terminal() {
            log.try_init()
        } else {
            log.with_ansi(false).try_init()
        };
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            out.error(&format!("starting: {error}"));
            return Exit::Error.into();
        }
    };
    let exit = runtime.block_on(run(cli, &out));
    // Blocking reads of a terminal or of a large file must not hold the end up.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    exit.into()
}

/// `BMCTL_LOG=error|warn|info|debug|trace`; a word that is none of these is told, and nothing is logged.
fn log_level(out: &Out) -> Option<tracing::Level> {
    let word = std::env::var("BMCTL_LOG").ok()?;
    if word.is_empty() {
        return None;
    }
    let level = word.parse().ok();
    if level.is_none() {
        out.warning(&format!(
            "BMCTL_LOG: expected error, warn, info, debug or trace, found `{word}`: nothing is logged"
        ));
    }
    level
}

async fn run(cli: Cli, out: &Out) -> Exit {
    let global = &cli.global;
    let result = match cli.command {
        Command::Plan(args) => plan::run(global, args, out).await,
        Command::Apply(args) => apply::run(global, args, out).await,
        Command::Import(args) => import::run(global, *args, out).await,
        Command::Verify(args) => verify::run(global, args, out).await,
        Command::Keygen(args) => keygen::run(&args, out),
        Command::Destroy(args) => apply::destroy(global, args, out).await,
        Command::Pause(args) => run::ask(global, args, Request::Pause, out).await,
        Command::Resume(args) => run::ask(global, args, Request::Resume, out).await,
        Command::Abort(args) => run::ask(global, args, Request::Abort, out).await,
        Command::Show(args) => show::run(global, args, out).await,
        Command::Init(args) => match init::run(global, &args, out) {
            Ok(_) if args.migrate_state => {
                migrate::run(global, &args.config, args.from.as_deref(), out).await
            }
            ended => ended,
        },
        Command::Validate(args) => validate::run(global, args, out),
        Command::Fmt(args) => fmt::run(global, args, out),
        Command::Runs(args) => runs::run(global, args, out).await,
        Command::Rollback(args) => rollback::run(global, args, out).await,
        Command::Why(args) => runs::why(global, args, out).await,
        Command::State(args) => state::run(global, args, out).await,
        Command::Untaint(args) => surgery::untaint(global, args, out).await,
        Command::Lock(args) => lock::run(global, args, out).await,
        Command::Power(args) => power::run(global, args, out).await,
        Command::Serve(args) => serve::run(global, args, out).await,
        Command::Rack(args) => rack::run(global, args, out).await,
        Command::Ramdisk(args) => ramdisk::run(global, args, out),
        Command::Image(args) => image::run(global, args, out),
        Command::Console(args) => console::run(global, args, out),
        Command::Output(args) => output::run(global, args, out),
        Command::Graph(args) => graph::run(global, args, out).await,
        Command::Explain(args) => explain::run(args, out),
        Command::Schema(args) => schema::run(args, out),
        Command::Lsp(args) => lsp::run(args, out),
        Command::Completions(args) => completions::run(args, out, Cli::command()),
        Command::Man(args) => completions::man(args, out, Cli::command()),
    };
    result.unwrap_or_else(|failure| {
        failure.tell(out);
        failure.exit
    })
}

/// Why a command did not do what was asked, and the exit code that says so.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure {
            exit,
            message: message.into(),
        }
    }

    /// The reasons have been shown already.
    fn told(exit: Exit) -> Failure {
        Failure {
            exit,
            message: String::new(),
        }
    }

    fn tell(&self, out: &Out) {
        if !self.message.is_empty() {
            out.error(&self.message);
        }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(Exit::Error, chain(&error))
    }
}

/// An error with its sources, on one line; a source that its parent repeats is left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = source.source();
    }
    text
}

type CommandResult = Result<Exit, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }
}
