//! Nodes that are killed, cut off and started while operations come to all of them: everything accepted ends, and nothing that is
//! not safe to repeat is sent twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fanfold_core::OperationId;
use fanfold_core::operation::{Consistency, Status};
use fanfold_testkit::fake::{Answer, Reply};
use fanfold_testkit::{Latch, Random};

use super::super::stage::Setting;
use super::cluster::{Cluster, Node, SHORT};

/// Rounds of one history, each with something that happens to a node.
const ROUNDS: usize = 12;

/// Operations that come in each round.
const COMING: usize = 6;

/// The histories.
const SEEDS: [u64; 3] = [4, 11, 12];

/// How many nodes there are at a time.
const NODES: usize = 3;

fn settling(setting: &mut Setting<'_>) {
    setting.target.settle = Duration::from_millis(100);
}

async fn begin(cluster: &Cluster, number: usize) -> Node {
    cluster.node(&format!("n{number}"), settling).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_come_and_go_under_load() {
    for seed in SEEDS {
        Box::pin(play(seed)).await;
    }
}

async fn play(seed: u64) {
    let cluster = Cluster::new(SHORT).await;
    // Some are always on the wire.
    let answers = Latch::new();
    let created = Answer::json(201, &serde_json::json!({ "id": "x" }));
    cluster.fakes[0].on("POST", "/things", Reply::from(created).after(&answers));
    let mut random = Random::new(seed);
    let mut nodes = Vec::new();
    for number in 0..NODES {
        nodes.push(begin(&cluster, number).await);
    }
    let mut accepted: BTreeSet<OperationId> = BTreeSet::new();
    let mut cut: Option<usize> = None;
    for round in 0..ROUNDS {
        answers.let_through(COMING - 1);
        for number in 0..COMING {
            let key = format!("{round}-{number}");
            // Whoever cannot take it now is not insisted on; another one is.
            for place in (0..NODES).map(|place| (place + number) % NODES) {
                let taken = nodes[place].accept_with("POST", "/things", &[("idempotency-key", &key)]).await;
                if let Ok(taken) = taken {
                    accepted.insert(taken.operation.id);
                    break;
                }
            }
        }
        let place = random.below(NODES);
        match random.below(3) {
            0 => {
                let new = begin(&cluster, NODES + round).await;
                std::mem::replace(&mut nodes[place], new).kill();
                cut = cut.filter(|cut| *cut != place);
            }
            1 if cut.is_none() => {
                nodes[place].wire.cut(true);
                nodes[place].store.fail_commits(true);
                nodes[place].clock.stand_still(2 * SHORT);
                cut = Some(place);
                // Sometimes for so long that the others take over.
                if random.chance(2, 3) {
                    let others = || nodes.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, node)| node);
                    let fences = || others().map(|node| node.wire.fences()).sum::<u64>();
                    let before = fences();
                    nodes[place].until("it is missed", |_| fences() > before).await;
                }
            }
            _ => {
                if let Some(place) = cut.take() {
                    nodes[place].wire.cut(false);
                    nodes[place].store.fail_commits(false);
                }
                let some = accepted.iter().next_back().copied().unwrap();
                // Whether it comes in time does not matter here.
                drop(nodes[place].within(nodes[place].stage.engine.cancel(some, "ann".to_owned())).await);
            }
        }
    }
    if let Some(place) = cut {
        nodes[place].wire.cut(false);
        nodes[place].store.fail_commits(false);
    }
    answers.open();
    let mut ends: BTreeMap<Status, usize> = BTreeMap::new();
    for id in &accepted {
        let end = nodes[0].ended(*id).await.end().unwrap().clone();
        if end.status == Status::Failed {
            assert_eq!(end.consistency, Consistency::Unknown, "no node's trouble costs an attempt");
        }
        *ends.entry(end.status).or_default() += 1;
    }
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    for seen in cluster.fakes[0].seen().iter().filter(|seen| seen.method == "POST") {
        *sent.entry(seen.header("fanfold-operation-id").unwrap().to_owned()).or_default() += 1;
    }
    assert!(sent.values().all(|times| *times == 1), "{sent:?}");
    assert!(ends.contains_key(&Status::Completed), "{ends:?}");
    let adopted: u64 = nodes.iter().map(|node| node.stage.engine.metrics().operations_adopted()).sum();
    assert!(adopted > 0, "seed {seed}");
}
