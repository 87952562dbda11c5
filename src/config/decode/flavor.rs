//! `flavor`

use std::collections::BTreeMap;

use super::Reader;
use crate::model::Flavor;

pub fn read(r: &mut Reader<'_>) -> Option<Flavor> {
    let cpus = r.required("cpus");
    let memory_mb = r.required("memory_mb");
    let root_gb = r.required("root_gb");
    let ephemeral_gb = r.or("ephemeral_gb", 0);
    let swap_mb = r.or("swap_mb", 0);
    let extra_specs = r.or("extra_specs", BTreeMap::new());
    Some(Flavor {
        cpus: cpus?,
        memory_mb: memory_mb?,
        root_gb: root_gb?,
        ephemeral_gb,
        swap_mb,
        extra_specs,
    })
}
