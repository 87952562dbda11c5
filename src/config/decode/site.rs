//! `site`

use super::Reader;
use crate::config::syntax::ast::Label;
use crate::ids::Kind;
use crate::model::{BiosLoader, DhcpMode, Limits, PerLabel, Site};

/// What a step asks of a BMC, and what it is given back by, are to fit their limits with it.
const BMC_INTERVAL_MS_MAX: u32 = 5000;

pub fn read(r: &mut Reader<'_>) -> Option<Site> {
    let network = r.required_reference("network", Kind::Network);
    let address = r.required("address");
    let http_port = r.or("http_port", 8081);
    if http_port == 0 {
        r.wrong_value("http_port", "expected 1 to 65535");
    }
    let dhcp = r.or("dhcp", DhcpMode::Managed);
    let bios_loader = r.or("bios_loader", BiosLoader::Ipxe);
    let ramdisk = r.or("ramdisk", ".bmctl/ramdisk".to_owned());
    let kernel_args = r.or("kernel_args", String::new());
    let limits = r.block("limits", |r| Some(limits(r)));
    Some(Site {
        network: network?,
        address: address?,
        http_port,
        dhcp,
        bios_loader,
        ramdisk,
        kernel_args,
        limits: limits.unwrap_or_default(),
    })
}

fn limits(r: &mut Reader<'_>) -> Limits {
    let Limits {
        parallel_writes,
        parallel_boots,
        ramdisk_timeout_s,
        boot_timeout_s,
        power_timeout_s,
        soft_off_timeout_s,
        write_stall_s,
        bmc_interval_ms,
        per_label: _,
    } = Limits::default();
    let bmc_interval_ms = r.or("bmc_interval_ms", bmc_interval_ms);
    if bmc_interval_ms > BMC_INTERVAL_MS_MAX {
        let why = format!("expected 0 to {BMC_INTERVAL_MS_MAX} milliseconds");
        r.wrong_value("bmc_interval_ms", why);
    }
    let per_label = r.labelled_blocks("per_label", 1, per_label);
    let mut at_least_one = |name: &'static str, default: u32| {
        let value = r.or(name, default);
        if value == 0 {
            r.wrong_value(name, "expected 1 or more");
        }
        value
    };
    Limits {
        parallel_writes: at_least_one("parallel_writes", parallel_writes),
        parallel_boots: at_least_one("parallel_boots", parallel_boots),
        ramdisk_timeout_s: at_least_one("ramdisk_timeout_s", ramdisk_timeout_s),
        boot_timeout_s: at_least_one("boot_timeout_s", boot_timeout_s),
        power_timeout_s: at_least_one("power_timeout_s", power_timeout_s),
        soft_off_timeout_s: at_least_one("soft_off_timeout_s", soft_off_timeout_s),
        write_stall_s: at_least_one("write_stall_s", write_stall_s),
        bmc_interval_ms,
        per_label,
    }
}

fn per_label(r: &mut Reader<'_>, labels: &[Label]) -> Option<PerLabel> {
    let label = labels.first()?;
    let mut some = |name: &'static str| {
        let value: Option<u32> = r.optional(name);
        if value == Some(0) {
            r.wrong_value(name, "with 0, nobody could ever begin");
        }
        value
    };
    Some(PerLabel {
        label: label.text.to_string(),
        power_ons: some("power_ons"),
        boots: some("boots"),
        writes: some("writes"),
        work: some("work"),
    })
}
