//! `nic`

use super::Reader;
use crate::ids::Kind;
use crate::model::Nic;

pub fn read(r: &mut Reader<'_>) -> Option<Nic> {
    let node = r.required_reference("node", Kind::Node);
    let network = r.required_reference("network", Kind::Network);
    let mac = r.required("mac");
    let pxe = r.or("pxe", false);
    Some(Nic {
        node: node?,
        network: network?,
        mac: mac?,
        pxe,
    })
}
