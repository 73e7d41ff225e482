//! Where a notice goes: a web address, taken apart once.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use fanfold_core::plan::Redaction;
use http::Uri;

use crate::lookup::{LABEL_BYTES_MAX, NAME_BYTES_MAX};

/// The longest address, in octets.
const ADDRESS_BYTES_MAX: usize = 2_048;

/// A web address that notices are sent to: `http` or `https`, host, optional port, path and query.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    uri: Uri,
    is_secure: bool,
    host: Host,
    port: u16,
}

/// The host of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// An IP address.
    Address(IpAddr),
    /// A name, in lower case and without a dot at its end.
    Name(String),
}

/// The text is no address that a notice can be sent to. Says nothing of the text itself, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWebhookUrl {
    /// Too long.
    #[error("is longer than {ADDRESS_BYTES_MAX} bytes")]
    TooLong,
    /// With a fragment.
    #[error("has a fragment; leave out the \"#\" and what follows it")]
    Fragment,
    /// With a user name or a password.
    #[error("holds a user name or a password; leave them out")]
    Credentials,
    /// Anything else.
    #[error("is not a web address as in \"https://hooks.example/fanfold\"")]
    Unparsable,
    /// With a host that is neither an address nor a name, or that some programs would take for an address.
    #[error(
        "has a host that is neither a name nor an address as in \"192.0.2.1\" or \"[2001:db8::1]\"; write a name of other \
         scripts in its ASCII form (xn--...), and an address without zone"
    )]
    Host,
    /// A port that nobody can listen on.
    #[error("has a port that is not one from 1 to 65535")]
    Port,
}

impl WebhookUrl {
    /// Whether it is called over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The host.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The name of the host; `None` if it is an address.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Name(name) => Some(name),
            Host::Address(_) => None,
        }
    }

    /// Path and query, as the request line carries them.
    pub(crate) fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    /// What the `Host` field carries: the default port is left out.
    pub(crate) fn authority(&self) -> String {
        let host = match &self.host {
            Host::Address(IpAddr::V4(ip)) => ip.to_string(),
            Host::Address(IpAddr::V6(ip)) => format!("[{ip}]"),
            Host::Name(name) => name.clone(),
        };
        let default = if self.is_secure { 443 } else { 80 };
        if self.port == default { host } else { format!("{host}:{}", self.port) }
    }

    /// Host and port: notices to the same are bounded together.
    pub(crate) fn receiver(&self) -> String {
        match &self.host {
            Host::Address(ip) => SocketAddr::new(*ip, self.port).to_string(),
            Host::Name(name) => format!("{name}:{}", self.port),
        }
    }

    /// The address as it was given.
    pub(crate) fn text(&self) -> String {
        self.uri.to_string()
    }

    /// The address as it may be shown.
    pub(crate) fn public(&self) -> String {
        Redaction::standard().address(&self.text())
    }
}

impl FromStr for WebhookUrl {
    type Err = BadWebhookUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(BadWebhookUrl::TooLong);
        }
        if text.contains('#') {
            return Err(BadWebhookUrl::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| BadWebhookUrl::Unparsable)?;
        // What parses URIs lets octets of other scripts through, control characters among them (RFC 3986 has none of them).
        if uri.path_and_query().is_some_and(|rest| !rest.as_str().is_ascii()) {
            return Err(BadWebhookUrl::Unparsable);
        }
        let is_secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(BadWebhookUrl::Unparsable),
        };
        let authority = uri.authority().ok_or(BadWebhookUrl::Unparsable)?;
        if authority.as_str().contains('@') {
            return Err(BadWebhookUrl::Credentials);
        }
        let port = match authority.as_str().get(authority.host().len()..) {
            Some("") | None if is_secure => 443,
            Some("") | None => 80,
            Some(port) => read_port(port).ok_or(BadWebhookUrl::Port)?,
        };
        let host = host(authority.host())?;
        Ok(Self { host, port, is_secure, uri })
    }
}

/// The port after a colon. `parse` would take a leading `+`.
fn read_port(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(':').filter(|digits| digits.bytes().all(|octet| octet.is_ascii_digit()))?;
    digits.parse().ok().filter(|port| *port != 0)
}

fn host(text: &str) -> Result<Host, BadWebhookUrl> {
    if text.is_empty() {
        return Err(BadWebhookUrl::Unparsable);
    }
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return inner.map(|ip| Host::Address(ip.into())).ok_or(BadWebhookUrl::Host);
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Address(ip.into()));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if is_host_name(&name) { Ok(Host::Name(name)) } else { Err(BadWebhookUrl::Host) }
}

