//! The same thing done with all operations that a filter lets through, the oldest first: canceling, retrying. A request looks at
//! a bounded number of them, and says where to go on. What would be done is found out by what does it.

use fanfold_core::dialect::Refusal;
use fanfold_core::operation::{Canceling, Status, canceling};
use fanfold_core::{Access, Headers, Operation, OperationId};
use fanfold_store::{Filter, Order, Page};
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;

use crate::engine::CancelOutcome;
use crate::retry::RetryRequest;
use crate::{Engine, Error};

/// How many operations one request looks at, at the most.
pub const BULK_MAX: usize = 1_000;

/// How many are worked on at the same time, so that they share commits.
const TOGETHER: usize = 64;

/// How many are retried at the same time: each with all of its messages in memory.
const RETRIED_TOGETHER: usize = 8;

/// How many are read at once.
const BATCH: usize = 100;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Cancel what has not ended.
    Cancel,
    /// Retry what failed or was canceled.
    Retry {
        /// Whether those targets are called again too of which it is not known whether they are in the requested state.
        force: bool,
    },
}

/// With which operations it is to be done.
#[derive(Debug, Clone)]
pub struct BulkRequest {
    /// What.
    pub deed: Deed,
    /// Those that this lets through and that it can be done with.
    pub filter: Filter,
    /// Those that follow this one.
    pub after: Option<OperationId>,
    /// Only those that were accepted before this time: retries that the request itself makes are none of them.
    pub until: Timestamp,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Who.
    pub by: String,
}

/// What was, or would be, done.
#[derive(Debug, Default)]
pub struct BulkOutcome {
    /// With each operation, in the order of their acceptance.
    pub done: Vec<Done>,
    /// With which it could not be, and why.
    pub refused: Vec<(OperationId, String)>,
    /// Go on after this one; `None`: all were looked at.
    pub next: Option<OperationId>,
}

/// What was, or would be, done with one operation.
#[derive(Debug, Clone)]
pub struct Done {
    /// Which one.
    pub id: OperationId,
    /// What that does, in words.
    pub effect: String,
    /// The operation that retries it.
    pub retried_by: Option<OperationId>,
}

