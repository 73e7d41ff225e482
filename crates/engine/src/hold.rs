//! Holding targets back and releasing them. The record decides; what the targets in memory do is made to follow it, by one at
//! a time, so that the two never stay apart: not by people who hold and release at once, not by an undo that fails
//! meanwhile, and not by a lost answer of the store.

use fanfold_core::TargetName;
use fanfold_store::{Change, Error as StoreError, Hold};

use crate::shared::Shared;
use crate::{Engine, Error};

impl Engine {
    /// Puts a target on hold: no new attempt of any kind goes to it until it is released. To be carried to its end once begun:
    /// what is dropped in the middle may be recorded without being followed.
    ///
    /// # Errors
    /// If it cannot be recorded; nothing has changed then, unless the store's error says that it may have.
    pub async fn hold(&self, target: &TargetName, by: String, reason: String) -> Result<(), Error> {
        let since = self.shared.clock.now();
        let hold = Hold { target: target.clone(), since, by, reason };
        let _alone = self.shared.holding.lock().await;
        let recorded = self.shared.store.hold(hold).await;
        follow_after(&self.shared, target, recorded).await
    }

    /// Releases a target: what waits for it goes on, in order. To be carried to its end once begun, like a hold.
    ///
    /// # Errors
    /// If it cannot be recorded; nothing has changed then, unless the store's error says that it may have.
    pub async fn release(&self, target: &TargetName) -> Result<(), Error> {
        let _alone = self.shared.holding.lock().await;
        let recorded = self.shared.store.release(target).await;
        follow_after(&self.shared, target, recorded).await
    }
}

/// Makes a target follow the record after a commit that put it on hold.
pub(crate) async fn follow(shared: &Shared, target: &TargetName) {
    let _alone = shared.holding.lock().await;
    if let Err(error) = read_and_follow(shared, target).await {
        // It is on hold already, and stays so.
        tracing::error!(fanfold.target = %target, %error, "cannot read whether the target is on hold");
    }
}

async fn follow_after(shared: &Shared, target: &TargetName, recorded: Result<Change, StoreError>) -> Result<(), Error> {
    match recorded {
        // What is certain not to be recorded changes nothing.
        Err(error) if !error.may_have_committed() => Err(error.into()),
        recorded => {
            let followed = read_and_follow(shared, target).await;
            recorded?;
            Ok(followed?)
        }
    }
}

async fn read_and_follow(shared: &Shared, target: &TargetName) -> Result<(), StoreError> {
    let hold = shared.store.holds().await?.into_iter().find(|hold| hold.target == *target);
    let target = shared.targets.get(target);
    match hold {
        Some(hold) => target.hold(hold.reason),
        None => target.release(),
    }
    Ok(())
}
