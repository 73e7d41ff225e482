//! The text form of a rule that says which addresses that a caller gives may be notified.

use std::net::IpAddr;

use fanfold_engine::{AllowRule, AllowedHost, is_host_name};

use super::TextForm;
use crate::config::finding::Wrong;

impl TextForm for AllowRule {
    const FORMAT: &'static str = "fanfold-allow-rule";
    const EXAMPLE: &'static str = "192.168.100.0/24:65000";

    fn read(text: &str) -> Result<Self, Wrong> {
        let (host, port) = split_port(text).ok_or_else(|| unreadable(text))?;
        let host = match (host.split_once('/'), host.strip_prefix("*.")) {
            (Some((address, bits)), _) => network(text, address, Some(bits))?,
            (None, Some(domain)) if is_host_name(domain) => AllowedHost::Below(domain.to_ascii_lowercase()),
            (None, None) if is_host_name(host) => AllowedHost::Name(host.to_ascii_lowercase()),
            (None, _) => network(text, host, None)?,
        };
        Ok(Self { host, port })
    }
}

fn unreadable(text: &str) -> Wrong {
    Wrong::new(format!("{text:?} is neither a network nor an address nor the name of a host")).hint(
        "write it as in \"192.168.100.0/24\", \"10.0.0.5:65000\", \"[fd00::/8]:443\", \"hooks.example:443\" or \
         \"*.example:443\"; without a port every port is allowed",
    )
}

/// The host part, and the port if there is one. IPv6 stands in brackets if a port follows.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let read_port = |port: &str| port.parse::<u16>().ok().filter(|port| *port != 0);
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after {
            "" => Some((host, None)),
            _ => Some((host, Some(read_port(after.strip_prefix(':')?)?))),
        };
    }
    match text.split_once(':') {
        None => Some((text, None)),
        // More than one colon without brackets: IPv6, all of it.
        Some((_, rest)) if rest.contains(':') => Some((text, None)),
        Some((host, port)) => Some((host, Some(read_port(port)?))),
    }
}

fn network(text: &str, address: &str, bits: Option<&str>) -> Result<AllowedHost, Wrong> {
    let address: IpAddr = address.parse().map_err(|_| unreadable(text))?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => longest,
        Some(bits) => match bits.parse::<u8>() {
            Ok(bits) if bits <= longest => bits,
            _ => return Err(Wrong::new(format!("{text:?}: the prefix length is not one of 0 to {longest}"))),
        },
    };
    if let (IpAddr::V6(mapped), 96..) = (address, bits)
        && let Some(plain) = mapped.to_ipv4_mapped()
    {
        return Err(Wrong::new(format!("{text:?} is a network of IPv4 in the clothes of IPv6"))
            .hint(format!("write \"{plain}/{}\": it covers both forms", bits - 96)));
    }
    let first = first_address(address, bits);
    if first != address {
        return Err(Wrong::new(format!("{text:?} has bits set beyond its prefix"))
            .hint(format!("write \"{first}/{bits}\" for the network, or \"{address}\" for the one address")));
    }
    Ok(AllowedHost::Network { address, bits })
}

fn first_address(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(u32::from(32 - bits)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(u32::from(128 - bits)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str, bits: u8, port: Option<u16>) -> AllowRule {
        AllowRule { host: AllowedHost::Network { address: address.parse().unwrap(), bits }, port }
    }

    #[test]
    fn names_are_read() {
        let named = |host, port| AllowRule { host, port };
        for (text, rule) in [
            ("Hooks.Example:443", named(AllowedHost::Name("hooks.example".to_owned()), Some(443))),
            ("localhost", named(AllowedHost::Name("localhost".to_owned()), None)),
            ("*.example", named(AllowedHost::Below("example".to_owned()), None)),
        ] {
            assert_eq!(AllowRule::read(text), Ok(rule), "{text}");
        }
    }

    #[test]
    fn networks_and_addresses_are_read() {
        for (text, rule) in [
            ("192.168.100.0/24:65000", network("192.168.100.0", 24, Some(65000))),
            ("0.0.0.0/0", network("0.0.0.0", 0, None)),
            ("10.0.0.5", network("10.0.0.5", 32, None)),
            ("10.0.0.5:80", network("10.0.0.5", 32, Some(80))),
            ("fd00::/8", network("fd00::", 8, None)),
            ("[fd00::/8]:443", network("fd00::", 8, Some(443))),
            ("[::1]", network("::1", 128, None)),
        ] {
            assert_eq!(AllowRule::read(text), Ok(rule), "{text}");
        }
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "10.0.0.5:0",
            "10.0.0.5:99999",
            "http://a",
            "a b",
            "hooks..example",
            "*",
            "*.",
            "a.*.example",
            "0x7f.1",
            "0x7f",
            "127.0.0.1.",
            "::ffff:10.0.0.0/104",
            "[::1",
            "-a",
        ] {
            assert!(AllowRule::read(text).is_err(), "{text}");
        }
        let wrong = AllowRule::read("192.168.100.7/24").unwrap_err();
        assert!(wrong.hint.unwrap().contains("\"192.168.100.0/24\""));
    }
}
