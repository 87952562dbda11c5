//! `rack.hcl`: the rack's machines, in bmctl's own language.

use std::fmt::Write;

use super::spec::{NodeSpec, Place, RackSpec, disk_serial};

/// One `node` and one `nic` block per machine. `places` are in the order of `spec.nodes`.
#[must_use]
pub fn render(spec: &RackSpec, places: &[Place]) -> String {
    let mut text = String::from("# Written by `bmctl rack up`; changes are overwritten.\n");
    for (node, place) in spec.nodes.iter().zip(places) {
        let NodeSpec {
            name,
            firmware,
            disk_gb,
            memory_mb,
            cpus,
        } = node;
        let Place {
            mac,
            tap: _,
            bmc_port,
            console_port,
        } = place;
        let RackSpec {
            dir: _,
            nodes: _,
            address,
            prefix: _,
            rack,
            site,
            network,
        } = spec;
        let firmware = firmware.as_str();
        let serial = disk_serial(name);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"
node "{name}" {{
  site      = site.{site}
  arch      = "x86_64"
  cpus      = {cpus}
  memory_mb = {memory_mb}
  local_gb  = {disk_gb}
  firmware  = "{firmware}"
  labels    = {{ rack = "{rack}", firmware = "{firmware}" }}
  root_device {{ serial = "{serial}" }}
  power "ipmi" {{
    address  = "{address}"
    port     = {bmc_port}
    user     = "{user}"
    password = file("${{path.module}}/.bmctl/rack/bmc.password")
  }}
  serial_console {{ port = {console_port} }}
}}

nic "{name}" {{
  node    = node.{name}
  network = network.{network}
  mac     = "{mac}"
  pxe     = true
}}
"#,
            user = super::files::BMC_USER,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rack::Firmware;

    #[test]
    fn one_machine() {
        let spec = RackSpec::new("/x".into(), vec![NodeSpec::new("r1-01", Firmware::Bios)]);
        let expected = r#"# Written by `bmctl rack up`; changes are overwritten.

node "r1-01" {
  site      = site.lab
  arch      = "x86_64"
  cpus      = 1
  memory_mb = 1024
  local_gb  = 4
  firmware  = "bios"
  labels    = { rack = "r1", firmware = "bios" }
  root_device { serial = "BM-r1-01" }
  power "ipmi" {
    address  = "10.99.0.1"
    port     = 6231
    user     = "admin"
    password = file("${path.module}/.bmctl/rack/bmc.password")
  }
  serial_console { port = 6531 }
}

nic "r1-01" {
  node    = node.r1-01
  network = network.pxe
  mac     = "52:54:00:99:00:01"
  pxe     = true
}
"#;
        assert_eq!(render(&spec, &[Place::new(1)]), expected);
    }
}
