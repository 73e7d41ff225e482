//! The certificate that a client shows when it connects.

use fanfold_core::access::SecretDigest;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_cert::Certificate;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Any, Decode as _, Error, Tag, Tagged as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::tls::{self, Tls};

/// A certificate that was checked in the handshake of its connection.
#[derive(Debug)]
pub(super) struct ClientCertificate {
    /// With those that vouch for it behind it.
    chain: Vec<CertificateDer<'static>>,
    /// What it was checked by.
    checked_by: Tls,
    /// What stands in it.
    pub(super) said: Said,
}

/// What stands in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// Its SHA-256.
    pub(super) digest: SecretDigest,
    /// The common name of its subject, if there is one alone.
    pub(super) common_name: Option<String>,
    /// The names of hosts in it, in lower case.
    pub(super) dns: Vec<String>,
    /// The URIs in it.
    pub(super) uris: Vec<String>,
    /// From then on it is no good, or one of those that vouch for it.
    pub(super) ends_at: Timestamp,
}

impl ClientCertificate {
    /// The one at the beginning of `chain`, as it was checked in a handshake.
    ///
    /// # Errors
    /// If what the TLS library took for a certificate cannot be read here.
    pub(super) fn new(chain: &[CertificateDer<'_>], checked_by: Tls) -> Result<Option<Self>, Error> {
        let Some(own) = chain.first() else { return Ok(None) };
        let mut said = Said::read(own)?;
        said.ends_at = ends_at(chain, said.ends_at, &checked_by)?;
        let chain = chain.iter().map(|der| der.clone().into_owned()).collect();
        Ok(Some(Self { chain, checked_by, said }))
    }

    /// Whether it is good now, by what counts now: it was checked as its connection was opened, and since then it may have ended,
    /// and other authorities may have been put in place.
    pub(super) fn is_good(&self, tls: Option<&Tls>, now: Timestamp) -> bool {
        let is_checked = |tls: &Tls| *tls == self.checked_by || tls.takes(&self.chain, now);
        now < self.said.ends_at && tls.is_some_and(is_checked)
    }
}

impl Said {
    fn read(der: &[u8]) -> Result<Self, Error> {
        let certificate = Certificate::from_der(der)?.tbs_certificate;
        let (mut dns, mut uris) = (Vec::new(), Vec::new());
        let names = certificate.get::<SubjectAltName>()?.map(|(_, names)| names.0).unwrap_or_default();
        for name in names {
            match name {
                GeneralName::DnsName(name) => dns.push(name.as_str().to_ascii_lowercase()),
                GeneralName::UniformResourceIdentifier(uri) => uris.push(uri.as_str().to_owned()),
                _ => {}
            }
        }
        Ok(Self {
            digest: <[u8; 32]>::from(Sha256::digest(der)).into(),
            common_name: common_name(&certificate.subject),
            dns,
            uris,
            ends_at: tls::timestamp(certificate.validity.not_after),
        })
    }
}

/// When a certificate that itself ends at `own` is taken no more. One behind it that ends before is of no weight where the rest is
/// taken without it: clients show more than is needed.
fn ends_at(chain: &[CertificateDer<'_>], own: Timestamp, checked_by: &Tls) -> Result<Timestamp, Error> {
    let mut earlier = Vec::new();
    for der in chain.iter().skip(1) {
        earlier.push(tls::timestamp(Certificate::from_der(der)?.tbs_certificate.validity.not_after));
    }
    earlier.retain(|end| *end < own);
    earlier.sort_unstable();
    // Each is good for the whole of its last second.
    let after = |end: Timestamp| end.checked_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX);
    // Whoever shows many makes us check few of them.
    let without_weight = earlier.partition_point(|end| checked_by.takes(chain, after(*end)));
    Ok(earlier.get(without_weight).copied().unwrap_or(own))
}

/// The common name (RFC 5280, appendix A.1), if there is one alone.
fn common_name(subject: &Name) -> Option<String> {
    const COMMON_NAME: x509_cert::der::asn1::ObjectIdentifier =
        x509_cert::der::asn1::ObjectIdentifier::new_unwrap("2.5.4.3");
    let parts = subject.0.iter().flat_map(|part| part.0.iter());
    let mut names = parts.filter(|part| part.oid == COMMON_NAME).map(|part| &part.value);
    match (names.next(), names.next()) {
        (Some(only), None) => text(only),
        _ => None,
    }
}

fn text(value: &Any) -> Option<String> {
    let text = match value.tag() {
        Tag::Utf8String => Utf8StringRef::try_from(value).ok()?.as_str().to_owned(),
        Tag::PrintableString => PrintableStringRef::try_from(value).ok()?.as_str().to_owned(),
        Tag::Ia5String => Ia5StringRef::try_from(value).ok()?.as_str().to_owned(),
        // Nobody writes names in the old encodings any more.
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use fanfold_testkit::certificates::{Authority, Names};
    use rustls::pki_types::pem::PemObject as _;

    use super::*;
    use crate::http::tls::ClientCertificates;

    fn said(names: &Names<'_>) -> Said {
        let own = Authority::new().client(names);
        Said::read(&CertificateDer::from_pem_slice(own.chain.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn what_stands_in_a_certificate_is_read() {
        let names =
            Names { common_name: Some("Portal é"), dns: &["Portal.example"], uris: &["spiffe://example/portal"] };
        let said = said(&names);
        assert_eq!(said.common_name.as_deref(), Some("Portal é"));
        assert_eq!(said.dns, ["portal.example"]);
        assert_eq!(said.uris, ["spiffe://example/portal"]);
        assert_eq!(said.ends_at, "2100-01-01T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn it_is_good_until_its_end_and_by_what_counts_now() {
        let (servers, clients) = (Authority::new(), Authority::new());
        let tls = |authority: &Authority| {
            let (own, authorities) = (servers.server(), authority.pem().as_bytes());
            let asked = ClientCertificates { authorities, are_required: false };
            Tls::new(own.chain.as_bytes(), own.key.as_bytes(), Some(asked)).unwrap()
        };
        let own = clients.client(&Names::default());
        let chain = [CertificateDer::from_pem_slice(own.chain.as_bytes()).unwrap()];
        let (checked_by, now) = (tls(&clients), "2050-01-01T00:00:00Z".parse().unwrap());
        let certificate = ClientCertificate::new(&chain, checked_by.clone()).unwrap().unwrap();
        assert!(certificate.is_good(Some(&checked_by), now));
        assert!(certificate.is_good(Some(&tls(&clients)), now), "the same authority, read anew");
        assert!(!certificate.is_good(Some(&tls(&servers)), now));
        assert!(!certificate.is_good(None, now));
        assert!(!certificate.is_good(Some(&checked_by), "2100-01-01T00:00:00Z".parse().unwrap()));
        assert!(ClientCertificate::new(&[], checked_by).unwrap().is_none());
    }

    #[test]
    fn it_ends_with_those_that_vouch_for_it_as_far_as_they_are_needed() {
        let (servers, root) = (Authority::new(), Authority::new());
        let (short, shorter) = (root.below(2040), root.below(2030));
        let (own, authorities) = (servers.server(), root.pem().as_bytes());
        let asked = ClientCertificates { authorities, are_required: false };
        let tls = Tls::new(own.chain.as_bytes(), own.key.as_bytes(), Some(asked)).unwrap();
        let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        for (vouches, behind, year) in [
            (&root, &[][..], 2100),
            (&short, &[&short], 2040),
            (&short, &[&short, &shorter], 2040),
            (&short, &[&shorter, &short], 2040),
            (&root, &[&short, &shorter], 2100),
        ] {
            let mut chain = vec![der(&vouches.client(&Names::default()).chain)];
            chain.extend(behind.iter().map(|authority| der(authority.pem())));
            let certificate = ClientCertificate::new(&chain, tls.clone()).unwrap().unwrap();
            let end: Timestamp = format!("{year}-01-01T00:00:00Z").parse().unwrap();
            assert_eq!(certificate.said.ends_at, end);
            assert!(certificate.is_good(Some(&tls), end - SignedDuration::from_secs(1)));
            assert!(!certificate.is_good(Some(&tls), end));
        }
    }

    #[test]
    fn one_may_be_without_any_name() {
        let said = said(&Names::default());
        assert_eq!((said.common_name, said.dns, said.uris), (None, Vec::new(), Vec::new()));
    }
}
