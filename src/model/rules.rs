//! (rules over the fleet)
