//! What identifies a bearer token: not a secret, so it may be shown, logged and named in the audit trail.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Identifies a token: a UUIDv7 in its 36-character text form, so that ids sort by the time at which tokens were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct TokenId(Uuid);

impl TokenId {
    /// The id of a token made at `at` (milliseconds are kept), from ten random octets (RFC 9562, section 5.7).
    pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The sixteen octets, for a store's key columns.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Reads back what [`TokenId::as_bytes`] gave.
    pub fn from_bytes(octets: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(octets))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not the id of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a token: expected a UUID of 36 characters, in small letters")]
pub struct BadTokenId;

impl FromStr for TokenId {
    type Err = BadTokenId;

    fn from_str(text: &str) -> Result<Self, BadTokenId> {
        // Only the canonical form counts, so that one token has one address.
        if text.len() != 36 || text.bytes().any(|octet| octet.is_ascii_uppercase()) {
            return Err(BadTokenId);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| BadTokenId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_are_read_back() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (early, late) = (TokenId::new(at(1), [0xff; 10]), TokenId::new(at(2), [0; 10]));
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(TokenId::from_bytes(*late.as_bytes()), late);
        for bad in ["", "x", &early.to_string().to_uppercase(), &early.to_string()[1..]] {
            assert_eq!(bad.parse::<TokenId>(), Err(BadTokenId), "{bad}");
        }
    }
}
