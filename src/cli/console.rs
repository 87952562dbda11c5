//! `bmctl console`

use std::io::{BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Editor, Helper};

use super::context::{self, ConfigArgs};
use super::out::Out;
use super::sources::FsSources;
use super::{CommandResult, Exit, Failure, Global};
use crate::config::Console;
use crate::secret::Key32;

/// Ask the configuration: expressions from the terminal, or from standard input one a line.
///
/// An open bracket or heredoc goes on in the next line. On a terminal, `exit` or Ctrl-D ends it and Tab completes names. What is
/// sensitive is not shown, and not kept in the history: ~/.local/state/bmctl/history, or the file BMCTL_HISTORY names; empty is none.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// An expression is typed, or made by a script; not an image.
const INPUT_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let root = context::root(global)?;
    // Nothing is compared with state, so any key will do.
    let sources = FsSources {
        root,
        key: Key32::new([0; 32]),
    };
    let (console, mistakes) = Console::open(".", &context::variables(&args.config)?, &sources);
    out.diagnostics(&mistakes, &console.files());
    match std::io::stdin().is_terminal() {
        true => terminal(&console, out),
        false => lines(&console, out),
    }
}

/// Every expression is answered, whatever became of the one before; the exit code tells whether all had a value.
fn lines(console: &Console<'_>, out: &Out) -> CommandResult {
    let mut exit = Exit::Done;
    let mut open = String::new();
    let mut answer = |text: &str| {
        if !ask(console, text, out) {
            exit = Exit::Error;
        }
    };
    for line in std::io::stdin().lock().take(INPUT_BYTES_MAX).lines() {
        open.push_str(&line?);
        if open.trim() == "exit" {
            return Ok(exit);
        }
        if is_nothing(&open) {
            open.clear();
        } else if Console::is_open(&open) {
            open.push('\n');
        } else {
            answer(&std::mem::take(&mut open));
        }
    }
    if !is_nothing(&open) {
        answer(&open);
    }
    Ok(exit)
}

/// A blank line or a comment.
fn is_nothing(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || (!text.contains('\n') && (text.starts_with('#') || text.starts_with("//")))
}

/// Prints the value or why there is none; says whether there was one.
fn ask(console: &Console<'_>, text: &str, out: &Out) -> bool {
    match console.evaluate(text) {
        Ok(shown) => {
            out.line(&shown);
            true
        }
        Err(mistakes) => {
            out.diagnostics(&mistakes, &console.files());
            false
        }
    }
}

fn terminal(console: &Console<'_>, out: &Out) -> CommandResult {
    let trouble = |e: ReadlineError| Failure::new(Exit::Error, format!("the terminal: {e}"));
    let mut editor: Editor<Names, DefaultHistory> = Editor::new().map_err(trouble)?;
    editor.set_helper(Some(Names(console.names())));
    let history = history_file();
    if let Some(path) = &history {
        // The first session has none.
        let _ = editor.load_history(path);
    }
    loop {
        let text = match editor.readline("> ") {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(trouble(e)),
        };
        if text.trim() == "exit" {
            break;
        }
        if is_nothing(&text) {
            continue;
        }
        ask(console, &text, out);
        if !console.is_sensitive(&text) {
            editor.add_history_entry(text.as_str()).map_err(trouble)?;
        }
    }
    if let Some(path) = &history {
        keep(&mut editor, path).map_err(|e| {
            Failure::new(Exit::Error, format!("the history {}: {e}", path.display()))
        })?;
    }
    Ok(Exit::Done)
}

/// Where lines are kept between sessions; `None` when that is not wanted, or there is no home.
fn history_file() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("BMCTL_HISTORY") {
        return (!path.is_empty()).then(|| PathBuf::from(path));
    }
    let state = match std::env::var_os("XDG_STATE_HOME").filter(|d| !d.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(&std::env::var_os("HOME")?).join(".local/state"),
    };
    Some(state.join("bmctl/history"))
}

/// Made closed to others before a line is in it.
fn keep(
    editor: &mut Editor<Names, DefaultHistory>,
    path: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(editor.save_history(path)?)
}

/// What Tab offers.
struct Names(Vec<String>);

impl Completer for Names {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let before = line.get(..at).unwrap_or_default();
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let start = before.trim_end_matches(word).len();
        let typed = before.get(start..).unwrap_or_default();
        let matching = self.0.iter().filter(|n| n.starts_with(typed));
        Ok((start, matching.cloned().collect()))
    }
}

impl Validator for Names {
    fn validate(&self, input: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match Console::is_open(input.input()) {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}

impl Helper for Names {}
