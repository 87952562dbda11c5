//! `node`

use std::collections::BTreeMap;

use super::Reader;
use crate::config::codes;
use crate::config::syntax::ast::Label;
use crate::diag::Diagnostic;
use crate::ids::Kind;
use crate::model::{Firmware, Node, PowerConfig, RootDevice};

/// RMCP+'s port (IPMI 2.0, section 13.1.2).
const IPMI_PORT: u16 = 623;

pub fn read(r: &mut Reader<'_>) -> Option<Node> {
    let site = r.required_reference("site", Kind::Site);
    let arch = r.required("arch");
    let cpus = r.required("cpus");
    let memory_mb = r.required("memory_mb");
    let local_gb = r.required("local_gb");
    let firmware = r.or("firmware", Firmware::Bios);
    let labels = r.or("labels", BTreeMap::new());
    let maintenance = r.optional("maintenance");
    let root_device = r.block("root_device", |r| {
        Some(RootDevice {
            serial: r.optional("serial"),
            wwn: r.optional("wwn"),
            model: r.optional("model"),
            name: r.optional("name"),
            rotational: r.optional("rotational"),
        })
    });
    let power = r.required_block("power", 1, power);
    let console_port = r.block("serial_console", |r| {
        let port = r.required("port");
        if port == Some(0) {
            r.wrong_value("port", "expected 1 to 65535");
        }
        port
    });
    Some(Node {
        site: site?,
        arch: arch?,
        cpus: cpus?,
        memory_mb: memory_mb?,
        local_gb: local_gb?,
        firmware,
        labels,
        root_device: root_device.unwrap_or_default(),
        power: power?,
        console_port,
        maintenance,
    })
}

fn power(r: &mut Reader<'_>, labels: &[Label]) -> Option<PowerConfig> {
    let driver = labels.first()?;
    if driver.text.as_ref() != "ipmi" {
        let text = format!("there is no power driver `{}`", driver.text);
        r.fail(
            Diagnostic::error(codes::WRONG_VALUE, text)
                .at(driver.span, "not known")
                .help("write power \"ipmi\" { }"),
        );
    }
    let address = r.required("address");
    let port = r.or("port", IPMI_PORT);
    if port == 0 {
        r.wrong_value("port", "expected 1 to 65535");
    }
    let user = r.required("user");
    let password = r.required_protected("password");
    let cipher_suite: Option<u8> = r.optional("cipher_suite");
    if cipher_suite.is_some_and(|n| n != 3 && n != 17) {
        r.wrong_value("cipher_suite", "expected 17 or 3");
    }
    Some(PowerConfig::Ipmi {
        address: address?,
        port,
        user: user?,
        password: password?,
        cipher_suite,
    })
}
