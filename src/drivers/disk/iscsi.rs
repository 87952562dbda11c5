//! Disks by iSCSI.

use std::path::PathBuf;

use async_trait::async_trait;

use crate::drivers::{Disk, DiskJob, Done, DriverError, Progress, Trouble};
use crate::model::recorded::WrittenDisk;

pub struct IscsiDisk {
    /// Images' files are relative to it.
    pub root: PathBuf,
}

#[async_trait]
impl Disk for IscsiDisk {
    async fn write(&self, _job: &DiskJob<'_>, _progress: &Progress<'_>) -> Done<WrittenDisk> {
        Err(DriverError::new(Trouble::Failed, "not built"))
    }
}
