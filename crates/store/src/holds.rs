//! Target holds: targets that get no new attempt until a person releases them. A commit can place one too
//! ([`Effect::HoldTarget`](fanfold_core::Effect::HoldTarget)).

use async_trait::async_trait;
use fanfold_core::TargetName;
use jiff::Timestamp;

use crate::{Change, Error};

/// Places and lifts holds.
#[async_trait]
pub trait Holds: Send + Sync {
    /// Puts a target on hold; one that is on hold stays so, with its first reason. On disk when answered.
    async fn hold(&self, hold: Hold) -> Result<Change, Error>;

    /// Lifts the hold of a target. On disk when answered.
    async fn release(&self, target: &TargetName) -> Result<Change, Error>;
}

/// Reads holds.
#[async_trait]
pub trait ReadHolds: Send + Sync {
    /// All holds, by target.
    async fn holds(&self) -> Result<Vec<Hold>, Error>;
}

/// A target that is on hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The target.
    pub target: TargetName,
    /// Since when.
    pub since: Timestamp,
    /// By whom: a person, or `operation <id>`.
    pub by: String,
    /// Why.
    pub reason: String,
}
