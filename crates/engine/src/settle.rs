//! Settles acceptances whose answer was lost: looks whether the operation is in the store, and cancels it if it is.

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::{Operation, OperationId};
use fanfold_store::Error;

use crate::dispatch;
use crate::members::Term;
use crate::shared::Shared;

/// How long an operation that is not in the store is looked for before the store is asked to decide: a commit may be carried out
/// after its answer was lost.
const LOOKED_FOR: Duration = Duration::from_secs(60);

/// The pause between two looks at what is doubtful.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Settles what is doubtful, until the engine stops.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping();
    loop {
        let has_some = !shared.doubts.doubtful().is_empty();
        tokio::select! {
            () = shared.doubts.news.notified(), if !has_some => {}
            () = tokio::time::sleep(LOOK_EVERY), if has_some => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        let term = shared.lease.term();
        for (id, since) in shared.doubts.doubtful() {
            // Asked once: reading may take long enough for the time to pass.
            let is_last = since.elapsed() >= LOOKED_FOR;
            match look(&shared, id, is_last).await {
                Ok(Some(operation)) => settle(&shared, Arc::new(operation), term),
                Ok(None) if is_last => shared.doubts.forget(id),
                Ok(None) => {}
                // It is not back yet.
                Err(error) => {
                    tracing::debug!(%error, "cannot look for operations that may have been accepted");
                    break;
                }
            }
        }
    }
}

/// What is in the store; for good, where it is looked for the last time.
async fn look(shared: &Shared, id: OperationId, is_last: bool) -> Result<Option<Operation>, Error> {
    if is_last {
        shared.store.decided().await?;
    }
    shared.store.operation(id).await
}

fn settle(shared: &Arc<Shared>, operation: Arc<Operation>, term: Term) {
    if operation.end().is_some() {
        return shared.doubts.forget(operation.id);
    }
    let Some(canceling) = shared.doubts.cancel(operation.id) else { return };
    tracing::warn!(
        operation.id = %operation.id,
        "an operation was accepted whose acceptance could not be answered; it is canceled, and was not begun"
    );
    dispatch::take_up_to_cancel(shared, operation, term, canceling);
}
