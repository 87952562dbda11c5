//! The quick tests, one binary. `cases` plans from text files, `engine` applies on the simulated rack, `cli` and `cli_fmt`
//! run the real program, `layers` reads the source, `docs` reads the documents, `corpus`
//! what the fuzzers began with; `store` holds both databases to one promise, `postgres` starts the server for it; `fleet` is
//! what they share.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::wildcard_enum_match_arm,
    reason = "a test may read files, and a surprise should end it"
)]

mod audit;
mod canary;
mod cases;
mod ci;
mod cli;
mod cli_fmt;
mod cli_init;
mod cli_language;
mod cli_run;
mod cli_state;
mod corpus;
mod docs;
mod engine;
mod examples;
mod fleet;
mod kill;
mod layers;
mod lsp;
mod peers;
mod planfile;
mod postgres;
mod rack;
mod reports;
mod schemas;
mod stale;
mod store;
