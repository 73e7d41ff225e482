//! Tokens.

use async_trait::async_trait;
use fanfold_core::TenantId;
use fanfold_core::access::TokenId;
use jiff::Timestamp;

use super::list::cut_page;
use super::{Model, State, cut};
use crate::tokens::{not_found, refuse_too_many, revoked_before, too_many};
use crate::{
    Change, Error, LiveTokens, NewToken, Page, ReadTokens, Revoked, SessionOf, Token, TokenChanges, TokenCreated,
    TokenUse, Tokens, time,
};

#[async_trait]
impl Tokens for Model {
    async fn create_token(&self, new: NewToken) -> Result<TokenCreated, Error> {
        let (mut state, _) = self.to_write()?;
        if state.tokens.contains_key(&new.id) || state.tokens.values().any(|token| token.digest == new.digest) {
            return Err(Error::Conflict);
        }
        let live = || state.tokens.values().filter(|token| token.revoked.is_none());
        let is_namesake = |token: &&Token| token.access.tenant == new.access.tenant && token.name == new.name;
        if let Some(namesake) = live().find(is_namesake) {
            return Ok(TokenCreated::NameTaken { by: namesake.id });
        }
        let tenants = live().filter(|token| token.access.tenant == new.access.tenant).count() as u64;
        if let Some(refusal) = too_many(&self.limits, &new.access.tenant, live().count() as u64, tenants) {
            return Ok(refusal);
        }
        let (created_at, expires_at) = (cut(new.created_at), new.expires_at.map(cut));
        state.tokens.insert(new.id, NewToken { created_at, expires_at, ..new }.into());
        state.tokens_changed += 1;
        Ok(TokenCreated::New)
    }

    async fn revoke_token(&self, id: TokenId, tenant: Option<&TenantId>, revoked: Revoked) -> Result<Change, Error> {
        let (mut state, _) = self.to_write()?;
        let found =
            state.tokens.get_mut(&id).filter(|token| tenant.is_none_or(|tenant| *tenant == token.access.tenant));
        let token = found.ok_or_else(|| not_found(id))?;
        if token.revoked.is_some() {
            return Ok(Change::AlreadySo);
        }
        token.revoked = Some(Revoked { at: cut(revoked.at), ..revoked });
        state.sessions.retain(|_, session| session.of != SessionOf::Token(id));
        state.tokens_changed += 1;
        Ok(Change::Made)
    }

    async fn touch_tokens(&self, uses: &[TokenUse]) -> Result<(), Error> {
        refuse_too_many(uses)?;
        let (mut state, _) = self.to_write()?;
        for used in uses {
            if let Some(token) = state.tokens.get_mut(&used.id) {
                token.last_used_at = token.last_used_at.max(Some(cut(used.at)));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl ReadTokens for Model {
    async fn token(&self, id: TokenId) -> Result<Option<Token>, Error> {
        Ok(self.state().tokens.get(&id).cloned())
    }

    async fn tokens(&self, tenant: Option<&TenantId>, page: Page<TokenId>) -> Result<Vec<Token>, Error> {
        let state = self.state();
        let is_of_tenant = |token: &Token| tenant.is_none_or(|tenant| *tenant == token.access.tenant);
        let fitting = state.tokens.iter().filter(|(_, token)| is_of_tenant(token));
        Ok(cut_page(fitting, page).into_iter().cloned().collect())
    }

    async fn live_tokens(&self) -> Result<LiveTokens, Error> {
        let state = self.state();
        let tokens = state.tokens.values().filter(|token| token.revoked.is_none()).cloned().collect();
        let sessions = state.sessions.values().cloned().collect();
        Ok(LiveTokens { changes: TokenChanges(state.tokens_changed), tokens, sessions })
    }

    async fn tokens_changed(&self) -> Result<TokenChanges, Error> {
        Ok(TokenChanges(self.state().tokens_changed))
    }
}

impl State {
    /// Deletes tokens that were revoked long ago; gives how many those are, those beyond `batch` among them.
    pub(super) fn sweep_tokens(&mut self, now: Timestamp, batch: usize) -> usize {
        let before = revoked_before(now);
        let revoked = self.tokens.values().filter_map(|token| Some((token.revoked.as_ref()?.at, token.id)));
        let mut old: Vec<_> = revoked.filter(|(at, _)| time::floor(*at) <= before).collect();
        old.sort_unstable();
        old.iter().take(batch).for_each(|(_, id)| drop(self.tokens.remove(id)));
        old.len()
    }
}
