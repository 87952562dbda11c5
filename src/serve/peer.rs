//! Who may be given a token: the machine that DHCP knows under the MAC, and nobody else who reaches the HTTP port.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use crate::plan::step::BootTarget;
use crate::units::Mac;

/// What is known of where a MAC calls from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected<'a> {
    /// Somebody else's DHCP: any address of the network.
    Network,
    /// Our DHCP gives it this one.
    Address(Ipv4Addr),
    /// Our DHCP gave it one of the range: dnsmasq's lease file.
    Lease { mac: Mac, leases: &'a str },
}

/// Why a peer is not given what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    OutsideNetwork,
    OtherAddress,
    NoLease,
}

impl Stranger {
    pub fn why(self) -> &'static str {
        match self {
            Stranger::OutsideNetwork => "which is outside the site's network",
            Stranger::OtherAddress => "which is not the address that DHCP gives to that MAC",
            Stranger::NoLease => "which DHCP has not leased to that MAC",
        }
    }
}

/// Whether `peer` is the machine that is meant.
pub fn admit(peer: IpAddr, cidr: Ipv4Net, expected: Expected<'_>) -> Result<(), Stranger> {
    let IpAddr::V4(peer) = peer.to_canonical() else {
        return Err(Stranger::OutsideNetwork);
    };
    if !cidr.contains(&peer) {
        return Err(Stranger::OutsideNetwork);
    }
    match expected {
        Expected::Network => Ok(()),
        Expected::Address(address) if address == peer => Ok(()),
        Expected::Address(_) => Err(Stranger::OtherAddress),
        Expected::Lease { mac, leases } if leased(leases, mac).any(|ip| ip == peer) => Ok(()),
        Expected::Lease { .. } => Err(Stranger::NoLease),
    }
}

/// The address that DHCP gives to `mac` by name: that of the entry, for the first of its MACs.
pub fn named(target: &BootTarget, mac: Mac) -> Option<Ipv4Addr> {
    target.address.filter(|_| target.macs.first() == Some(&mac))
}

/// dnsmasq's lines: `expiry mac address hostname client-id`. A MAC has one for each client id, a ROM's and a system's. The
/// expiry is not looked at: dnsmasq takes what has expired out before it gives the address to another.
fn leased(leases: &str, mac: Mac) -> impl Iterator<Item = Ipv4Addr> {
    leases.lines().filter_map(move |line| {
        let mut words = line.split(' ').skip(1);
        let found: Mac = words.next()?.parse().ok()?;
        let address = words.next()?.parse().ok()?;
        // A line is whole only when all its fields are there: the file may be read while it is written.
        (found == mac && words.count() >= 2).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: &str = "52:54:00:00:00:01";
    const LEASES: &str = "1795254121 52:54:00:00:00:02 10.99.0.14 * 01:52:54:00:00:00:02
1795254119 52:54:00:00:00:01 10.99.0.12 * 01:52:54:00:00:00:01
1795254119 52:54:00:00:00:01 10.99.0.13 a ff:00:11:22
duid 00:01:00:01
1795254119 52:54:00:00:00:01 10.99.0.1";

    fn check(peer: &str, expected: Expected<'_>) -> Result<(), Stranger> {
        admit(
            peer.parse().unwrap(),
            "10.99.0.0/24".parse().unwrap(),
            expected,
        )
    }

    #[test]
    fn a_peer_outside_the_network_is_a_stranger_whatever_is_expected() {
        let far: Ipv4Addr = "192.0.2.1".parse().unwrap();
        let leases = "1 52:54:00:00:00:01 192.0.2.1 * *";
        let mac = MAC.parse().unwrap();
        for expected in [
            Expected::Network,
            Expected::Address(far),
            Expected::Lease { mac, leases },
        ] {
            assert_eq!(check("192.0.2.1", expected), Err(Stranger::OutsideNetwork));
        }
        for peer in ["fe80::1", "127.0.0.1", "::1"] {
            assert_eq!(
                check(peer, Expected::Network),
                Err(Stranger::OutsideNetwork)
            );
        }
    }

    #[test]
    fn without_our_dhcp_the_network_is_all_that_is_known() {
        assert_eq!(check("10.99.0.77", Expected::Network), Ok(()));
        assert_eq!(check("::ffff:10.99.0.77", Expected::Network), Ok(()));
    }

    #[test]
    fn a_named_address_is_the_only_one() {
        let expected = Expected::Address("10.99.0.51".parse().unwrap());
        assert_eq!(check("10.99.0.51", expected), Ok(()));
        assert_eq!(check("10.99.0.12", expected), Err(Stranger::OtherAddress));
        assert_eq!(check("10.99.0.1", expected), Err(Stranger::OtherAddress));
    }

    #[test]
    fn any_whole_lease_of_the_mac_will_do() {
        let mac = MAC.parse().unwrap();
        let of = |leases| Expected::Lease { mac, leases };
        assert_eq!(check("10.99.0.12", of(LEASES)), Ok(()));
        assert_eq!(check("10.99.0.13", of(LEASES)), Ok(()));
        for peer in ["10.99.0.14", "10.99.0.1", "10.99.0.99"] {
            assert_eq!(check(peer, of(LEASES)), Err(Stranger::NoLease), "{peer}");
        }
        assert_eq!(check("10.99.0.12", of("")), Err(Stranger::NoLease));
    }

    #[test]
    fn the_named_address_is_the_first_nics() {
        let second: Mac = "52:54:00:00:00:02".parse().unwrap();
        let address = "10.99.0.51".parse().unwrap();
        let target = BootTarget {
            site: "site.lab".parse().unwrap(),
            server: "10.99.0.1".parse().unwrap(),
            http_port: 8081,
            bios_loader: crate::model::BiosLoader::Ipxe,
            firmware: crate::model::Firmware::Bios,
            macs: vec![MAC.parse().unwrap(), second],
            address: Some(address),
        };
        assert_eq!(named(&target, MAC.parse().unwrap()), Some(address));
        assert_eq!(named(&target, second), None);
    }
}
