//! The tokens and sessions of the store that are good at the moment, in memory: read again as soon as one was made or taken back
//! anywhere.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use fanfold_core::access::{SecretDigest, TokenId};
use fanfold_core::dialect::Refusal;
use fanfold_store::{Error, LiveTokens, Read, Session, Token, TokenChanges, TokenUse, USES_MAX};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::caller::{Caller, Credential};

/// How often it is looked whether tokens were made or taken back: "within a second" is what is promised.
pub(in crate::http) const PACE: Duration = Duration::from_millis(250);

/// For so long tokens are taken for good without the store having said so. From then on nobody is let in by them: one may have been
/// taken back.
const STALE: Duration = Duration::from_secs(10);

/// How often it is recorded which tokens were used.
pub(in crate::http) const USES_PACE: Duration = Duration::from_secs(60);

/// The tokens of the store.
#[derive(Debug)]
pub(in crate::http) struct Keyring {
    issued: ArcSwapOption<Issued>,
    /// Held by whoever reads them: those who wait for it meanwhile find that done.
    reading: tokio::sync::Mutex<()>,
    /// When the store last said that they are as they are here.
    confirmed: Mutex<Option<Instant>>,
    /// Tells those whose requests last whether their token is still good.
    version: watch::Sender<TokenChanges>,
    /// When tokens were used, as far as it is not recorded yet; at most [`USES_MAX`].
    uses: Mutex<HashMap<TokenId, Timestamp>>,
}

#[derive(Debug)]
struct Issued {
    changes: TokenChanges,
    by_digest: HashMap<SecretDigest, Arc<Token>>,
    by_id: HashMap<TokenId, Arc<Token>>,
    sessions: HashMap<SecretDigest, Arc<Session>>,
}

impl Issued {
    fn of(live: LiveTokens) -> Self {
        let tokens: Vec<_> = live.tokens.into_iter().map(Arc::new).collect();
        Self {
            changes: live.changes,
            by_id: tokens.iter().map(|token| (token.id, Arc::clone(token))).collect(),
            by_digest: tokens.into_iter().map(|token| (token.digest, token)).collect(),
            sessions: live.sessions.into_iter().map(|session| (session.digest, Arc::new(session))).collect(),
        }
    }
}

impl Default for Keyring {
    fn default() -> Self {
        Self {
            issued: ArcSwapOption::empty(),
            reading: tokio::sync::Mutex::default(),
            confirmed: Mutex::default(),
            version: watch::Sender::default(),
            uses: Mutex::default(),
        }
    }
}

impl Keyring {
    /// Makes it as the store has it.
    ///
    /// # Errors
    /// If the store cannot be read; what is here stays then.
    pub(in crate::http) async fn refresh(&self, store: &dyn Read) -> Result<(), Error> {
        let _reading = self.reading.lock().await;
        let asked = Instant::now();
        let changes = store.tokens_changed().await?;
        if self.issued.load().as_ref().is_none_or(|issued| issued.changes != changes) {
            let live = store.live_tokens().await?;
            let changes = live.changes;
            self.issued.store(Some(Arc::new(Issued::of(live))));
            self.version.send_replace(changes);
        }
        *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        Ok(())
    }

    /// Who shows a secret of this digest.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] if it is no token's that is good now; [`Refusal::StoreUnreachable`] if that is not known.
    pub(super) fn find(&self, digest: SecretDigest, from: SocketAddr, now: Timestamp) -> Result<Caller, Refusal> {
        self.check()?;
        let issued = self.issued.load();
        let token = issued.as_ref().and_then(|issued| issued.by_digest.get(&digest)).ok_or(Refusal::Unauthenticated)?;
        let caller = caller(token, from, now)?;
        self.used(token.id, now);
        Ok(caller)
    }

    /// The session whose secret has this digest, and has not expired by itself.
    ///
    /// # Errors
    /// As those of [`Keyring::find`].
    pub(super) fn session(&self, digest: SecretDigest, now: Timestamp) -> Result<Arc<Session>, Refusal> {
        self.check()?;
        self.good_session(digest, now).ok_or(Refusal::Unauthenticated)
    }

    /// The same, as far as is known.
    pub(super) fn good_session(&self, digest: SecretDigest, now: Timestamp) -> Option<Arc<Session>> {
        let issued = self.issued.load();
        issued.as_ref()?.sessions.get(&digest).filter(|session| session.expires_at > now).map(Arc::clone)
    }

    /// Whoever a token of this id is for, if it is good now.
    pub(super) fn holder(&self, id: TokenId, from: SocketAddr, now: Timestamp) -> Result<Caller, Refusal> {
        let issued = self.issued.load();
        let token = issued.as_ref().and_then(|issued| issued.by_id.get(&id)).ok_or(Refusal::Unauthenticated)?;
        caller(token, from, now)
    }

