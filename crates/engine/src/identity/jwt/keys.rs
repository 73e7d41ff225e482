//! The keys of an issuer (RFC 7517), and which of them a token may be signed with.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::identity::config::Algorithm;
use crate::identity::reason::{Reason, Shown};

/// The longest set of keys that is read, in octets.
pub(super) const BYTES_MAX: usize = 256 * 1024;

/// More keys in a set than any issuer needs.
const KEYS_MAX: usize = 64;

/// How many keys of one name are tried. A set should have one of each (RFC 7517, section 4.5).
const TRIED_MAX: usize = 4;

/// The keys of an issuer that its tokens may be signed with. It has one at least.
#[derive(Clone)]
pub struct KeySet {
    keys: Vec<Key>,
    /// What they were read from: two sets are the same if that is.
    text: Vec<u8>,
}

#[derive(Clone)]
struct Key {
    id: Option<String>,
    /// What it may be used for: never algorithms of two kinds of key.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// A text is no set of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKeys {
    /// It is longer than one is read.
    #[error("the key set is longer than {BYTES_MAX} bytes")]
    TooLong,
    /// It is no JSON of that form.
    #[error("this is no JSON Web Key Set: {0}")]
    Unreadable(String),
    /// It has more keys than are looked at.
    #[error("the key set has more than {KEYS_MAX} keys")]
    TooMany,
    /// Not one of its keys is of use.
    #[error(
        "the key set has no key that a token may be signed with (RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519, for signatures)"
    )]
    NoneFits,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Json>,
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys that are for something else, or that cannot be read, are left out: an issuer may have others
    /// beside those that are meant for us.
    ///
    /// # Errors
    /// If it is none, or no key of it is of use.
    pub fn read(text: &[u8]) -> Result<Self, BadKeys> {
        if text.len() > BYTES_MAX {
            return Err(BadKeys::TooLong);
        }
        let set: Set = serde_json::from_slice(text).map_err(|error| BadKeys::Unreadable(error.to_string()))?;
        if set.keys.len() > KEYS_MAX {
            return Err(BadKeys::TooMany);
        }
        let keys: Vec<Key> = set.keys.into_iter().filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err(BadKeys::NoneFits);
        }
        Ok(Self { keys, text: text.to_vec() })
    }

    /// The keys that a token may be signed with that is signed in this way and names this key: several only where the set has
    /// several of one name.
    pub(super) fn choose(&self, algorithm: Algorithm, id: Option<&str>) -> Result<Vec<&DecodingKey>, Reason> {
        let fitting = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        let named: Vec<&DecodingKey> =
            fitting.filter(|key| id.is_none() || key.id.as_deref() == id).map(|key| &key.key).take(TRIED_MAX).collect();
        match (named.len(), id) {
            (0, _) => Err(Reason::NoSuchKey(Shown::of_optional(id))),
            // OpenID Connect Core, section 10.1: where there are several, the token names its own.
            (2.., None) => Err(Reason::WhichKey),
            _ => Ok(named),
        }
    }
}

impl Key {
    /// `None` if tokens cannot be signed with it.
    fn read(json: Json) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(json).ok()?;
        let common = &jwk.common;
        let is_for_signatures =
            common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
                && common.key_operations.as_ref().is_none_or(|deeds| deeds.contains(&KeyOperations::Verify));
        if !is_for_signatures {
            return None;
        }
        let mut algorithms = fitting(&jwk.algorithm)?;
        if let Some(only) = common.key_algorithm {
            algorithms.retain(|one| jsonwebtoken::jwk::KeyAlgorithm::from(one.of_library()) == only);
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        (!algorithms.is_empty()).then(|| Self { id: jwk.common.key_id, algorithms, key })
    }
}

/// What a key of this kind can be used for. A secret that both sides know is no key of an issuer.
fn fitting(kind: &AlgorithmParameters) -> Option<Vec<Algorithm>> {
    use Algorithm as A;
    match kind {
        AlgorithmParameters::RSA(key) if has_good_size(&key.n) => {
            Some(vec![A::Rs256, A::Rs384, A::Rs512, A::Ps256, A::Ps384, A::Ps512])
        }
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Some(vec![A::Es256]),
            EllipticCurve::P384 => Some(vec![A::Es384]),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(key) => match key.curve {
            EllipticCurve::Ed25519 => Some(vec![A::EdDsa]),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a modulus is of 2048 to 8192 bits. The library would take no other one either; but it would call the signature wrong.
fn has_good_size(modulus: &str) -> bool {
    let octets = URL_SAFE_NO_PAD.decode(modulus).unwrap_or_default();
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    (256..=1024).contains(&(octets.len() - zeros))
}

impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| (&key.id, &key.algorithms))).finish()
    }
}
