//! (charter)

pub mod image;
