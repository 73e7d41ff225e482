//! Sealing anew: while a store knows other keys than the one that seals, the originals that those have sealed are sealed with
//! that one, in small batches, until none is left and the others can be retired.

use std::sync::Arc;
use std::time::Duration;

use fanfold_store::{Error, Resealed, Store};

use crate::shared::Shared;

/// The pause between two batches, so that acceptance is not held up.
const PAUSE: Duration = Duration::from_millis(20);

/// What was done, and told.
#[derive(Default)]
struct Progress {
    /// How many were sealed anew since the start of the store.
    resealed: usize,
    /// How many are left, as far as is known.
    left: Option<u64>,
    failing: bool,
}

/// What is told.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// There is something to be sealed anew.
    Begun { left: u64 },
    /// The other keys can be retired.
    Over,
}

/// When to go on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    AtOnce,
    Later,
    Never,
}

/// Runs until the engine stops, or there is nothing to do as long as it runs.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping();
    let mut progress = Progress::default();
    while let Some(pause) = go_on(&shared, &mut progress).await {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Does a batch, and gives the pause before the next one.
async fn go_on(shared: &Shared, progress: &mut Progress) -> Option<Duration> {
    let done = progress.batch(&*shared.store).await;
    if let Err(error) = &done
        && !progress.failing
    {
        tracing::error!(%error, "originals cannot be sealed with the current key; this is told once, until it can be done");
    }
    progress.failing = done.is_err();
    // Other nodes may go on sealing with another key for a while, so it is looked again and again.
    let (news, next) = done.unwrap_or((None, Next::Later));
    // Before it is told, so that whoever reads it finds the number.
    shared.metrics.sealed_with_other_keys(progress.left.unwrap_or_default());
    if let Some(news) = news {
        tell(progress, &news);
    }
    match next {
        Next::AtOnce => Some(PAUSE),
        Next::Later => Some(shared.config.retention_every),
        Next::Never => None,
    }
}

impl Progress {
    async fn batch(&mut self, store: &dyn Store) -> Result<(Option<News>, Next), Error> {
        let before = self.left;
        Ok(match store.reseal().await? {
            Resealed::Idle => (None, Next::Never),
            Resealed::Later => {
                self.left = None;
                (None, Next::Later)
            }
            Resealed::Done => (self.counted(before, 0), Next::Later),
            Resealed::Some { resealed } => {
                self.resealed += resealed;
                let left = match before {
                    Some(left) => left.saturating_sub(resealed as u64),
                    None => count(store).await?,
                };
                // In the middle it is a guess, as others may be sealed meanwhile: only the end says that there is none.
                let left = left.max(1);
                self.left = Some(left);
                (before.is_none().then_some(News::Begun { left }), Next::AtOnce)
            }
            Resealed::Whole { resealed } => {
                self.resealed += resealed;
                let left = count(store).await?;
                (self.counted(before, left), Next::Later)
            }
        })
    }

    /// So many are left, which is no guess.
    fn counted(&mut self, before: Option<u64>, left: u64) -> Option<News> {
        self.left = Some(left);
        match (before, left) {
            (None | Some(1..), 0) => Some(News::Over),
            (None, left) => Some(News::Begun { left }),
            (Some(_), _) => None,
        }
    }
}

/// How many messages are sealed with other keys.
async fn count(store: &dyn Store) -> Result<u64, Error> {
    Ok(store.sealing_keys().await?.iter().skip(1).map(|key| key.messages).sum())
}

fn tell(progress: &Progress, news: &News) {
    let resealed = progress.resealed;
    match news {
        News::Over => {
            tracing::info!(
                resealed,
                "no original needs another key than the one that seals: the others can be retired"
            );
        }
        News::Begun { left } => tracing::info!(left, "originals are sealed with another key, and are sealed anew"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fanfold_core::Slot;
    use fanfold_store::contract::fixtures::{accept, acceptance, at, plan};
    use fanfold_store::sqlite::{Config, Sqlite, rotate_key};
    use fanfold_store::{Acceptance, RESEAL_MAX};

    use super::*;

    async fn accept_sealed(store: &dyn Store, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let sealed = vec![(Slot::Callback, Bytes::from_static(b"original"))];
            accept(store, Acceptance { sealed, ..acceptance(number as u64, at(1), plan()) }).await;
        }
    }

    // The first batch has all that is old, and is not the last.
    #[tokio::test]
    async fn that_nothing_needs_another_key_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fanfold.db");
        let store = Sqlite::open(Config::new(&path)).unwrap();
        accept_sealed(&*store, 0..RESEAL_MAX).await;
        assert_eq!(Progress::default().batch(&*store).await, Ok((None, Next::Never)));
        drop(store);
        rotate_key(&path).unwrap();
        let store = Sqlite::open(Config::new(&path)).unwrap();
        accept_sealed(&*store, RESEAL_MAX..2 * RESEAL_MAX + 6).await;
        let mut progress = Progress::default();
        let mut told = Vec::new();
        for next in [Next::AtOnce, Next::AtOnce, Next::Later, Next::Later, Next::Later] {
            let (news, then) = progress.batch(&*store).await.unwrap();
            told.extend(news);
            assert_eq!(then, next);
        }
        assert_eq!(told, [News::Begun { left: 1 }, News::Over]);
        assert_eq!((progress.resealed, progress.left), (RESEAL_MAX, Some(0)));
    }
}
