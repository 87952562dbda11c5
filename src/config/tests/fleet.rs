//! A whole configuration, decoded.

use super::{codes, load_all, load_text, rendered};
use crate::config::{Loaded, MemorySources, StateBackend, VariableInput, VariableOrigin};
use crate::ids::Addr;
use crate::model::{Firmware, PowerConfig, PowerState};

const CSV: &str = "name,cpus,memory_mb,local_gb,disk,bmc,console_port,mac\n\
    r1-01,4,8192,100,S1,10.98.0.1,9001,52:54:00:00:00:01\n\
    r1-02,8,16384,200,S2,10.98.0.2,9002,52:54:00:00:00:02\n";

fn design() -> Loaded {
    let sources = MemorySources::default()
        .file("main.hcl", include_str!("../testdata/design.hcl"))
        .file("rack.csv", CSV)
        .file("id_ed25519.pub", "ssh-ed25519 AAAA a@b\n")
        .file("cloud.yaml", "#cloud-config\n")
        .file("ignored.txt", "{{{");
    let password = VariableInput {
        name: "bmc_password".to_owned(),
        text: "hunter2".to_owned(),
        origin: VariableOrigin::Env,
    };
    load_all(sources, &[password])
}

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

#[test]
fn the_example_of_the_design_loads_whole() {
    let loaded = design();
    assert!(!loaded.diagnostics.has_errors(), "{}", rendered(&loaded));
    let fleet = &loaded.fleet;
    assert_eq!(loaded.settings.state, StateBackend::Sqlite { path: None });
    assert_eq!(
        (
            fleet.networks.len(),
            fleet.sites.len(),
            fleet.flavors.len(),
            fleet.images.len()
        ),
        (1, 1, 1, 1)
    );
    assert_eq!(
        (fleet.nodes.len(), fleet.nics.len(), fleet.instances.len()),
        (2, 2, 2)
    );
    let node = &fleet.nodes[&addr("node.rack[\"r1-02\"]")];
    assert_eq!((node.cpus, node.memory_mb, node.local_gb), (8, 16384, 200));
    assert_eq!(node.site, addr("site.lab"));
    assert_eq!(node.firmware, Firmware::Uefi);
    assert_eq!(node.root_device.serial.as_deref(), Some("S2"));
    assert_eq!(node.console_port, Some(9002));
    let PowerConfig::Ipmi { password, port, .. } = &node.power;
    assert_eq!((password.text.expose(), *port), ("hunter2", 623));
    assert_eq!(password.fingerprint.len(), 32);
    let nic = &fleet.nics[&addr("nic.pxe[\"r1-01\"]")];
    assert_eq!(nic.node, addr("node.rack[\"r1-01\"]"));
    assert!(nic.pxe);
    let web = &fleet.instances[&addr("instance.web[\"b\"]")];
    assert_eq!(web.hostname.as_str(), "web-b");
    assert_eq!(web.ssh_keys, ["ssh-ed25519 AAAA a@b"]);
    assert_eq!(web.power_state, PowerState::On);
    assert_eq!(web.addresses.len(), 1);
    assert!(web.wait_for_phone_home && web.node.is_none());
    let site = &fleet.sites[&addr("site.lab")];
    assert_eq!(
        (site.http_port, site.ramdisk.as_str()),
        (8081, ".bmctl/ramdisk")
    );
}

#[test]
fn attributes_of_resources_and_their_defaults_are_values() {
    let loaded = design();
    let output = |name: &str| loaded.fleet.outputs[name].value.to_string();
    assert_eq!(output("cpus"), r#"{"r1-01":4,"r1-02":8}"#);
    assert_eq!(output("bmc"), r#""10.98.0.1""#);
    assert_eq!(output("site"), r#""site.lab""#);
    assert!(loaded.fleet.outputs["secret"].sensitive);
}

#[test]
fn every_attribute_knows_its_place() {
    let loaded = design();
    let origin = &loaded.fleet.origins[&addr("node.rack[\"r1-01\"]")];
    let text = |name: &str| {
        let span = origin.attributes[name];
        loaded.sources.get(span.file).unwrap().text[span.range()].to_owned()
    };
    assert_eq!(text("cpus"), "each.value.cpus");
    assert_eq!(text("power.address"), "each.value.bmc");
    assert_eq!(text("serial_console.port"), "each.value.console_port");
    let block =
        loaded.sources.get(origin.block.file).unwrap().text[origin.block.range()].to_owned();
    assert_eq!(block, "node \"rack\"");
}

#[test]
fn count_depends_on_lifecycle_and_default_host_names() {
    let loaded = load_text(
        "network \"n\" {\n  cidr = \"10.0.0.0/24\"\n  lifecycle { prevent_destroy = true }\n}\n\
         flavor \"f\" {\n  cpus = 1\n  memory_mb = 1\n  root_gb = 1\n}\n\
         image \"i\" {\n  type = \"disk\"\n  source = \"x\"\n}\n\
         instance \"db_x\" {\n  count = 2\n  flavor = flavor.f\n  image = image.i\n  depends_on = [network.n]\n  \
         lifecycle { prevent_destroy = true }\n  address {\n    network = network.n\n    ip = cidrhost(network.n.cidr, 10 + count.index)\n  }\n}\n\
         output \"names\" { value = instance.db_x[*].hostname }\n",
    );
    assert!(!loaded.diagnostics.has_errors(), "{}", rendered(&loaded));
    let fleet = &loaded.fleet;
    let second = &fleet.instances[&addr("instance.db_x[1]")];
    assert_eq!(second.hostname.as_str(), "db-x-1");
    assert!(second.prevent_destroy && fleet.prevent_destroy.contains(&addr("network.n")));
    assert_eq!(second.addresses[0].ip.unwrap().to_string(), "10.0.0.11");
    assert_eq!(
        fleet.depends_on[&addr("instance.db_x[0]")],
        [addr("network.n")]
    );
    assert_eq!(
        fleet.outputs["names"].value.to_string(),
        r#"["db-x-0","db-x-1"]"#
    );
}

#[test]
fn a_postgres_url_may_be_a_secret() {
    let sources = MemorySources::default()
        .file(
            "m.hcl",
            "bmctl {\n  state \"postgres\" { url = env(\"PG\") }\n}\n",
        )
        .variable("PG", "postgres://u:p@h/db");
    let loaded = load_all(sources, &[]);
    assert!(codes(&loaded).is_empty(), "{}", rendered(&loaded));
    match &loaded.settings.state {
        StateBackend::Postgres { url, workspace } => {
            assert_eq!(url.expose(), "postgres://u:p@h/db");
            assert_eq!(workspace, "default");
        }
        StateBackend::Sqlite { .. } => panic!("not the backend that is written"),
    }
}

#[test]
fn a_workspace_is_a_plain_name() {
    let with = |workspace: &str| {
        let text = format!(
            "bmctl {{\n  state \"postgres\" {{\n    url = \"postgres://h/db\"\n    workspace = \"{workspace}\"\n  }}\n}}\n"
        );
        let sources = MemorySources::default().file("m.hcl", text);
        codes(&load_all(sources, &[]))
    };
    assert!(with("rack_1").is_empty());
    for wrong in ["", "Rack", "a\\\"; DROP SCHEMA x", &"a".repeat(49)] {
        assert_eq!(with(wrong).len(), 1, "{wrong}");
    }
}
