//! bmctl: a declarative reconciler for bare metal.
//!
//! The modules stand in reading order: text becomes desired state, desired and recorded become a plan, a plan
//! becomes acts. A module imports only what stands above it here; `tests/layers.rs` holds the table.

// The bans of clippy.toml hold for PURE code; they are lifted here, for the folders that do I/O, and nowhere else.
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::print_stdout
    )
)]

// L0: values parsed once at the edge
pub mod diag;
pub mod ids;
pub mod secret;
pub mod signing;
pub mod units;
// L1: what the fleet is, and the protocols without I/O
pub mod model;
pub mod proto;
// L2: text to desired, desired to plan
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "a function or operator takes the kinds of values it names; every other kind is one and the same error"
)]
pub mod config;
pub mod plain;
pub mod plan;
// L3: the outside
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "I/O")]
pub mod drivers;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "I/O")]
pub mod store;
// L4: the engine
pub mod apply;
// L5: what nodes talk to, the rack to rehearse on, and what editors talk to
pub mod lsp;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "I/O")]
pub mod rack;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "I/O")]
pub mod serve;
// L6: the command line
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "I/O")]
pub mod cli;
