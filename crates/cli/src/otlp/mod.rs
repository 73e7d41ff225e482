//! Sends traces to a collector (OTLP over HTTP, binary protobuf).
//!
//! Best effort and bounded: spans wait in a queue of a fixed length, are sent in batches, and what a collector that is slow or
//! away leaves no room for is dropped and counted. Nothing of an operation ever waits for it.

mod counts;
mod encode;
mod queue;
mod send;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fanfold_core::trace::Span;
use fanfold_engine::SpanSink;
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::counts::{Counts, Lost};
use self::encode::Resource;
use self::queue::Queue;
use self::send::{Collector, Sender};
use crate::config::TelemetrySettings;
use crate::failure::Failure;

#[cfg(test)]
pub(crate) use self::counts::DESCRIBED;

/// How long a stop waits for the collector to take what it has not taken yet.
const STOP_MAX: Duration = Duration::from_secs(3);

/// The way to the collector.
#[derive(Debug)]
pub(crate) struct Exporter {
    sink: Arc<Sink>,
    /// The one task that sends.
    sending: JoinSet<()>,
}

/// Where the engine puts spans.
#[derive(Debug)]
struct Sink {
    queue: Queue,
    /// Spans that are being sent.
    on_their_way: AtomicUsize,
    counts: Counts,
    share: f64,
}

impl Exporter {
    /// Begins to send to the configured collector what the sink is given. `instance` tells this node from others.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub(crate) fn start(settings: &TelemetrySettings, instance: Option<&str>) -> Result<Self, Failure> {
        let counts = Counts::default();
        let queue = Queue::new(counts.clone());
        let on_their_way = AtomicUsize::new(0);
        let sink = Arc::new(Sink { queue, on_their_way, counts: counts.clone(), share: settings.share });
        let collector = Collector::new(settings)?;
        let resource = Resource::new(&settings.service_name, instance);
        let sender = Sender::new(collector, resource, counts);
        let mut sending = JoinSet::new();
        sending.spawn({
            let sink = Arc::clone(&sink);
            async move {
                while let Some(batch) = sink.queue.next().await {
                    sink.on_their_way.store(batch.len(), Ordering::Relaxed);
                    sender.deliver(batch, sink.queue.closing()).await;
                    sink.on_their_way.store(0, Ordering::Relaxed);
                }
            }
        });
        Ok(Self { sink, sending })
    }

    /// What the engine gives spans to.
    pub(crate) fn sink(&self) -> Arc<dyn SpanSink> {
        Arc::<Sink>::clone(&self.sink)
    }

    /// Puts its counters under their names into a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.sink.counts.register(registry);
    }

    /// Sends what there still is, within [`STOP_MAX`]. To be called once nobody gives it spans any more.
    pub(crate) async fn stop(mut self) {
        self.sink.queue.close();
        let ended = timeout(STOP_MAX, self.sending.join_next()).await;
        if let Ok(Some(Err(error))) = &ended {
            tracing::error!(%error, "sending traces met a mistake in the program");
        }
        if ended.is_err() {
            let left = self.sink.queue.len() + self.sink.on_their_way.load(Ordering::Relaxed);
            tracing::warn!(spans = left, "the collector did not take all traces in time");
        }
    }
}

impl SpanSink for Sink {
    fn share(&self) -> f64 {
        self.share
    }

    fn take(&self, spans: Vec<Span>) {
        let count = spans.len();
        if !self.queue.put(spans.into_iter().map(encode::span).collect()) {
            self.counts.lost(Lost::NoRoom, count);
        }
    }

    fn left_out(&self) {
        self.counts.left_out();
    }
}