/// Whether a text is the name of a host that nothing takes for an address. What ends in a number is one to the resolvers of
/// operating systems, in any of the forms of old: `2130706433`, `0x7f.1`, `0177.0.0.1`.
pub fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_fit = label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_');
        is_fit && (1..=LABEL_BYTES_MAX).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = last.bytes().all(|octet| octet.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|octet| octet.is_ascii_hexdigit()));
    text.len() <= NAME_BYTES_MAX && text.split('.').all(is_label) && !is_number
}

/// Shows what may be shown.
impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, receiver, path) in [
            ("https://Hooks.Example./a?b=c", "hooks.example:443", "/a?b=c"),
            ("http://hooks.example", "hooks.example:80", "/"),
            ("http://10.0.0.1:8080/x", "10.0.0.1:8080", "/x"),
            ("https://[fd00::1]/x", "[fd00::1]:443", "/x"),
            ("HTTP://a_b.xn--bcher-kva.example", "a_b.xn--bcher-kva.example:80", "/"),
        ] {
            let url: WebhookUrl = text.parse().unwrap();
            assert_eq!((url.receiver().as_str(), url.path_and_query()), (receiver, path), "{text}");
        }
    }

    #[test]
    fn the_host_field_has_the_host_in_one_spelling() {
        for (text, host) in [
            ("https://Hooks.Example.:443/", "hooks.example"),
            ("https://hooks.example:080/", "hooks.example:80"),
            ("http://[FD00:0::1]:8080/x", "[fd00::1]:8080"),
            ("http://10.0.0.1:80/", "10.0.0.1"),
        ] {
            assert_eq!(text.parse::<WebhookUrl>().unwrap().authority(), host, "{text}");
        }
    }

    #[test]
    fn what_some_programs_take_for_an_address_is_no_name() {
        for host in
            ["2130706433", "0177.0.0.1", "0x7f.1", "127.1", "0x7f000001", "127.0.0.1.", "1.2.3.0X4", "a.1", "0x"]
        {
            let refused = format!("http://{host}/").parse::<WebhookUrl>();
            assert_eq!(refused, Err(BadWebhookUrl::Host), "{host}");
        }
        assert!(is_host_name("0x7g") && is_host_name("1.example") && is_host_name("localhost"));
    }

    #[test]
    fn what_cannot_be_notified_is_refused_and_not_shown() {
        let long = format!("http://a/{}", "s3cret".repeat(400));
        for (text, bad) in [
            ("ftp://s3cret/", BadWebhookUrl::Unparsable),
            ("/s3cret", BadWebhookUrl::Unparsable),
            ("s3cret:80", BadWebhookUrl::Unparsable),
            ("http://", BadWebhookUrl::Unparsable),
            ("http://[fe80::1%25s3cret]/", BadWebhookUrl::Host),
            ("http://[s3cret]/", BadWebhookUrl::Host),
            ("http://s3cret!/", BadWebhookUrl::Host),
            ("http://-s3cret/", BadWebhookUrl::Host),
            ("http://s3cret..example/", BadWebhookUrl::Host),
            ("http://host:+80/s3cret", BadWebhookUrl::Port),
            ("http://host:65536/s3cret", BadWebhookUrl::Port),
            ("http://s3cret s3cret/", BadWebhookUrl::Unparsable),
            ("http://host/s3cret\u{87}", BadWebhookUrl::Unparsable),
            ("http://host/?s3cret=\u{e4}", BadWebhookUrl::Unparsable),
            ("http://me:s3cret@host/", BadWebhookUrl::Credentials),
            ("http://host/#s3cret", BadWebhookUrl::Fragment),
            ("http://host:0/s3cret", BadWebhookUrl::Port),
            ("http://host:/s3cret", BadWebhookUrl::Port),
            (long.as_str(), BadWebhookUrl::TooLong),
        ] {
            let refused = text.parse::<WebhookUrl>().unwrap_err();
            assert_eq!(refused, bad, "{text}");
            assert!(!refused.to_string().contains("s3cret"));
        }
        let url: WebhookUrl = "https://hooks.example/a?token=s3cret&b=1".parse().unwrap();
        assert_eq!(format!("{url:?}"), "https://hooks.example/a?token=[redacted]&b=1");
    }
}
