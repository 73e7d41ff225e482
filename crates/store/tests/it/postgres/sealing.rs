//! Sealing keys on several nodes: which of them may be used together, and how they are changed one node after the other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fanfold_core::Slot;
use fanfold_store::contract;
use fanfold_store::contract::fixtures::{accept, acceptance, at, plan};
use fanfold_store::postgres::{Config, Postgres, list_keys};
use fanfold_store::{ADOPT_MAX, Acceptance, Error, NewNode, Nodes as _, Resealed, Sealed as _, SealingKey, Store};
use fanfold_testkit::postgres::Cluster;

use super::{database, wait};

const OLD: SealingKey = SealingKey([1; 32]);
const NEW: SealingKey = SealingKey([2; 32]);

/// A node that has joined.
async fn node(url: &str, keys: &[&SealingKey]) -> Result<Arc<Postgres>, Error> {
    let config = Config::new(url.parse().expect("it is an address"), keys[0].0);
    let other_keys = keys[1..].iter().map(|key| (*key).clone()).collect();
    let store = Postgres::open(Config { other_keys, readers: 2, ..config }).await?;
    let node = NewNode {
        name: "one".to_owned(),
        configuration: String::new(),
        version: String::new(),
        lease: Duration::from_secs(10),
        joined_at: at(0),
    };
    store.join(node).await?;
    Ok(store)
}

async fn leave(node: &Postgres) {
    node.leave().await.expect("the database is there");
    node.close().await;
}

