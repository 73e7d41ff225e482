//! Everybody whose credentials count: the handle that a server has.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fanfold_core::Access;
use jiff::Timestamp;

use super::address::IssuerAddress;
use super::config::{Config, IssuerConfig};
use super::jwt::Token;
use super::jwt::source::Source;
use super::keystone::Keystone;
use super::metrics::{KEYSTONE, Metrics, NO_ISSUER};
use super::reason::{Reason, Shown};
use super::remote::Remote;
use crate::lookup::{Lookups, Resolve, SystemResolver};
use crate::network::Network;
use crate::target::BadTls;

/// Look-ups of names at once for all issuers.
const LOOKUPS_MAX: usize = 8;

/// Somebody who showed a credential that an issuer vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What the issuer calls them. Two issuers may call two people the same.
    pub name: String,
    /// Who vouches for it: the name of the issuer as it is configured, or `keystone`.
    pub issuer: String,
    /// What they may. It has no roles if theirs are worth nothing here.
    pub access: Access,
    /// Until when that holds; `None` if the credential does not say.
    pub expires_at: Option<Timestamp>,
}

/// A credential that does not say who somebody is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// It is not good: not theirs, not any more, or not for us.
    #[error("{0}")]
    Refused(#[from] Reason),
    /// It cannot be told, since whoever issued it cannot be asked.
    #[error("the issuer of the credential cannot be asked")]
    Unavailable {
        /// When it is of use to try again, at the earliest.
        retry_after: Duration,
    },
}

/// An issuer cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
#[error("issuer {issuer}: {cause}")]
pub struct BadIssuer {
    /// Which, by its name.
    pub issuer: String,
    /// Why.
    #[source]
    pub cause: BadTls,
}

/// Everybody whose credentials count. Clones are the same.
#[derive(Clone)]
pub struct Issuers {
    shared: Arc<Shared>,
}

/// Everybody as they are to be, ready to take the place of those who are there.
#[must_use]
pub struct Prepared {
    shared: Arc<Shared>,
    configured: Configured,
}

struct Shared {
    configured: ArcSwap<Configured>,
    way: Way,
    metrics: Metrics,
}

/// What a reload replaces as a whole.
#[derive(Debug, Default)]
struct Configured {
    issuers: Vec<Issuer>,
    keystone: Option<Arc<Keystone>>,
}

#[derive(Debug)]
struct Issuer {
    config: IssuerConfig,
    /// Outlives a reload that changes nothing of how keys are read.
    source: Arc<Source>,
}

/// How issuers are reached.
#[derive(Debug)]
pub(super) struct Way {
    network: Option<Arc<dyn Network>>,
    lookups: Lookups,
}

impl Way {
    pub(super) fn to(&self, address: &IssuerAddress, authorities: &[u8]) -> Result<Remote, BadTls> {
        Remote::new(address, authorities, self.network.clone(), self.lookups.clone())
    }
}

impl Issuers {
    /// Nobody yet.
    pub fn new(metrics: Metrics) -> Self {
        Self::resolved_by(Arc::new(SystemResolver), metrics)
    }

    /// Nobody yet; their hosts will be found by this resolver, not by that of the operating system.
    pub fn resolved_by(resolver: Arc<dyn Resolve>, metrics: Metrics) -> Self {
        Self::by(Way { network: None, lookups: Lookups::new(resolver, LOOKUPS_MAX) }, metrics)
    }

    /// Nobody yet; they will be in a network that is made up.
    pub fn in_network(network: Arc<dyn Network>, metrics: Metrics) -> Self {
        let lookups = Lookups::new(Arc::new(SystemResolver), LOOKUPS_MAX);
        Self::by(Way { network: Some(network), lookups }, metrics)
    }

    fn by(way: Way, metrics: Metrics) -> Self {
        Self { shared: Arc::new(Shared { configured: ArcSwap::default(), way, metrics }) }
    }

    /// Sets what is configured, all at once or not at all: see [`Issuers::prepare`].
    ///
    /// # Errors
    /// If one of them cannot be set up; nothing has changed then.
    pub fn replace(&self, config: Config) -> Result<(), BadIssuer> {
        self.prepare(config)?.take_effect();
        Ok(())
    }

    /// Sets up what is configured, and changes nothing yet. What was read of keys that are still to be read in the same way is kept, and
    /// so is what Keystone said, if nothing of it has changed.
    ///
    /// # Errors
    /// If one of them cannot be set up.
    pub fn prepare(&self, config: Config) -> Result<Prepared, BadIssuer> {
        let Shared { configured, way, metrics } = &*self.shared;
        let before = configured.load();
        let mut issuers = Vec::with_capacity(config.issuers.len());
        for config in config.issuers {
            let known = before.issuers.iter().find(|known| known.reads_as(&config));
            let source = match known {
                Some(known) => Arc::clone(&known.source),
                None => {
                    let made = Source::new(&config, way, metrics);
                    Arc::new(made.map_err(|cause| BadIssuer { issuer: config.name.clone(), cause })?)
                }
            };
            issuers.push(Issuer { config, source });
        }
        let keystone = match config.keystone {
            None => None,
            Some(config) => Some(match before.keystone.as_ref().filter(|known| known.is_configured(&config)) {
                Some(known) => Arc::clone(known),
                None => {
                    let made = Keystone::new(config, way, metrics.clone());
                    Arc::new(made.map_err(|cause| BadIssuer { issuer: KEYSTONE.to_owned(), cause })?)
                }
            }),
        };
        Ok(Prepared { shared: Arc::clone(&self.shared), configured: Configured { issuers, keystone } })
    }

