//! Whether the disk takes writes, and how that is found out: with a write that leaves room for others. A disk that is all but
//! full still takes small ones now and then, which is neither worth accepting anything nor worth a line in the log each time.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Job, Tx};
use crate::Error;

/// The octets that the disk has to take before anything is accepted again.
const ROOM_BYTES: u32 = 256 * 1024;

/// Why the disk could not take a write. Cleared once a [`Probe`] works.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<Error>>>);

impl Trouble {
    pub(super) fn get(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives what was so before.
    pub(super) fn set(&self, trouble: Option<Error>) -> Option<Error> {
        std::mem::replace(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), trouble)
    }
}

/// A write that takes up room, and one that gives it back.
pub(super) enum Probe {
    WithRoom,
    Cleared,
}

impl Job for Probe {
    fn accepts(&self) -> bool {
        false
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        let bytes = match self {
            Self::WithRoom => ROOM_BYTES,
            Self::Cleared => 0,
        };
        // Not zeros: a file system may keep those without taking up room. The columns hold text, two digits for an octet.
        let write = "INSERT INTO meta (name, value) VALUES ('probe', hex(randomblob(?1 / 2)))
                     ON CONFLICT DO UPDATE SET value = excluded.value";
        tx.execute(write, [bytes]).map(drop)
    }

    fn answer(self: Box<Self>, _committed: Result<(), Error>) {}
}

/// Counts as new work and does nothing, so that the thread looks whether the trouble is over.
pub(super) struct LookAgain;

impl Job for LookAgain {
    fn accepts(&self) -> bool {
        true
    }

    fn run(&mut self, _tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        Ok(())
    }

    fn answer(self: Box<Self>, _committed: Result<(), Error>) {}
}
