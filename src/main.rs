//! argv to cli to exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    bmctl::cli::main()
}
