//! `[telemetry]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::HeaderText;
use crate::config::value::{BaseUrl, Text};

/// `[telemetry]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Telemetry {
    /// The address of a collector that takes OTLP over HTTP, without the `/v1/traces` at its end, such as
    /// "http://127.0.0.1:4318". Without it no traces are sent.
    pub(crate) otlp: Option<Text<BaseUrl>>,
    /// Header fields that the collector is sent with every request. They are never shown. A value may hold ${env:NAME} and
    /// ${file:PATH}.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, HeaderText>,
    /// File with authorities in PEM form that the collector is trusted by, beside those of the platform.
    pub(crate) authorities: Option<String>,
    /// What this server is called in traces. Default: "fanfold".
    pub(crate) service_name: Option<String>,
    /// Which share of operations is traced though their clients sent no `traceparent`; what a client traces is traced as it
    /// says. Default: 1.0.
    #[schemars(range(min = 0, max = 1))]
    pub(crate) share: Option<f64>,
}

impl Telemetry {
    /// Whether it says how traces are sent.
    pub(crate) fn has_more(&self) -> bool {
        let has_text = [&self.authorities, &self.service_name].into_iter().any(Option::is_some);
        has_text || self.share.is_some() || !self.headers.is_empty()
    }
}
