//! Who is told of the end of operations, and does not always listen.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use fanfold_testkit::fake::Service;
use fanfold_testkit::{Answer, FakeTarget, Reply, Seen};

use super::target::World;

pub(super) struct Receiver {
    target: FakeTarget,
    told: Arc<Mutex<HashSet<String>>>,
}

struct Ear {
    world: Arc<World>,
    told: Arc<Mutex<HashSet<String>>>,
}

impl Receiver {
    pub(super) async fn start(world: Arc<World>) -> Self {
        let told = Arc::default();
        let target = FakeTarget::start().await;
        target.serve(Ear { world, told: Arc::clone(&told) });
        Self { target, told }
    }

    /// What a client adds to its request to be told here.
    pub(super) fn query(&self) -> String {
        let address = self.target.address();
        format!("?notification_address={}&notification_port={}", address.ip(), address.port())
    }

    /// Whether the end of this operation was confirmed here.
    pub(super) fn confirmed(&self, id: &str) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }
}

impl Service for Ear {
    fn answer(&self, request: &Seen) -> Option<Reply> {
        let faults = self.world.faults.load(Ordering::Relaxed);
        match if faults { self.world.draw(10) } else { 9 } {
            0 => return Some(Answer::empty(500).into()),
            1 => return Some(Reply::Reset { applied: false }),
            2 if self.world.draw(4) == 0 => return Some(Reply::Never { applied: false }),
            _ => {}
        }
        let id = request.path().rsplit('/').next().unwrap_or_default().to_owned();
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Some(Answer::empty(200).into())
    }
}
