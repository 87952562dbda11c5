pub mod facts;

use crate::drivers::Done;
use std::path::Path;

/// Virtual size and first bytes of a qcow2 image.
pub fn open_qcow2_head(path: &Path, _bytes: usize) -> Done<(u64, Vec<u8>)> {
    Err(crate::drivers::DriverError::new(
        crate::drivers::Trouble::Failed,
        format!("qcow2: {}", path.display()),
    ))
}
