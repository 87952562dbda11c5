//! `instance`

use std::collections::BTreeMap;

use super::Reader;
use crate::config::codes;
use crate::diag::Diagnostic;
use crate::ids::{Addr, Key, Kind};
use crate::model::{
    AddressRequest, Drift, Erase, ExistingData, Instance, PowerState, UserDataChange,
};
use crate::units::Hostname;

pub fn read(r: &mut Reader<'_>, addr: &Addr, prevent_destroy: bool) -> Option<Instance> {
    let flavor = r.required_reference("flavor", Kind::Flavor);
    let image = r.required_reference("image", Kind::Image);
    let node = r.reference("node", Kind::Node);
    let match_labels = r.or("match_labels", BTreeMap::new());
    let hostname = hostname(r, addr);
    let ssh_keys: Vec<String> = r.or("ssh_keys", Vec::new());
    if ssh_keys.iter().any(|key| key.contains("PRIVATE KEY")) {
        r.wrong_value(
            "ssh_keys",
            "this is a private key, which plans and state would show: give the public one, the file that ends in .pub",
        );
    }
    let user_data = r.protected("user_data");
    let addresses = r.blocks("address", |r| {
        let network = r.required_reference("network", Kind::Network);
        let ip = r.optional("ip");
        Some(AddressRequest {
            network: network?,
            ip,
        })
    });
    let power_state = r.or("power_state", PowerState::On);
    let erase = r.or("erase", Erase::None);
    let on_existing_data = r.or("on_existing_data", ExistingData::Refuse);
    let on_user_data_change = r.or("on_user_data_change", UserDataChange::Update);
    let drift = r.block("drift", |r| {
        let default = Drift::default();
        Some(Drift {
            power: r.or("power", default.power),
            boot_device: r.or("boot_device", default.boot_device),
        })
    });
    let preserve_ephemeral = r.or("preserve_ephemeral", false);
    let wait_for_phone_home = r.or("wait_for_phone_home", true);
    Some(Instance {
        flavor: flavor?,
        image: image?,
        node,
        match_labels,
        hostname: hostname?,
        ssh_keys,
        user_data,
        addresses,
        power_state,
        erase,
        on_existing_data,
        on_user_data_change,
        drift: drift.unwrap_or_default(),
        preserve_ephemeral,
        prevent_destroy,
        wait_for_phone_home,
    })
}

/// What is not written is made from name and key: `web`, `web-0`, `web-a`.
fn hostname(r: &mut Reader<'_>, addr: &Addr) -> Option<Hostname> {
    if r.has_attribute("hostname") {
        return r.required("hostname");
    }
    let text = match &addr.key {
        None => addr.name.to_string(),
        Some(Key::Index(n)) => format!("{}-{n}", addr.name),
        Some(Key::Text(t)) => format!("{}-{t}", addr.name),
    };
    match text.replace('_', "-").parse::<Hostname>() {
        Ok(name) => Some(r.or("hostname", name)),
        Err(_) => {
            r.known(&["hostname"], &[]);
            let place = r.place("hostname");
            r.fail(
                Diagnostic::error(codes::MISSING, "`hostname` is required here").at(
                    place,
                    format!("`{text}`, made from name and key, is no host name"),
                ),
            );
            None
        }
    }
}
