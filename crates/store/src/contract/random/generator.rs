//! Where the randomness comes from, and what was made with it so far.

use fanfold_core::{OperationId, TenantId};
use jiff::{SignedDuration, Timestamp};

use crate::contract::fixtures::at;

/// Draws everything that is random. The numbers are those of SplitMix64.
#[derive(Debug)]
pub(super) struct Generator {
    state: u64,
    now: Timestamp,
    made: u64,
    operations: Vec<OperationId>,
}

/// Recently made operations are drawn more often than others: they are the ones that have not ended.
const RECENT: usize = 60;

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed, now: at(0), made: 0, operations: Vec::new() }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub(super) fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        let index = self.below(choices.len() as u64);
        choices[usize::try_from(index).unwrap()].clone()
    }

    /// Something, once in `times`.
    pub(super) fn perhaps<T>(&mut self, times: u64, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.once_in(times).then(|| make(self))
    }

    /// Up to `bound` things.
    pub(super) fn some<T>(&mut self, bound: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(bound + 1)).map(|_| make(self)).collect()
    }

    /// The time, which goes on a little with each look. It is not always a whole microsecond.
    pub(super) fn now(&mut self) -> Timestamp {
        let passed = self.below(2_000_000_000);
        self.now += SignedDuration::from_nanos(i64::try_from(passed).unwrap());
        self.now
    }

    /// A time around now.
    pub(super) fn soon(&mut self) -> Timestamp {
        let seconds = i64::try_from(self.below(40)).unwrap() - 10;
        self.now() + SignedDuration::from_secs(seconds)
    }

    /// A number that was not given before.
    pub(super) fn fresh_number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    pub(super) fn tenant(&mut self) -> TenantId {
        if self.once_in(6) { TenantId::from("other") } else { TenantId::default() }
    }

    /// An operation that was accepted, and may have been deleted since; `None` before the first.
    pub(super) fn operation(&mut self) -> Option<OperationId> {
        if self.operations.is_empty() {
            return None;
        }
        let among = if self.once_in(10) { self.operations.len() } else { self.operations.len().min(RECENT) };
        let back = usize::try_from(self.below(among as u64)).unwrap();
        Some(self.operations[self.operations.len() - 1 - back])
    }

    pub(super) fn made_operation(&mut self, id: OperationId) {
        self.operations.push(id);
    }

    /// All operations that were accepted.
    pub(super) fn operations(&self) -> &[OperationId] {
        &self.operations
    }
}
