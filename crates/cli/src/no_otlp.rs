//! In place of [`otlp`](crate::otlp) in a program that was built without it. Its configuration is refused, so there is none.

use std::sync::Arc;

use fanfold_engine::SpanSink;
use prometheus_client::registry::Registry;

use crate::config::TelemetrySettings;
use crate::failure::Failure;

/// The way to no collector.
#[derive(Debug)]
pub(crate) enum Exporter {}

impl Exporter {
    pub(crate) fn start(_: &TelemetrySettings, _: Option<&str>) -> Result<Self, Failure> {
        Err(Failure::Usage("this program was built without the feature \"otlp\"".to_owned()))
    }

    pub(crate) fn sink(&self) -> Arc<dyn SpanSink> {
        match *self {}
    }

    pub(crate) fn register(&self, _: &mut Registry) {
        match *self {}
    }

    pub(crate) async fn stop(self) {
        match self {}
    }
}
