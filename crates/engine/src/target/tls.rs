//! How a target's certificate is checked, and which certificate is shown to it.

use std::fmt;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::pem::{self, BadPem};

/// TLS settings, shared by all connections to a target.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

/// TLS cannot be set up from what is configured.
#[derive(Debug, thiserror::Error)]
pub enum BadTls {
    /// The text is not PEM, or not what it should be.
    #[error(transparent)]
    Pem(#[from] BadPem),
    /// The TLS library refuses it.
    #[error("TLS cannot be set up: {0}")]
    Refused(#[from] rustls::Error),
}

impl Tls {
    /// Trusts the authorities of the platform and those in `authorities` (PEM, may be empty), and shows `identity` (the PEM of a
    /// certificate chain, and of its key) to targets that ask for it.
    ///
    /// # Errors
    /// If the PEM text is not as it should be, the key does not fit, or there is no authority at all.
    pub fn new(authorities: &[u8], identity: Option<(&[u8], &[u8])>) -> Result<Self, BadTls> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Verifier::new_with_extra_roots(pem::certificates(authorities)?, Arc::clone(&provider))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            // Not dangerous in fact: this is how the platform's own verifier is put in.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(pem::certificates(chain)?, pem::private_key(key)?)?,
        };
        Ok(Self(Arc::new(config)))
    }

    /// For what is called without TLS, on systems that may have no authorities at all: trusts nobody.
    ///
    /// # Errors
    /// If the TLS library refuses it.
    pub fn unused() -> Result<Self, BadTls> {
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// The same for the TLS library.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

/// Two settings are the same only if they are one: what was read anew at a reload counts as changed.
impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
