//! From spans to the messages of OTLP (opentelemetry-proto, `trace.proto`).

use fanfold_core::trace::{Span, SpanEvent, SpanId, SpanKind, SpanStatus, Value};
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource;
use opentelemetry_proto::tonic::trace::v1 as proto;

/// Text of a value, a status or a name that is sent at the most, in octets.
const TEXT_MAX: usize = 1_024;

/// Events that are sent with one span at the most, the first ones.
const EVENTS_MAX: usize = 128;

/// The flags of a span (`SpanFlags` of `trace.proto`): it is recorded; and it is known whether its parent is of another process.
const RECORDED: u32 = 0x01 | 0x100;

/// Its parent is of another process.
const IS_REMOTE: u32 = 0x200;

/// Who sends.
#[derive(Debug)]
pub(super) struct Resource(resource::v1::Resource);

impl Resource {
    /// `instance`: which one of several nodes.
    pub(super) fn new(service_name: &str, instance: Option<&str>) -> Self {
        let mut attributes =
            vec![text("service.name", service_name), text("service.version", env!("CARGO_PKG_VERSION"))];
        attributes.extend(instance.map(|instance| text("service.instance.id", instance)));
        Self(resource::v1::Resource { attributes, ..resource::v1::Resource::default() })
    }

    /// One request with all these spans.
    pub(super) fn request(&self, spans: Vec<proto::Span>) -> ExportTraceServiceRequest {
        let scope = InstrumentationScope {
            name: "fanfold".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_spans = vec![proto::ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }];
        ExportTraceServiceRequest {
            resource_spans: vec![proto::ResourceSpans {
                resource: Some(self.0.clone()),
                scope_spans,
                schema_url: String::new(),
            }],
        }
    }
}

/// A span as it is sent, within its bounds.
pub(super) fn span(span: Span) -> proto::Span {
    let dropped = span.events.len().saturating_sub(EVENTS_MAX);
    // Only what answers a client's request is within a span of somebody else's.
    let is_remote = span.kind == SpanKind::Server && span.parent.is_some();
    proto::Span {
        trace_id: span.trace.0.to_vec(),
        span_id: span.id.0.to_vec(),
        trace_state: span.state.unwrap_or_default(),
        parent_span_id: span.parent.map(|SpanId(id)| id.to_vec()).unwrap_or_default(),
        flags: RECORDED | if is_remote { IS_REMOTE } else { 0 },
        name: cut(&span.name),
        kind: kind(span.kind).into(),
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.end),
        attributes: attributes(span.attributes),
        events: span.events.into_iter().take(EVENTS_MAX).map(event).collect(),
        dropped_events_count: u32::try_from(dropped).unwrap_or(u32::MAX),
        status: status(span.status),
        ..proto::Span::default()
    }
}

fn kind(kind: SpanKind) -> proto::span::SpanKind {
    match kind {
        SpanKind::Server => proto::span::SpanKind::Server,
        SpanKind::Client => proto::span::SpanKind::Client,
        SpanKind::Producer => proto::span::SpanKind::Producer,
        SpanKind::Internal => proto::span::SpanKind::Internal,
    }
}

fn status(status: SpanStatus) -> Option<proto::Status> {
    let (code, message) = match status {
        SpanStatus::Unset => return None,
        SpanStatus::Good => (proto::status::StatusCode::Ok, String::new()),
        SpanStatus::Error(message) => (proto::status::StatusCode::Error, cut(&message)),
    };
    Some(proto::Status { message, code: code.into() })
}

fn event(event: SpanEvent) -> proto::span::Event {
    proto::span::Event {
        time_unix_nano: nanos(event.at),
        name: event.name,
        attributes: attributes(event.attributes),
        dropped_attributes_count: 0,
    }
}

fn attributes(attributes: Vec<(&'static str, Value)>) -> Vec<KeyValue> {
    let attribute = |(key, value)| match value {
        Value::Text(value) => text(key, &value),
        Value::Number(value) => pair(key, any_value::Value::IntValue(value)),
    };
    attributes.into_iter().map(attribute).collect()
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, any_value::Value::StringValue(cut(value)))
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn nanos(at: Timestamp) -> u64 {
    // Before 1970 and after 2554 there is no such number.
    u64::try_from(at.as_nanosecond()).unwrap_or(0)
}
