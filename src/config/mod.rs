//! L2, PURE. Text to desired state: parse, evaluate, decode. Takes the texts of a directory and values for variables, and asks
//! for everything else through [`Sources`]; gives a [`Loaded`] fleet with the place of every value, and every mistake found.
//! May import L0 and `model`. Never reads a clock, a file, the environment or a socket by itself; never prints; never panics
//! on input.

pub mod codes;
mod convert;
mod number;
mod syntax;
mod types;
mod value;
