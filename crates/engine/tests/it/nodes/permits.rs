//! The limit of a target holds for all nodes together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanfold_core::OperationId;
use fanfold_core::operation::Status;
use fanfold_testkit::fake::{Answer, Reply, Seen, Service};
use fanfold_testkit::{Latch, PATIENCE};
use tokio::task::JoinSet;

use super::cluster::{Cluster, LONG, MIDDLE, Node, SHORT};

/// A target that answers when it is told to, and counts what it has not answered.
#[derive(Clone, Default)]
struct Slow(Arc<Mutex<Busy>>);

#[derive(Default)]
struct Busy {
    unanswered: VecDeque<Latch>,
    most: usize,
    total: usize,
}

impl Service for Slow {
    fn answer(&self, request: &Seen) -> Option<Reply> {
        if request.path() != "/slow" {
            return None;
        }
        let mut busy = self.0.lock().unwrap();
        let latch = Latch::new();
        busy.unanswered.push_back(latch.clone());
        busy.most = busy.most.max(busy.unanswered.len());
        busy.total += 1;
        let body = serde_json::json!({ "id": format!("thing-{}", busy.total) });
        Some(Reply::from(Answer::json(201, &body)).after(&latch))
    }
}

impl Slow {
    fn at(cluster: &Cluster) -> Self {
        let slow = Self::default();
        cluster.fakes[0].serve(slow.clone());
        slow
    }

    /// Answers the oldest. It does not count any more even before that, so that never too many are counted.
    fn answer_one(&self) {
        let oldest = self.0.lock().unwrap().unanswered.pop_front();
        oldest.into_iter().for_each(|latch| latch.open());
    }

    fn unanswered(&self) -> usize {
        self.0.lock().unwrap().unanswered.len()
    }

    fn most(&self) -> usize {
        self.0.lock().unwrap().most
    }

    /// From now on it answers one after the other, until the set is dropped.
    fn answers(&self, pace: Duration) -> JoinSet<()> {
        let slow = self.clone();
        let mut answering = JoinSet::new();
        answering.spawn(async move {
            loop {
                slow.answer_one();
                tokio::time::sleep(pace).await;
            }
        });
        answering
    }
}

async fn node(cluster: &Cluster, name: &str, limit: usize) -> Node {
    let change = move |setting: &mut super::super::stage::Setting<'_>| {
        setting.pattern = "/slow";
        setting.max_in_flight = limit;
    };
    cluster.node(name, change).await
}

async fn accepted(node: &Node, count: usize) -> Vec<OperationId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(node.accept("POST", "/slow").await);
    }
    ids
}

async fn all_completed(node: &Node, ids: &[OperationId]) {
    for id in ids {
        assert_eq!(node.ended(*id).await.end().unwrap().status, Status::Completed);
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_over_all_nodes() {
    let cluster = Cluster::new(MIDDLE).await;
    let slow = Slow::at(&cluster);
    let a = node(&cluster, "a", 4).await;
    let of_a = accepted(&a, 20).await;
    until("who is alone has all permits", || slow.unanswered() == 4).await;
    let b = node(&cluster, "b", 4).await;
    let of_b = accepted(&b, 20).await;
    let answering = slow.answers(Duration::from_millis(10));
    all_completed(&b, &of_b).await;
    all_completed(&a, &of_a).await;
    drop(answering);
    assert_eq!(slow.most(), 4, "never more, whoever sent them");
    // Who is quiet leaves what it does not want to the other one.
    let of_b = accepted(&b, 9).await;
    until("one has all of them again", || slow.unanswered() == 4).await;
    let answering = slow.answers(Duration::from_millis(10));
    all_completed(&b, &of_b).await;
    drop(answering);
    assert_eq!(slow.most(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_want_the_same_get_the_same() {
    let cluster = Cluster::new(LONG).await;
    let slow = Slow::at(&cluster);
    let (a, b) = (node(&cluster, "a", 6).await, node(&cluster, "b", 6).await);
    let (of_a, of_b) = (accepted(&a, 60).await, accepted(&b, 60).await);
    let in_flight = |node: &Node| node.stage.engine.targets().status()[0].in_flight.forward;
    let answering = slow.answers(Duration::from_millis(100));
    until("each has its half", || in_flight(&a) == 3 && in_flight(&b) == 3).await;
    drop(answering);
    let answering = slow.answers(Duration::from_millis(2));
    all_completed(&a, &of_a).await;
    all_completed(&b, &of_b).await;
    drop(answering);
    assert!(slow.most() <= 6, "{}", slow.most());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_permit_goes_round() {
    let cluster = Cluster::new(MIDDLE).await;
    let slow = Slow::at(&cluster);
    let (a, b, c) = (node(&cluster, "a", 1).await, node(&cluster, "b", 1).await, node(&cluster, "c", 1).await);
    let answering = slow.answers(Duration::from_millis(20));
    let mut of_a = accepted(&a, 10).await;
    let (of_b, of_c) = (accepted(&b, 2).await, accepted(&c, 2).await);
    // The first one never runs out of work.
    let feeding = async {
        loop {
            of_a.extend(accepted(&a, 5).await);
            let last = of_a[of_a.len() - 3];
            a.ended(last).await;
        }
    };
    tokio::select! {
        () = feeding => {}
        () = async { all_completed(&b, &of_b).await; all_completed(&c, &of_c).await } => {}
    }
    all_completed(&a, &of_a).await;
    drop(answering);
    assert_eq!(slow.most(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_permit_of_a_lost_node_is_given_to_another() {
    let cluster = Cluster::new(SHORT).await;
    let slow = Slow::at(&cluster);
    let a = node(&cluster, "a", 1).await;
    accepted(&a, 1).await;
    until("the permit is in use", || slow.unanswered() == 1).await;
    let b = node(&cluster, "b", 1).await;
    b.knows(2).await;
    let of_b = accepted(&b, 1).await;
    a.kill();
    let answering = slow.answers(Duration::from_millis(5));
    b.adopted(1).await;
    all_completed(&b, &of_b).await;
    drop(answering);
}
