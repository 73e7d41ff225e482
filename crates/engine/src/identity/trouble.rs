//! What is logged of somebody who cannot be asked: once when it begins, once when it is over.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody can be asked.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Who, as it is configured.
    name: String,
    is_there: AtomicBool,
}

impl Trouble {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), is_there: AtomicBool::new(false) }
    }

    pub(super) fn met(&self, why: &str) {
        if self.is_there.swap(true, Ordering::Relaxed) {
            tracing::debug!(issuer = self.name, why, "the issuer of credentials still cannot be asked");
        } else {
            tracing::warn!(issuer = self.name, why, "the issuer of credentials cannot be asked");
        }
    }

    pub(super) fn over(&self) {
        if self.is_there.swap(false, Ordering::Relaxed) {
            tracing::info!(issuer = self.name, "the issuer of credentials can be asked again");
        }
    }
}
