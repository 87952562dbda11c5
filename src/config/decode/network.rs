//! `network`

use super::Reader;
use crate::model::{DhcpRange, Network};

pub fn read(r: &mut Reader<'_>) -> Option<Network> {
    let cidr = r.required("cidr");
    let gateway = r.optional("gateway");
    let dns = r.or("dns", Vec::new());
    let vlan = r.optional("vlan");
    if vlan.is_some_and(|v| !(1..=4094).contains(&v)) {
        r.wrong_value("vlan", "expected 1 to 4094");
    }
    let dhcp = r.block("dhcp", |r| {
        let (start, end) = (r.required("start"), r.required("end"));
        let (start, end) = start.zip(end)?;
        if start > end {
            r.wrong_value("end", format!("{end} is before the start {start}"));
        }
        Some(DhcpRange { start, end })
    });
    Some(Network {
        cidr: cidr?,
        gateway,
        dns,
        vlan,
        dhcp,
    })
}
