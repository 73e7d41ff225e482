//! Streams of events: of one operation and of all.

use std::collections::BTreeSet;
use std::time::Duration;

use fanfold_core::{PerTenant, TenantId};
use fanfold_engine::Config;
use fanfold_server::ServerConfig;
use fanfold_store::Retention as _;
use fanfold_testkit::{Answer, Http, Latch, PATIENCE, RawConnection, Reply};
use serde_json::{Value, json};

use crate::rig::Rig;

/// A stream that is read block by block.
pub(crate) struct Stream(RawConnection);

/// A block of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    id: Option<u64>,
    event: Option<String>,
    pub(crate) data: Value,
}

impl Stream {
    /// Opens a stream, and reads its head and its first block, which is no event.
    pub(crate) async fn open(http: &Http, path: &str, field: &str) -> Self {
        let mut connection = http.open().await;
        // By HTTP/1.0, so that the body comes as it is and not in chunks.
        connection.send(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n{field}\r\n").as_bytes()).await;
        let head = connection.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.0 200") && head.contains("content-type: text/event-stream"), "{head}");
        let mut stream = Self(connection);
        let first = stream.0.until("\n\n").await;
        assert!(first.starts_with("retry: 2000\nid: "), "{first:?}");
        stream
    }

    async fn of(rig: &Rig, id: &str) -> Self {
        Self::open(&rig.http, &format!("/api/v1/operations/{id}/events"), "").await
    }

    async fn block(&mut self) -> Block {
        let text = self.0.until("\n\n").await;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let data = field("data: ").map_or(Value::Null, |data| serde_json::from_str(data).unwrap());
        let id = field("id: ").map(|id| id.parse().unwrap());
        Block { id, event: field("event: ").map(str::to_owned), data }
    }

    /// The next block that is an event.
    pub(crate) async fn event(&mut self) -> Block {
        let event = async {
            loop {
                let block = self.block().await;
                if block.event.is_some() {
                    return block;
                }
            }
        };
        tokio::time::timeout(PATIENCE, event).await.expect("an event comes, and not heartbeats alone")
    }

    /// All events up to this one.
    async fn until(&mut self, last: impl Fn(&Block) -> bool) -> Vec<Block> {
        let mut events = Vec::new();
        loop {
            events.push(self.event().await);
            if events.last().is_some_and(&last) {
                return events;
            }
        }
    }
}

fn is_end(block: &Block) -> bool {
    block.event.as_deref() == Some("end")
}

/// An operation whose only target answers once the latch is opened, and whose attempt is on the wire.
async fn running(rig: &Rig) -> (String, Latch) {
    let latch = Latch::new();
    rig.tokyo.on("PUT", "/things/7", Reply::from(Answer::json(200, &json!({ "id": "7" }))).after(&latch));
    let id = rig.accept("PUT", "/things/7", &json!({})).await;
    rig.tokyo.wait_for(1).await;
    (id, latch)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_an_operation_is_streamed_until_its_end_and_the_stream_closes() {
    let rig = Rig::start().await;
    let (id, latch) = running(&rig).await;
    let mut stream = Stream::of(&rig, &id).await;
    let begun = stream.until(|block| block.event.as_deref() == Some("attempt_started")).await;
    latch.open();
    let rest = stream.until(is_end).await;
    assert_eq!(stream.0.rest().await, "", "nothing follows the end");
    let (end, rest) = rest.split_last().unwrap();
    assert_eq!((end.id, &end.data), (None, &json!({ "operation": id, "status": "completed" })));

    let told: Vec<&Block> = begun.iter().chain(rest).collect();
    let numbers: Vec<u64> = told.iter().map(|block| block.id.unwrap()).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let history = rig.http.get(&format!("/api/v1/operations/{id}/history")).await.json();
    let history = history["history"].as_array().unwrap();
    assert_eq!(history.len(), told.len());
    for (entry, block) in history.iter().zip(&told) {
        let mut data = block.data.clone();
        let members = data.as_object_mut().unwrap();
        assert_eq!(members.remove("number"), block.id.map(Value::from));
        assert_eq!(members.remove("operation"), Some(json!(id)));
        let is_last = block.event.as_deref() == Some("response_composed");
        assert_eq!(members.remove("status"), is_last.then(|| json!("completed")));
        assert_eq!((&data, entry["event"].as_str()), (entry, block.event.as_deref()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_after_the_last_event_id() {
    let rig = Rig::start().await;
    let (id, latch) = running(&rig).await;
    let path = format!("/api/v1/operations/{id}/events");
    let mut stream = Stream::of(&rig, &id).await;
    let first = stream.event().await.id.unwrap();
    drop(stream);
    let mut stream = Stream::open(&rig.http, &format!("{path}?after={first}"), "").await;
    assert_eq!(stream.event().await.data["sequence"], 2);
    latch.open();
    rig.ended(&id).await;
    // What the client says when it comes again goes before what its address says.
    let mut stream = Stream::open(&rig.http, &format!("{path}?after=0"), &format!("last-event-id: {first}\r\n")).await;
    let rest = stream.until(is_end).await;
    assert_eq!(rest[0].data["sequence"], 2);
    let last = rest[rest.len() - 2].id.unwrap();
    let done = rig.http.clone().with("last-event-id", &last.to_string()).get(&path).await;
    assert_eq!((done.status, done.body.len()), (204, 0), "which makes a browser stop coming again");
    let mut anew = Stream::of(&rig, &id).await;
    assert_eq!(anew.until(is_end).await.len(), rest.len() + 1, "an ended operation tells its whole story");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_are_none_are_refused() {
    let rig = Rig::start().await;
    let id = rig.accept("PUT", "/things/7", &json!({})).await;
    rig.ended(&id).await;
    let (one, all) = (format!("/api/v1/operations/{id}/events"), "/api/v1/events".to_owned());
    for path in [&one, &all] {
        for bad in ["x", "-1", "+1", "1.5", "0x1", "1 2", "\u{1}", "é", ""] {
            let raw =
                format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nlast-event-id: {bad}\r\n\r\n");
            let answer = rig.http.raw(raw.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{bad:?}: {answer}");
            assert!(bad == "\u{1}" || answer.contains("Last-Event-ID"), "{bad:?}: {answer}");
        }
        for bad in ["x", "-1"] {
            let answer = rig.http.get(&format!("{path}?after={bad}")).await;
            assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("bad_value")), "{bad}");
        }
        for later in ["1000000", "99999999999999999999999"] {
            let by_address = rig.http.get(&format!("{path}?after={later}")).await;
            let by_field = rig.http.clone().with("last-event-id", later).get(path).await;
            for answer in [by_address, by_field] {
                assert_eq!((answer.status, &answer.json()["code"]), (409, &json!("not_possible")), "{later}");
            }
        }
        for bad in ["x", "-1"] {
            let answer = rig.http.clone().with("last-event-id", "0").get(&format!("{path}?after={bad}")).await;
            assert_eq!(answer.status, 400, "{bad} is wrong, even where the field goes before it");
        }
    }
    let later = rig.http.get("/api/v1/events?after=1000000").await.text();
    assert!(later.contains("from another server"), "{later}");
    let twice = rig.http.clone().with("last-event-id", "1").with("last-event-id", "2").get(&all).await;
    assert_eq!(twice.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_operations_are_followed_by_filters() {
    let rig = Rig::start().await;
    rig.osaka.on("POST", "/things", Answer::empty(409));
    let begin = async |query: &str| Stream::open(&rig.http, &format!("/api/v1/events{query}"), "").await;
    let mut all = begin("").await;
    let mut ends = begin("?status=failed&status=canceled").await;
    let mut starts = begin("?event=attempt_started&target=osaka").await;
    let mut msf = begin("?dialect=msf&mount=%2Fv1").await;
    let put = rig.accept("PUT", "/things/7", &json!({})).await;
    rig.ended(&put).await;
    let post = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&post).await;
    let cp = rig.accept("POST", "/v1/slices/7/cps", &json!({})).await;
    rig.ended(&cp).await;

    let told = all.until(|block| block.data["status"] == "completed" && block.data["operation"] == json!(cp)).await;
    let numbers: Vec<u64> = told.iter().map(|block| block.id.unwrap()).collect();
    assert_eq!(numbers, (numbers[0]..numbers[0] + numbers.len() as u64).collect::<Vec<_>>(), "none is passed over");
    let named: BTreeSet<&str> = told.iter().filter_map(|block| block.data["operation"].as_str()).collect();
    assert_eq!(named, [put.as_str(), &post, &cp].into());
    let failed = ends.event().await;
    assert_eq!((&failed.data["operation"], &failed.data["status"]), (&json!(post), &json!("failed")));
    let started = starts.event().await;
    assert_eq!((started.event.as_deref(), &started.data["operation"]), (Some("attempt_started"), &json!(post)));
    assert_eq!(msf.event().await.data["operation"], json!(cp));
    let summary = rig.detail(&put).await.json();
    let route = summary["route"].as_str().unwrap();
    let filter = format!("?after=0&route={route}&verb=update&resource=%2Fthings%2F7");
    let only = begin(&filter).await.until(|block| block.data["status"] == "completed").await;
    assert!(only.iter().all(|block| block.data["operation"] == json!(put)), "{only:?}");

    for bad in ["status=executing", "event=nonsense", "dialect=x", "verb=POST", "limit=3", "route="] {
        let answer = rig.http.get(&format!("/api/v1/events?{bad}")).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("bad_value")), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_stream_says_that_it_is_there_and_how_far_it_is() {
    let rig = Rig::with(ServerConfig { heartbeat: Duration::from_millis(20), ..ServerConfig::default() }).await;
    let mut stream = Stream::open(&rig.http, "/api/v1/events?route=other", "").await;
    assert_eq!(stream.0.until("\n\n").await, ":\nid: 0\n\n");
    let id = rig.accept("PUT", "/things/7", &json!({})).await;
    rig.ended(&id).await;
    let latest = fanfold_store::ReadHistory::latest_event(&*rig.store).await.unwrap().0;
    // What the filter kept back need not be read again after a restart.
    stream.0.until(&format!(":\nid: {latest}\n\n")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_are_bounded_and_places_become_free() {
    let config = ServerConfig { followers_max: 2, operation_followers_max: 1, ..ServerConfig::default() };
    let rig = Rig::with(config).await;
    let (id, latch) = running(&rig).await;
    let path = format!("/api/v1/operations/{id}/events");
    let stream = Stream::of(&rig, &id).await;
    let refused = rig.http.get(&path).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{}", refused.text());
    let waiting = rig.http.get(&format!("/api/v1/operations/{id}?wait=5m")).await;
    assert_eq!(waiting.status, 503, "waits count too: {}", waiting.text());
    let all = Stream::open(&rig.http, "/api/v1/events", "").await;
    let refused = rig.http.get("/api/v1/events").await;
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("2 follow operations already"), "{}", refused.text());
    // An acceptance is never refused for it; it just does not wait.
    let unwaited = rig.http.clone().with("prefer", "wait=300").put("/things/7", &json!({})).await;
    assert_eq!((unwaited.status, unwaited.header("preference-applied")), (202, None));
    let metrics = rig.http.get("/metrics").await.text();
    for line in ["fanfold_http_followers{kind=\"operation\"} 1", "fanfold_http_followers{kind=\"all\"} 1"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    drop((stream, all));
    let free = async {
        while rig.http.get("/metrics").await.text().contains("fanfold_http_followers{kind=\"operation\"} 1") {}
    };
    tokio::time::timeout(PATIENCE, free).await.expect("who leaves makes room");
    drop(Stream::of(&rig, &id).await);
    latch.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_of_a_tenant_are_bounded() {
    let tenant_followers_max = PerTenant { otherwise: 0, own: [(TenantId::default(), 2)].into() };
    let rig = Rig::with(ServerConfig { tenant_followers_max, ..ServerConfig::default() }).await;
    let (id, latch) = running(&rig).await;
    let held = (Stream::of(&rig, &id).await, Stream::open(&rig.http, "/api/v1/events", "").await);
    assert_eq!(rig.http.get("/ui/live").await.status, 503);
    for path in ["/api/v1/events", &format!("/api/v1/operations/{id}?wait=5m")] {
        let refused = rig.http.get(path).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{path}: {}", refused.text());
        assert!(refused.text().contains("2 follow operations of this tenant already"), "{}", refused.text());
    }
    drop(held);
    latch.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_follower_holds_nobody_up() {
    const OPERATIONS: usize = 120;
    let rig = Rig::start().await;
    rig.tokyo.on("PUT", "/things/7", Answer::text(200, "x".repeat(4_000)));
    let mut slow = Stream::open(&rig.http, "/api/v1/events", "").await;
    let mut quick = Stream::open(&rig.http, "/api/v1/events?event=response_composed", "").await;
    for _ in 0..OPERATIONS {
        rig.accept("PUT", "/things/7", &json!({})).await;
    }
    let mut ended = BTreeSet::new();
    while ended.len() < OPERATIONS {
        ended.insert(quick.event().await.data["operation"].as_str().unwrap().to_owned());
    }
    // The slow one has read nothing so far, and misses nothing.
    let latest = fanfold_store::ReadHistory::latest_event(&*rig.store).await.unwrap().0;
    let told = slow.until(|block| block.id == Some(latest)).await;
    let numbers: Vec<u64> = told.iter().map(|block| block.id.unwrap()).collect();
    assert_eq!(numbers, (1..=latest).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_streams_at_once() {
    let mut rig = Rig::start().await;
    let (id, latch) = running(&rig).await;
    let mut one = Stream::of(&rig, &id).await;
    one.until(|block| block.event.as_deref() == Some("attempt_started")).await;
    let mut all = Stream::open(&rig.http, "/api/v1/events", "").await;
    rig.stop();
    assert_eq!((one.0.rest().await, all.0.rest().await), (String::new(), String::new()));
    assert_eq!(rig.stopped().await, 0);
    latch.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_retention_took_are_told_to_be_missing() {
    let rig = Rig::start().await;
    let id = rig.accept("PUT", "/things/7", &json!({})).await;
    rig.ended(&id).await;
    let last = fanfold_store::ReadHistory::latest_event(&*rig.store).await.unwrap().0;
    let far = "2100-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(rig.store.sweep(far, 10).await.unwrap().deleted, 1);
    let mut stream = Stream::open(&rig.http, "/api/v1/events?after=1", "").await;
    let gap = stream.event().await;
    assert_eq!((gap.event.as_deref(), &gap.data), (Some("gap"), &json!({ "after": 1, "up_to": last })));
    let next = rig.accept("PUT", "/things/7", &json!({})).await;
    assert_eq!(stream.event().await.data["operation"], json!(next));
    // Whoever knows them already, or asks for what there is, misses nothing.
    for after in [0, last] {
        let mut stream = Stream::open(&rig.http, &format!("/api/v1/events?after={after}"), "").await;
        assert_eq!(stream.event().await.data["operation"], json!(next));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_retention_takes_while_they_are_read_are_told_to_be_missing() {
    // Whatever has ended is read from the store.
    let mut config = Config::new([7; 32]);
    config.ended_max = 0;
    let rig = Rig::of(ServerConfig::default(), config).await;
    let id = rig.accept("PUT", "/things/7", &json!({})).await;
    rig.ended(&id).await;
    let last = fanfold_store::ReadHistory::latest_event(&*rig.store).await.unwrap().0;
    // Its events have been read when it is found to be gone.
    rig.lossy.forget(id.parse().unwrap());
    let mut stream = Stream::open(&rig.http, "/api/v1/events?after=1", "").await;
    let gap = stream.event().await;
    assert_eq!((gap.event.as_deref(), &gap.data), (Some("gap"), &json!({ "after": 1, "up_to": last })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_asked_for_as_everything_else() {
    let rig = Rig::start().await;
    let id = rig.accept("PUT", "/things/7", &json!({})).await;
    rig.ended(&id).await;
    for path in [format!("/api/v1/operations/{id}/events"), "/api/v1/events".to_owned()] {
        let head = rig.http.request("HEAD", &path, b"").await;
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")), "{path}");
        assert_eq!((head.header("cache-control"), head.header("x-accel-buffering")), (Some("no-cache"), Some("no")));
        let post = rig.http.post(&path, &json!({})).await;
        assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")), "{path}");
        // There is no other form of it, so whatever the client would rather have, this is what it gets.
        let head = rig.http.clone().with("accept", "application/json").request("HEAD", &path, b"").await;
        assert_eq!(head.status, 200);
    }
    for missing in ["01900000-0000-7000-8000-000000000001", "17"] {
        assert_eq!(rig.http.get(&format!("/api/v1/operations/{missing}/events")).await.status, 404);
    }
    assert_eq!(rig.http.get(&format!("/api/v1/operations/{id}/events?route=x")).await.status, 400);
}
