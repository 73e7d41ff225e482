//! Which addresses that a caller gives may be notified.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One rule of `[notices] allow`: a destination that fits is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowRule {
    /// Which hosts.
    pub host: AllowedHost,
    /// Which port; `None`: every port.
    pub port: Option<u16>,
}

/// Which hosts a rule allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedHost {
    /// Every address of a network. Addresses that are not public only if the network lies within what makes them so.
    Network {
        /// The first address of the network.
        address: IpAddr,
        /// The length of its prefix, 0 to 32 or 128.
        bits: u8,
    },
    /// The host of this name, in lower case, as long as its address is a public one.
    Name(String),
    /// As [`AllowedHost::Name`], for every host below this domain.
    Below(String),
}

/// Addresses of this machine, of the networks around it, of no host at all, and of the services through which clouds tell
/// their machines secrets. A name may lead to any of them, and 0.0.0.0/0 contains them: neither means them.
const NOT_PUBLIC: [(IpAddr, u8); 41] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([100, 100, 100, 200], 32),
    v4([127, 0, 0, 0], 8),
    v4([168, 63, 129, 16], 32),
    v4([169, 254, 0, 0], 16),
    v4([169, 254, 0, 23], 32),
    v4([169, 254, 42, 42], 32),
    v4([169, 254, 169, 254], 32),
    v4([169, 254, 170, 2], 32),
    v4([169, 254, 170, 23], 32),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 0, 192], 32),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 32),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 63),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128),
    v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

/// Networks whose addresses have one of IPv4 in them, where that begins, in bits, and whether its bits are inverted: what is sent
/// there reaches that one in the end, by a translator or a tunnel.
const WITH_IPV4: [((IpAddr, u8), u8, bool); 6] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), 96, false),
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), 96, false),
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 32), 96, false),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), 32, false),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), 96, true),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), 16, false),
];

const fn v4(octets: [u8; 4], bits: u8) -> (IpAddr, u8) {
    let [a, b, c, d] = octets;
    (IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits)
}

const fn v6(parts: [u16; 8], bits: u8) -> (IpAddr, u8) {
    let [a, b, c, d, e, f, g, h] = parts;
    (IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), bits)
}

impl AllowRule {
    /// Whether `to` may be connected to, as the address of the host of this name; `None`: the address itself was given.
    pub fn permits(&self, name: Option<&str>, to: SocketAddr) -> bool {
        // An IPv4 address in IPv6 clothes is the IPv4 address.
        let ip = to.ip().to_canonical();
        let mut around = around(ip);
        self.fits_port(to.port())
            && match &self.host {
                AllowedHost::Network { address, bits } => {
                    let is_named =
                        |(network, outer): (IpAddr, u8)| outer <= *bits && contains(network, outer, *address);
                    contains(*address, *bits, ip) && around.all(is_named)
                }
                AllowedHost::Name(_) | AllowedHost::Below(_) => {
                    around.next().is_none() && name.is_some_and(|name| self.host.fits_name(name))
                }
            }
    }

    /// Whether the host of this name may be connected to at this port, if its address is the right one.
    pub(crate) fn may_permit(&self, name: &str, port: u16) -> bool {
        self.fits_port(port) && self.host.fits_name(name)
    }

    fn fits_port(&self, port: u16) -> bool {
        self.port.is_none_or(|allowed| allowed == port)
    }
}

impl AllowedHost {
    /// Whether hosts of this name may be among these.
    fn fits_name(&self, name: &str) -> bool {
        match self {
            // Any name may stand for an address in it.
            Self::Network { .. } => true,
            Self::Name(allowed) => name == allowed,
            Self::Below(domain) => {
                name.strip_suffix(domain.as_str()).is_some_and(|host| host.len() > 1 && host.ends_with('.'))
            }
        }
    }
}

/// What makes an address one that is not public: the networks that it lies in, and for each IPv4 address in it those within which
/// that one is not.
fn around(ip: IpAddr) -> impl Iterator<Item = (IpAddr, u8)> {
    let lies_in = |ip| NOT_PUBLIC.into_iter().filter(move |(network, bits)| contains(*network, *bits, ip));
    let inner = WITH_IPV4.into_iter().filter(move |((network, bits), ..)| contains(*network, *bits, ip));
    let inner = inner.flat_map(move |(_, begins, inverted)| {
        let within = lies_in(IpAddr::V4(ipv4_at(ip, begins, inverted)));
        within.map(move |(_, bits)| (ip, begins.saturating_add(bits)))
    });
    lies_in(ip).chain(inner)
}

