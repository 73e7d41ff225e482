//! Signatures of webhooks, as in Standard Webhooks: an HMAC over id, time and body, by each secret that is configured.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// How many octets a secret has, at the least and at the most.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that webhooks are signed with. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

/// The text is no secret. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// It does not begin as it should, or is no base64.
    #[error("a secret is \"whsec_\" and base64")]
    Unreadable,
    /// Too few or too many octets.
    #[error("a secret has 24 to 64 bytes before they are written in base64")]
    Length,
}

impl SigningSecret {
    /// Reads a secret: `whsec_` and base64.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(text: &str) -> Result<Self, BadSecret> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(BadSecret::Unreadable)?;
        let octets = STANDARD.decode(encoded).map_err(|_| BadSecret::Unreadable)?;
        if SECRET_BYTES.contains(&octets.len()) { Ok(Self(octets)) } else { Err(BadSecret::Length) }
    }

    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret")
    }
}

/// The value of `webhook-signature`: one signature by each secret, in their order.
pub(crate) fn signatures(secrets: &[SigningSecret], id: &str, timestamp: i64, body: &[u8]) -> String {
    secrets.iter().map(|secret| secret.sign(id, timestamp, body)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the reference libraries of Standard Webhooks.
    #[test]
    fn the_published_vector_is_met() {
        let secret = SigningSecret::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let other = SigningSecret::read(&format!("whsec_{}", STANDARD.encode([7; 32]))).unwrap();
        let sign = |secrets: &[SigningSecret]| {
            signatures(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}")
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(std::slice::from_ref(&secret)), expected);
        let both = sign(&[other, secret]);
        let parts: Vec<_> = both.split(' ').collect();
        assert_eq!((parts.len(), parts[1]), (2, expected));
        assert_ne!(parts[0], expected);
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
        for (text, bad) in [
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", BadSecret::Unreadable),
            ("whsec_not base64", BadSecret::Unreadable),
            (of(23).as_str(), BadSecret::Length),
            (of(65).as_str(), BadSecret::Length),
        ] {
            assert_eq!(SigningSecret::read(text), Err(bad), "{text}");
        }
        assert!(SigningSecret::read(&of(64)).is_ok());
        assert_eq!(format!("{:?}", SigningSecret::read(&of(24)).unwrap()), "SigningSecret");
    }
}
