//! The JWT of an issuer: reading one, checking it against keys and what is configured, and the keys themselves.
//!
//! [`verify`] and all that it needs are pure functions. `source` reads and keeps the keys.

mod claims;
mod keys;
pub(super) mod source;
mod token;

use jiff::Timestamp;

use super::config::IssuerConfig;
use super::issuers::Identity;
use super::reason::Reason;

pub use keys::{BadKeys, KeySet};
pub(super) use token::Token;

/// Who shows this, if it is a token of the issuer that is configured so, and these are its keys.
///
/// # Errors
/// Why it is not, or not any more.
pub fn verify(shown: &[u8], keys: &KeySet, issuer: &IssuerConfig, now: Timestamp) -> Result<Identity, Reason> {
    Token::read(shown)?.verify(keys, issuer, now)
}