/// The IPv4 address that begins at this bit of an address of IPv6.
fn ipv4_at(ip: IpAddr, begins: u8, inverted: bool) -> Ipv4Addr {
    let IpAddr::V6(ip) = ip else { return Ipv4Addr::UNSPECIFIED };
    let bits = u128::from(ip).checked_shr(96_u32.saturating_sub(begins.into())).unwrap_or(0);
    let low = u32::try_from(bits & u128::from(u32::MAX)).unwrap_or(0);
    Ipv4Addr::from(if inverted { !low } else { low })
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
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str, bits: u8, port: Option<u16>) -> AllowRule {
        AllowRule { host: AllowedHost::Network { address: address.parse().unwrap(), bits }, port }
    }

    #[test]
    fn networks_and_ports_bound_what_is_allowed() {
        for (rule, to, allowed) in [
            (network("192.168.100.0", 24, Some(65000)), "192.168.100.7:65000", true),
            (network("192.168.100.0", 24, Some(65000)), "192.168.100.7:65001", false),
            (network("192.168.100.0", 24, Some(65000)), "192.168.101.7:65000", false),
            (network("192.168.100.0", 24, None), "192.168.100.7:1", true),
            (network("0.0.0.0", 0, None), "8.8.8.8:1", true),
            (network("0.0.0.0", 0, None), "[2001:db8::1]:1", false),
            (network("10.0.0.5", 32, None), "[::ffff:10.0.0.5]:80", true),
            (network("fd00::", 8, None), "[fd12::1]:80", true),
            (network("::", 0, None), "10.0.0.1:80", false),
        ] {
            assert_eq!(rule.permits(None, to.parse().unwrap()), allowed, "{rule:?} {to}");
        }
    }

    #[test]
    fn what_is_not_public_is_allowed_only_where_it_is_named() {
        let everything = [network("0.0.0.0", 0, None), network("::", 0, None)];
        for to in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.100.100.200",
            "0.0.0.0",
            "168.63.129.16",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::7f00:1]",
            "[2001:0:808:808::f7f7:f7f7]",
            "[fd20:ce::254]",
            "[fe80::a9fe:a9fe]",
            "[::127.0.0.1]",
            "169.254.170.2",
            "100.64.0.1",
            "198.18.0.1",
            "203.0.113.1",
            "240.0.0.1",
            "[ff02::1]",
            "[100:0:0:1::1]",
            "[2002:7f00:1::]",
            "[::ffff:0:7f00:1]",
            "[fec0::1]",
            "[2001:db8::1]",
            "192.88.99.1",
            "255.255.255.255",
            "224.0.0.1",
        ] {
            let to: SocketAddr = format!("{to}:80").parse().unwrap();
            assert!(!everything.iter().any(|rule| rule.permits(None, to)), "{to}");
        }
        let to = |text: &str| text.parse().unwrap();
        assert!(network("127.0.0.0", 8, None).permits(None, to("127.0.0.1:80")));
        assert!(network("127.0.0.1", 32, None).may_permit("any.example", 80));
        assert!(network("127.0.0.1", 32, None).permits(Some("any.example"), to("127.0.0.1:80")));
        assert!(network("169.254.0.0", 16, None).permits(None, to("169.254.1.1:80")));
        assert!(
            !network("169.254.0.0", 16, None).permits(None, to("169.254.169.254:80")),
            "it is more than a neighbour"
        );
        assert!(network("169.254.169.254", 32, None).permits(None, to("169.254.169.254:80")));
    }

    #[test]
    fn a_network_of_translated_addresses_opens_those_of_public_ones() {
        let translated = |text: &str, bits, to: &str| network(text, bits, None).permits(None, to.parse().unwrap());
        for (text, bits, public, inside) in [
            ("64:ff9b::", 96, "[64:ff9b::808:808]:80", "[64:ff9b::7f00:1]:80"),
            ("64:ff9b::", 32, "[64:ff9b:1::808:808]:80", "[64:ff9b:1::a9fe:a9fe]:80"),
            ("2002::", 16, "[2002:808:808::1]:80", "[2002:c0a8:1::1]:80"),
            ("2001::", 32, "[2001:0:808:808::f7f7:f7f7]:80", "[2001:0:808:808::f5ff:fffe]:80"),
            ("2001::", 32, "[2001:0:808:808::f7f7:f7f7]:80", "[2001:0:a00:1::f7f7:f7f7]:80"),
            ("::", 96, "[::808:808]:80", "[::7f00:1]:80"),
            ("::ffff:0:0:0", 96, "[::ffff:0:808:808]:80", "[::ffff:0:a00:1]:80"),
        ] {
            assert!(translated(text, bits, public), "{text}/{bits} {public}");
            assert!(!translated(text, bits, inside), "{text}/{bits} {inside}");
        }
        assert!(translated("64:ff9b::7f00:0", 104, "[64:ff9b::7f00:1]:80"), "it is named");
        assert!(!translated("64:ff9b::a9fe:0", 112, "[64:ff9b::a9fe:a9fe]:80"), "it is more than a neighbour");
        assert!(translated("::1", 128, "[::1]:80"));
        assert!(!network("2000::", 3, None).permits(None, "[64:ff9b::808:808]:80".parse().unwrap()));
    }

    #[test]
    fn a_name_opens_nothing_but_public_addresses() {
        let rule = |host| AllowRule { host, port: Some(443) };
        let (exact, below) =
            (rule(AllowedHost::Name("hooks.example".to_owned())), rule(AllowedHost::Below("example".to_owned())));
        let (public, private) = ("9.9.9.9:443".parse().unwrap(), "10.0.0.1:443".parse().unwrap());
        assert!(exact.permits(Some("hooks.example"), public) && below.permits(Some("hooks.example"), public));
        assert!(exact.may_permit("hooks.example", 443) && below.may_permit("hooks.example", 443));
        assert!(!exact.may_permit("hooks.example", 80) && !exact.may_permit("a.hooks.example", 443));
        assert!(!below.may_permit("badexample", 443));
        for name in [None, Some("a.hooks.example"), Some("evil-hooks.example"), Some("example")] {
            assert!(!exact.permits(name, public), "{name:?}");
        }
        for name in [None, Some("example"), Some(".example"), Some("badexample"), Some("example.org")] {
            assert!(!below.permits(name, public), "{name:?}");
        }
        assert!(!exact.permits(Some("hooks.example"), private) && !below.permits(Some("hooks.example"), private));
        assert!(!exact.permits(Some("hooks.example"), "9.9.9.9:80".parse().unwrap()));
    }
}
