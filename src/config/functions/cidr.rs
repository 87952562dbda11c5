//! Arithmetic on subnets, IPv4 and IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bigdecimal::num_bigint::BigInt;
use bigdecimal::num_traits::ToPrimitive as _;
use ipnet::IpNet;

use super::args::{Args, Fail, Param};
use super::{Function, row};
use crate::config::value::Value;

use Param::{Number as Num, String as Str};

pub const TABLE: &[Function] = &[
    row(
        "cidrhost",
        "cidrhost(prefix, number)",
        "The address with this number in a subnet; negative numbers count from its end.",
        ["cidrhost(\"10.99.0.0/24\", 20)", "\"10.99.0.20\""],
        &[Str, Num],
        |a| {
            let net = prefix(a)?;
            let host_bits = u32::from(net.max_prefix_len() - net.prefix_len());
            let number = a.number(1);
            if !number.is_integer() {
                return Err(Fail::Arg(
                    1,
                    format!("expected a whole number, found {number}"),
                ));
            }
            let size = BigInt::from(1) << host_bits;
            let wanted = number.to_bigint();
            let offset = if number.signum() < 0 {
                &size + &wanted
            } else {
                wanted
            };
            match offset.to_u128() {
                Some(offset) if BigInt::from(offset) < size => Ok(Value::string(
                    address(&net, base(&net).wrapping_add(offset)).to_string(),
                )),
                _ => Err(Fail::Arg(1, format!("{net} has no host {number}"))),
            }
        },
    ),
    row(
        "cidrnetmask",
        "cidrnetmask(prefix)",
        "The netmask of an IPv4 subnet.",
        ["cidrnetmask(\"10.0.0.0/12\")", "\"255.240.0.0\""],
        &[Str],
        |a| match prefix(a)? {
            IpNet::V4(net) => Ok(Value::string(net.netmask().to_string())),
            IpNet::V6(_) => Err(Fail::Arg(0, "IPv6 has no netmasks".to_owned())),
        },
    ),
    row(
        "cidrsubnet",
        "cidrsubnet(prefix, newbits, number)",
        "A subnet within a subnet.",
        ["cidrsubnet(\"10.0.0.0/16\", 8, 2)", "\"10.0.2.0/24\""],
        &[Str, Num, Num],
        |a| {
            let net = prefix(a)?;
            let bits = new_bits(a, 1, &net)?;
            let number = a.whole(2)?;
            let number = u128::try_from(number)
                .ok()
                .filter(|n| bits >= 63 || *n < 1 << bits);
            let Some(number) = number else {
                return Err(Fail::Arg(2, format!("{bits} bits hold no such number")));
            };
            let length = net.prefix_len() + bits;
            let shift = u32::from(net.max_prefix_len() - length);
            let start = base(&net) | number.checked_shl(shift).unwrap_or(0);
            Ok(Value::string(format!("{}/{length}", address(&net, start))))
        },
    ),
    row(
        "cidrsubnets",
        "cidrsubnets(prefix, newbits...)",
        "Subnets one after the other within a subnet.",
        [
            "cidrsubnets(\"10.0.0.0/16\", 8, 4)",
            "tolist([\"10.0.0.0/24\", \"10.0.16.0/20\"])",
        ],
        &[Str],
        |a| {
            let net = prefix(a)?;
            let size = |length: u8| 1u128.checked_shl(u32::from(net.max_prefix_len() - length));
            let mut next = Some(base(&net));
            let end = size(net.prefix_len())
                .and_then(|s| base(&net).checked_add(s - 1))
                .unwrap_or(u128::MAX);
            let mut out = Vec::new();
            for i in 1..a.values.len() {
                let length = net.prefix_len() + new_bits(a, i, &net)?;
                let step = size(length).unwrap_or(u128::MAX);
                let aligned = next.and_then(|n| n.checked_next_multiple_of(step));
                let start =
                    aligned.filter(|s| s.checked_add(step - 1).is_some_and(|last| last <= end));
                let Some(start) = start else {
                    return Err(Fail::Arg(i, format!("no room left in {net}")));
                };
                out.push(Value::string(format!("{}/{length}", address(&net, start))));
                next = start.checked_add(step);
            }
            Ok(Value::list(out))
        },
    )
    .variadic(Num),
];

fn prefix(a: &Args<'_>) -> Result<IpNet, Fail> {
    let text = a.text(0);
    let net: Option<IpNet> = text.parse().ok();
    net.map(|n| n.trunc()).ok_or_else(|| {
        Fail::Arg(
            0,
            format!("expected a subnet such as 10.0.0.0/24, found \"{text}\""),
        )
    })
}

fn new_bits(a: &Args<'_>, i: usize, net: &IpNet) -> Result<u8, Fail> {
    let room = net.max_prefix_len() - net.prefix_len();
    let bits = a.whole(i)?;
    u8::try_from(bits)
        .ok()
        .filter(|b| *b <= room)
        .ok_or_else(|| {
            Fail::Arg(
                i,
                format!("{net} can be divided by 0 to {room} bits, found {bits}"),
            )
        })
}

fn base(net: &IpNet) -> u128 {
    match net.network() {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

fn address(net: &IpNet, bits: u128) -> IpAddr {
    match net {
        IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(bits).unwrap_or(u32::MAX))),
        IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from(bits)),
    }
}
