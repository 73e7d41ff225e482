//! The trace of each operation that ends, told from its record and history.

use std::sync::Arc;

use fanfold_core::trace::{Span, Value, spans};
use fanfold_core::{Event, Operation};
use fanfold_store::{Error, EventNumber, LIST_MAX};
use jiff::Timestamp;

use crate::shared::Shared;
use crate::span_sink::{SpanSink, Word};

/// Events of an operation that its trace is told from, at the most; of a longer history the trace is left out.
const EVENTS_MAX: usize = 10_000;

/// Tells the trace of each operation that ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let Some((sink, mut waiting)) = shared.traces.begin() else { return };
    while let Some(word) = waiting.recv().await {
        match word {
            Word::Ended(operation) => tell(&shared, &*sink, &operation).await,
            // Whoever asked may have gone away.
            Word::Asked(reply) => drop(reply.send(())),
        }
    }
}

async fn tell(shared: &Shared, sink: &dyn SpanSink, operation: &Operation) {
    match history(shared, operation).await {
        Ok(Some(history)) => {
            let mut told = spans(operation, &history);
            for span in &mut told {
                place(shared, span);
            }
            sink.take(told);
        }
        Ok(None) => sink.left_out(),
        Err(error) => {
            tracing::debug!(operation.id = %operation.id, %error, "a history cannot be read for its trace");
            sink.left_out();
        }
    }
}

/// The whole history; `None`: it is too long.
async fn history(shared: &Shared, operation: &Operation) -> Result<Option<Vec<(Timestamp, Event)>>, Error> {
    let (mut history, mut after) = (Vec::new(), EventNumber(0));
    loop {
        let read = shared.store.history(operation.id, after, LIST_MAX).await?;
        let is_last = read.len() < LIST_MAX;
        after = read.last().map_or(after, |last| last.number);
        history.extend(read.into_iter().map(|recorded| (recorded.at, recorded.event)));
        if history.len() > EVENTS_MAX {
            return Ok(None);
        }
        if is_last {
            return Ok(Some(history));
        }
    }
}

/// Adds where the target is.
fn place(shared: &Shared, span: &mut Span) {
    let Some(url) = span.target.as_ref().and_then(|target| shared.targets.get(target).url()) else { return };
    let Ok(authority) = url.authority().parse::<http::uri::Authority>() else { return };
    let default = if url.is_secure() { 443 } else { 80 };
    span.attributes.push(("server.address", Value::Text(authority.host().to_owned())));
    span.attributes.push(("server.port", Value::Number(i64::from(authority.port_u16().unwrap_or(default)))));
}
