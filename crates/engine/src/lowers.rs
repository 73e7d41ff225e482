//! Who waits for a word of which lower operation. A word only wakes: what it claims is never believed, since anybody can say it.
//! The one who is woken asks the target.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// So many lower operations that nobody follows any more are remembered.
const LEFT_MAX: usize = 1_024;

/// The lower operations that somebody waits to hear of, by the ids that their controllers gave. Two controllers may give the
/// same one. There are no more than steps that are being followed.
#[derive(Debug, Default)]
pub(crate) struct Lowers {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    waiting: HashMap<String, Vec<Arc<Notify>>>,
    /// Those that were followed last, the latest at the end: who tells of their end comes late, and is not to come again.
    left: VecDeque<String>,
}

/// A place among those who wait; left when it is dropped.
#[derive(Debug)]
pub(crate) struct Hearing {
    lowers: Arc<Lowers>,
    reference: String,
    word: Arc<Notify>,
}

impl Lowers {
    /// Waits for words of `reference` from now on. What is said while nobody listens is kept, once.
    pub(crate) fn hear(self: &Arc<Self>, reference: &str) -> Hearing {
        let word = Arc::new(Notify::new());
        self.lock().waiting.entry(reference.to_owned()).or_default().push(Arc::clone(&word));
        Hearing { lowers: Arc::clone(self), reference: reference.to_owned(), word }
    }

    /// Wakes whoever waits for a word of `reference`; false if nobody does, nor did a short while ago.
    pub(crate) fn say(&self, reference: &str) -> bool {
        let known = self.lock();
        let words = known.waiting.get(reference).map(Vec::as_slice).unwrap_or_default();
        words.iter().for_each(|word| word.notify_one());
        !words.is_empty() || known.left.iter().any(|left| left == reference)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hearing {
    /// Ends once something was said since the last time.
    pub(crate) async fn word(&self) {
        self.word.notified().await;
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        let mut known = self.lowers.lock();
        if let Some(words) = known.waiting.get_mut(&self.reference) {
            words.retain(|word| !Arc::ptr_eq(word, &self.word));
            if words.is_empty() {
                known.waiting.remove(&self.reference);
            }
        }
        known.left.retain(|left| *left != self.reference);
        known.left.push_back(std::mem::take(&mut self.reference));
        if known.left.len() > LEFT_MAX {
            known.left.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_wake_all_who_wait_and_are_kept_once() {
        let lowers = Arc::new(Lowers::default());
        assert!(!lowers.say("7"), "nobody waits yet");
        let (one, other) = (lowers.hear("7"), lowers.hear("7"));
        assert!(lowers.say("7") && lowers.say("7") && !lowers.say("8"));
        one.word().await;
        other.word().await;
        let again = tokio::time::timeout(std::time::Duration::ZERO, one.word()).await;
        assert!(again.is_err(), "two words in a row are one");
        drop(one);
        assert!(lowers.say("7"));
        drop(other);
        assert!(lowers.say("7") && lowers.lock().waiting.is_empty(), "whoever tells of it comes late");
    }

    #[tokio::test]
    async fn what_nobody_follows_any_more_is_remembered_for_a_bounded_while() {
        let lowers = Arc::new(Lowers::default());
        for number in 0..=LEFT_MAX {
            drop(lowers.hear(&number.to_string()));
            drop(lowers.hear("again"));
        }
        assert_eq!(lowers.lock().left.len(), LEFT_MAX);
        assert!(!lowers.say("0") && lowers.say("again") && lowers.say(&LEFT_MAX.to_string()));
    }
}
