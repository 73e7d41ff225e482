//! Where an issuer is asked: an address that nobody on the way can answer for.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

use crate::target::TargetUrl;

/// `https`, host, optional port, path and optional query; `http` only where the host is this machine.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuerAddress {
    origin: TargetUrl,
    /// With a slash at its beginning, and the query if there is one.
    path: String,
}

/// The text is not an address that may be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// It is no address of that kind.
    #[error("this is not a web address")]
    NoAddress,
    /// It has a fragment.
    #[error("the address has a fragment")]
    Fragment,
    /// It has a user name or password.
    #[error("the address holds credentials")]
    Credentials,
    /// Whoever is on the way could answer.
    #[error("the address is not https: whoever is on the way could answer for it")]
    Plain,
}

impl IssuerAddress {
    /// Scheme, host and port.
    pub(super) fn origin(&self) -> &TargetUrl {
        &self.origin
    }

    /// From the root, with the query.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The host and the port, unless it is that of the scheme.
    pub fn authority(&self) -> &str {
        self.origin.authority()
    }

    /// Whether there is a query.
    pub fn has_query(&self) -> bool {
        self.path.contains('?')
    }

    /// The same without `end` at the end of its path, if that is there, and without a slash there.
    #[must_use]
    pub fn without(&self, end: &str) -> Self {
        let path = self.path.trim_end_matches('/');
        let path = path.strip_suffix(end).unwrap_or(path).trim_end_matches('/');
        Self { origin: self.origin.clone(), path: if path.is_empty() { "/".to_owned() } else { path.to_owned() } }
    }

    /// The same with `more` behind its path, which loses a slash at its end first.
    #[must_use]
    pub(super) fn below(&self, more: &str) -> Self {
        Self { origin: self.origin.clone(), path: format!("{}{more}", self.path.trim_end_matches('/')) }
    }
}

impl FromStr for IssuerAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if text.contains('#') {
            return Err(BadAddress::Fragment);
        }
        let uri = Uri::from_str(text).map_err(|_| BadAddress::NoAddress)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(BadAddress::NoAddress);
        };
        if authority.as_str().contains('@') {
            return Err(BadAddress::Credentials);
        }
        match scheme {
            "https" => {}
            "http" if is_this_machine(authority.host()) => {}
            "http" => return Err(BadAddress::Plain),
            _ => return Err(BadAddress::NoAddress),
        }
        let origin: TargetUrl = format!("{scheme}://{authority}").parse().map_err(|_| BadAddress::NoAddress)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        // What cannot be sent is found here, and not with the first token.
        let path = origin.from_root(path).map_err(|_| BadAddress::NoAddress)?.as_str().to_owned();
        Ok(Self { origin, path })
    }
}

fn is_this_machine(host: &str) -> bool {
    let ip: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    host.eq_ignore_ascii_case("localhost") || ip.is_some_and(|ip| ip.is_loopback())
}

impl fmt::Display for IssuerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

impl fmt::Debug for IssuerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, BadAddress> {
        text.parse::<IssuerAddress>().map(|address| address.to_string())
    }

    #[test]
    fn only_who_can_show_a_certificate_is_asked_and_who_is_on_this_machine() {
        for (text, read_as) in [
            ("https://idp.example", "https://idp.example/"),
            ("HTTPS://idp.example:443/realms/x", "https://idp.example/realms/x"),
            ("https://idp.example/keys?p=1", "https://idp.example/keys?p=1"),
            ("http://127.0.0.1:8080/a", "http://127.0.0.1:8080/a"),
            ("http://[::1]:8080", "http://[::1]:8080/"),
            ("http://localhost/a/", "http://localhost/a/"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(read_as), "{text}");
        }
        for (text, bad) in [
            ("http://idp.example", BadAddress::Plain),
            ("http://localhost.example/", BadAddress::Plain),
            ("http://127.0.0.1.example/", BadAddress::Plain),
            ("http://10.0.0.1/", BadAddress::Plain),
            ("ftp://localhost/", BadAddress::NoAddress),
            ("file:///etc/passwd", BadAddress::NoAddress),
            ("/keys", BadAddress::NoAddress),
            ("", BadAddress::NoAddress),
            ("https://", BadAddress::NoAddress),
            ("https://a/../b", BadAddress::NoAddress),
            ("https://me:s3cret@idp.example", BadAddress::Credentials),
            ("https://idp.example#x", BadAddress::Fragment),
        ] {
            assert_eq!(read(text), Err(bad), "{text}");
        }
    }

    #[test]
    fn a_path_goes_on_behind_the_last_slash() {
        let below = |text: &str| text.parse::<IssuerAddress>().unwrap().below("/x").to_string();
        assert_eq!(below("https://idp.example"), "https://idp.example/x");
        assert_eq!(below("https://idp.example/a/"), "https://idp.example/a/x");
    }

    #[test]
    fn what_need_not_be_written_is_taken_off() {
        let without = |text: &str| text.parse::<IssuerAddress>().unwrap().without("/v3").to_string();
        assert_eq!(without("https://keystone.example:5000/v3/"), "https://keystone.example:5000/");
        assert_eq!(without("https://keystone.example/identity/v3"), "https://keystone.example/identity");
        assert_eq!(without("https://keystone.example/identity"), "https://keystone.example/identity");
        assert_eq!(without("https://keystone.example"), "https://keystone.example/");
    }
}
