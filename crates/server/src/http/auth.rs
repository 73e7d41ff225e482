//! Who a caller is. Every request comes through [`Authenticator::authenticate`] before anything of it is looked at, and every
//! handler needs the [`Caller`] that only it makes.

use std::net::{IpAddr, SocketAddr};

use fanfold_core::TenantId;
use fanfold_core::dialect::Refusal;

/// How callers are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Authenticator {
    /// Whoever connects from this machine is trusted, and nobody else.
    #[default]
    Loopback,
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// Whose operations they see.
    pub(super) tenant: TenantId,
    /// Their name, for the record of what they do.
    pub(super) name: String,
}

impl Authenticator {
    /// Tells who connected from `peer`.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`].
    pub(super) fn authenticate(&self, peer: SocketAddr) -> Result<Caller, Refusal> {
        match self {
            Self::Loopback if is_loopback(peer.ip()) => {
                Ok(Caller { tenant: TenantId::default(), name: "local".to_owned() })
            }
            Self::Loopback => Err(Refusal::Unauthenticated),
        }
    }
}

/// Whether an address is this machine's own, an IPv4 address in IPv6 form included.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_let_in() {
        for (peer, name) in [
            ("127.0.0.1:5000", Some("local")),
            ("127.8.7.6:5000", Some("local")),
            ("[::1]:5000", Some("local")),
            ("[::ffff:127.0.0.1]:5000", Some("local")),
            ("192.0.2.7:5000", None),
            ("0.0.0.0:5000", None),
            ("[2001:db8::1]:5000", None),
            ("[::ffff:192.0.2.7]:5000", None),
        ] {
            let caller = Authenticator::Loopback.authenticate(peer.parse().unwrap());
            assert_eq!(caller.as_ref().ok().map(|caller| caller.name.as_str()), name, "{peer}");
        }
    }
}
