//! What becomes of spans, as metrics.

use fanfold_store::metric::{Label, Metric};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

const REASON: Label = Label {
    name: "reason",
    bound: "`no_room` (too many waited already), `refused` (the collector did not want them), `given_up` (it could not be reached for too long)",
};

const SENT: Metric = Metric::counter("fanfold_trace_spans_sent", "Spans of traces that the collector took");
const LOST: Metric =
    Metric::counter("fanfold_trace_spans_lost", "Spans of traces that the collector was not given, or did not take")
        .by(&[REASON]);
const LEFT_OUT: Metric = Metric::counter(
    "fanfold_traces_left_out",
    "Operations without a trace, since their history could not be read in time or is too long",
);
const WAITING: Metric = Metric::gauge("fanfold_trace_spans_waiting", "Spans of traces that wait to be sent");

/// All that is told of traces, for the document.
#[cfg(test)]
pub(crate) const DESCRIBED: &[Metric] = &[SENT, LOST, LEFT_OUT, WAITING];

/// The counters.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    sent: Counter,
    lost: Family<LostLabels, Counter>,
    left_out: Counter,
    waiting: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LostLabels {
    reason: Lost,
}

/// Why a span was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Lost {
    /// Too many waited.
    NoRoom,
    /// The collector did not want it.
    Refused,
    /// The collector could not be reached for too long.
    GivenUp,
}

impl EncodeLabelValue for Lost {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let word = match self {
            Self::NoRoom => "no_room",
            Self::Refused => "refused",
            Self::GivenUp => "given_up",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}

impl Counts {
    /// Puts them under their names into a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        SENT.register(registry, self.sent.clone());
        LOST.register(registry, self.lost.clone());
        LEFT_OUT.register(registry, self.left_out.clone());
        WAITING.register(registry, self.waiting.clone());
    }

    pub(super) fn sent(&self, spans: usize) {
        self.sent.inc_by(spans as u64);
    }

    pub(super) fn lost(&self, reason: Lost, spans: usize) {
        self.lost.get_or_create(&LostLabels { reason }).inc_by(spans as u64);
    }

    pub(super) fn left_out(&self) {
        self.left_out.inc();
    }

    pub(super) fn waiting(&self, spans: usize) {
        self.waiting.set(i64::try_from(spans).unwrap_or(i64::MAX));
    }
}
