//! The secret of a bearer token: 256 random bits as text, and the digest that is kept instead of it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What every secret begins with, so that scanners for leaked secrets find it, and people know what it is for.
pub const PREFIX: &str = "fanfold_";

/// Octets of randomness.
pub const OCTETS: usize = 32;

/// The secret of a token. It is shown once, when the token is made; nothing keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret that these random octets make.
    pub fn from_random(octets: [u8; OCTETS]) -> Self {
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(octets)))
    }

    /// The text that its owner sends. Not for logs.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it. With 256 random bits nobody finds the secret by trying, so that a plain hash is as good as a slow one.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The SHA-256 of a secret's text. Secrets are looked up by it, so that the time of a comparison tells nothing about them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// Of what a caller shows, whatever it is.
    pub fn of(shown: &str) -> Self {
        Self(Sha256::digest(shown).into())
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for SecretDigest {
    fn from(octets: [u8; 32]) -> Self {
        Self(octets)
    }
}

impl From<SecretDigest> for String {
    fn from(digest: SecretDigest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for SecretDigest {
    type Error = BadSecret;

    fn try_from(text: String) -> Result<Self, BadSecret> {
        text.parse()
    }
}

impl fmt::Display for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256: expected 64 hexadecimal digits")]
pub struct BadSecret;

impl FromStr for SecretDigest {
    type Err = BadSecret;

    fn from_str(text: &str) -> Result<Self, BadSecret> {
        let mut octets = [0; 32];
        // Checked before slicing: every digit is one octet then.
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BadSecret);
        }
        for (octet, digits) in octets.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| BadSecret)?;
            *octet = u8::from_str_radix(digits, 16).map_err(|_| BadSecret)?;
        }
        Ok(Self(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_digest_only() {
        let secret = Secret::from_random([7; OCTETS]);
        assert_eq!(secret.expose(), "fanfold_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc");
        assert_eq!(secret.digest(), SecretDigest::of(secret.expose()));
        assert_ne!(secret.digest(), Secret::from_random([8; OCTETS]).digest());
        assert_eq!(format!("{secret:?}"), "Secret(***)");
    }

    #[test]
    fn a_digest_is_read_back() {
        let digest = SecretDigest::of("abc");
        let text = digest.to_string();
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(text.to_uppercase().parse(), Ok(digest));
        for bad in ["", "ba78", &"g".repeat(64), &"é".repeat(32), &"0".repeat(65)] {
            assert_eq!(bad.parse::<SecretDigest>(), Err(BadSecret), "{bad}");
        }
    }
}