impl Engine {
    /// Does it, or tells what would be done.
    ///
    /// # Errors
    /// If the store cannot be read before anything was done. That it cannot be done with an operation is no error.
    pub async fn bulk(&self, request: BulkRequest) -> Result<BulkOutcome, Error> {
        let BulkRequest { deed, mut filter, mut after, until, dry_run, by } = request;
        filter.until = Some(filter.until.map_or(until, |asked| asked.min(until)));
        let mut outcome = BulkOutcome::default();
        // The semaphore is never closed.
        let _turn = self.shared.bulks.acquire().await;
        let Some(filter) = deed.narrowed(filter) else { return Ok(outcome) };
        let (mut looked_at, mut is_last) = (0, false);
        while looked_at < BULK_MAX && !is_last {
            let page = Page { order: Order::OldestFirst, after, limit: BATCH.min(BULK_MAX - looked_at) };
            let read = match self.shared.store.list(&filter, page).await {
                Ok(read) => read,
                // What was done so far has to be told; whoever goes on meets the error.
                Err(error) if looked_at > 0 => {
                    tracing::error!(%error, "cannot read further operations that something is to be done with");
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            looked_at += read.len();
            is_last = read.len() < page.limit;
            after = read.last().map(|operation| operation.id).or(after);
            let work = |operation: Operation| {
                let by = by.clone();
                async move {
                    let done = if dry_run {
                        self.would(deed, &operation, &by).await
                    } else {
                        self.does(deed, &operation, &by).await
                    };
                    (operation.id, done)
                }
            };
            let mut working = stream::iter(read).map(work).buffered(deed.together());
            while let Some((id, done)) = working.next().await {
                match done {
                    Ok((effect, retried_by)) => outcome.done.push(Done { id, effect, retried_by }),
                    Err(why) => outcome.refused.push((id, why)),
                }
            }
        }
        outcome.next = after.filter(|_| !is_last);
        Ok(outcome)
    }

    async fn would(
        &self,
        deed: Deed,
        operation: &Operation,
        by: &str,
    ) -> Result<(String, Option<OperationId>), String> {
        match deed {
            Deed::Cancel => {
                // A later state than the store's list had may be in memory.
                let latest = self.operation(operation.id).await.map_err(|error| error.to_string())?;
                let latest = latest.ok_or_else(|| Error::NotFound.to_string())?;
                match canceling(&latest, self.shared.clock.now()) {
                    Ok(too_late @ Canceling::TooLate) => Err(too_late.to_string()),
                    Ok(effect) => Ok((effect.to_string(), None)),
                    Err(illegal) => Err(illegal.to_string()),
                }
            }
            Deed::Retry { force } => match self.retry_planned(operation, force.then_some(by)).await {
                Ok(plan) => {
                    let names: Vec<&str> = plan.steps.iter().map(|step| step.target.as_str()).collect();
                    Ok((format!("calls {}", names.join(", ")), None))
                }
                Err(refusal) => Err(refusal.to_string()),
            },
        }
    }

    async fn does(&self, deed: Deed, operation: &Operation, by: &str) -> Result<(String, Option<OperationId>), String> {
        match deed {
            Deed::Cancel => {
                let effect = self.would(deed, operation, by).await?.0;
                match self.cancel(operation.id, by.to_owned()).await {
                    Ok(CancelOutcome::Accepted(_)) => Ok((effect, None)),
                    Ok(CancelOutcome::TooLate(_)) => Err(Canceling::TooLate.to_string()),
                    Err(error) => Err(error.to_string()),
                }
            }
            Deed::Retry { force } => {
                // It is one of those that whoever asks for it sees.
                let access = &Access { tenant: operation.tenant.clone(), ..Access::full() };
                let request = RetryRequest { access, id: operation.id, force, by, headers: Headers::new() };
                let accepted = self.retry(request).await.map_err(|refusal: Refusal| refusal.to_string())?.operation;
                let names: Vec<&str> = accepted.plan.steps.iter().map(|step| step.target.as_str()).collect();
                Ok((format!("calls {}", names.join(", ")), Some(accepted.id)))
            }
        }
    }
}

impl Deed {
    fn together(self) -> usize {
        match self {
            Self::Cancel => TOGETHER,
            Self::Retry { .. } => RETRIED_TOGETHER,
        }
    }

    /// The same filter for what it can be done with; `None`: that is nothing.
    fn narrowed(self, mut filter: Filter) -> Option<Filter> {
        let fits = |status: &Status| match (self, status) {
            (Self::Cancel, Status::Unexecuted | Status::Executing) => true,
            (Self::Cancel, Status::Completed | Status::Failed | Status::Canceled) => false,
            (Self::Retry { .. }, Status::Failed | Status::Canceled) => true,
            (Self::Retry { .. }, Status::Unexecuted | Status::Executing | Status::Completed) => false,
        };
        let asked = std::mem::take(&mut filter.statuses);
        let possible = Status::ALL.into_iter().filter(fits);
        filter.statuses = possible.filter(|status| asked.is_empty() || asked.contains(status)).collect();
        (!filter.statuses.is_empty()).then_some(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_it_can_be_done_with_is_looked_at() {
        let with = |statuses: &[Status]| Filter { statuses: statuses.iter().copied().collect(), ..Filter::default() };
        let open = [Status::Unexecuted, Status::Executing];
        let retry = Deed::Retry { force: false };
        assert_eq!(Deed::Cancel.narrowed(Filter::default()), Some(with(&open)));
        assert_eq!(Deed::Cancel.narrowed(with(&[Status::Executing, Status::Failed])), Some(with(&[Status::Executing])));
        assert_eq!(Deed::Cancel.narrowed(with(&[Status::Completed])), None);
        assert_eq!(retry.narrowed(Filter::default()), Some(with(&[Status::Failed, Status::Canceled])));
        assert_eq!(retry.narrowed(with(&open)), None);
    }
}
