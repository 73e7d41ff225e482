//! How the permits of a target are shared out, the same in every store: see [`crate::PermitWish`] for what nodes say.

use crate::{Epoch, PermitShare, PermitWish};

/// What is recorded of one node and one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) epoch: Epoch,
    pub(crate) granted: usize,
    pub(crate) wants: usize,
    pub(crate) turn: u64,
}

/// Decides on a wish, by what is recorded of all members for the same limit. Gives what is to be recorded of the node, and what it
/// is told.
pub(crate) fn share_out(wish: &PermitWish, own: Epoch, claims: &[Claim]) -> (Claim, PermitShare) {
    let known = claims.iter().find(|claim| claim.epoch == own);
    let mut all: Vec<Claim> = claims.iter().filter(|claim| claim.epoch != own).copied().collect();
    let taken = all.iter().fold(0_usize, |sum, claim| sum.saturating_add(claim.granted));
    let last = all.iter().map(|claim| claim.turn).max().unwrap_or(0);
    let wants = wish.wants.min(wish.limit);
    let recorded = known.map_or(0, |claim| claim.granted);
    let turn = match known {
        // Who has just begun to want some stands behind those who have waited.
        Some(known) if known.turn > last || !(wish.passes || (known.wants == 0 && wants > 0)) => known.turn,
        Some(_) | None => last + 1,
    };
    all.push(Claim { epoch: own, granted: recorded, wants, turn });
    let (due, by_turn) = due(wish.limit, own, &mut all);
    // What is in use cannot be taken away, even if the limit was lowered; nobody keeps what was not granted.
    let kept = wish.keeps.min(recorded);
    let granted = kept.max(due.min(wish.limit.saturating_sub(taken)));
    let (target, pool) = (wish.target.clone(), wish.pool);
    (Claim { epoch: own, granted, wants, turn }, PermitShare { target, pool, granted: granted.min(due), due, by_turn })
}

/// The fair part of one node, and whether one of it is its own by turn, and others want that.
fn due(limit: usize, own: Epoch, all: &mut [Claim]) -> (usize, bool) {
    // Those who want the least are served first: what they leave is for the others.
    all.sort_by_key(|claim| (claim.wants, claim.turn));
    let mut left = limit;
    for position in 0..all.len() {
        let wants = all[position].wants;
        if wants > left / (all.len() - position) {
            // There is not enough for those from here on.
            let (even, extra) = split(left, own, &mut all[position..]);
            return (even + usize::from(extra), extra);
        }
        left -= wants;
        if all[position].epoch == own {
            let rest: usize = all[position + 1..].iter().fold(0, |sum, claim| sum.saturating_add(claim.wants));
            return match left.checked_sub(rest) {
                // Nobody wants what is left then: it is spread over all.
                Some(spare) => {
                    let (even, extra) = split(spare, own, all);
                    (wants + even + usize::from(extra), false)
                }
                None => (wants, false),
            };
        }
    }
    (0, false)
}

/// What each of these gets of so many, and whether this one gets one more.
fn split(permits: usize, own: Epoch, those: &mut [Claim]) -> (usize, bool) {
    those.sort_by_key(|claim| claim.turn);
    let extra = permits % those.len();
    (permits / those.len(), those.iter().take(extra).any(|claim| claim.epoch == own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pool;

    fn claim(epoch: u64, granted: usize, wants: usize) -> Claim {
        Claim { epoch: Epoch(epoch), granted, wants, turn: epoch }
    }

    /// The fair parts of nodes that want so many, in their turns.
    fn parts(limit: usize, wants: &[usize]) -> Vec<usize> {
        let claims: Vec<_> = (1..).zip(wants).map(|(epoch, wants)| claim(epoch, 0, *wants)).collect();
        claims.iter().map(|of| due(limit, of.epoch, &mut claims.clone()).0).collect()
    }

    #[test]
    fn all_get_the_same_unless_they_want_less() {
        assert_eq!(parts(9, &[99, 99, 99]), [3, 3, 3]);
        assert_eq!(parts(10, &[99, 1, 99]), [5, 1, 4]);
        assert_eq!(parts(2, &[5, 5, 5]), [1, 1, 0]);
        assert_eq!(parts(6, &[1, 0, 2]), [2, 1, 3], "what nobody wants is spread");
        assert_eq!(parts(1, &[0, 0, 1]), [0, 0, 1]);
        assert_eq!(parts(0, &[0, 3]), [0, 0]);
        assert_eq!(parts(4, &[usize::MAX, usize::MAX]), [2, 2]);
    }

    #[test]
    fn the_parts_are_the_limit_together() {
        for limit in 0..12 {
            for wants in 0..1_000_usize {
                let wants = [wants % 10, wants / 10 % 10, wants / 100];
                let parts = parts(limit, &wants);
                assert_eq!(parts.iter().sum::<usize>(), limit, "{limit} for {wants:?}: {parts:?}");
                let enough = wants.iter().sum::<usize>() <= limit;
                assert!(!enough || parts.iter().zip(wants).all(|(part, wants)| *part >= wants), "{wants:?}: {parts:?}");
            }
        }
    }

    #[test]
    fn what_another_has_not_given_back_is_not_granted() {
        let wish = |keeps| PermitWish {
            target: "tokyo".into(),
            pool: Pool::Forward,
            limit: 4,
            wants: 9,
            keeps,
            passes: false,
        };
        let (first, told) = share_out(&wish(0), Epoch(1), &[]);
        assert_eq!((first.granted, told.granted, told.due), (4, 4, 4));
        let (second, told) = share_out(&wish(0), Epoch(2), &[first]);
        assert_eq!((second.granted, told.granted, told.due), (0, 0, 2));
        let (in_use, told) = share_out(&wish(3), Epoch(1), &[first, second]);
        assert_eq!((in_use.granted, told.granted, told.due), (3, 2, 2));
        let (second, told) = share_out(&wish(0), Epoch(2), &[in_use, second]);
        assert_eq!((second.granted, told.granted, told.due), (1, 1, 2));
        let (never, _) = share_out(&wish(9), Epoch(3), &[in_use, second]);
        assert_eq!(never.granted, 0, "nobody keeps what was not granted");
    }
}
