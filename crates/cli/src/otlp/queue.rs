//! Spans that wait to be sent.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::counts::Counts;

/// Spans and events of spans that wait at the most. A span takes about 1 KiB, an event less.
const WAITING_MAX: usize = 16_384;

/// Spans and events of spans that are sent with one request at the most.
const BATCH_MAX: usize = 1_024;

/// How long the first span of a batch that is not full waits for more.
const LINGER: Duration = Duration::from_secs(1);

/// A queue of bounded length.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    counts: Counts,
    filled: Notify,
    closed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Waiting {
    spans: VecDeque<Span>,
    /// Of all of them together.
    size: usize,
}

/// What a span counts for.
fn size(span: &Span) -> usize {
    1 + span.events.len()
}

impl Queue {
    /// An empty one, which tells how long it is.
    pub(super) fn new(counts: Counts) -> Self {
        Self { waiting: Mutex::default(), counts, filled: Notify::new(), closed: watch::Sender::new(false) }
    }

    /// All of them or none: half a trace would mislead. Whether there was room.
    pub(super) fn put(&self, spans: Vec<Span>) -> bool {
        let mut waiting = self.lock();
        let size: usize = spans.iter().map(size).sum();
        if waiting.size + size > WAITING_MAX {
            return false;
        }
        waiting.size += size;
        waiting.spans.extend(spans);
        // Within the lock, so that the latest one is told.
        self.counts.waiting(waiting.spans.len());
        drop(waiting);
        self.filled.notify_one();
        true
    }

    /// The next batch, once it is full or its first span has waited for others; `None`: closed, and nothing is left.
    pub(super) async fn next(&self) -> Option<Vec<Span>> {
        let mut closed = self.closing();
        loop {
            let (size, is_closed) = (self.size(), *closed.borrow_and_update());
            if size >= BATCH_MAX || size > 0 && is_closed {
                return Some(self.take());
            }
            if is_closed {
                return None;
            }
            if size > 0 {
                let full = async {
                    while self.size() < BATCH_MAX {
                        self.filled.notified().await;
                    }
                };
                tokio::select! {
                    () = full => {}
                    () = sleep(LINGER) => {}
                    _ = closed.changed() => {}
                }
                return Some(self.take());
            }
            tokio::select! {
                () = self.filled.notified() => {}
                _ = closed.changed() => {}
            }
        }
    }

    /// Becomes true once it is closed.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Nothing is waited for any more.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lock().spans.len()
    }

    fn size(&self) -> usize {
        self.lock().size
    }

    fn take(&self) -> Vec<Span> {
        let mut waiting = self.lock();
        let (mut batch, mut room) = (Vec::new(), BATCH_MAX);
        // One that takes more than all the room goes alone.
        while let Some(span) = waiting.spans.pop_front_if(|span| size(span) <= room || room == BATCH_MAX) {
            waiting.size -= size(&span);
            room = room.saturating_sub(size(&span));
            batch.push(span);
        }
        self.counts.waiting(waiting.spans.len());
        batch
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Values are whole even if a thread that held them has failed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
