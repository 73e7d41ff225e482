//! Who somebody is, as others say it: the JWT of an OpenID Connect issuer, and the tokens of OpenStack Keystone.
//!
//! [`Issuers`] is the handle. `jwt` reads tokens and checks them against keys, purely; `jwt::source` keeps the keys of an issuer.
//! `keystone` asks a Keystone about each token, and remembers what it said for a while. `grant` turns the roles and the tenant that
//! somebody else names into an [`Access`](fanfold_core::Access) of ours.
//!
//! Not here: what an access permits (core says it), and how a refusal is answered (whoever serves does). Nothing here ever logs, shows
//! or keeps a token; answers of Keystone are kept by the SHA-256 of the token that they are about.

mod address;
mod config;
mod flight;
mod grant;
mod issuers;
mod jwt;
mod keystone;
mod metrics;
mod reason;
mod remote;
mod trouble;

pub use address::{BadAddress, IssuerAddress};
pub use config::{Algorithm, Config, Credentials, IssuerConfig, KeysFrom, KeystoneConfig, Owned, Password};
pub use grant::{ClaimPath, Grant, Grants, IssuerTenant, KeystoneTenant, TenantNames};
pub use issuers::{BadIssuer, Identity, Issuers, NotVerified, Prepared};
pub use jwt::{BadKeys, KeySet, verify};
pub use metrics::Metrics;
pub use reason::Reason;

/// The longest token that is looked at, in octets.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
