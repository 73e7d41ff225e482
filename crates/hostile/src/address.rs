//! Addresses: where notices may go, and what may be joined to the address of a target.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fanfold_core::route::has_dot_segment;
use fanfold_engine::target::TargetUrl;
use fanfold_engine::{AllowRule, AllowedHost, WebhookUrl, is_host_name};
use http::Uri;

/// An address of a receiver as text; the first sixteen octets are also taken for an address of IPv6, the first four for one of IPv4.
pub(crate) fn address(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Ok(url) = text.parse::<WebhookUrl>() {
        receiver(&text, &url);
    }
    if is_host_name(&text) {
        assert!(text.parse::<IpAddr>().is_err(), "{text} is a name and an address");
        assert!(text.parse::<http::uri::Authority>().is_ok(), "{text} is a name that no address can have");
    }
    if let Some(four) = octets.first_chunk::<4>() {
        permitted(IpAddr::V4(Ipv4Addr::from(*four)));
    }
    if let Some(sixteen) = octets.first_chunk::<16>() {
        permitted(IpAddr::V6(Ipv6Addr::from(*sixteen)));
    }
    if let Ok(ip) = text.trim().parse() {
        permitted(ip);
    }
}

fn receiver(text: &str, url: &WebhookUrl) {
    assert!(!text.contains('#'), "a fragment is left in {text:?}");
    let uri: Uri = text.parse().expect("an address that is taken is a URI");
    let host = uri.host().unwrap_or_default();
    // Another program would look that host up: it has to find the same in it.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_address = bare.parse::<IpAddr>().is_ok();
    assert!(is_address || is_host_name(bare.trim_end_matches('.')), "{host:?} is no host");
    let shown = format!("{url:?}");
    assert!(shown.is_ascii() && !shown.contains(|sign: char| sign.is_ascii_control()), "{shown:?}");
}

/// What everything allows is only what anybody on the Internet may reach.
fn permitted(ip: IpAddr) {
    let rule = |address: &str, bits| {
        let address = address.parse().expect("this is an address");
        AllowRule { host: AllowedHost::Network { address, bits }, port: None }
    };
    let to = SocketAddr::new(ip, 80);
    let name = AllowRule { host: AllowedHost::Name("a.example".to_owned()), port: None };
    let is_let = [rule("0.0.0.0", 0), rule("::", 0)].iter().any(|rule| rule.permits(None, to));
    assert_eq!(is_let, name.permits(Some("a.example"), to), "a name and 0.0.0.0/0 open the same: {ip}");
    if is_let {
        let is_inside = match ip.to_canonical() {
            IpAddr::V4(ip) => is_inside(ip),
            IpAddr::V6(ip) => {
                let parts = ip.segments();
                // The four octets that translators and tunnels would make an address of.
                let within = |high: u16, low: u16| {
                    let [a, b] = high.to_be_bytes();
                    let [c, d] = low.to_be_bytes();
                    Ipv4Addr::new(a, b, c, d)
                };
                let translated = match parts {
                    [0x64, 0xff9b, .., high, low]
                    | [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
                    | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(within(high, low)),
                    [0x2002, high, low, ..] => Some(within(high, low)),
                    _ => None,
                };
                ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_multicast()
                    || ip.is_unique_local()
                    || ip.is_unicast_link_local()
                    || translated.is_some_and(is_inside)
            }
        };
        assert!(!is_inside, "{ip} is inside, and was opened by what means everything");
    }
    // What is named by itself is allowed, and nothing beside it.
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    let exact = AllowRule { host: AllowedHost::Network { address: ip, bits }, port: Some(80) };
    assert!(!exact.permits(None, SocketAddr::new(ip, 81)));
    if !matches!(ip, IpAddr::V6(six) if six.to_ipv4_mapped().is_some()) {
        assert!(exact.permits(None, to), "{ip} was named, and is not allowed");
    }
}

fn is_inside(ip: Ipv4Addr) -> bool {
    ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_unspecified()
        || ip.is_broadcast()
        || ip.is_multicast()
        || ip.is_documentation()
}

/// Two lines: the address of a target, and what is joined to it.
pub(crate) fn path(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let (base, path) = text.split_once('\n').unwrap_or(("http://target.example/base", text));
    let own: TargetUrl = "http://target.example/base".parse().expect("this is an address");
    joined(&own, path);
    let Ok(url) = base.parse::<TargetUrl>() else { return };
    let printed = url.to_string();
    assert_eq!(printed.parse().as_ref(), Ok(&url), "{printed}");
    joined(&url, path);
    if let Ok(beside) = url.with_monitor_prefix(path) {
        assert!(!has_dot_segment(beside.monitor_prefix()) && !beside.monitor_prefix().contains('?'));
    }
}

fn joined(url: &TargetUrl, path: &str) {
    for wire in [url.join(path), url.from_root(path)].into_iter().flatten() {
        let prefix = url.prefix();
        let rest = wire.path().strip_prefix(prefix);
        assert!(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')), "{wire} has left {url}");
        assert!(!has_dot_segment(wire.path()) && !wire.path().starts_with("//"), "{wire} may be read in two ways");
        let whole = format!("{}://{}{wire}", url.scheme(), url.authority());
        let whole: Uri = whole.parse().expect("what is sent is an address");
        assert_eq!(whole.authority().map(http::uri::Authority::as_str), Some(url.authority()), "{whole}");
    }
}
