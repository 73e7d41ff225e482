//! The operation: its state, the events that change it, and the effects that a change asks for.
//!
//! [`transition`] is the one place where anything is decided. Live running, recovery after a crash, the in-memory store,
//! simulation and the state table in the documents all use it. What has to be done for an operation in some state
//! follows from the state alone ([`Operation::work`]), so nothing is lost with the memory of a process.

mod canceling;
mod consistency;
mod effect;
mod event;
mod gate;
mod lower;
mod messages;
mod phase;
mod state;
mod transition;
mod work;

pub use canceling::{Canceling, canceling};
pub use effect::{Attention, AttentionReason, Effect, Effects, Timer, Work};
pub use event::{Choice, Event, Found, Leg, ProbeVerdict, Purpose, Reading, Sent, Trouble, TroubleKind};
pub use gate::{Closed, Gate};
pub use lower::{Lower, LowerTime, Unclear};
pub use phase::{Call, Phase, WaitingFor, phase, waiting_for};
pub use state::{
    Cause, Consistency, Course, Deadline, End, Image, LockState, Operation, Outcome, Probing, Restored, RollbackResult,
    Send, Stage, Status, Step, StepPhase, Undo, UndoEnd, UndoPhase,
};
#[cfg(test)]
pub(crate) use transition::fixtures;
pub use transition::transition;

use jiff::Timestamp;

/// What a decision depends on beside the operation and the event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Context {
    /// The time.
    pub now: Timestamp,
    /// A number drawn evenly from 0 (included) to 1 (excluded), for the spread of retries.
    pub jitter: f64,
}

/// The event cannot happen to the operation in its present state. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} is not possible while {state}")]
pub struct IllegalEvent {
    /// The event, in words ([`Event::in_words`]).
    pub event: &'static str,
    /// The state, in words.
    pub state: String,
}
