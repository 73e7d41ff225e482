//! Holding targets back and releasing them. The record decides; what the targets in memory do is made to follow it, by one at
//! a time, so that the two never stay apart: not by people who hold and release at once, not by an undo that fails
//! meanwhile, and not by a lost answer of the store.

use fanfold_core::TargetName;
use fanfold_store::{Change, Error as StoreError, Hold};

use crate::Error;
use crate::shared::Shared;

/// Records that a target is on hold, and has it follow.
pub(crate) async fn hold(shared: &Shared, hold: Hold) -> Result<(), Error> {
    let _alone = shared.holding.lock().await;
    let target = hold.target.clone();
    let recorded = shared.store.hold(hold).await;
    follow_after(shared, &target, recorded).await
}

/// Records that a target is released, and has it follow.
pub(crate) async fn release(shared: &Shared, target: &TargetName) -> Result<(), Error> {
    let _alone = shared.holding.lock().await;
    let recorded = shared.store.release(target).await;
    follow_after(shared, target, recorded).await
}

/// Makes all targets follow the record, which other nodes may have changed.
pub(crate) async fn follow_all(shared: &Shared) -> Result<(), StoreError> {
    let _alone = shared.holding.lock().await;
    let holds = shared.store.holds().await?;
    for target in shared.targets.all() {
        if !holds.iter().any(|hold| hold.target == *target.name()) {
            target.release();
        }
    }
    for hold in holds {
        shared.targets.get(&hold.target).hold(hold.reason);
    }
    Ok(())
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
            shared.tell_others();
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
