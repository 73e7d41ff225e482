//! Requests that are carried out together: all that they need is read in a few statements ([`load`]), decided in memory
//! ([`Picture`]), and all that changes is written in a few statements ([`write`]).

mod accept;
mod audit;
mod commit;
mod load;
mod locks;
mod notice;
mod picture;
mod rows;
mod write;

pub(super) use accept::AcceptWrite;
pub(super) use audit::AuditWrite;
pub(super) use commit::CommitWrite;
pub(super) use load::load;
pub(super) use notice::NoticeWrite;
pub(super) use picture::{Picture, Wanted};
pub(super) use write::{AUDIT, BODIES, EVENTS, LOCKED, NOTES, PLANS, POLICIES, write};

use crate::Error;

/// A request that is decided in memory, together with others.
pub(super) trait Write: Send + 'static {
    type Answer: Send + 'static;

    /// Says what has to be read for it.
    fn wants(&self, wanted: &mut Wanted);

    /// Carries it out in the picture. It must not have changed anything when it returns an error. It may be called again after
    /// a rollback.
    fn decide(&self, picture: &mut Picture<'_>) -> Result<Self::Answer, Error>;
}
