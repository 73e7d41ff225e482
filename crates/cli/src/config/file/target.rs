//! The tables about back ends: `[targets.NAME]`, and `[defaults]` for what several have in common.

use std::collections::BTreeMap;
use std::fmt;

use fanfold_engine::target::TargetUrl;
use schemars::JsonSchema;
use serde::Deserialize;

use super::route::Redact;
use crate::config::value::{Size, Span, Text};

/// `[defaults]`: what a target or a route does not say itself is as here, and else built in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defaults {
    /// How long the parts of an attempt may take.
    pub(crate) timeouts: Option<Timeouts>,
    /// How steps are tried again.
    pub(crate) retry: Option<Retry>,
    /// How undos are tried again.
    pub(crate) undo_retry: Option<Retry>,
    /// How long after a broken attempt a target may still act on it. Default: 10 s.
    #[schemars(extend("x-range" = ["0s", "1d"]))]
    pub(crate) settle: Option<Text<Span>>,
    /// How much of an answer's body is read. Default: 1 MiB.
    #[schemars(extend("x-range" = ["1KiB", "64MiB"]))]
    pub(crate) response_body_max: Option<Size>,
    /// How many requests may be on the wire to one target, from all nodes that share the store. Default: 64.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) max_in_flight: Option<u32>,
    /// How many undos may be on the wire to one target, beside `max_in_flight`, from all nodes. Default: 16.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) undo_in_flight: Option<u32>,
    /// How many passed-through requests may wait for a target; further ones are refused. Default: 256.
    #[schemars(range(min = 0, max = 100_000))]
    pub(crate) pass_waiting_max: Option<u32>,
    /// When a target is left alone for a while.
    pub(crate) breaker: Option<Breaker>,
    /// A request that is not safe to repeat uses a fresh connection, or one that was idle for less than this. Default: 1 s.
    #[schemars(extend("x-range" = ["0s", "1h"]))]
    pub(crate) reuse_idle: Option<Text<Span>>,
    /// The most targets that one operation may have. Default: 64.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) targets_max: Option<u32>,
    /// How long forward work of an operation may take from its start. Default: 1 h.
    #[schemars(extend("x-range" = ["1s", "365d"]))]
    pub(crate) deadline: Option<Text<Span>>,
    /// How long an operation is kept after its end. Default: 30 d.
    #[schemars(extend("x-range" = ["24h", "36500d"]))]
    pub(crate) retention: Option<Text<Span>>,
    /// What is taken out of everything that is shown, beside what always is.
    pub(crate) redact: Option<Redact>,
}

/// `[targets.NAME]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    /// The address, with a path prefix if need be.
    #[schemars(required)]
    pub(crate) url: Option<Text<TargetUrl>>,
    /// The id that clients see (the `cluster_id` of `msf`). Default: the name.
    pub(crate) id: Option<String>,
    /// How its certificate is checked, and which one is shown to it. Default: the authorities of the system, and none.
    pub(crate) tls: Option<TargetTls>,
    /// Header fields that every request to it carries. They are never recorded. A value may hold ${env:NAME} and
    /// ${file:PATH}.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, HeaderText>,
    /// How it is followed to its end when it answers 202 itself. Without it the outcome of a 202 is unknown.
    pub(crate) monitor: Option<Monitor>,
    /// The path, from the root of its address, below which the operations that it tells of are followed, with the monitors
    /// `location` and `plas`. Default: the path of `url`.
    pub(crate) monitor_prefix: Option<String>,
    /// How long the parts of an attempt may take.
    pub(crate) timeouts: Option<Timeouts>,
    /// How steps are tried again.
    pub(crate) retry: Option<Retry>,
    /// How undos are tried again.
    pub(crate) undo_retry: Option<Retry>,
    /// How long after a broken attempt it may still act on it. Default: 10 s.
    #[schemars(extend("x-range" = ["0s", "1d"]))]
    pub(crate) settle: Option<Text<Span>>,
    /// How much of an answer's body is read. Default: 1 MiB.
    #[schemars(extend("x-range" = ["1KiB", "64MiB"]))]
    pub(crate) response_body_max: Option<Size>,
    /// How many requests may be on the wire to it, from all nodes that share the store. Default: 64.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) max_in_flight: Option<u32>,
    /// How many undos may be on the wire to it, beside `max_in_flight`, from all nodes. Default: 16.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) undo_in_flight: Option<u32>,
    /// How many passed-through requests may wait for it; further ones are refused. Default: 256.
    #[schemars(range(min = 0, max = 100_000))]
    pub(crate) pass_waiting_max: Option<u32>,
    /// When it is left alone for a while.
    pub(crate) breaker: Option<Breaker>,
    /// A request that is not safe to repeat uses a fresh connection, or one that was idle for less than this. Default: 1 s.
    #[schemars(extend("x-range" = ["0s", "1h"]))]
    pub(crate) reuse_idle: Option<Text<Span>>,
}

