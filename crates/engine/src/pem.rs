//! Certificates and keys as they stand in files (RFC 7468).

use rustls::pki_types::pem::{Error, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The text is not PEM, or not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what} from PEM: {why}")]
pub struct BadPem {
    /// What was looked for.
    pub what: &'static str,
    /// What is wrong.
    pub why: String,
}

/// The certificates in a text, in their order; none in an empty one.
///
/// # Errors
/// If something else stands there.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadPem> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|error| bad("certificates", &error))?;
    if found.is_empty() && !text.trim_ascii().is_empty() {
        return Err(BadPem { what: "certificates", why: "there are none".to_owned() });
    }
    Ok(found)
}

/// The first private key in a text.
///
/// # Errors
/// If there is none.
pub fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, BadPem> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| bad("a private key", &error))
}

fn bad(what: &'static str, error: &Error) -> BadPem {
    BadPem { what, why: error.to_string() }
}
