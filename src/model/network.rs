//! Networks: an IPv4 subnet in which nodes boot and instances live.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Network {
    #[schemars(with = "String")]
    pub cidr: Ipv4Net,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<Ipv4Addr>,
    /// 802.1Q id, 1 to 4094.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<DhcpRange>,
}

/// The addresses that DHCP hands to machines nobody has declared an address for; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DhcpRange {
    pub start: Ipv4Addr,
    pub end: Ipv4Addr,
}

impl DhcpRange {
    pub fn contains(&self, ip: Ipv4Addr) -> bool {
        (self.start..=self.end).contains(&ip)
    }
}

impl Network {
    /// Whether an instance or a NIC may be given this address without a word from the user: inside the subnet, not its first
    /// or last address, not the gateway, not in the DHCP range.
    pub fn is_allocatable(&self, ip: Ipv4Addr) -> bool {
        self.is_host(ip)
            && Some(ip) != self.gateway
            && !self.dhcp.is_some_and(|range| range.contains(ip))
    }

    /// Whether the address is one of a host in this subnet.
    pub fn is_host(&self, ip: Ipv4Addr) -> bool {
        self.cidr.contains(&ip)
            && (self.cidr.prefix_len() >= 31
                || (ip != self.cidr.network() && ip != self.cidr.broadcast()))
    }
}
