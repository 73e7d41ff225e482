//! Several servers on one PostgreSQL, as clients and targets see them.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use fanfold_testkit::postgres::{Cluster, Stop};
use fanfold_testkit::{Answer, FakeTarget, Home, Latch, PATIENCE, Proxy, Reply};
use serde_json::{Value, json};

use crate::program::{Server, config, serve, text};

/// What secrets are encrypted with here.
const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// Routes to one target: things may be put again, orders not.
const ROUTES: &str = "[[routes]]\nname = \"put-thing\"\nmatch = \"PUT /things/{id}\"\ntargets = [\"tokyo\"]\nlock = \"thing/{{ path.id }}\"\n\n\
                      [[routes]]\nname = \"order\"\nmatch = \"POST /orders\"\ntargets = [\"tokyo\"]\n";

struct Node {
    home: Home,
    server: Server,
}

/// The configuration of a node whose database is at this address.
fn node_config(tokyo: &FakeTarget, name: &str, url: &str) -> String {
    let store =
        format!("[store]\nurl = \"{url}\"\nkey = \"${{file:store.key}}\"\nnode = \"{name}\"\nlease = \"2s\"\n\n");
    let common = config(&[("tokyo", tokyo)], &(store + ROUTES));
    // Long enough to be told from no wait at all, and short enough to be waited for.
    common.replace("monitor = \"none\"\n", "monitor = \"none\"\nsettle = \"1s\"\n")
}

async fn node(tokyo: &FakeTarget, name: &str, url: &str) -> Node {
    let home = Home::new(&node_config(tokyo, name, url));
    std::fs::write(home.path().join("store.key"), KEY).unwrap();
    let server = Server::start(&home).await;
    Node { home, server }
}

/// Two nodes on a database of their own; `None` where there is no PostgreSQL to be had.
async fn two() -> Option<(FakeTarget, Node, Node)> {
    let cluster = Cluster::shared()?;
    let url = cluster.url(&cluster.create_database());
    let tokyo = FakeTarget::start().await;
    let (one, other) = (node(&tokyo, "one", &url).await, node(&tokyo, "other", &url).await);
    Some((tokyo, one, other))
}

