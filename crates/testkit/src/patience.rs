//! The one bound on every wait of a test: long enough for a busy machine, short enough to tell that something hangs.

use std::future::Future;
use std::time::Duration;

/// No condition is waited for longer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for `future`, and gives up with the words of `what` after [`PATIENCE`].
pub(crate) async fn patiently<T>(future: impl Future<Output = T>, what: impl FnOnce() -> String) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain: {}", what()),
    }
}
