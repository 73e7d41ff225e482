//! The certificates that stand in the configuration.

use std::net::SocketAddr;

use fanfold_core::Access;
use fanfold_core::access::SecretDigest;
use fanfold_core::dialect::Refusal;

use super::caller::{Caller, Credential};
use crate::http::client_certificate::Said;

/// Somebody who is known by a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedCertificate {
    /// Who shows it, for the record of what they do.
    pub name: String,
    /// Which certificates are theirs.
    pub is: CertificateName,
    /// What it lets its owner do.
    pub access: Access,
}

/// What tells a certificate from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateName {
    /// The common name of its subject.
    CommonName(String),
    /// A name of a host in it, in lower case.
    Dns(String),
    /// A URI in it.
    Uri(String),
    /// Its SHA-256: this one alone.
    Digest(SecretDigest),
}

impl CertificateName {
    fn is_of(&self, said: &Said) -> bool {
        match self {
            Self::CommonName(name) => said.common_name.as_ref() == Some(name),
            Self::Dns(name) => said.dns.contains(name),
            Self::Uri(uri) => said.uris.contains(uri),
            Self::Digest(digest) => said.digest == *digest,
        }
    }
}

/// Who shows a certificate in which this stands.
///
/// # Errors
/// [`Refusal::Unauthenticated`] where nobody is known by it. So it is where several are: whose it is meant to be is not known.
pub(super) fn find(known: &[FixedCertificate], said: &Said, from: SocketAddr) -> Result<Caller, Refusal> {
    let mut fitting = known.iter().filter(|one| one.is.is_of(said));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(Caller {
            access: one.access.clone(),
            name: one.name.clone(),
            credential: Credential::Certificate { ends_at: said.ends_at },
            from: Some(from),
        }),
        (Some(one), Some(other)) => {
            tracing::warn!(
                one = one.name,
                other = other.name,
                "a client's certificate fits several of [[auth.certificates]]"
            );
            Err(Refusal::Unauthenticated)
        }
        (None, _) => Err(Refusal::Unauthenticated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said {
        Said {
            digest: SecretDigest::of("der"),
            common_name: Some("portal".to_owned()),
            dns: vec!["portal.example".to_owned(), "www.example".to_owned()],
            uris: vec!["spiffe://example/portal".to_owned()],
            ends_at: "2030-01-01T00:00:00Z".parse().unwrap(),
        }
    }

    fn known(name: &str, is: CertificateName) -> FixedCertificate {
        FixedCertificate { name: name.to_owned(), is, access: Access::full() }
    }

    #[test]
    fn somebody_is_known_by_one_thing_in_a_certificate() {
        let from = "192.0.2.7:5000".parse().unwrap();
        let text = str::to_owned;
        for (is, good) in [
            (CertificateName::CommonName(text("portal")), true),
            (CertificateName::CommonName(text("Portal")), false),
            (CertificateName::CommonName(text("portal.example")), false),
            (CertificateName::Dns(text("www.example")), true),
            (CertificateName::Dns(text("portal")), false),
            (CertificateName::Dns(text("example")), false),
            (CertificateName::Uri(text("spiffe://example/portal")), true),
            (CertificateName::Uri(text("spiffe://example/")), false),
            (CertificateName::Digest(SecretDigest::of("der")), true),
            (CertificateName::Digest(SecretDigest::of("other")), false),
        ] {
            let found = find(&[known("anna", is.clone())], &said(), from);
            assert_eq!(found.map(|caller| caller.name).ok(), good.then(|| text("anna")), "{is:?}");
        }
        let both = [
            known("anna", CertificateName::CommonName(text("portal"))),
            known("bert", CertificateName::Dns(text("portal.example"))),
        ];
        assert_eq!(find(&both, &said(), from), Err(Refusal::Unauthenticated), "whose is it?");
    }
}