async fn detail(server: &Server, id: &str) -> Value {
    let answer = server.get(&format!("/api/v1/operations/{id}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn order(server: &Server) -> String {
    let answer = server.http.post("/orders", &json!({ "size": 3 })).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    text(&answer.json()["id"])
}

fn uris(target: &FakeTarget) -> Vec<String> {
    target.seen().iter().map(|seen| seen.uri.clone()).collect()
}

#[tokio::test]
async fn any_node_answers_for_an_operation_of_another() {
    let Some((tokyo, one, other)) = two().await else { return };
    let answer = Latch::new();
    tokyo.once("PUT", "/things/1", Reply::from(Answer::empty(200)).after(&answer));
    let with_key = one.server.http.clone().with("idempotency-key", "k");
    let accepted = with_key.put("/things/1", &json!({ "size": 3 })).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let id = text(&accepted.json()["id"]);
    tokyo.wait_for(1).await;

    assert_eq!(detail(&other.server, &id).await["status"], "executing");
    let again = other.server.http.clone().with("idempotency-key", "k").put("/things/1", &json!({ "size": 3 })).await;
    assert_eq!((again.status, text(&again.json()["id"])), (202, id.clone()), "the key holds on every node");
    let locked = other.server.http.put("/things/1", &json!({})).await;
    assert_eq!((locked.status, text(&locked.json()["blocked_by"])), (409, id.clone()), "and so does the lock");
    let mut stream = other.server.http.open().await;
    stream.send(format!("GET /api/v1/operations/{id}/events HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes()).await;
    stream.until("event: attempt_started").await;

    let waiting = async { other.server.end_of(&id).await };
    let ending = async { answer.open() };
    let (ended, ()) = tokio::join!(waiting, ending);
    assert_eq!(ended["status"], "completed");
    stream.until("event: response_composed").await;
    assert_eq!(uris(&tokyo), ["/things/1"]);
}

#[tokio::test]
async fn people_may_ask_any_node() {
    let Some((tokyo, one, other)) = two().await else { return };
    let held = other.server.run(&other.home, &["targets", "hold", "tokyo", "--reason", "maintenance"]).await;
    assert_eq!(held.code, Some(0), "{}", held.stderr);
    // The other one may not have heard of it for a moment; whoever asks it to hold as well knows that it has.
    let held = one.server.run(&one.home, &["targets", "hold", "tokyo", "--reason", "again"]).await;
    assert_eq!(held.code, Some(0), "{}", held.stderr);
    let (first, second) = (one.server.put("/things/1").await, one.server.put("/things/2").await);
    let canceled = other.server.http.post(&format!("/api/v1/operations/{first}/cancel"), &json!({})).await;
    assert_eq!(canceled.status, 200, "{}", canceled.text());
    assert_eq!(other.server.end_of(&first).await["status"], "canceled");
    let again = other.server.http.post(&format!("/api/v1/operations/{first}/cancel"), &json!({})).await;
    assert_eq!(again.status, 409, "{}", again.text());
    let released = other.server.run(&other.home, &["targets", "release", "tokyo"]).await;
    assert_eq!(released.code, Some(0), "{}", released.stderr);
    assert_eq!(one.server.end_of(&second).await["status"], "completed");
    assert_eq!(uris(&tokyo), ["/things/2"]);
}

#[tokio::test]
async fn what_a_lost_node_had_on_the_wire_is_taken_over() {
    let Some((tokyo, one, other)) = two().await else { return };
    tokyo.once("POST", "/orders", Reply::Never { applied: true });
    tokyo.once("PUT", "/things/1", Reply::Never { applied: true });
    let (ordered, put) = (order(&one.server).await, one.server.put("/things/1").await);
    tokyo.wait_for(2).await;
    one.server.process.kill();
    let ended = other.server.end_of(&ordered).await;
    assert_eq!((&ended["status"], &ended["consistency"]), (&json!("failed"), &json!("unknown")), "{ended}");
    assert_eq!(other.server.end_of(&put).await["status"], "completed", "what may be sent again is");
    let orders = uris(&tokyo).iter().filter(|uri| *uri == "/orders").count();
    assert_eq!(orders, 1, "what may have been done is not done again");
}

#[tokio::test]
async fn a_node_that_was_paused_sends_nothing_when_it_comes_back() {
    let Some((tokyo, one, other)) = two().await else { return };
    let answer = Latch::new();
    tokyo.once("POST", "/orders", Reply::from(Answer::empty(500)).after(&answer));
    let ordered = order(&one.server).await;
    tokyo.wait_for(1).await;
    one.server.process.pause();
    assert_eq!(other.server.end_of(&ordered).await["consistency"], "unknown");
    answer.open();
    one.server.process.resume();
    one.server.process.line("has joined the nodes of its store again").await;
    // It is a node like any other again.
    let id = one.server.put("/things/1").await;
    assert_eq!(other.server.end_of(&id).await["status"], "completed");
    assert_eq!(detail(&one.server, &ordered).await["consistency"], "unknown", "what it knew late counts for nothing");
    assert_eq!(uris(&tokyo), ["/orders", "/things/1"]);
}

#[tokio::test]
async fn a_node_that_cannot_reach_the_database_is_followed_and_does_nothing_twice() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.create_database();
    let tokyo = FakeTarget::start().await;
    let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, cluster.port()))).await;
    let through = cluster.url(&database).replace(&cluster.port().to_string(), &proxy.address().port().to_string());
    let cut_off = node(&tokyo, "cut-off", &through).await;
    let other = node(&tokyo, "other", &cluster.url(&database)).await;
    let answer = Latch::new();
    tokyo.once("POST", "/orders", Reply::from(Answer::empty(500)).after(&answer));
    tokyo.once("PUT", "/things/1", Reply::from(Answer::empty(500)).after(&answer));
    let (ordered, put) = (order(&cut_off.server).await, cut_off.server.put("/things/1").await);
    tokyo.wait_for(2).await;
    proxy.pause();
    assert_eq!(other.server.end_of(&ordered).await["consistency"], "unknown");
    assert_eq!(other.server.end_of(&put).await["status"], "completed");
    let refused = cut_off.server.http.put("/things/9", &json!({})).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    answer.open();
    proxy.resume();
    cut_off.server.process.line("has joined the nodes of its store again").await;
    let seen = uris(&tokyo);
    assert_eq!(seen.iter().filter(|uri| *uri == "/orders").count(), 1, "{seen:?}");
    assert_eq!(seen.iter().filter(|uri| *uri == "/things/1").count(), 2, "{seen:?}");
}

