//! One question at a time: whoever wants to know what is being asked already waits for the same answer.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Questions that are under way, each in a task of its own: it goes on if whoever asked first goes away. They end when this is
/// dropped.
pub(super) struct Flights<K, V> {
    under_way: UnderWay<K, V>,
    tasks: Mutex<JoinSet<()>>,
    /// So many at once.
    most: usize,
}

type UnderWay<K, V> = Arc<Mutex<HashMap<K, Landing<V>>>>;

/// The answer to come.
#[derive(Debug, Clone)]
pub(super) struct Landing<V>(watch::Receiver<Option<V>>);

/// Forgets the question when it has ended, however it did.
struct Entry<K: Eq + Hash, V> {
    under_way: UnderWay<K, V>,
    key: K,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(most: usize) -> Self {
        Self { under_way: Arc::default(), tasks: Mutex::default(), most }
    }

    /// The answer that is under way.
    pub(super) fn under_way(&self, key: &K) -> Option<Landing<V>> {
        lock(&self.under_way).get(key).cloned()
    }

    /// The answer that is under way, or the one that `begin` gives; `None` if too many are under way.
    pub(super) fn join<F>(&self, key: &K, begin: impl FnOnce() -> F) -> Option<Landing<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = lock(&self.under_way);
        if let Some(landing) = under_way.get(key) {
            return Some(landing.clone());
        }
        if under_way.len() >= self.most {
            return None;
        }
        let (tell, told) = watch::channel(None);
        let landing = Landing(told);
        under_way.insert(key.clone(), landing.clone());
        drop(under_way);
        let entry = Entry { under_way: Arc::clone(&self.under_way), key: key.clone() };
        let question = begin();
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let answer = question.await;
            // Before it is told, so that whoever is told and asks again asks anew.
            drop(entry);
            // All who asked may have gone away.
            drop(tell.send(Some(answer)));
        });
        Some(landing)
    }
}

impl<V: Clone> Landing<V> {
    /// Waits for the answer; `None` if a mistake in the program ended the question.
    pub(super) async fn wait(mut self) -> Option<V> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl<K: Eq + Hash, V> Drop for Entry<K, V> {
    fn drop(&mut self) {
        lock(&self.under_way).remove(&self.key);
    }
}

/// Neither the questions nor the set of tasks has a half-way state.
fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("under_way", &lock(&self.under_way).len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_comes_later_gets_the_same_answer_and_the_next_one_asks_anew() {
        let flights: Flights<u8, u32> = Flights::new(2);
        let (answer, asked) = oneshot::channel();
        let first = flights.join(&1, || async { asked.await.unwrap() }).unwrap();
        let second = flights.join(&1, || async { panic!("it is asked already") }).unwrap();
        assert!(flights.under_way(&1).is_some() && flights.under_way(&2).is_none());
        drop(first);
        answer.send(7).unwrap();
        assert_eq!(second.wait().await, Some(7), "it goes on though the first one went away");
        assert!(flights.under_way(&1).is_none());
        assert_eq!(flights.join(&1, || async { 8 }).unwrap().wait().await, Some(8));
    }

    #[tokio::test]
    async fn no_more_are_asked_at_once_than_may_be() {
        let flights: Flights<u8, ()> = Flights::new(1);
        let (_stays, asked) = oneshot::channel::<()>();
        let one = flights.join(&1, || async { drop(asked.await) });
        assert!(one.is_some() && flights.join(&2, || async {}).is_none());
        assert!(flights.join(&1, || async {}).is_some(), "those who wait are no questions");
    }

    #[tokio::test]
    async fn a_mistake_in_the_program_ends_its_own_question() {
        let flights: Flights<u8, ()> = Flights::new(1);
        let failed = flights.join(&1, || async { panic!("told to fail") }).unwrap();
        assert_eq!(failed.wait().await, None);
        assert_eq!(flights.join(&1, || async {}).unwrap().wait().await, Some(()));
    }
}
