//! A JWT as it was shown (RFC 7519, in the compact form of RFC 7515): its form, what its header asks for, and its signature.
//!
//! The header says nothing that is believed but which of the issuer's own keys to take: keys and addresses in it (`jwk`, `jku`, `x5c`,
//! `x5u`) are not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::Validation;
use jsonwebtoken::errors::ErrorKind;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value as Json};

use super::claims;
use super::keys::KeySet;
use crate::identity::TOKEN_BYTES_MAX;
use crate::identity::config::{Algorithm, IssuerConfig};
use crate::identity::issuers::Identity;
use crate::identity::reason::{Reason, Shown};

/// What has the form of a JWT, and nothing more: what it claims is not known to be so.
#[derive(Debug)]
pub(in crate::identity) struct Token<'t> {
    text: &'t str,
    algorithm: Algorithm,
    key_id: Option<String>,
    /// Whom it names as its issuer, and for whom it says it is.
    claimed: Claimed,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

#[derive(Debug)]
struct Claimed {
    issuer: String,
    audiences: Vec<String>,
}

impl<'t> Token<'t> {
    /// Reads what was shown.
    ///
    /// # Errors
    /// If it has not the form of a token that could be good for anything.
    pub(in crate::identity) fn read(shown: &'t [u8]) -> Result<Self, Reason> {
        if shown.len() > TOKEN_BYTES_MAX {
            return Err(Reason::TooLong);
        }
        let text = std::str::from_utf8(shown).map_err(|_| Reason::Malformed("it is not text"))?;
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Reason::Malformed("it has not three parts"));
        };
        let header: Header = read_part(header).ok_or(Reason::Malformed("its header cannot be read"))?;
        let claims: Map<String, Json> = read_part(claims).ok_or(Reason::Malformed("its claims cannot be read"))?;
        if header.crit.is_some() {
            return Err(Reason::Critical);
        }
        if !header.typ.as_deref().is_none_or(is_for_access) {
            return Err(Reason::Type(Shown::of_optional(header.typ.as_deref())));
        }
        let algorithm = Algorithm::named(&header.alg).ok_or_else(|| Reason::Algorithm(Shown::of(&header.alg)))?;
        let issuer = claims.get("iss").and_then(Json::as_str);
        let issuer = issuer.ok_or(Reason::UnknownIssuer(Shown::of_optional(None)))?.to_owned();
        let audiences = claims::audiences(&claims).into_iter().map(str::to_owned).collect();
        Ok(Self { text, algorithm, key_id: header.kid, claimed: Claimed { issuer, audiences } })
    }

    /// Whom it names as its issuer.
    pub(in crate::identity) fn claimed_issuer(&self) -> &str {
        &self.claimed.issuer
    }

    /// Whether it says that it is for this audience.
    pub(in crate::identity) fn claims_audience(&self, audience: &str) -> bool {
        self.claimed.audiences.iter().any(|one| one == audience)
    }

    /// Who shows it, if it is of this issuer and these are its keys.
    pub(in crate::identity) fn verify(
        &self,
        keys: &KeySet,
        issuer: &IssuerConfig,
        now: Timestamp,
    ) -> Result<Identity, Reason> {
        if !issuer.algorithms.contains(&self.algorithm) {
            return Err(Reason::Algorithm(Shown::of(self.algorithm.as_str())));
        }
        let claims = self.signed_claims(keys)?;
        claims::identity(&claims, issuer, now)
    }

    /// Whether an issuer that was refused for this may have a key by now that we do not know of.
    pub(in crate::identity) fn may_have_newer_key(&self, refused: &Reason) -> bool {
        // Where nothing tells which key is meant, it may be one that took the place of ours.
        let is_replaced = self.key_id.is_none() && *refused == Reason::Signature;
        is_replaced || matches!(refused, Reason::NoSuchKey(_))
    }

    /// The claims, once it is known who made them.
    fn signed_claims(&self, keys: &KeySet) -> Result<Map<String, Json>, Reason> {
        let mut validation = Validation::new(self.algorithm.of_library());
        // The library would look at its own clock. All that can be said of claims is said in one place, which is given the time.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        for key in keys.choose(self.algorithm, self.key_id.as_deref())? {
            match jsonwebtoken::decode::<Map<String, Json>>(self.text, key, &validation) {
                Ok(token) => return Ok(token.claims),
                // The next key of this name, if there is one.
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => {}
                Err(_) => return Err(Reason::Malformed("it cannot be checked")),
            }
        }
        Err(Reason::Signature)
    }
}

fn read_part<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    let octets = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&octets).ok()
}

/// Whether a token of this type lets somebody in (RFC 7519, section 5.1; RFC 9068, section 2.1). Others that the same issuer signs do
/// not: what tells of a logout or proves that somebody has a key, for example.
fn is_for_access(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}
