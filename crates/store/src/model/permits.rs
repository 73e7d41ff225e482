//! Permits of targets, shared out.

use super::State;
use crate::sharing::{Claim, share_out};
use crate::{Epoch, PermitShare, PermitWish, Standing};

impl State {
    pub(super) fn share_out(&mut self, wish: &PermitWish, own: Epoch) -> PermitShare {
        let recorded = self.permits.entry((wish.target.clone(), wish.pool)).or_default();
        let is_member =
            |claim: &&Claim| self.nodes.get(&claim.epoch).is_some_and(|node| node.standing == Standing::Member);
        let claims: Vec<Claim> = recorded.values().filter(is_member).copied().collect();
        let (claim, share) = share_out(wish, own, &claims);
        recorded.insert(own, claim);
        share
    }

    /// Forgets what nodes had that are forgotten themselves.
    pub(super) fn forget_permits(&mut self) {
        for claims in self.permits.values_mut() {
            claims.retain(|epoch, _| self.nodes.contains_key(epoch));
        }
    }
}
