//! Sites: where nodes boot from (DHCP, TFTP, HTTP, the callback address) and how much may happen there at once.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::ids::Addr;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Site {
    pub network: Addr,
    /// The address nodes reach the site's services at, in `network`.
    pub address: Ipv4Addr,
    pub http_port: u16,
    pub dhcp: DhcpMode,
    pub bios_loader: BiosLoader,
    /// The folder with `vmlinuz` and `initrd` of the deploy ramdisk, made by `bmctl ramdisk build`.
    pub ramdisk: String,
    /// Added to the command line of the deploy kernel.
    pub kernel_args: String,
    pub limits: Limits,
}

/// Who answers DHCP on the site's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DhcpMode {
    /// dnsmasq, supervised by bmctl.
    Managed,
    /// Somebody else's server; bmctl writes boot files and serves HTTP.
    External,
}

/// What a BIOS machine with a vendor's PXE loads first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BiosLoader {
    /// `undionly.kpxe`, then the script and everything large over HTTP.
    Ipxe,
    /// `pxelinux.0` and `pxelinux.cfg/01-<mac>` over TFTP, the seeds' way (row P15).
    Pxelinux,
}

/// Budgets and waits of a site. All of them end up in the plan: apply reads no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Limits {
    /// Images written at the same time.
    pub parallel_writes: u32,
    /// Nodes between power-on and the ramdisk's first word at the same time.
    pub parallel_boots: u32,
    /// Seconds from power-on to the ramdisk's report.
    pub ramdisk_timeout_s: u32,
    /// Seconds from the reboot to the instance's phone home.
    pub boot_timeout_s: u32,
    /// Seconds for the BMC to reach a power state.
    pub power_timeout_s: u32,
    /// Seconds a system has to end in order before it is switched off.
    pub soft_off_timeout_s: u32,
    /// Seconds a write may go on without a byte moving.
    pub write_stall_s: u32,
    /// Milliseconds from the end of one exchange with a BMC to the beginning of the next.
    #[serde(default, skip_serializing_if = "is_none_at_all")]
    pub bmc_interval_ms: u32,
    /// What nodes share that have the same value of a label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_label: Vec<PerLabel>,
}

/// How much may happen at once among nodes with the same value of a label, such as those of a power strip.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PerLabel {
    pub label: String,
    /// Nodes that are being powered on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_ons: Option<u32>,
    /// Nodes between power-on and the ramdisk's first word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boots: Option<u32>,
    /// Disks that are being written or erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<u32>,
    /// Nodes on which an instance has begun, and has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<u32>,
}

fn is_none_at_all(ms: &u32) -> bool {
    *ms == 0
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            parallel_writes: 8,
            parallel_boots: 16,
            ramdisk_timeout_s: 600,
            boot_timeout_s: 600,
            power_timeout_s: 60,
            soft_off_timeout_s: 120,
            write_stall_s: 120,
            bmc_interval_ms: 0,
            per_label: Vec::new(),
        }
    }
}