    /// Whether there is anybody who issues JWT.
    pub fn has_issuers(&self) -> bool {
        !self.shared.configured.load().issuers.is_empty()
    }

    /// Whether there is a Keystone.
    pub fn has_keystone(&self) -> bool {
        self.shared.configured.load().keystone.is_some()
    }

    /// Whether somebody of this name vouches for people, or Keystone does if it is called so.
    pub fn has(&self, issuer: &str) -> bool {
        let configured = self.shared.configured.load();
        let is_one = configured.issuers.iter().any(|known| known.config.name == issuer);
        is_one || (issuer == KEYSTONE && configured.keystone.is_some())
    }

    /// Who shows this JWT (`Authorization: Bearer`). It may take as long as reading the keys of its issuer does, about 12 s.
    ///
    /// # Errors
    /// If it is not good, or that cannot be told.
    pub async fn verify_bearer(&self, shown: &str, now: Timestamp) -> Result<Identity, NotVerified> {
        let configured = self.shared.configured.load_full();
        let found = configured.issuer_of(shown);
        let (name, outcome) = match found {
            Err(reason) => (NO_ISSUER, Err(NotVerified::Refused(reason))),
            Ok((token, issuer)) => (issuer.config.name.as_str(), issuer.verify(&token, now).await),
        };
        self.shared.metrics.verified(name, &outcome);
        outcome
    }

    /// Who shows this token of Keystone (`X-Auth-Token`). It may take as long as asking Keystone does, about 20 s.
    ///
    /// # Errors
    /// If it is not good, or that cannot be told.
    pub async fn verify_keystone(&self, shown: &str, now: Timestamp) -> Result<Identity, NotVerified> {
        let keystone = self.shared.configured.load().keystone.clone();
        let (name, outcome) = match keystone {
            None => (NO_ISSUER, Err(NotVerified::Refused(Reason::NoIssuer))),
            Some(keystone) => (KEYSTONE, keystone.verify(shown, now).await),
        };
        self.shared.metrics.verified(name, &outcome);
        outcome
    }
}

impl Prepared {
    /// From now on these are everybody.
    pub fn take_effect(self) {
        let Self { shared, configured } = self;
        shared.metrics.keep_issuers(|name| configured.issuers.iter().any(|issuer| issuer.config.name == name));
        shared.configured.store(Arc::new(configured));
    }
}

impl Configured {
    /// What was shown, and whose it claims to be. Of several entries with the same issuer, the one that it claims to be for.
    fn issuer_of<'c, 't>(&'c self, shown: &'t str) -> Result<(Token<'t>, &'c Issuer), Reason> {
        if self.issuers.is_empty() {
            return Err(Reason::NoIssuer);
        }
        let token = Token::read(shown.as_bytes())?;
        let claimed = token.claimed_issuer();
        let mut same = self.issuers.iter().filter(|issuer| issuer.config.issuer == claimed);
        let first = same.next().ok_or_else(|| Reason::UnknownIssuer(Shown::of(claimed)))?;
        let is_meant = |issuer: &&Issuer| token.claims_audience(&issuer.config.audience);
        let issuer = if is_meant(&first) { first } else { same.find(is_meant).unwrap_or(first) };
        Ok((token, issuer))
    }
}

impl Issuer {
    /// Whether the keys are read as this says.
    fn reads_as(&self, config: &IssuerConfig) -> bool {
        let IssuerConfig { name, issuer, keys, authorities, .. } = config;
        let own = &self.config;
        (&own.name, &own.issuer, &own.keys, &own.authorities) == (name, issuer, keys, authorities)
    }

    async fn verify(&self, token: &Token<'_>, now: Timestamp) -> Result<Identity, NotVerified> {
        let keys = self.source.keys().await?;
        let refused = match token.verify(&keys, &self.config, now) {
            Ok(identity) => return Ok(identity),
            Err(reason) => reason,
        };
        if token.may_have_newer_key(&refused)
            && let Some(keys) = self.source.newer_keys(&keys).await?
        {
            return Ok(token.verify(&keys, &self.config, now)?);
        }
        Err(refused.into())
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Prepared").field(&self.configured).finish()
    }
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let configured = self.shared.configured.load();
        let names = configured.issuers.iter().map(|issuer| &issuer.config.name);
        f.debug_struct("Issuers").field("issuers", &names.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}
