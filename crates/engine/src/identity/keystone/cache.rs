//! What Keystone said of tokens, by their SHA-256, for a bounded time and in a bounded number.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::access::SecretDigest;
use tokio::time::Instant;

use super::wire::Described;

/// How many tokens are remembered as good, and how many as bad. Bad ones have places of their own: anybody can make them up.
const TOKENS_MAX: usize = 10_000;

/// How long a token is remembered as bad.
const BAD_FOR: Duration = Duration::from_secs(10);

/// What Keystone said.
#[derive(Debug)]
pub(super) struct Cache {
    good: Shelf<Arc<Described>>,
    bad: Shelf<()>,
    /// How long a token is remembered as good.
    good_for: Duration,
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// It was described so.
    Good(Arc<Described>),
    /// Keystone did not know it.
    Bad,
}

impl Cache {
    pub(super) fn new(good_for: Duration) -> Self {
        Self { good: Shelf::new(TOKENS_MAX), bad: Shelf::new(TOKENS_MAX), good_for }
    }

    pub(super) fn get(&mut self, token: &SecretDigest, now: Instant) -> Option<Known> {
        let good = self.good.get(token, now).map(Known::Good);
        good.or_else(|| self.bad.get(token, now).map(|()| Known::Bad))
    }

    pub(super) fn put(&mut self, token: SecretDigest, known: &Known, now: Instant) {
        match known {
            Known::Good(described) => self.good.put(token, Arc::clone(described), now + self.good_for),
            Known::Bad => self.bad.put(token, (), now + BAD_FOR),
        }
    }
}

/// What all stands here for the same time.
#[derive(Debug)]
struct Shelf<V> {
    by_token: HashMap<SecretDigest, Entry<V>>,
    /// In the order in which they were put here, with the number of each: one that was replaced stands here twice.
    order: VecDeque<(SecretDigest, u64)>,
    next: u64,
    most: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    until: Instant,
    number: u64,
}

impl<V: Clone> Shelf<V> {
    fn new(most: usize) -> Self {
        Self { by_token: HashMap::new(), order: VecDeque::new(), next: 0, most }
    }

    fn get(&self, token: &SecretDigest, now: Instant) -> Option<V> {
        let entry = self.by_token.get(token).filter(|entry| now < entry.until)?;
        Some(entry.value.clone())
    }

    fn put(&mut self, token: SecretDigest, value: V, until: Instant) {
        while self.order.len() >= self.most {
            let Some((oldest, number)) = self.order.pop_front() else { break };
            if self.by_token.get(&oldest).is_some_and(|entry| entry.number == number) {
                self.by_token.remove(&oldest);
            }
        }
        let number = self.next;
        self.next += 1;
        self.order.push_back((token, number));
        self.by_token.insert(token, Entry { value, until, number });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::keystone::wire;

    fn token(number: u32) -> SecretDigest {
        SecretDigest::of(&number.to_string())
    }

    #[test]
    fn what_is_too_old_is_not_known_any_more() {
        let now = Instant::now();
        let mut shelf = Shelf::new(2);
        shelf.put(token(1), "a", now + Duration::from_secs(10));
        assert_eq!(shelf.get(&token(1), now + Duration::from_secs(9)), Some("a"));
        assert_eq!(shelf.get(&token(1), now + Duration::from_secs(10)), None);
        assert_eq!(shelf.get(&token(2), now), None);
    }

    #[test]
    fn the_oldest_make_room_and_what_was_replaced_counts_once() {
        let now = Instant::now();
        let until = now + Duration::from_secs(10);
        let mut shelf = Shelf::new(3);
        for (number, value) in [(1, "a"), (1, "b"), (2, "c")] {
            shelf.put(token(number), value, until);
        }
        // The first entry of 1 goes, which is not the one that holds.
        shelf.put(token(3), "d", until);
        assert_eq!([1, 2, 3].map(|number| shelf.get(&token(number), now)), [Some("b"), Some("c"), Some("d")]);
        shelf.put(token(4), "e", until);
        assert_eq!([1, 2, 3, 4].map(|number| shelf.get(&token(number), now).is_some()), [false, true, true, true]);
        for number in 0..1000 {
            shelf.put(token(number), "x", until);
            assert!(shelf.order.len() <= 3 && shelf.by_token.len() <= 3);
        }
    }

    #[test]
    fn bad_tokens_do_not_push_good_ones_out() {
        let now = Instant::now();
        let mut cache = Cache::new(Duration::from_secs(60));
        cache.good = Shelf::new(2);
        cache.bad = Shelf::new(2);
        let described = wire::read(wire::SAMPLE.as_bytes()).unwrap();
        let good = Known::Good(Arc::new(described));
        cache.put(token(0), &good, now);
        for number in 1..100 {
            cache.put(token(number), &Known::Bad, now);
        }
        assert_eq!(cache.get(&token(0), now), Some(good));
        assert_eq!(cache.get(&token(99), now), Some(Known::Bad));
        assert_eq!(cache.get(&token(99), now + BAD_FOR), None);
    }
}
