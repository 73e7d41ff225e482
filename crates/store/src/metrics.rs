//! What a store counts about its own work: its writer, its readers, its commits.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::metric::{Metric, Unit};

const QUEUE_LENGTH: Metric = Metric::gauge(
    "fanfold_store_queue_length",
    "Writes that wait for the writer, those included that wait for room in its queue",
);
const QUEUE_MAX: Metric = Metric::gauge("fanfold_store_queue_max", "Writes that have room in the queue of the writer");
const BATCH_SIZE: Metric = Metric::histogram("fanfold_store_batch_size", "Writes that were committed together");
const COMMIT_DURATION: Metric = Metric::histogram(
    "fanfold_store_commit_duration",
    "Committing a batch, until it is on disk there (SQLite: the sync of the log; PostgreSQL: the whole transaction)",
)
.in_unit(Unit::Seconds);
const COMMITS_FAILED: Metric =
    Metric::counter("fanfold_store_commits_failed", "Batches that were rolled back, or whose commit failed");
const WRITE_DURATION: Metric = Metric::histogram(
    "fanfold_store_write_duration",
    "From asking for a write to its answer, which comes after the sync",
)
.in_unit(Unit::Seconds);
const READ_DURATION: Metric = Metric::histogram(
    "fanfold_store_read_duration",
    "From asking for a read to its answer, waiting for a connection included",
)
.in_unit(Unit::Seconds);
const READS: Metric =
    Metric::gauge("fanfold_store_reads", "Reads that are under way, those included that wait for a connection");
const READERS_MAX: Metric = Metric::gauge("fanfold_store_readers_max", "Connections that read, and so reads at once");
const OPEN_MAX: Metric = Metric::gauge(
    "fanfold_operations_open_max",
    "Operations that may be there without having ended; beyond that none is accepted (`[store] waiting_max`)",
);

/// What a store counts. Clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics {
    queue_length: Gauge,
    queue_max: Gauge,
    batch_size: Histogram,
    commit_duration: Histogram,
    commits_failed: Counter,
    write_duration: Histogram,
    read_duration: Histogram,
    reads: Gauge,
    readers_max: Gauge,
    open_max: Gauge,
}

/// A read that is under way. It is measured as long as it is not dropped.
#[derive(Debug)]
pub(crate) struct Reading {
    metrics: Metrics,
    began: Instant,
}

/// A place in the queue of the writer, until it is dropped.
#[derive(Debug)]
pub(crate) struct InQueue(Gauge);

impl Metrics {
    /// All that a store counts.
    pub const DESCRIBED: &[Metric] = &[
        QUEUE_LENGTH,
        QUEUE_MAX,
        BATCH_SIZE,
        COMMIT_DURATION,
        COMMITS_FAILED,
        WRITE_DURATION,
        READ_DURATION,
        READS,
        READERS_MAX,
        OPEN_MAX,
    ];

    /// Of a store with these limits.
    pub(crate) fn new(queue_max: usize, readers_max: usize, open_max: u64) -> Self {
        let fixed = |value: u64| {
            let gauge = Gauge::default();
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            gauge
        };
        // From 0.1 ms to about 7 s.
        let durations = || Histogram::new(exponential_buckets(0.0001, 2.5, 13));
        Self {
            queue_length: Gauge::default(),
            queue_max: fixed(queue_max as u64),
            // 1 to 512, which is as many as there are.
            batch_size: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            commit_duration: durations(),
            commits_failed: Counter::default(),
            write_duration: durations(),
            read_duration: durations(),
            reads: Gauge::default(),
            readers_max: fixed(readers_max as u64),
            open_max: fixed(open_max),
        }
    }

    /// Puts all of it under its names into `registry`.
    pub fn register(&self, registry: &mut Registry) {
        QUEUE_LENGTH.register(registry, self.queue_length.clone());
        QUEUE_MAX.register(registry, self.queue_max.clone());
        BATCH_SIZE.register(registry, self.batch_size.clone());
        COMMIT_DURATION.register(registry, self.commit_duration.clone());
        COMMITS_FAILED.register(registry, self.commits_failed.clone());
        WRITE_DURATION.register(registry, self.write_duration.clone());
        READ_DURATION.register(registry, self.read_duration.clone());
        READS.register(registry, self.reads.clone());
        READERS_MAX.register(registry, self.readers_max.clone());
        OPEN_MAX.register(registry, self.open_max.clone());
    }

    /// A write gets into the queue, or waits for room there.
    pub(crate) fn queued(&self) -> InQueue {
        self.queue_length.inc();
        InQueue(self.queue_length.clone())
    }

    /// A write was answered.
    pub(crate) fn written(&self, took: Duration) {
        self.write_duration.observe(took.as_secs_f64());
    }

    /// So many writes were committed together.
    pub(crate) fn committed(&self, writes: usize, took: Duration) {
        // There are at most as many as the queue holds.
        self.batch_size.observe(u32::try_from(writes).map_or(f64::MAX, f64::from));
        self.commit_duration.observe(took.as_secs_f64());
    }

    /// A batch was not committed.
    pub(crate) fn failed(&self) {
        self.commits_failed.inc();
    }

    /// A read begins.
    pub(crate) fn reading(&self) -> Reading {
        self.reads.inc();
        Reading { metrics: self.clone(), began: Instant::now() }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.metrics.reads.dec();
        self.metrics.read_duration.observe(self.began.elapsed().as_secs_f64());
    }
}

impl Drop for InQueue {
    fn drop(&mut self) {
        self.0.dec();
    }
}
