//! Where a notice goes: a web address, taken apart once.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use fanfold_core::plan::Redaction;
use http::Uri;

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

    /// What the `Host` field carries.
    pub(crate) fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
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
        let is_secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(BadWebhookUrl::Unparsable),
        };
        let authority = uri.authority().ok_or(BadWebhookUrl::Unparsable)?;
        if authority.as_str().contains('@') {
            return Err(BadWebhookUrl::Credentials);
        }
        let port = match authority.port_u16() {
            Some(0) => return Err(BadWebhookUrl::Port),
            Some(port) => port,
            None if authority.as_str().len() > authority.host().len() => return Err(BadWebhookUrl::Port),
            None if is_secure => 443,
            None => 80,
        };
        let host = host(authority.host()).ok_or(BadWebhookUrl::Unparsable)?;
        Ok(Self { host, port, is_secure, uri })
    }
}

fn host(text: &str) -> Option<Host> {
    if let Some(inner) = text.strip_prefix('[') {
        return inner.strip_suffix(']')?.parse().ok().map(Host::Address);
    }
    if let Ok(ip) = text.parse() {
        return Some(Host::Address(ip));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    (!name.is_empty()).then_some(Host::Name(name))
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
        ] {
            let url: WebhookUrl = text.parse().unwrap();
            assert_eq!((url.receiver().as_str(), url.path_and_query()), (receiver, path), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_notified_is_refused_and_not_shown() {
        let long = format!("http://a/{}", "s3cret".repeat(400));
        for (text, bad) in [
            ("ftp://s3cret/", BadWebhookUrl::Unparsable),
            ("/s3cret", BadWebhookUrl::Unparsable),
            ("s3cret:80", BadWebhookUrl::Unparsable),
            ("http://", BadWebhookUrl::Unparsable),
            ("http://[fe80::1%25s3cret]/", BadWebhookUrl::Unparsable),
            ("http://s3cret s3cret/", BadWebhookUrl::Unparsable),
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