    /// Refuses everybody while it is not known who is to be let in.
    fn check(&self) -> Result<(), Refusal> {
        let confirmed = *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        if confirmed.is_none_or(|confirmed| confirmed.elapsed() > STALE) {
            let detail = "the store cannot be asked at the moment which tokens are good";
            return Err(Refusal::StoreUnreachable { detail: detail.to_owned() });
        }
        Ok(())
    }

    pub(super) fn used(&self, id: TokenId, now: Timestamp) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() < USES_MAX || uses.contains_key(&id) {
            uses.insert(id, now);
        }
    }

    /// The uses that are not recorded yet; whoever takes them records them.
    pub(in crate::http) fn take_uses(&self) -> Vec<TokenUse> {
        let uses = std::mem::take(&mut *self.uses.lock().unwrap_or_else(PoisonError::into_inner));
        uses.into_iter().map(|(id, at)| TokenUse { id, at }).collect()
    }

    /// Waits until something is so, and looks each time that tokens or sessions have changed, or what the configuration says of callers.
    pub(super) async fn until(&self, is_so: impl Fn() -> bool) {
        let mut versions = self.version.subscribe();
        // The sender is in `self`, so it is not gone.
        drop(versions.wait_for(|_| is_so()).await);
    }

    /// Has those look who wait: what the configuration says of callers has changed.
    pub(in crate::http) fn reconsider(&self) {
        self.version.send_modify(|_| {});
    }
}

/// Whoever a token is for.
fn caller(token: &Token, from: SocketAddr, now: Timestamp) -> Result<Caller, Refusal> {
    if token.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(Refusal::Unauthenticated);
    }
    Ok(Caller {
        access: token.access.clone(),
        name: token.name.clone(),
        credential: Credential::Token { id: token.id, expires_at: token.expires_at },
        from: Some(from),
    })
}

#[cfg(test)]
mod tests {
    use fanfold_core::Access;
    use fanfold_core::access::Secret;
    use fanfold_store::model::Model;
    use fanfold_store::{Limits, NewToken, Revoked, TokenCreated, Tokens as _};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn peer() -> SocketAddr {
        "192.0.2.7:5000".parse().unwrap()
    }

    fn token(number: u8) -> (NewToken, Secret) {
        let secret = Secret::from_random([number; 32]);
        let new = NewToken {
            id: TokenId::new(at(i64::from(number)), [number; 10]),
            name: format!("token {number}"),
            access: Access::full(),
            digest: secret.digest(),
            created_at: at(1),
            created_by: "anna".to_owned(),
            expires_at: Some(at(100)),
        };
        (new, secret)
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_good_from_when_it_is_made_until_it_is_taken_back() {
        let (store, keyring) = (Model::new(Limits::default()), Keyring::default());
        let (new, secret) = token(1);
        let find = |now| keyring.find(secret.digest(), peer(), at(now)).map(|caller| caller.name);
        assert!(matches!(find(2), Err(Refusal::StoreUnreachable { .. })), "nobody knows before the store was read");
        keyring.refresh(&store).await.unwrap();
        assert_eq!(find(2), Err(Refusal::Unauthenticated));
        assert_eq!(store.create_token(new.clone()).await, Ok(TokenCreated::New));
        keyring.refresh(&store).await.unwrap();
        assert_eq!(find(2), Ok("token 1".to_owned()));
        assert_eq!(find(100), Err(Refusal::Unauthenticated), "it has expired");
        assert_eq!(keyring.take_uses(), [TokenUse { id: new.id, at: at(2) }]);
        let gone = keyring.until(|| keyring.holder(new.id, peer(), at(3)).is_err());
        tokio::pin!(gone);
        assert!(futures_util::poll!(&mut gone).is_pending());
        store.revoke_token(new.id, None, Revoked { at: at(3), by: "anna".to_owned() }).await.unwrap();
        keyring.refresh(&store).await.unwrap();
        gone.await;
        assert_eq!(find(4), Err(Refusal::Unauthenticated));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_let_in_by_what_the_store_has_not_confirmed_for_long() {
        let (store, keyring) = (Model::new(Limits::default()), Keyring::default());
        let (new, secret) = token(1);
        store.create_token(new).await.unwrap();
        keyring.refresh(&store).await.unwrap();
        let find = || keyring.find(secret.digest(), peer(), at(2));
        tokio::time::advance(STALE).await;
        assert!(find().is_ok());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(matches!(find(), Err(Refusal::StoreUnreachable { .. })));
        keyring.refresh(&store).await.unwrap();
        assert!(find().is_ok());
    }
}
