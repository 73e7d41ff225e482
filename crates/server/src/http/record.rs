//! Operations as a caller may see them: found, filtered by whose they are, joined with their bodies, and waited for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfold_core::dialect::{Bodies, View};
use fanfold_core::{Operation, OperationId, Slot};
use tokio::time::{Instant, timeout_at};

use super::auth::Caller;
use super::metrics::Following;
use super::outcome::Stop;
use super::server::Shared;

/// An operation with the bodies that stand apart from it.
#[derive(Debug)]
pub(super) struct Full {
    pub(super) operation: Arc<Operation>,
    bodies: Bodies,
}

impl Full {
    pub(super) fn view(&self) -> View<'_> {
        View { operation: &self.operation, bodies: &self.bodies }
    }

    /// The octets of one of its bodies.
    pub(super) fn octets(&self, slot: Slot) -> Bytes {
        Bytes::copy_from_slice(self.view().octets(slot))
    }
}

impl Shared {
    /// The latest recorded state of an operation.
    ///
    /// # Errors
    /// If there is none, or it is not the caller's: nobody is told which.
    pub(super) async fn operation(&self, caller: &Caller, id: OperationId) -> Result<Arc<Operation>, Stop> {
        self.engine.operation_seen(&caller.access, id).await?.ok_or_else(|| Stop::not_found("operation"))
    }

    /// Whether an operation of the caller's tenant exists for them.
    pub(super) async fn is_seen(&self, caller: &Caller, id: OperationId) -> Result<bool, Stop> {
        Ok(caller.sees_all() || self.engine.operation_seen(&caller.access, id).await?.is_some())
    }

    /// Joins an operation with its bodies, as far as any stand apart.
    pub(super) async fn full(&self, operation: Arc<Operation>) -> Result<Full, Stop> {
        let is_whole = operation.bodies_apart().next().is_none();
        let bodies = if is_whole { Bodies::new() } else { self.store.bodies(operation.id).await? };
        Ok(Full { operation, bodies })
    }

    /// Waits until `is_enough` is true of an operation, for as long as `patience` lasts and the server is not stopping, and gives
    /// its latest state.
    ///
    /// # Errors
    /// If there is none; [`Refusal::Unavailable`](fanfold_core::dialect::Refusal) if too many wait already.
    pub(super) async fn wait_for(
        &self,
        caller: &Caller,
        id: OperationId,
        patience: Duration,
        is_enough: impl Fn(&Operation) -> bool,
    ) -> Result<Arc<Operation>, Stop> {
        let deadline = Instant::now() + patience;
        let mut place = None;
        loop {
            // Before it is read, so that no change gets lost in between.
            let mut changes = self.engine.follow(id);
            let operation = self.operation(caller, id).await?;
            if is_enough(&operation) || operation.end().is_some() || self.is_stopping() {
                return Ok(operation);
            }
            if place.is_none() {
                place = Some(self.live.followers.admit(Following::Wait, &caller.access.tenant, Some(id))?);
            }
            let changed = async {
                tokio::select! {
                    // An error says that whoever changes it has let go of it, which is news as well.
                    _ = changes.changed() => {}
                    () = self.stopping() => {}
                }
            };
            if timeout_at(deadline, changed).await.is_err() {
                return self.operation(caller, id).await;
            }
        }
    }
}
