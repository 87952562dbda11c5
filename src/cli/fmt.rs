//! `bmctl fmt`

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::out::Out;
use super::whole::{self, Readers};
use super::{CommandResult, Exit, Failure, Global};
use crate::config::format::format;
use crate::diag::{Diagnostics, SourceMap};

/// No configuration is larger.
const FILE_BYTES_MAX: u64 = 24 * 1024 * 1024;

/// Every `*.hcl` file of the directory is laid out anew, values of variables too. Names of files that change are printed. A file
/// with mistakes is left as it is, and they are shown.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 done, or nothing to do; 1 a file cannot be read or has mistakes; 2 with --check: a file differs."
)]
pub struct Args {
    /// Files and directories; `-` is standard input, laid out to standard output
    #[arg(value_name = "PATH", default_value = ".", hide_default_value = true)]
    paths: Vec<PathBuf>,
    /// Write nothing; exit with 2 when a file differs
    #[arg(long)]
    check: bool,
    /// Print what changes
    #[arg(long)]
    diff: bool,
    /// Directories within directories too
    #[arg(long)]
    recursive: bool,
    /// Whether to write files
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, hide_default_value = true)]
    write: bool,
    /// Whether to print the names of files that differ
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, hide_default_value = true)]
    list: bool,
}

/// What became of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Same,
    Differs,
    Wrong,
}

pub fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let mut worst = Seen::Same;
    if args.paths.iter().any(|path| path == Path::new("-")) {
        if args.paths.len() > 1 {
            let text = "`-` is standard input, and stands alone: name it or files, not both";
            return Err(Failure::new(Exit::Usage, text));
        }
        worst = standard_input(&args, out)?;
    } else {
        for path in &args.paths {
            for file in files(&global.dir, path, args.recursive)? {
                let seen = one_file(&global.dir, &file, &args, out);
                worst = worst.max(seen.unwrap_or_else(|failure| {
                    failure.tell(out);
                    Seen::Wrong
                }));
            }
        }
    }
    Ok(match worst {
        Seen::Wrong => Exit::Error,
        Seen::Differs if args.check => Exit::Changes,
        Seen::Differs | Seen::Same => Exit::Done,
    })
}

fn standard_input(args: &Args, out: &Out) -> Result<Seen, Failure> {
    let mut bytes = Vec::new();
    let mut input = std::io::stdin().lock().take(FILE_BYTES_MAX + 1);
    input.read_to_end(&mut bytes)?;
    let name = Path::new("<stdin>");
    let text = text_of(name, bytes)?;
    let Some(laid_out) = laid_out(name, &text, out) else {
        return Ok(Seen::Wrong);
    };
    if args.diff {
        print_diff(name, &text, &laid_out, out);
    } else if !args.check {
        out.print(&laid_out);
    }
    Ok(match laid_out == text {
        true => Seen::Same,
        false => Seen::Differs,
    })
}

fn one_file(dir: &Path, file: &Path, args: &Args, out: &Out) -> Result<Seen, Failure> {
    let named = |e: std::io::Error| Failure::new(Exit::Error, format!("{}: {e}", file.display()));
    let path = dir.join(file);
    let size = std::fs::metadata(&path).map_err(named)?.len();
    if size > FILE_BYTES_MAX {
        let text = format!("{}: {size} bytes, at most {FILE_BYTES_MAX}", file.display());
        return Err(Failure::new(Exit::Error, text));
    }
    let text = text_of(file, std::fs::read(&path).map_err(named)?)?;
    let Some(laid_out) = laid_out(file, &text, out) else {
        return Ok(Seen::Wrong);
    };
    if laid_out == text {
        return Ok(Seen::Same);
    }
    if args.list {
        out.line(&file.display().to_string());
    }
    if args.diff {
        print_diff(file, &text, &laid_out, out);
    }
    if args.write && !args.check {
        whole::write(&path, Readers::AsBefore, laid_out.as_bytes()).map_err(named)?;
    }
    Ok(Seen::Differs)
}

fn text_of(name: &Path, bytes: Vec<u8>) -> Result<String, Failure> {
    let refuse = |why: &str| Failure::new(Exit::Error, format!("{}: {why}", name.display()));
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(refuse("more than 24 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| refuse("not UTF-8 text; save it as UTF-8"))
}

/// `None`: its mistakes have been shown.
fn laid_out(name: &Path, text: &str, out: &Out) -> Option<String> {
    let mut sources = SourceMap::default();
    let file = sources.add(name.display().to_string(), text);
    match format(file, text) {
        Ok(laid_out) => Some(laid_out),
        Err(mistakes) => {
            let mut all = Diagnostics::default();
            all.extend(mistakes);
            out.diagnostics(&all, &sources);
            None
        }
    }
}

fn print_diff(name: &Path, old: &str, new: &str, out: &Out) {
    let (from, to) = (
        format!("old/{}", name.display()),
        format!("new/{}", name.display()),
    );
    let diff = similar::TextDiff::from_lines(old, new);
    out.print(&diff.unified_diff().header(&from, &to).to_string());
}

/// The files that a path stands for, relative to the directory as it is.
fn files(dir: &Path, path: &Path, recursive: bool) -> Result<Vec<PathBuf>, Failure> {
    let named = |e: std::io::Error| Failure::new(Exit::Error, format!("{}: {e}", path.display()));
    let meta = std::fs::metadata(dir.join(path)).map_err(named)?;
    if !meta.is_dir() {
        if path.extension().is_some_and(|e| e == "hcl") {
            return Ok(vec![path.to_owned()]);
        }
        let text = format!(
            "{}: not a file of configuration: its name does not end in .hcl",
            path.display()
        );
        return Err(Failure::new(Exit::Usage, text));
    }
    let mut found = Vec::new();
    let mut waiting = vec![match path == Path::new(".") {
        true => PathBuf::new(),
        false => path.to_owned(),
    }];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(dir.join(&folder)).map_err(named)? {
            let entry = entry.map_err(named)?;
            let name = entry.file_name();
            // What begins with a dot is written by programs.
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            let relative = folder.join(&name);
            // A link to a directory may lead back to where we are.
            if entry.file_type().map_err(named)?.is_dir() {
                if recursive {
                    waiting.push(relative);
                }
            } else if relative.extension().is_some_and(|e| e == "hcl")
                && dir.join(&relative).is_file()
            {
                found.push(relative);
            }
        }
    }
    found.sort();
    Ok(found)
}
