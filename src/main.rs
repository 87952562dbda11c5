//! argv to cli to exit code.

use std::process::ExitCode;

/// A fleet is millions of small values, made and dropped: a quarter of a load goes to the allocator of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    bmctl::cli::main()
}