/// `[targets.NAME] tls`: files in PEM form. Relative paths count from the folder of the configuration file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetTls {
    /// Authorities that are trusted beside those of the system.
    pub(crate) authorities: Option<String>,
    /// The certificate chain that is shown to it. Needs `key`.
    pub(crate) certificate: Option<String>,
    /// The private key of `certificate`.
    pub(crate) key: Option<String>,
}

/// How long the parts of an attempt may take.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timeouts {
    /// To connect. Default: 3 s.
    #[schemars(extend("x-range" = ["1ms", "1h"]))]
    pub(crate) connect: Option<Text<Span>>,
    /// From the first byte sent to the last byte received. Default: 30 s.
    #[schemars(extend("x-range" = ["1ms", "1d"]))]
    pub(crate) response: Option<Text<Span>>,
    /// For a lower operation, from its acceptance to its end. Default: 30 min.
    #[schemars(extend("x-range" = ["1s", "365d"]))]
    pub(crate) lower: Option<Text<Span>>,
}

/// How a request is tried again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    /// Attempts at the most, the first one included. Default: 5.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) attempts: Option<u32>,
    /// The longest wait before the second attempt; it doubles with each further one. Default: 500 ms.
    #[schemars(extend("x-range" = ["1ms", "1h"]))]
    pub(crate) backoff: Option<Text<Span>>,
    /// The longest wait between two attempts, unless the target asks for more. Default: 30 s.
    #[schemars(extend("x-range" = ["1ms", "1d"]))]
    pub(crate) backoff_max: Option<Text<Span>>,
    /// No further attempt starts once this has passed since the first. Default: 5 min.
    #[schemars(extend("x-range" = ["1ms", "365d"]))]
    pub(crate) budget: Option<Text<Span>>,
}

impl Timeouts {
    /// A table that says nothing.
    pub(crate) const NOTHING: Self = Self { connect: None, response: None, lower: None };
}

impl Retry {
    /// A table that says nothing.
    pub(crate) const NOTHING: Self = Self { attempts: None, backoff: None, backoff_max: None, budget: None };
}

/// When a target is left alone for a while. Steps wait meanwhile; they do not fail.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Breaker {
    /// After so many breaks in a row. Default: 5.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) breaks: Option<u32>,
    /// For so long; then one request tries whether it is back. Default: 10 s.
    #[schemars(extend("x-range" = ["1ms", "1d"]))]
    pub(crate) pause: Option<Text<Span>>,
}

/// How a target that answers 202 is followed to its end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Monitor {
    /// A 202 is final, and good.
    None,
    /// It is an `msf` controller.
    Msf,
    /// It speaks `plas`.
    Plas,
    /// The address in its answer is polled: `Azure-AsyncOperation`, `Operation-Location`, else `Location`.
    Location,
    /// By a rule.
    Poll(Poll),
}

/// A rule for following a lower operation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Poll {
    /// Template of the path that is polled; it sees `response` of the accepting answer.
    #[schemars(required)]
    pub(crate) path: Option<String>,
    /// Condition over a poll's `response`: the lower operation has ended.
    #[schemars(required)]
    pub(crate) done: Option<String>,
    /// Condition over the last poll's `response`: it ended well.
    #[schemars(required)]
    pub(crate) success: Option<String>,
}

/// The value of a header field as it stands in the file, which may be a credential: it is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct HeaderText(pub(crate) String);

impl fmt::Debug for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeaderText(..)")
    }
}
