//! Power and boot device of nodes. One file for each way of reaching a BMC.

pub mod fenced;
pub mod ipmi;
pub mod paced;
