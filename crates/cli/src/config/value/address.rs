//! Addresses to listen on, and addresses to call.

use std::net::{SocketAddr, SocketAddrV4};

use fanfold_engine::WebhookUrl;
use fanfold_engine::identity::{BadAddress, IssuerAddress};
use fanfold_engine::target::{BadUrl, TargetUrl};
use http::Uri;

use super::TextForm;
use crate::config::finding::Wrong;

/// `http` or `https`, host, port, and a path prefix; without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl(pub(crate) String);

impl TextForm for SocketAddr {
    const FORMAT: &'static str = "fanfold-address-and-port";
    const EXAMPLE: &'static str = "127.0.0.1:8080";

    fn read(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|_| {
            Wrong::new(format!("{text:?} is not an IP address with a port"))
                .hint("write \"127.0.0.1:8080\", or \"[::1]:8080\" for IPv6")
        })
    }
}

impl TextForm for SocketAddrV4 {
    const FORMAT: &'static str = "fanfold-ipv4-address-and-port";
    const EXAMPLE: &'static str = "10.0.0.5:8080";

    fn read(text: &str) -> Result<Self, Wrong> {
        let address: Self = text.parse().map_err(|_| {
            Wrong::new(format!("{text:?} is not an IPv4 address with a port"))
                .hint("write it as in \"10.0.0.5:8080\"; `msf` has no other form")
        })?;
        if address.ip().is_unspecified() || address.port() == 0 {
            return Err(Wrong::new(format!("nobody can send anything to {text:?}"))
                .hint("write the address and the port at which the targets reach this server"));
        }
        Ok(address)
    }
}

impl TextForm for BaseUrl {
    const FORMAT: &'static str = "fanfold-base-url";
    const EXAMPLE: &'static str = "https://fanfold.example";

    fn read(text: &str) -> Result<Self, Wrong> {
        let uri = web_address(text)?;
        if uri.query().is_some() {
            return Err(Wrong::new("the address has a query").hint("leave out the \"?\" and what follows it"));
        }
        if uri.path().split('/').any(|segment| segment == "." || segment == "..") {
            return Err(Wrong::new("the address has dot segments").hint("write the path that they lead to"));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl TextForm for TargetUrl {
    const FORMAT: &'static str = "fanfold-target-url";
    const EXAMPLE: &'static str = "http://10.0.1.1:18080";

    fn read(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|bad| match bad {
            BadUrl::Unparsable(_) => not_a_web_address(),
            BadUrl::Unfit(_) => Wrong::new(bad.to_string()).hint(ADDRESS_HINT),
        })
    }
}

impl TextForm for IssuerAddress {
    const FORMAT: &'static str = "fanfold-issuer-address";
    const EXAMPLE: &'static str = "https://login.example/keys";

    fn read(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|bad: BadAddress| {
            let hint = match bad {
                BadAddress::NoAddress => ADDRESS_HINT,
                BadAddress::Fragment => "leave out the \"#\" and what follows it",
                BadAddress::Credentials => "leave them out: everybody who sees the address would see them",
                BadAddress::Plain => "write https; http is possible at 127.0.0.1, [::1] and localhost only",
            };
            Wrong::new(bad.to_string()).hint(hint)
        })
    }
}

impl TextForm for WebhookUrl {
    const FORMAT: &'static str = "fanfold-web-address";
    const EXAMPLE: &'static str = "https://hooks.example/fanfold";

    fn read(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|bad| Wrong::new(format!("the address {bad}")).hint(WEBHOOK_HINT))
    }
}

/// Reads an address without ever showing it: it may hold a password or a key.
fn web_address(text: &str) -> Result<Uri, Wrong> {
    if text.contains('#') {
        return Err(Wrong::new("the address has a fragment").hint("leave out the \"#\" and what follows it"));
    }
    let uri: Uri = text.parse().map_err(|_| not_a_web_address())?;
    let authority = uri.authority().ok_or_else(not_a_web_address)?;
    if authority.as_str().contains('@') {
        return Err(Wrong::new("the address holds credentials")
            .hint("leave them out: everybody who sees the address would see them"));
    }
    match uri.scheme_str() {
        Some("http" | "https") if !authority.host().is_empty() => Ok(uri),
        _ => Err(not_a_web_address()),
    }
}

const WEBHOOK_HINT: &str = "write it as in \"https://hooks.example/fanfold\"";

const ADDRESS_HINT: &str = "write it as in \"http://10.0.1.1:18080\" or \"https://api.example/v2\"";

fn not_a_web_address() -> Wrong {
    Wrong::new("this is not a web address").hint(ADDRESS_HINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_prefixes() {
        let read = |text| BaseUrl::read(text).map(|url| url.0);
        assert_eq!(read("http://10.0.1.1:18080/").unwrap(), "http://10.0.1.1:18080");
        assert_eq!(read("https://api.example/v2/").unwrap(), "https://api.example/v2");
        for bad in ["10.0.1.1:18080", "ftp://x/", "http://", "http://a?b=c", "http://a/#b", "http://a/../b", "/v1", ""]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_shown() {
        for text in ["http://me:s3cret@host/", "http://me:s3cret@ho st/"] {
            for wrong in [BaseUrl::read(text).unwrap_err(), TargetUrl::read(text).unwrap_err()] {
                assert!(!format!("{wrong:?}").contains("s3cret"));
            }
        }
    }

    #[test]
    fn lower_controllers_are_told_an_ipv4_address() {
        assert!(SocketAddrV4::read("10.0.0.5:8080").is_ok());
        for bad in ["[::1]:8080", "fanfold.example:8080", "0.0.0.0:8080", "10.0.0.5:0", "10.0.0.5"] {
            assert!(SocketAddrV4::read(bad).is_err(), "{bad}");
        }
    }
}
