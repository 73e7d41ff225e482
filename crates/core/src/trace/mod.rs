//! The trace of an operation (OpenTelemetry, W3C Trace Context), told from its record and history once it has ended.
//!
//! An operation may last for days, outlive its process and move between nodes. So nothing of a trace is kept in memory: every
//! span's id follows from the operation and from what the span is about, whoever works it out. What an attempt tells its target
//! (`traceparent`) names the span that is told of it in the end.

mod spans;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::operation::Leg;
use crate::{Headers, Operation, OperationId, StepIndex};

pub use spans::spans;

/// Where the accepting request's `traceparent` is kept among the attributes of a plan.
pub const TRACEPARENT: &str = "traceparent";

/// Where its `tracestate` is kept.
pub const TRACESTATE: &str = "tracestate";

/// The longest `tracestate` that is taken on, in octets: what everybody has to pass on (W3C Trace Context, section 3.3.1.5).
pub const TRACESTATE_MAX: usize = 512;

/// The id of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub [u8; 8]);

/// The id of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub [u8; 16]);

/// What a span is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About<'a> {
    /// The operation as a whole.
    Operation,
    /// Its wait before anything was begun.
    Wait,
    /// A step or its undo, as a whole.
    Part(StepIndex, Leg),
    /// An attempt, by its recorded start: its number begins anew where a person has the step tried again.
    Attempt(StepIndex, Leg, Timestamp),
    /// An operation of the target's own that is followed, by when the target accepted it.
    Follow(StepIndex, Leg, Timestamp),
    /// A try to deliver a notice, by its start: its number begins anew where the notice is replayed.
    Notice(&'a str, Timestamp),
}

/// To which trace an operation belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The caller's, or the operation's own.
    pub trace: TraceId,
    /// The caller's span, where there is one.
    pub parent: Option<SpanId>,
    /// Whether the caller records its trace; `None`: the caller has none.
    pub sampled: Option<bool>,
    /// What tracing systems said to each other.
    pub state: Option<String>,
}

/// What a span does, seen from this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Answers a request.
    Server,
    /// Makes one.
    Client,
    /// Tells somebody, and does not wait for what becomes of it.
    Producer,
    /// Neither.
    Internal,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanStatus {
    /// Nothing to say.
    Unset,
    /// It was in order.
    Good,
    /// It was not, for this reason.
    Error(String),
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// Something that happened at one instant of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanEvent {
    /// When.
    pub at: Timestamp,
    /// What.
    pub name: String,
    /// More about it.
    pub attributes: Vec<(&'static str, Value)>,
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its trace.
    pub trace: TraceId,
    /// Its id.
    pub id: SpanId,
    /// The span around it.
    pub parent: Option<SpanId>,
    /// What tracing systems said to each other.
    pub state: Option<String>,
    /// Its name: few different ones.
    pub name: String,
    /// What it does.
    pub kind: SpanKind,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// How.
    pub status: SpanStatus,
    /// More about it.
    pub attributes: Vec<(&'static str, Value)>,
    /// What happened in it.
    pub events: Vec<SpanEvent>,
    /// The target that it called.
    pub target: Option<crate::TargetName>,
}

impl SpanId {
    /// The id of the span of an operation that is about this.
    pub fn of(operation: OperationId, about: &About<'_>) -> Self {
        let text = match about {
            About::Operation => "operation".to_owned(),
            About::Wait => "wait".to_owned(),
            About::Part(step, leg) => format!("part {step} {}", word(*leg)),
            About::Attempt(step, leg, start) => format!("attempt {step} {} {}", word(*leg), micros(*start)),
            About::Follow(step, leg, start) => format!("follow {step} {} {}", word(*leg), micros(*start)),
            About::Notice(id, start) => format!("notice {id} {}", micros(*start)),
        };
        let hash = Sha256::new().chain_update(operation.as_bytes()).chain_update(text).finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        // An id of zeros is none (W3C Trace Context, section 3.2.2.4).
        if id == [0; 8] {
            id[7] = 1;
        }
        Self(id)
    }
}

/// What every store keeps of a time.
fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

fn word(leg: Leg) -> &'static str {
    match leg {
        Leg::Forward => "forward",
        Leg::Undo => "undo",
        Leg::Probe => "probe",
    }
}

impl TraceContext {
    /// The one that an operation belongs to.
    pub fn of(operation: &Operation) -> Self {
        let attributes = &operation.plan.front.attributes;
        match attributes.get(TRACEPARENT).and_then(|text| Self::read(text)) {
            Some(context) => Self { state: attributes.get(TRACESTATE).cloned(), ..context },
            None => Self { trace: TraceId(*operation.id.as_bytes()), parent: None, sampled: None, state: None },
        }
    }

    /// Reads a valid `traceparent` (W3C Trace Context, section 3.2).
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (version, flags) = (octets::<1>(version)?, octets::<1>(flags)?);
        let (trace, span) = (octets::<16>(trace)?, octets::<8>(span)?);
        // A later version may have more parts; this one has not.
        let is_whole = version == [0] && parts.next().is_none() || version > [0] && version < [0xff];
        (is_whole && trace != [0; 16] && span != [0; 8]).then(|| Self {
            trace: TraceId(trace),
            parent: Some(SpanId(span)),
            sampled: Some(flags[0] & 1 == 1),
            state: None,
        })
    }

    /// Whether it is to be recorded: as the caller does, or else a share of all operations that is the same whoever asks.
    pub fn is_recorded(&self, share: f64) -> bool {
        self.sampled.unwrap_or_else(|| {
            // The last octets of a trace id are random (W3C Trace Context, section 3.2.2.3), those of an operation's id too.
            let mut tail = [0; 8];
            tail.copy_from_slice(&self.trace.0[8..]);
            // The two highest bits of an operation's id say which kind of id it is.
            let place = u64::from_be_bytes(tail) << 2;
            #[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
            let place = place as f64 / u64::MAX as f64;
            share >= 1.0 || place < share
        })
    }

    /// What to tell whoever is called within this span (W3C Trace Context, section 3).
    pub fn headers(&self, span: SpanId, share: f64) -> Headers {
        let parent = (TRACEPARENT.to_owned(), self.traceparent(span, share));
        let state = self.state.as_ref().map(|state| (TRACESTATE.to_owned(), state.clone()));
        [parent].into_iter().chain(state).collect()
    }

    fn traceparent(&self, span: SpanId, share: f64) -> String {
        let flags = u8::from(self.is_recorded(share));
        format!("00-{}-{}-{flags:02x}", hex(&self.trace.0), hex(&span.0))
    }
}

/// Octets as lower case hexadecimal digits.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn octets<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if text.len() != 2 * N || !text.bytes().all(is_hex) {
        return None;
    }
    let mut octets = [0; N];
    for (octet, digits) in octets.iter_mut().zip(text.as_bytes().chunks(2)) {
        *octet = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests;
