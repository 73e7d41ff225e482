//! Sessions.

use std::cmp::Reverse;

use async_trait::async_trait;
use fanfold_core::TenantId;
use fanfold_core::access::SecretDigest;

use super::{Model, State, cut};
use crate::{Change, Error, Session, SessionBegun, Sessions};

#[async_trait]
impl Sessions for Model {
    async fn begin_session(&self, new: Session) -> Result<SessionBegun, Error> {
        let new = Session { created_at: cut(new.created_at), expires_at: cut(new.expires_at), ..new };
        let (mut state, _) = self.to_write()?;
        if state.sessions.contains_key(&new.digest) {
            return Err(Error::Conflict);
        }
        let is_live = |session: &Session| session.expires_at > new.created_at;
        let holder = new.of.holder();
        let live = || state.sessions.values().filter(|session| is_live(session));
        let theirs = live().filter(|session| session.of.holder() == holder);
        let mut theirs: Vec<_> = theirs.map(|session| (session.created_at, session.digest)).collect();
        let beyond = (theirs.len() as u64 + 1).saturating_sub(self.limits.sessions_each_max);
        let tenants = live().filter(|session| session.tenant == new.tenant).count() as u64;
        if beyond == 0 && tenants >= self.limits.sessions_max_of(&new.tenant) {
            return Ok(SessionBegun::TooMany);
        }
        theirs.sort_unstable();
        theirs.truncate(usize::try_from(beyond).unwrap_or(usize::MAX));
        state.sessions.retain(|digest, session| is_live(session) && !theirs.contains(&(session.created_at, *digest)));
        if state.sessions.len() as u64 >= self.limits.sessions_max {
            state.give_way();
        }
        state.sessions.insert(new.digest, new);
        state.tokens_changed += 1;
        Ok(SessionBegun::New)
    }

    async fn end_session(&self, digest: SecretDigest) -> Result<Change, Error> {
        let (mut state, _) = self.to_write()?;
        if state.sessions.remove(&digest).is_none() {
            return Ok(Change::AlreadySo);
        }
        state.tokens_changed += 1;
        Ok(Change::Made)
    }
}

impl State {
    /// Ends the oldest session of those tenants that have most.
    fn give_way(&mut self) {
        let of = |tenant: &TenantId| self.sessions.values().filter(|session| session.tenant == *tenant).count();
        let rank = |session: &&Session| (Reverse(of(&session.tenant)), session.created_at, session.digest);
        if let Some(digest) = self.sessions.values().min_by_key(rank).map(|session| session.digest) {
            self.sessions.remove(&digest);
        }
    }
}
