//! The engine on the simulated rack, with a real store: whole fleets, faults, and a run that dies at every point there is.

mod budgets;
mod dies;
mod forecasts;
mod gates;
mod machine;
mod quorums;
mod racks;
mod rig;
mod rollouts;
mod runs;
mod soak;
mod tricks;
mod windows;
