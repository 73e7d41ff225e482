//! The certificate that is shown to clients, and those of clients that are taken.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fanfold_engine::pem::{self, BadPem};
use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::time::Time;

/// The protocol that is spoken within (RFC 7301). A client that speaks others only is told so in the handshake.
const HTTP_1_1: &[u8] = b"http/1.1";

/// How clients are served over TLS, 1.2 and 1.3; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    clients: Arc<dyn ClientCertVerifier>,
    validity: Validity,
}

/// Which certificates clients are asked for.
#[derive(Debug, Clone, Copy)]
pub struct ClientCertificates<'a> {
    /// Who has to vouch for them, in PEM.
    pub authorities: &'a [u8],
    /// Whether who shows none is not talked to.
    pub are_required: bool,
}

/// When a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub begins_at: Timestamp,
    /// Not after.
    pub ends_at: Timestamp,
}

/// TLS cannot be served with what is configured.
#[derive(Debug, thiserror::Error)]
pub enum BadServerTls {
    /// A text is not PEM, or not what it should be.
    #[error(transparent)]
    Pem(#[from] BadPem),
    /// The key is another certificate's.
    #[error("the key is not that of the certificate")]
    OtherKey,
    /// It is no certificate.
    #[error("a certificate cannot be read: {0}")]
    NoCertificate(#[from] x509_cert::der::Error),
    /// Certificates of clients cannot be checked.
    #[error("certificates of clients cannot be checked: {0}")]
    NoClients(#[from] VerifierBuilderError),
    /// The TLS library refuses it.
    #[error("TLS cannot be set up: {0}")]
    Refused(rustls::Error),
}

impl Tls {
    /// Shows the certificate at the beginning of `chain` (PEM, those that vouch for it behind it), whose private key is `key`
    /// (PEM), and asks for those of `clients`, if any.
    ///
    /// # Errors
    /// If the texts are not as they should be, or do not belong together.
    pub fn new(chain: &[u8], key: &[u8], clients: Option<ClientCertificates<'_>>) -> Result<Self, BadServerTls> {
        let (chain, key) = (certificates(chain)?, pem::private_key(key)?);
        let validity = Validity::of(&chain)?;
        let clients = match clients {
            None => Arc::new(NoClientAuth),
            Some(clients) => verifier(clients)?,
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(BadServerTls::Refused)?
            .with_client_cert_verifier(Arc::clone(&clients))
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => BadServerTls::OtherKey,
                error => BadServerTls::Refused(error),
            })?;
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Self { config: Arc::new(config), clients, validity })
    }

    /// When the whole chain is good.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether a certificate of a client, with those that vouch for it behind it, is taken.
    pub(super) fn takes(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> bool {
        let Some((own, others)) = chain.split_first() else { return false };
        let now = Duration::try_from(now.as_duration()).unwrap_or_default();
        self.clients.verify_client_cert(own, others, UnixTime::since_unix_epoch(now)).is_ok()
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadPem> {
    let found = pem::certificates(text)?;
    match found.is_empty() {
        true => Err(BadPem { what: "certificates", why: "there are none".to_owned() }),
        false => Ok(found),
    }
}

fn verifier(clients: ClientCertificates<'_>) -> Result<Arc<dyn ClientCertVerifier>, BadServerTls> {
    let mut authorities = RootCertStore::empty();
    for authority in certificates(clients.authorities)? {
        authorities.add(authority).map_err(BadServerTls::Refused)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
    let builder = if clients.are_required { builder } else { builder.allow_unauthenticated() };
    Ok(builder.build()?)
}

/// Two settings are the same only if they are one: what was read anew at a reload counts as changed.
impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("validity", &self.validity).finish_non_exhaustive()
    }
}

impl Validity {
    /// When all of these are good.
    fn of(chain: &[CertificateDer<'_>]) -> Result<Self, BadServerTls> {
        let mut all = Self { begins_at: Timestamp::MIN, ends_at: Timestamp::MAX };
        for der in chain {
            let validity = Certificate::from_der(der)?.tbs_certificate.validity;
            all.begins_at = all.begins_at.max(timestamp(validity.not_before));
            all.ends_at = all.ends_at.min(timestamp(validity.not_after));
        }
        Ok(all)
    }
}

/// A certificate without an end says that it ends with the year 9999, which is a little later than any time here.
pub(super) fn timestamp(time: Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use fanfold_testkit::certificates::Authority;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_whole_chain_has_to_be_good() {
        let authority = Authority::new();
        let own = authority.server_between(2026, 2031);
        let tls = Tls::new(own.chain.as_bytes(), own.key.as_bytes(), None).unwrap();
        let (begins_at, ends_at) = (at("2026-01-01T00:00:00Z"), at("2031-01-01T00:00:00Z"));
        assert_eq!(tls.validity(), Validity { begins_at, ends_at });
        let short = authority.server_between(2027, 2028);
        let both = format!("{}{}", own.chain, short.chain);
        let (begins_at, ends_at) = (at("2027-01-01T00:00:00Z"), at("2028-01-01T00:00:00Z"));
        assert_eq!(
            Tls::new(both.as_bytes(), own.key.as_bytes(), None).unwrap().validity(),
            Validity { begins_at, ends_at }
        );
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let authority = Authority::new();
        let (one, other) = (authority.server(), authority.server());
        let refused =
            |chain: &str, key: &str| Tls::new(chain.as_bytes(), key.as_bytes(), None).unwrap_err().to_string();
        assert_eq!(refused(&one.chain, &other.key), "the key is not that of the certificate");
        assert!(refused(&one.chain, &one.chain).contains("cannot read a private key from PEM"));
        assert!(refused(&one.key, &one.key).contains("cannot read certificates from PEM: there are none"));
        assert!(refused("", &one.key).contains("there are none"));
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(refused(nonsense, &one.key).contains("a certificate cannot be read"));
    }

    #[test]
    fn a_certificate_that_has_no_end_is_good_for_as_long_as_there_are_times() {
        let own = Authority::new().server_between(2026, 9999);
        assert!(
            Tls::new(own.chain.as_bytes(), own.key.as_bytes(), None).unwrap().validity().ends_at
                > at("9998-01-01T00:00:00Z")
        );
    }
}
