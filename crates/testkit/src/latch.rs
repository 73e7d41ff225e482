//! A condition that a test controls, where others would sleep.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Holds back whoever waits at it, until the test lets them through.
#[derive(Debug, Clone)]
pub struct Latch(Arc<Semaphore>);

impl Latch {
    /// A closed latch.
    #[expect(clippy::new_without_default, reason = "a latch that springs from a default would surprise")]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets so many through: those who wait, and then those who come.
    pub fn let_through(&self, count: usize) {
        self.0.add_permits(count);
    }

    /// Lets everybody through from now on.
    pub fn open(&self) {
        self.0.close();
    }

    /// Waits to be let through.
    pub async fn wait(&self) {
        // A closed semaphore is an open latch.
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}
