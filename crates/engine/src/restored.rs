//! What came from a backup. Before the first start on a restored store every operation in it that has not ended is marked, so
//! that nothing is sent for it; later a person releases them, one by one or all that a filter lets through.

use std::sync::Arc;

use fanfold_core::{Context, Event, IllegalEvent, Operation, OperationId, transition};
use fanfold_store::{Commit, Error as StoreError, Filter, Order, Page, Store};
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;

use crate::{Engine, Error};

/// How many operations are marked, or released, at the same time, so that they share commits.
const TOGETHER: usize = 64;

/// How many operations are read at once.
const BATCH: usize = 500;

/// How many operations one request to release looks at, at the most.
const LOOKED_AT_MAX: usize = 1_000;

/// Marks every operation that has not ended as restored, unless it is so already: `as_of` is when the backup was made. Nobody
/// else may have the store meanwhile. It can be begun again when it was broken off. Gives how many were marked this time.
///
/// # Errors
/// Those of the store.
pub async fn mark_restored(store: &dyn Store, as_of: Timestamp, now: Timestamp) -> Result<u64, Error> {
    let (mut after, mut marked) = (None, 0);
    loop {
        let ids = store.open_operations(after, BATCH).await?;
        let mut marking =
            stream::iter(ids.iter().copied()).map(|id| mark(store, id, as_of, now)).buffer_unordered(TOGETHER);
        while let Some(is_new) = marking.next().await {
            marked += u64::from(is_new?);
        }
        drop(marking);
        after = ids.last().copied();
        if ids.len() < BATCH {
            return Ok(marked);
        }
    }
}

/// Marks one. `false` if it is so already: then the earlier backup is what is known of it.
async fn mark(store: &dyn Store, id: OperationId, as_of: Timestamp, now: Timestamp) -> Result<bool, Error> {
    let gone = || StoreError::NotFound { what: format!("operation {id}") };
    let operation = store.operation(id).await?.ok_or_else(gone)?;
    if operation.restored.is_some() {
        return Ok(false);
    }
    let event = Event::Restored { as_of };
    // What is recorded never goes back in time, though the clock may have.
    let now = now.max(operation.updated_at);
    let (next, effects) =
        transition(&operation, event.clone(), Context { now, jitter: 0.0 }).map_err(Error::NotPossible)?;
    let next = Operation { revision: operation.revision.next(), ..next };
    let commit = Commit { events: vec![(now, event)], effects, ..Commit::new(next) };
    store.commit(commit).await?;
    Ok(true)
}

/// What a request to release operations found and did.
#[derive(Debug, Default)]
pub struct Released {
    /// Those that wait to be released, among those that were looked at.
    pub found: u64,
    /// Those that were released.
    pub released: u64,
    /// Those that could not be.
    pub refused: Vec<(OperationId, Error)>,
    /// Go on after this one; `None`: all were looked at.
    pub next: Option<OperationId>,
}

/// Whom to release.
#[derive(Debug, Clone)]
pub struct ReleaseRequest {
    /// Those that this lets through and that wait to be released.
    pub filter: Filter,
    /// Those that follow this one.
    pub after: Option<OperationId>,
    /// Only tell how many there are.
    pub dry_run: bool,
    /// Who.
    pub by: String,
    /// Their reason.
    pub remark: Option<String>,
}

impl Engine {
    /// Lets an operation that was restored go on from where the backup has it.
    ///
    /// # Errors
    /// [`Error::NotPossible`] if it does not wait for that; [`Error::NotFound`]; the store's errors.
    pub async fn release_restored(
        &self,
        id: OperationId,
        by: String,
        remark: Option<String>,
    ) -> Result<Arc<Operation>, Error> {
        let operation = self.operation(id).await?.ok_or(Error::NotFound)?;
        if operation.restored.is_none() {
            let event = Event::RestoreReleased { by, remark }.in_words();
            return Err(Error::NotPossible(IllegalEvent { event, state: operation.in_words() }));
        }
        self.tell(id, Event::RestoreReleased { by, remark }).await
    }

    /// The same with all that a filter lets through, the oldest first; looks at a bounded number of them.
    ///
    /// # Errors
    /// If the store cannot be read. What cannot be released is no error.
    pub async fn release_all_restored(&self, request: ReleaseRequest) -> Result<Released, Error> {
        let ReleaseRequest { filter, mut after, dry_run, by, remark } = request;
        let mut done = Released::default();
        let Some(filter) = of_restored(filter) else { return Ok(done) };
        let (mut looked_at, mut is_last) = (0, false);
        while looked_at < LOOKED_AT_MAX && !is_last {
            let page = Page { order: Order::OldestFirst, after, limit: BATCH.min(LOOKED_AT_MAX - looked_at) };
            let read = self.shared.store.list(&filter, page).await?;
            looked_at += read.len();
            is_last = read.len() < page.limit;
            after = read.last().map(|operation| operation.id).or(after);
            let waiting: Vec<_> = read.iter().filter(|one| one.restored.is_some()).map(|one| one.id).collect();
            done.found += waiting.len() as u64;
            if dry_run {
                continue;
            }
            let releasing = |id| {
                let (by, remark) = (by.clone(), remark.clone());
                async move { (id, self.release_restored(id, by, remark).await) }
            };
            let mut releasing = stream::iter(waiting).map(releasing).buffer_unordered(TOGETHER);
            while let Some((id, released)) = releasing.next().await {
                match released {
                    Ok(_) => done.released += 1,
                    Err(error) => done.refused.push((id, error)),
                }
            }
        }
        done.next = after.filter(|_| !is_last);
        Ok(done)
    }
}

/// The same filter for what can have been restored: it has not ended, and there is a note about it. `None`: nothing can.
fn of_restored(mut filter: Filter) -> Option<Filter> {
    use fanfold_core::operation::Status;
    let open = Status::ALL.into_iter().filter(|status| !status.is_terminal());
    let asked = filter.statuses.clone();
    filter.statuses = open.filter(|status| asked.is_empty() || asked.contains(status)).collect();
    match (filter.statuses.is_empty(), filter.attention) {
        (true, _) | (_, Some(false)) => None,
        (false, Some(true) | None) => {
            filter.attention = Some(true);
            Some(filter)
        }
    }
}

#[cfg(test)]
mod tests {
    use fanfold_core::operation::Status;

    use super::*;

    #[test]
    fn only_what_has_not_ended_and_needs_a_person_is_looked_at() {
        let with = |statuses: &[Status], attention| Filter {
            statuses: statuses.iter().copied().collect(),
            attention,
            ..Filter::default()
        };
        let open = [Status::Unexecuted, Status::Executing];
        assert_eq!(of_restored(Filter::default()), Some(with(&open, Some(true))));
        assert_eq!(
            of_restored(with(&[Status::Executing, Status::Failed], None)),
            Some(with(&[Status::Executing], Some(true)))
        );
        assert_eq!(of_restored(with(&[Status::Failed], None)), None);
        assert_eq!(of_restored(with(&[], Some(false))), None);
    }
}
