//! Which addresses that a caller gives may be notified.

use std::net::{IpAddr, SocketAddr};

/// One rule of `[notices] allow`: a destination that fits is allowed. Host names are not among the rules: a name says nothing
/// about the address that is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowRule {
    /// The first address of the network.
    pub address: IpAddr,
    /// The length of its prefix, 0 to 32 or 128.
    pub bits: u8,
    /// Which port; `None`: every port.
    pub port: Option<u16>,
}

impl AllowRule {
    /// Whether the address may be connected to.
    pub fn permits(&self, to: SocketAddr) -> bool {
        self.port.is_none_or(|port| port == to.port()) && contains(self.address, self.bits, to.ip())
    }
}

fn contains(network: IpAddr, bits: u8, ip: IpAddr) -> bool {
    match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => {
            let mask = u32::MAX.checked_shl(u32::from(32_u8.saturating_sub(bits))).unwrap_or(0);
            u32::from(network) & mask == u32::from(ip) & mask
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) => {
            let mask = u128::MAX.checked_shl(u32::from(128_u8.saturating_sub(bits))).unwrap_or(0);
            u128::from(network) & mask == u128::from(ip) & mask
        }
        // An IPv4 address in IPv6 clothes is the IPv4 address.
        (IpAddr::V4(_), IpAddr::V6(ip)) => ip.to_ipv4_mapped().is_some_and(|ip| contains(network, bits, ip.into())),
        (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_ports_bound_what_is_allowed() {
        let rule = |address: &str, bits, port| AllowRule { address: address.parse().unwrap(), bits, port };
        for (rule, to, allowed) in [
            (rule("192.168.100.0", 24, Some(65000)), "192.168.100.7:65000", true),
            (rule("192.168.100.0", 24, Some(65000)), "192.168.100.7:65001", false),
            (rule("192.168.100.0", 24, Some(65000)), "192.168.101.7:65000", false),
            (rule("192.168.100.0", 24, None), "192.168.100.7:1", true),
            (rule("0.0.0.0", 0, None), "8.8.8.8:1", true),
            (rule("0.0.0.0", 0, None), "[2001:db8::1]:1", false),
            (rule("10.0.0.5", 32, None), "[::ffff:10.0.0.5]:80", true),
            (rule("fd00::", 8, None), "[fd12::1]:80", true),
            (rule("::", 0, None), "10.0.0.1:80", false),
        ] {
            assert_eq!(rule.permits(to.parse().unwrap()), allowed, "{rule:?} {to}");
        }
    }
}
