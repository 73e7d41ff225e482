//! How things stand when the metrics are asked for: what nobody counts as it happens, because the store or the engine knows it.
//!
//! The store is asked cheaply, at most once in [`FRESH`] however many ask, and for no longer than [`PATIENCE`]. One that does not
//! answer fails no scrape: what it would tell is left out then, and `fanfold_store_answers` is 0.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfold_core::operation::{AttentionReason, Status};
use fanfold_engine::Engine;
use fanfold_store::metric::{Label, Metric, Unit};
use fanfold_store::{Backlog, Error, Read, Size};
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::time::{Instant, timeout};

use super::tls::Tls;

/// For so long what the store told last is told again.
const FRESH: Duration = Duration::from_secs(1);

/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(2);

const STATUS: Label = Label { name: "status", bound: "`unexecuted`, `executing`, `completed`, `failed`, `canceled`" };
const OPEN_STATUS: Label = Label { name: "status", bound: "`unexecuted`, `executing`" };
const REASON: Label = Label {
    name: "reason",
    bound: "`outcome_unknown`, `undo_failed`, `no_undo`, `not_consistent`, `choice_needed`, `target_missing`, `restored`",
};

const OPERATIONS: Metric =
    Metric::gauge("fanfold_operations", "Operations that are kept, by status").by(&[STATUS]).of_the_store();
const OLDEST: Metric = Metric::gauge(
    "fanfold_operation_oldest_age",
    "Age since acceptance of the oldest operation that waits to begin (also for its start time) or is being carried out (also if it waits for a person); 0 if there is none",
)
.in_unit(Unit::Seconds)
.by(&[OPEN_STATUS])
.of_the_store();
const ATTENTION: Metric = Metric::gauge(
    "fanfold_attention_open",
    "Notes by which people are needed, by reason; of more than 10000 open notes only so many are counted",
)
.by(&[REASON])
.of_the_store();
const IN_MEMORY: Metric =
    Metric::gauge("fanfold_operations_in_memory", "Operations that this node has in memory, to carry them out");
const DRAINING: Metric = Metric::gauge("fanfold_draining", "Whether this node accepts nothing new: 1 or 0");
const LEASE_HELD: Metric = Metric::gauge(
    "fanfold_lease_held",
    "Whether this node may act on what it owns: 0 once it could not beat for as long as its lease; 1 where it is alone",
);
const ANSWERS: Metric =
    Metric::gauge("fanfold_store_answers", "Whether the store could be read for this scrape: 1 or 0");
const TROUBLE: Metric =
    Metric::gauge("fanfold_store_trouble", "Whether the store takes no writes at the moment: 1 or 0");
const USED: Metric = Metric::gauge("fanfold_store_used", "What the records take up; the bounds are about this")
    .in_unit(Unit::Bytes)
    .of_the_store();
const FREE: Metric =
    Metric::gauge("fanfold_store_free", "What is free for reuse within the store").in_unit(Unit::Bytes).of_the_store();
const LOG: Metric =
    Metric::gauge("fanfold_store_log", "What is written but not yet in the file proper; 0 for PostgreSQL")
        .in_unit(Unit::Bytes)
        .of_the_store();
const SOFT: Metric = Metric::gauge(
    "fanfold_store_soft_bound",
    "From here on ended operations are deleted before their time; left out where there is no bound",
)
.in_unit(Unit::Bytes);
const HARD: Metric =
    Metric::gauge("fanfold_store_hard_bound", "From here on nothing is accepted; left out where there is no bound")
        .in_unit(Unit::Bytes);

const CERTIFICATE_END: Metric = Metric::gauge(
    "fanfold_http_certificate_end",
    "When the certificate that clients are shown ends, or one that vouches for it, since the beginning of 1970; left out without `[server.tls]`",
)
.in_unit(Unit::Seconds);

/// How things stood when they were looked up last, for whoever asks for the metrics then. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    picture: Arc<Mutex<Picture>>,
    /// Held by whoever asks the store: when that was done last.
    asked: Arc<tokio::sync::Mutex<Option<Instant>>>,
}

#[derive(Debug, Default)]
struct Picture {
    in_memory: usize,
    is_draining: bool,
    has_lease: bool,
    is_in_trouble: bool,
    certificate_end: Option<Timestamp>,
    /// Values that were right once are worse than none, so there are none while the store does not answer.
    store: Option<(Backlog, Size)>,
    at: Timestamp,
}

