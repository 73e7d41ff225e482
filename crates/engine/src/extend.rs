//! Moving the deadline of an operation that runs.

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::operation::{Deadline, Stage};
use fanfold_core::{Event, Operation, OperationId};
use jiff::{SignedDuration, Timestamp};

use crate::{Engine, Error};

/// How far ahead a deadline may be moved.
const AHEAD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// To when a deadline is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// To this time.
    Until(Timestamp),
    /// By so much, from what it is now.
    By(Duration),
}

impl Engine {
    /// Moves the deadline of an operation that runs. One that it has already is left as it is.
    ///
    /// # Errors
    /// [`Error::NotAsked`] if there is no deadline to move: the operation has not begun, the deadline has passed, forward work
    /// is over; or if the time is not later, or too far ahead; [`Error::NotFound`]; the store's errors.
    pub async fn extend(&self, id: OperationId, extension: Extension, by: String) -> Result<Arc<Operation>, Error> {
        let operation = self.operation(id).await?.ok_or(Error::NotFound)?;
        let now = self.shared.clock.now();
        let present = present(&operation, now)?;
        let until = match extension {
            Extension::Until(until) => until,
            Extension::By(span) => later(present, span),
        };
        if until > later(now, AHEAD_MAX) {
            return Err(Error::NotAsked("a deadline is at the most 366 days ahead".to_owned()));
        }
        if until <= now {
            return Err(Error::NotAsked(format!("{until} has passed already; a deadline is moved to a later time")));
        }
        if until < present {
            let detail =
                format!("{until} is earlier than the present deadline, {present}; a deadline is only moved to later");
            return Err(Error::NotAsked(detail));
        }
        self.tell(id, Event::DeadlineExtended { by, until }).await
    }
}

/// The deadline as it is, or as it would be if the person who is awaited came now.
fn present(operation: &Operation, now: Timestamp) -> Result<Timestamp, Error> {
    let no = |why: &str| Err(Error::NotAsked(format!("the deadline cannot be moved: {why}")));
    match &operation.stage {
        Stage::Unexecuted { .. } => return no("the operation has not begun; its deadline runs from its start"),
        Stage::RollingBack { .. } => return no("the operation is being rolled back, which no deadline stops"),
        Stage::Finishing(_) | Stage::Ended { .. } => return no(&operation.in_words()),
        Stage::Forward | Stage::Closing(_) | Stage::Deciding { .. } => {}
    }
    match operation.deadline {
        Deadline::At(at) if at > now => Ok(at),
        Deadline::Paused(left) => Ok(later(now, left)),
        Deadline::From(_) => no("the operation has not begun; its deadline runs from its start"),
        Deadline::At(_) | Deadline::Passed => no("it has passed"),
    }
}

fn later(at: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span).ok().and_then(|span| at.checked_add(span).ok()).unwrap_or(Timestamp::MAX)
}
