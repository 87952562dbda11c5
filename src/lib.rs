//! bmctl: a declarative reconciler for bare metal.
//!
//! The modules stand in reading order: text becomes desired state, desired and recorded become a plan, a plan
//! becomes acts. A module imports only what stands above it here; `tests/layers.rs` holds the table.

// L0: values parsed once at the edge
pub mod diag;
pub mod ids;
pub mod secret;
pub mod units;
// L1: what the fleet is, and the protocols without I/O
pub mod model;
pub mod proto;
// L2: text to desired, desired to plan
pub mod config;
pub mod plan;
// L3: the outside
pub mod drivers;
pub mod store;
// L4: the engine
pub mod apply;
// L5: what nodes talk to, and the rack to rehearse on
pub mod rack;
pub mod serve;
// L6: the command line
pub mod cli;
