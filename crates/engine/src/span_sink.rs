//! Where traces of what has ended go. Best effort: nothing waits for it, and what there is no room for is left out and counted.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfold_core::trace::{About, Span, SpanId, SpanKind, SpanStatus, TraceContext, Value, hex};
use fanfold_core::{Headers, Operation};
use fanfold_store::{Notice, NoticeOutcome};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Operations at the most that have ended and whose trace was not told yet.
const WAITING_MAX: usize = 1_024;

/// How long a stop waits for what has ended to be told.
const STOP_MAX: Duration = Duration::from_secs(2);

/// Where traces go.
pub trait SpanSink: fmt::Debug + Send + Sync {
    /// The share of operations that are recorded though their callers have no trace, from 0 to 1.
    fn share(&self) -> f64;

    /// Takes spans that have ended. Must not wait.
    fn take(&self, spans: Vec<Span>);

    /// Is told that the trace of an operation, or a part of it, was left out.
    fn left_out(&self);
}

/// The traces of this process.
#[derive(Debug)]
pub(crate) struct Traces(Option<Telling>);

#[derive(Debug)]
struct Telling {
    sink: Arc<dyn SpanSink>,
    words: mpsc::Sender<Word>,
    /// Taken by the task that tells them.
    waiting: Mutex<Option<mpsc::Receiver<Word>>>,
}

/// What the task that tells traces is told.
#[derive(Debug)]
pub(crate) enum Word {
    /// This operation has ended.
    Ended(Arc<Operation>),
    /// Somebody waits until what ended before is told.
    Asked(oneshot::Sender<()>),
}

impl Traces {
    pub(crate) fn new(sink: Option<Arc<dyn SpanSink>>) -> Self {
        Self(sink.map(|sink| {
            let (words, waiting) = mpsc::channel(WAITING_MAX);
            Telling { sink, words, waiting: Mutex::new(Some(waiting)) }
        }))
    }

    /// The share of operations that are recorded though their callers have no trace.
    pub(crate) fn share(&self) -> f64 {
        self.0.as_ref().map_or(0.0, |telling| telling.sink.share())
    }

    fn of(&self, operation: &Operation) -> Option<(&Telling, TraceContext)> {
        let telling = self.0.as_ref()?;
        let context = TraceContext::of(operation);
        context.is_recorded(telling.sink.share()).then_some((telling, context))
    }

    /// What log lines about an operation carry along: its trace, where that is recorded.
    pub(crate) fn in_logs(&self, operation: &Operation) -> tracing::Span {
        let Some((_, context)) = self.of(operation) else { return tracing::Span::none() };
        // Of the highest level, so that it is there however little is logged.
        tracing::error_span!("operation", trace_id = %hex(&context.trace.0))
    }

    /// An operation has ended, and is recorded.
    pub(crate) fn ended(&self, operation: &Arc<Operation>) {
        let Some((telling, _)) = self.of(operation) else { return };
        if telling.words.try_send(Word::Ended(Arc::clone(operation))).is_err() {
            telling.sink.left_out();
        }
    }

    /// What the one task that tells traces needs; given once.
    pub(crate) fn begin(&self) -> Option<(Arc<dyn SpanSink>, mpsc::Receiver<Word>)> {
        let telling = self.0.as_ref()?;
        let waiting = telling.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some((Arc::clone(&telling.sink), waiting))
    }

    /// Waits, within bounds, until all that has ended is told.
    pub(crate) async fn told(&self) {
        let Some(telling) = &self.0 else { return };
        let told = async {
            let (reply, told) = oneshot::channel();
            // An error says that nobody tells any more.
            if telling.words.send(Word::Asked(reply)).await.is_ok() {
                drop(told.await);
            }
        };
        drop(timeout(STOP_MAX, told).await);
    }

    /// Whether tries of notices are to be told.
    pub(crate) fn are_told(&self) -> bool {
        self.0.is_some()
    }

    /// What the receiver of a notice that is sent at `start` is told of the trace, where that is recorded.
    pub(crate) fn of_notice(&self, operation: &Operation, notice: &Notice, start: Timestamp) -> Headers {
        let Some((telling, context)) = self.of(operation) else { return Headers::new() };
        let span = SpanId::of(operation.id, &About::Notice(&notice.notice.id.0, start));
        context.headers(span, telling.sink.share())
    }

    /// A notice was tried.
    pub(crate) fn noticed(
        &self,
        operation: &Operation,
        notice: &Notice,
        (start, end): (Timestamp, Timestamp),
        outcome: &NoticeOutcome,
    ) {
        let Some((telling, context)) = self.of(operation) else { return };
        let (id, number) = (&notice.notice.id.0, notice.attempts + 1);
        let status = match outcome {
            NoticeOutcome::Delivered { .. } => SpanStatus::Good,
            NoticeOutcome::Failed { error, .. } | NoticeOutcome::Dead { error, .. } => SpanStatus::Error(error.clone()),
        };
        telling.sink.take(vec![Span {
            trace: context.trace,
            id: SpanId::of(operation.id, &About::Notice(id, start)),
            parent: Some(SpanId::of(operation.id, &About::Operation)),
            state: context.state,
            name: "notice".to_owned(),
            kind: SpanKind::Producer,
            start,
            end: end.max(start),
            status,
            attributes: vec![
                ("fanfold.operation.id", Value::Text(operation.id.to_string())),
                ("fanfold.notice.id", Value::Text(id.clone())),
                ("fanfold.notice.kind", Value::Text(notice.notice.kind.clone())),
                ("http.request.resend_count", Value::Number(i64::from(number) - 1)),
            ],
            events: Vec::new(),
            target: None,
        }]);
    }
}