impl Standing {
    /// All that is looked up when the metrics are asked for.
    pub(super) const DESCRIBED: &[Metric] = &[
        OPERATIONS,
        OLDEST,
        ATTENTION,
        IN_MEMORY,
        DRAINING,
        LEASE_HELD,
        ANSWERS,
        TROUBLE,
        USED,
        FREE,
        LOG,
        SOFT,
        HARD,
        CERTIFICATE_END,
    ];

    /// Adds what was looked up last to a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    /// Looks how things stand.
    pub(super) async fn look(&self, store: &dyn Read, engine: &Engine, tls: Option<Tls>, now: Timestamp) {
        let mut asked = self.asked.lock().await;
        if asked.is_none_or(|asked| asked.elapsed() >= FRESH) {
            let answer = ask(store).await;
            *asked = Some(Instant::now());
            let mut picture = self.picture();
            picture.store = answer;
            picture.at = now;
        }
        let mut picture = self.picture();
        picture.in_memory = engine.running();
        picture.is_draining = engine.is_draining();
        picture.has_lease = engine.has_lease();
        picture.is_in_trouble = store.trouble().is_some();
        picture.certificate_end = tls.map(|tls| tls.validity().ends_at);
    }

    fn picture(&self) -> MutexGuard<'_, Picture> {
        // Its parts are told each by itself, so that there is no half-way state.
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(store: &dyn Read) -> Option<(Backlog, Size)> {
    let both = async { Ok::<_, Error>((store.backlog().await?, store.size().await?)) };
    let answer = timeout(PATIENCE, both).await.ok()?;
    answer.inspect_err(|error| tracing::debug!(%error, "the store cannot be read for the metrics")).ok()
}

impl Collector for Standing {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let picture = self.picture();
        let yes = |is_so: bool| ConstGauge::new(i64::from(is_so));
        IN_MEMORY.encode(&mut encoder, &whole(picture.in_memory as u64))?;
        DRAINING.encode(&mut encoder, &yes(picture.is_draining))?;
        LEASE_HELD.encode(&mut encoder, &yes(picture.has_lease))?;
        TROUBLE.encode(&mut encoder, &yes(picture.is_in_trouble))?;
        ANSWERS.encode(&mut encoder, &yes(picture.store.is_some()))?;
        if let Some(end) = picture.certificate_end {
            CERTIFICATE_END.encode(&mut encoder, &ConstGauge::new(end.as_second()))?;
        }
        let Some((backlog, size)) = &picture.store else { return Ok(()) };
        encode_backlog(&mut encoder, backlog, picture.at)?;
        encode_size(&mut encoder, size)
    }
}

fn encode_backlog(encoder: &mut DescriptorEncoder<'_>, backlog: &Backlog, now: Timestamp) -> Result<(), fmt::Error> {
    let number = |status: Status| (status.as_str(), whole(of(&backlog.counts, status)));
    OPERATIONS.encode_each(encoder, Status::ALL.map(number))?;
    let age = |status: Status| {
        let age = backlog.oldest.get(&status).map_or(0.0, |at| now.duration_since(*at).as_secs_f64());
        // The clocks of nodes differ.
        (status.as_str(), ConstGauge::new(age.max(0.0)))
    };
    OLDEST.encode_each(encoder, Status::ALL.into_iter().filter(|status| !status.is_terminal()).map(age))?;
    let open = |reason: AttentionReason| (reason.as_str(), whole(of(&backlog.attention, reason)));
    ATTENTION.encode_each(encoder, AttentionReason::ALL.map(open))
}

fn encode_size(encoder: &mut DescriptorEncoder<'_>, size: &Size) -> Result<(), fmt::Error> {
    let Size { used, free, log, soft, hard } = *size;
    let told = [(USED, Some(used)), (FREE, Some(free)), (LOG, Some(log)), (SOFT, soft), (HARD, hard)];
    for (metric, octets) in told {
        if let Some(octets) = octets {
            metric.encode(encoder, &whole(octets))?;
        }
    }
    Ok(())
}

fn of<K: Ord>(counts: &BTreeMap<K, u64>, key: K) -> u64 {
    counts.get(&key).copied().unwrap_or(0)
}

fn whole(number: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX))
}
