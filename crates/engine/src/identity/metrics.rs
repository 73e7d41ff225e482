//! What is counted of credentials that others issue. Labels are names from the configuration and our own words.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use fanfold_store::metric::{Label, Metric, Unit};
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::issuers::{Identity, NotVerified};

/// The label of tokens that are of no issuer here.
pub(super) const NO_ISSUER: &str = "unknown";

/// The label, and the name, of Keystone.
pub(super) const KEYSTONE: &str = "keystone";

/// All metrics of credentials that others issue. Clones share their values.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    verifications: Family<ResultLabels, Counter>,
    requests: Family<ResultLabels, Counter>,
    ages: Ages,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    issuer: String,
    result: &'static str,
}

/// When the keys of each issuer were read last. What is shown is how long ago that is.
#[derive(Debug, Clone, Default)]
struct Ages(Arc<Mutex<BTreeMap<String, Instant>>>);

const ISSUER: Label = Label {
    name: "issuer",
    bound: "names of issuers that are or were configured, `keystone`, and `unknown` for no issuer here",
};
const VERIFIED: Label = Label { name: "result", bound: "`verified`, `refused`, `unavailable`" };
const ANSWERED: Label = Label { name: "result", bound: "`answered`, `failed`" };

const VERIFICATIONS: Metric = Metric::counter(
    "fanfold_credentials",
    "Tokens of issuers and of Keystone that callers showed, by what came of it: `refused` is not theirs or over, `unavailable` could \
     not be told because the issuer could not be asked",
)
.by(&[ISSUER, VERIFIED]);
const REQUESTS: Metric = Metric::counter(
    "fanfold_issuer_requests",
    "How often an issuer was asked for its keys, or Keystone about a token, by whether it gave an answer of use",
)
.by(&[ISSUER, ANSWERED]);
const AGE: Metric = Metric::gauge(
    "fanfold_issuer_keys_age",
    "How long ago the keys of an issuer were read; after a day without an answer they are not used any more",
)
.in_unit(Unit::Seconds)
.by(&[Label { name: "issuer", bound: "names of issuers whose keys were read, except from a file" }]);

impl Metrics {
    /// All of them.
    pub const DESCRIBED: &[Metric] = &[VERIFICATIONS, REQUESTS, AGE];

    /// Puts all of it under its names into a registry.
    pub fn register(&self, registry: &mut Registry) {
        VERIFICATIONS.register(registry, self.verifications.clone());
        REQUESTS.register(registry, self.requests.clone());
        AGE.register(registry, self.ages.clone());
    }

    pub(super) fn verified(&self, issuer: &str, outcome: &Result<Identity, NotVerified>) {
        let result = match outcome {
            Ok(_) => "verified",
            Err(NotVerified::Refused(_)) => "refused",
            Err(NotVerified::Unavailable { .. }) => "unavailable",
        };
        self.verifications.get_or_create(&ResultLabels { issuer: issuer.to_owned(), result }).inc();
    }

    pub(super) fn asked(&self, issuer: &str, is_answered: bool) {
        let result = if is_answered { "answered" } else { "failed" };
        self.requests.get_or_create(&ResultLabels { issuer: issuer.to_owned(), result }).inc();
    }

    pub(super) fn keys_read(&self, issuer: &str) {
        self.ages.lock().insert(issuer.to_owned(), Instant::now());
    }

    /// Forgets the keys of issuers that are not configured any more.
    pub(super) fn keep_issuers(&self, is_there: impl Fn(&str) -> bool) {
        self.ages.lock().retain(|issuer, _| is_there(issuer));
    }
}

impl Ages {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Instant>> {
        // A map of instants has no half-way state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EncodeMetric for Ages {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let now = Instant::now();
        for (issuer, read) in self.lock().iter() {
            let age = now.saturating_duration_since(*read).as_secs_f64();
            encoder.encode_family(&[("issuer", issuer.as_str())])?.encode_gauge(&age)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_age_of_keys_is_as_of_when_it_is_asked_for() {
        let metrics = Metrics::default();
        let shown = || {
            let mut registry = Registry::default();
            metrics.register(&mut registry);
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        assert!(!shown().contains("fanfold_issuer_keys_age_seconds{"));
        metrics.keys_read("idp");
        tokio::time::advance(Duration::from_secs(90)).await;
        assert!(shown().contains("fanfold_issuer_keys_age_seconds{issuer=\"idp\"} 90.0\n"), "{}", shown());
        metrics.keep_issuers(|issuer| issuer != "idp");
        assert!(!shown().contains("idp"));
    }
}