fn refused(opened: Result<Arc<Postgres>, Error>, words: &str) {
    let error = opened.map(drop).expect_err("it would not do");
    assert!(matches!(error, Error::Key { .. }) && error.to_string().contains(words), "{error}");
    assert!(!error.to_string().contains("fanfold@"), "the address is shown without its user: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_be_changed() {
    let Some(url) = database() else { return };
    let last = Mutex::default();
    contract::sealing(&|keys| in_place_of(&last, &url, keys)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_be_changed_that_has_sealed_much() {
    let Some(url) = database() else { return };
    let last = Mutex::default();
    contract::sealing_of_large(&|keys| in_place_of(&last, &url, keys)).await;
}

/// A node that comes when the last one has left.
fn in_place_of(last: &Mutex<Option<Arc<Postgres>>>, url: &str, keys: &[&SealingKey]) -> Result<Arc<dyn Store>, Error> {
    let before = last.lock().expect("no test failed while it held it").take();
    let opened = wait(async {
        if let Some(before) = before {
            leave(&before).await;
        }
        let store = node(url, keys).await?;
        // What the one before it had is its own now.
        while store.adopt(at(1), ADOPT_MAX).await?.more {}
        Ok::<_, Error>(store)
    })?;
    *last.lock().expect("no test failed while it held it") = Some(Arc::clone(&opened));
    Ok(opened as Arc<dyn Store>)
}

/// Goal: while keys are changed node by node there is no moment at which one cannot open what another one seals. Method: the
/// three rounds, with a message that each node seals in each and all the others open; the order that would break it is refused.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_changed_one_node_after_the_other() {
    let Some(url) = database() else { return };
    let rounds: [&[&SealingKey]; 4] = [&[&OLD], &[&OLD, &NEW], &[&NEW, &OLD], &[&NEW]];
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(node(&url, rounds[0]).await.unwrap());
    }
    let fingerprints = nodes[0].fingerprint_key();
    refused(node(&url, &[&NEW, &OLD]).await, "cannot open what the key");
    refused(node(&url, &[&NEW]).await, "every node has to know");
    let mut number = 0;
    for keys in &rounds[1..] {
        for place in 0..nodes.len() {
            leave(&nodes[place]).await;
            nodes[place] = node(&url, keys).await.unwrap();
            assert_eq!(nodes[place].fingerprint_key(), fingerprints);
            for sealing in &nodes {
                let sealed = vec![(Slot::Callback, Bytes::from_static(b"original"))];
                let operation = accept(&**sealing, Acceptance { sealed, ..acceptance(number, at(1), plan()) }).await.0;
                number += 1;
                for opening in &nodes {
                    assert_eq!(opening.sealed(operation.id, Slot::Callback).await.unwrap().unwrap(), "original");
                }
            }
        }
        if keys.len() == 2 && *keys[0] == NEW {
            refused(node(&url, &[&NEW]).await, "messages are sealed with the key");
            while nodes[1].reseal().await.unwrap() != Resealed::Done {}
            assert_eq!(nodes[0].sealing_keys().await.unwrap()[1].messages, 0);
        }
    }
    refused(node(&url, &[&OLD, &NEW]).await, "cannot open what the key");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_in_one_direction_while_nodes_differ() {
    let Some(url) = database() else { return };
    let behind = node(&url, &[&OLD, &NEW]).await.unwrap();
    assert_eq!(behind.reseal().await, Ok(Resealed::Later), "what has sealed nothing yet is not to be retired");
    let ahead = node(&url, &[&NEW, &OLD]).await.unwrap();
    let sealed = vec![(Slot::Callback, Bytes::from_static(b"original"))];
    accept(&*behind, Acceptance { sealed: sealed.clone(), ..acceptance(1, at(1), plan()) }).await;
    accept(&*ahead, Acceptance { sealed, ..acceptance(2, at(1), plan()) }).await;
    assert_eq!(behind.reseal().await, Ok(Resealed::Later), "the one that came last decides");
    assert_eq!(ahead.reseal().await, Ok(Resealed::Whole { resealed: 1 }));
    assert_eq!(ahead.reseal().await, Ok(Resealed::Done));
}

// A program of the version before notes one key and says nothing of what it knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_the_version_before_knows_one_key() {
    let Some(cluster) = Cluster::shared() else { return };
    let name = cluster.create_database();
    let url = cluster.url(&name);
    let before = node(&url, &[&OLD]).await.unwrap();
    let fingerprints = before.fingerprint_key();
    cluster.query(&name, "UPDATE nodes SET keys = ''; DELETE FROM meta WHERE name = 'fingerprint_key'");
    refused(node(&url, &[&NEW, &OLD]).await, "cannot open what the key");
    let next = node(&url, &[&OLD, &NEW]).await.unwrap();
    assert_eq!(next.fingerprint_key(), fingerprints);
}

// Whoever looks changes nothing: neither is the key noted, nor are tables made.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_without_a_trace() {
    let Some(cluster) = Cluster::shared() else { return };
    let name = cluster.create_database();
    let url = cluster.url(&name);
    let list = async |keys: [&SealingKey; 2]| {
        let config = Config::new(url.parse().expect("it is an address"), keys[0].0);
        list_keys(Config { other_keys: vec![keys[1].clone()], ..config }).await
    };
    let error = list([&NEW, &OLD]).await.expect_err("nothing is there");
    assert!(matches!(error, Error::Unusable { .. }), "{error}");
    let store = node(&url, &[&OLD]).await.expect("no table of another one is there");
    let sealed = vec![(Slot::Callback, Bytes::from_static(b"original"))];
    accept(&*store, Acceptance { sealed, ..acceptance(1, at(1), plan()) }).await;
    let counts: Vec<_> = list([&NEW, &OLD]).await.unwrap().into_iter().map(|key| (key.id, key.messages)).collect();
    assert_eq!(counts, [(NEW.id(), 0), (OLD.id(), 1)]);
    let error = list([&NEW, &NEW]).await.expect_err("a key is missing");
    assert!(matches!(error, Error::Key { .. }) && error.to_string().contains("1 messages are sealed"), "{error}");
    let noted = cluster.query(&name, "SELECT value FROM meta WHERE name = 'sealing_key'");
    assert_eq!(noted.trim(), OLD.id());
}