#[tokio::test]
async fn a_node_that_stops_hands_over() {
    let Some((tokyo, one, other)) = two().await else { return };
    let held = one.server.run(&one.home, &["targets", "hold", "tokyo", "--reason", "maintenance"]).await;
    assert_eq!(held.code, Some(0), "{}", held.stderr);
    let id = one.server.put("/things/1").await;
    one.server.stop().await;
    let released = other.server.run(&other.home, &["targets", "release", "tokyo"]).await;
    assert_eq!(released.code, Some(0), "{}", released.stderr);
    assert_eq!(other.server.end_of(&id).await["status"], "completed");
    assert_eq!(uris(&tokyo), ["/things/1"]);
}

#[tokio::test]
async fn while_the_database_is_away_nothing_is_accepted_and_that_is_told() {
    let Some(mut cluster) = Cluster::start() else { return };
    let url = cluster.url(&cluster.create_database());
    let tokyo = FakeTarget::start().await;
    let node = node(&tokyo, "only", &url).await;
    let answer = Latch::new();
    tokyo.once("PUT", "/things/1", Reply::from(Answer::empty(200)).after(&answer));
    let running = node.server.put("/things/1").await;
    tokyo.wait_for(1).await;
    cluster.stop(Stop::Immediate);
    answer.open();
    let refused = node.server.http.put("/things/2", &json!({})).await;
    assert_eq!((refused.status, text(&refused.json()["code"])), (503, "store_unreachable".to_owned()));
    let ready = node.server.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("the store cannot be"), "{}", ready.text());
    cluster.start_again();
    node.server.process.line("the database takes writes again").await;
    assert_eq!(node.server.end_of(&running).await["status"], "completed", "what came back is recorded");
    let id = node.server.put("/things/3").await;
    assert_eq!(node.server.end_of(&id).await["status"], "completed");
    assert_eq!(uris(&tokyo), ["/things/1", "/things/3"]);
}

#[tokio::test]
async fn a_start_that_waits_for_the_database_can_be_ended() {
    let Some(cluster) = Cluster::shared() else { return };
    let name = cluster.create_database();
    let (tokyo, url) = (FakeTarget::start().await, cluster.url(&name));
    node(&tokyo, "first", &url).await.server.stop().await;
    let mut holding = cluster.psql();
    holding.args(["-X", "-q", &url]).stdin(Stdio::piped());
    // It ends when nothing more comes in.
    let mut holding = holding.spawn().unwrap();
    let mut typing = holding.stdin.take().unwrap();
    typing.write_all(b"BEGIN; LOCK TABLE migrations;\n").unwrap();
    let locks =
        "SELECT count(*) FROM pg_locks WHERE relation = 'migrations'::regclass AND mode = 'AccessExclusiveLock'";
    while cluster.query(&name, locks) != "1" {
        tokio::task::yield_now().await;
    }
    let home = Home::new(&node_config(&tokyo, "second", &url));
    std::fs::write(home.path().join("store.key"), KEY).unwrap();
    let starting = serve(&home);
    starting.line("another program migrates them, or holds a lock").await;
    starting.terminate();
    let (status, printed) = starting.ended().await;
    assert!(status.success() && printed.contains("stopped before it served anything"), "{printed}");
    drop(typing);
    holding.wait().unwrap();
}

#[tokio::test]
async fn a_reload_of_one_node_shows_at_the_others() {
    let Some((_tokyo, one, other)) = two().await else { return };
    let differing = async || {
        let page = other.server.get("/metrics").await.text();
        page.lines().find_map(|line| line.strip_prefix("fanfold_nodes_differing ").map(str::to_owned)).unwrap()
    };
    let until = async |wanted: &str| {
        while differing().await != wanted {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let before = std::fs::read_to_string(one.home.config()).unwrap();
    let added = "[[routes]]\nname = \"added\"\nmatch = \"POST /added\"\ntargets = [\"tokyo\"]\n";
    for (config, wanted) in [(before.clone() + added, "1"), (before, "0")] {
        one.home.configure(&config);
        one.server.process.reload();
        tokio::time::timeout(PATIENCE, until(wanted)).await.expect("the next beats tell");
    }
}
