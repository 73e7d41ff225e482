//! Waiting for the turn of what is safe to send, and is not recorded by itself: reads and polls. What stands in their way is
//! recorded all the same where it is worth that, before they go on.

use std::future::ready;

use fanfold_core::StepIndex;
use fanfold_core::operation::{Gate, Leg};

use super::tasks::TaskContext;
use crate::target::{Permit, Ticket, Turn};

/// Where a read or a poll stands, from when it is due until it is made.
pub(super) enum Place {
    /// It waits for its turn.
    Queued(Ticket),
    /// Its turn has come, which is to be recorded before it is made.
    Called(Permit),
}

/// What is waited for is not what is recorded of it.
pub(super) struct Gated {
    pub(super) gate: Gate,
    /// Kept while that is recorded.
    pub(super) place: Place,
}

/// Waits for the turn, in the place that it has if it has one. `noted` is what would be recorded of a gate; what is recorded
/// already is read off the operation.
pub(super) async fn turn(
    context: &TaskContext,
    step: StepIndex,
    leg: Leg,
    place: Option<Place>,
    noted: impl Fn(Gate) -> Gate,
) -> Result<Permit, Gated> {
    let target = context.target(step);
    let take_place = || context.ticket(step, leg);
    let recorded = context.op.due_gate(step, leg).unwrap_or_default();
    let mut ticket = match place {
        // It was held, or taken out of the configuration, while that was recorded: the permit is given back.
        Some(Place::Called(permit)) if !target.is_closed() => return Ok(permit),
        Some(Place::Queued(ticket)) => ticket,
        Some(Place::Called(_)) | None => take_place(),
    };
    loop {
        let gate = ticket.gate();
        let turn = tokio::select! {
            // One whose turn has come already waits for nothing, whatever the others wait for.
            biased;
            turn = ticket.turn() => turn,
            () = ready(()), if noted(gate) != recorded => Turn::Waits(gate),
        };
        match turn {
            Turn::Go(permit) if target.is_closed() => {
                drop(permit);
                ticket = take_place();
            }
            Turn::Go(permit) if recorded != Gate::Permit => {
                return Err(Gated { gate: Gate::Permit, place: Place::Called(permit) });
            }
            Turn::Go(permit) => return Ok(permit),
            Turn::Waits(gate) if noted(gate) == recorded => {}
            Turn::Waits(gate) => return Err(Gated { gate, place: Place::Queued(ticket) }),
        }
    }
}
