//! Turns among tenants for what there is not enough of: permits of a target, places in memory, acceptances under way. However
//! many of one tenant wait, one of another goes next.
//!
//! Nothing here waits or wakes by itself: whoever keeps a [`Turns`] calls those whose turn it is.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use fanfold_core::TenantId;

/// How much more than what is left free a tenant of weight 1 may have in all: see [`room`].
const SHARE: usize = 4;

/// What one turn counts for at weight 1: a number that small weights divide.
const TURN: u64 = 720_720;

/// For whom something is done, and what share they have when others want the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claimant {
    /// The tenant.
    pub tenant: TenantId,
    /// Its share in proportion to those of others.
    pub weight: Weight,
}

/// The share of a tenant in proportion to those of others, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight(u32);

impl Weight {
    /// The largest that there is: what is left free for others grows smaller with it.
    pub const MAX: u32 = 100;

    /// [`Weight::MAX`].
    pub(crate) const HEAVIEST: Self = Self(Self::MAX);

    /// From 1 to [`Weight::MAX`]; what lies outside counts as the nearest of these.
    pub fn new(weight: u32) -> Self {
        Self(weight.clamp(1, Self::MAX))
    }

    /// How many go in one turn.
    pub(crate) fn turns(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

/// How many more places a tenant may take that has `own` of them, where `free` are free. A tenant may have so many as are in
/// proportion to what is left free. So one alone leaves a part free, several share what there is evenly, and there is always a
/// place for one that has none, where places are [`SHARE`] times as many as the weights of all tenants together.
pub(crate) fn room(own: usize, free: usize, weight: Weight) -> usize {
    let times = SHARE * weight.turns();
    // The most places of which the last one was still taken within the proportion.
    times.saturating_mul(free).saturating_sub(own).div_ceil(times + 1).min(free)
}

/// Who waits, by tenant, and how many of each tenant have what they waited for.
#[derive(Debug)]
pub(crate) struct Turns<P, W> {
    /// Those alone of whom one waits, or has something.
    parties: BTreeMap<TenantId, Party<P, W>>,
    waiting: usize,
    taken: usize,
    /// How much the tenant had had whose turn it was last. Who comes anew begins with that, and not with an old claim.
    clock: u64,
}

#[derive(Debug)]
struct Party<P, W> {
    weight: Weight,
    /// By their place: the lowest goes first.
    waiting: BTreeMap<P, W>,
    taken: usize,
    /// Its turns so far, weighed.
    had: u64,
}

/// Whose turn it is.
#[derive(Debug)]
pub(crate) struct Called<P, W> {
    pub(crate) place: P,
    pub(crate) waiter: W,
}

impl<P, W> Default for Turns<P, W> {
    fn default() -> Self {
        Self { parties: BTreeMap::new(), waiting: 0, taken: 0, clock: 0 }
    }
}

impl<P: Ord, W> Turns<P, W> {
    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many have what they waited for.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Queues somebody up. The place is a new one.
    pub(crate) fn queue(&mut self, claimant: &Claimant, place: P, waiter: W) {
        let clock = self.clock;
        let party = self.parties.entry(claimant.tenant.clone()).or_insert_with(|| Party {
            weight: claimant.weight,
            waiting: BTreeMap::new(),
            taken: 0,
            had: clock,
        });
        if party.waiting.is_empty() {
            party.had = party.had.max(clock);
        }
        party.weight = claimant.weight;
        party.waiting.insert(place, waiter);
        self.waiting += 1;
    }

    /// Lets somebody who waits go away without their turn. Whoever was called is not there any more.
    pub(crate) fn leave(&mut self, tenant: &TenantId, place: &P) {
        if let Some(party) = self.parties.get_mut(tenant)
            && party.waiting.remove(place).is_some()
        {
            self.waiting -= 1;
            self.tidy(tenant);
        }
    }

    /// Whose turn it is: of the tenant that has least, by its weight, and of several such the one that has had least. They have
    /// it until they give it back.
    pub(crate) fn call(&mut self) -> Option<Called<P, W>> {
        let tenant = self.next()?.clone();
        let party = self.parties.get_mut(&tenant)?;
        let (place, waiter) = party.waiting.pop_first()?;
        party.taken += 1;
        self.clock = party.had;
        party.had = party.had.saturating_add(TURN / u64::from(party.weight.0));
        self.waiting -= 1;
        self.taken += 1;
        Some(Called { place, waiter })
    }

    /// The same, as long as the tenant leaves enough of `max` free: see [`room`].
    pub(crate) fn call_within(&mut self, max: usize) -> Option<Called<P, W>> {
        let party = self.parties.get(self.next()?)?;
        // Whoever has least has most room; where they have none, nobody has.
        (room(party.taken, max.saturating_sub(self.taken), party.weight) > 0).then(|| self.call()).flatten()
    }

    /// Takes back what one of a tenant had.
    pub(crate) fn give_back(&mut self, tenant: &TenantId) {
        if let Some(party) = self.parties.get_mut(tenant)
            && party.taken > 0
        {
            party.taken -= 1;
            self.taken -= 1;
            self.tidy(tenant);
        }
    }

    fn next(&self) -> Option<&TenantId> {
        let waiting = self.parties.iter().filter(|(_, party)| !party.waiting.is_empty());
        waiting.min_by(|(_, one), (_, other)| one.compare(other)).map(|(tenant, _)| tenant)
    }

    fn tidy(&mut self, tenant: &TenantId) {
        if self.parties.get(tenant).is_some_and(|party| party.waiting.is_empty() && party.taken == 0) {
            self.parties.remove(tenant);
        }
    }
}

impl<P, W> Party<P, W> {
    fn compare(&self, other: &Self) -> Ordering {
        let weighed = |party: &Self, by: &Self| party.taken as u64 * u64::from(by.weight.0);
        weighed(self, other).cmp(&weighed(other, self)).then(self.had.cmp(&other.had))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tenant: &str, weight: u32) -> Claimant {
        Claimant { tenant: tenant.into(), weight: Weight::new(weight) }
    }

    fn queued(queues: &[(&'static str, u32, u32)]) -> Turns<u32, &'static str> {
        let mut turns = Turns::default();
        let mut place = 0;
        for (tenant, weight, number) in queues {
            for _ in 0..*number {
                turns.queue(&of(tenant, *weight), place, *tenant);
                place += 1;
            }
        }
        turns
    }

    /// Whose turns come while there is one of what is wanted.
    fn one_at_a_time(turns: &mut Turns<u32, &'static str>, number: usize) -> String {
        let one = |_| {
            let called = turns.call().expect("somebody waits");
            turns.give_back(&called.waiter.into());
            called.waiter
        };
        (0..number).map(one).collect()
    }

    #[test]
    fn one_goes_next_however_many_of_another_tenant_wait() {
        let mut turns = queued(&[("a", 1, 10_000)]);
        assert_eq!(one_at_a_time(&mut turns, 3), "aaa");
        turns.queue(&of("b", 1), 90_000, "b");
        turns.queue(&of("b", 1), 90_001, "b");
        assert_eq!(one_at_a_time(&mut turns, 6), "babaaa");
    }

    #[test]
    fn within_a_tenant_they_go_in_order() {
        let mut turns = queued(&[("a", 1, 3), ("b", 1, 3)]);
        let mut places = Vec::new();
        while let Some(called) = turns.call() {
            places.push(called.place);
        }
        assert_eq!(places, [0, 3, 1, 4, 2, 5]);
        assert_eq!((turns.waiting(), turns.taken()), (0, 6));
    }

    #[test]
    fn turns_go_by_weight() {
        let mut turns = queued(&[("a", 1, 100), ("b", 3, 100)]);
        let went = one_at_a_time(&mut turns, 80);
        assert_eq!((went.matches('a').count(), went.matches('b').count()), (20, 60));
        let mut turns = queued(&[("a", 1, 100), ("b", 3, 100)]);
        let held: Vec<_> = (0..40).filter_map(|_| turns.call()).map(|called| called.waiter).collect();
        assert_eq!(held.iter().filter(|tenant| **tenant == "a").count(), 10, "so does what they have at once");
    }

    #[test]
    fn whoever_keeps_what_it_has_for_long_does_not_come_to_have_all() {
        let mut turns = queued(&[("slow", 1, 100), ("fast", 1, 100)]);
        let mut slow = 0;
        let mut held = Vec::new();
        // Four at once; those of one tenant are never given back, those of the other one at once.
        for _ in 0..50 {
            while turns.taken() < 4 {
                held.push(turns.call().expect("somebody waits").waiter);
            }
            slow = held.iter().filter(|tenant| **tenant == "slow").count();
            let fast = held.iter().rposition(|tenant| *tenant == "fast").expect("it has its part");
            turns.give_back(&held.remove(fast).into());
        }
        assert_eq!(slow, 2);
    }

    #[test]
    fn who_comes_back_has_no_old_claim() {
        let mut turns = queued(&[("a", 1, 100), ("b", 1, 1)]);
        assert_eq!(one_at_a_time(&mut turns, 40), format!("ab{}", "a".repeat(38)));
        for place in 1_000..1_010 {
            turns.queue(&of("b", 1), place, "b");
        }
        assert_eq!(one_at_a_time(&mut turns, 6), "bababa");
    }

    #[test]
    fn nothing_is_kept_of_tenants_that_are_gone() {
        let mut turns = queued(&[("a", 1, 2), ("b", 1, 1)]);
        turns.leave(&"b".into(), &2);
        turns.leave(&"b".into(), &2);
        assert_eq!((turns.waiting(), turns.parties.len()), (2, 1));
        while turns.call().is_some() {}
        turns.leave(&"a".into(), &0);
        (0..3).for_each(|_| turns.give_back(&"a".into()));
        assert_eq!((turns.waiting(), turns.taken(), turns.parties.len()), (0, 0, 0));
    }

    #[test]
    fn one_tenant_leaves_room_and_several_share_evenly() {
        let weight = Weight::default();
        for max in [20, 100, 2_048] {
            let mut held = [0; 4];
            // One alone, then others as well, each of which takes what it can get while the others end now and then.
            for tenants in 1..=held.len() {
                let free = |held: &[usize]| max - held.iter().sum::<usize>();
                assert!(room(0, free(&held), weight) > 0, "there is a place for another one: {held:?} of {max}");
                for own in 0..tenants {
                    held[own] += room(held[own], free(&held), weight);
                }
                for step in 0..max * 20 {
                    held[step % tenants] = held[step % tenants].saturating_sub(1);
                    let own = (step + 1) % tenants;
                    held[own] += room(held[own], free(&held), weight);
                }
                let most = held[..tenants].iter().max().unwrap();
                let least = held[..tenants].iter().min().unwrap();
                assert!(most - least <= 5, "{held:?} of {max}");
            }
        }
        assert_eq!(room(0, 2_048, Weight::default()), 1_639);
        assert_eq!(room(1_639, 409, Weight::default()), 0);
        assert_eq!(room(0, 409, Weight::default()), 328);
        assert_eq!((room(0, 1, Weight::default()), room(0, 0, Weight::default())), (1, 0));
        assert!(room(0, 2_048, Weight::new(u32::MAX)) < 2_048, "the heaviest leaves something, too");
    }

    #[test]
    fn a_tenant_alone_is_called_only_as_long_as_it_leaves_room() {
        let mut turns = queued(&[("a", 1, 100)]);
        while turns.call_within(10).is_some() {}
        assert_eq!(turns.taken(), 8);
        turns.queue(&of("b", 1), 1_000, "b");
        assert_eq!(turns.call_within(10).expect("there is room for another one").waiter, "b");
        assert!(turns.call_within(10).is_none());
        turns.give_back(&"a".into());
        turns.give_back(&"a".into());
        assert_eq!(turns.call_within(10).expect("room again").waiter, "a");
    }
}
